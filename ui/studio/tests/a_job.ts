import { draftOf } from "../state/draft";
import type { Job } from "../state/jobs";

/** A queued job with the ID `one`, but for what is given. */
export function aJob(given: Partial<Job> = {}): Job {
  const draft = draftOf({
    model: { id: "model", name: "sketch" },
    prompt: "a lighthouse",
    negativePrompt: null,
    renderedPrompt: "a lighthouse",
    width: 768,
    height: 768,
    steps: 50,
    guidanceScale: 7.5,
    seed: 7,
    count: 1,
    format: "JPEG",
    style: null,
  });
  return { ...draft, id: "one", createdAt: "2026-11-24T12:00:00.000000Z", queuePosition: 0, ...given };
}
