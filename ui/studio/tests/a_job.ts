import type { Job } from "../state/jobs";

/** A queued job with the ID `one`, but for what is given. */
export function aJob(given: Partial<Job> = {}): Job {
  return {
    id: "one",
    status: "QUEUED",
    createdAt: "2026-11-24T12:00:00.000000Z",
    queuePosition: 0,
    reference: null,
    cost: null,
    cancelOutcome: null,
    model: { id: "model", name: "sketch" },
    parameters: {
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
    },
    progress: {
      phase: "WAITING",
      fraction: 0,
      step: 0,
      totalSteps: 50,
      etaSeconds: null,
      basis: "ESTIMATED",
      previewUrl: null,
    },
    images: [],
    withheld: [],
    failure: null,
    timings: { queueSeconds: null, inferenceSeconds: null, storeSeconds: null, totalSeconds: null },
    ...given,
  };
}
