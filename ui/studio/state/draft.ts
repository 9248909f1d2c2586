/** A job before the server knows of it: what its card shows meanwhile. */
import type { GenerateImageInput } from "../api/operations";
import type { Composer } from "./composer";
import type { Job } from "./jobs";

/** What was asked for, as far as one can tell. */
export type Sketch = Job["parameters"] & { readonly model: Job["model"] };

/** What the server will make of the input of the composer. */
export function sketchOf(input: GenerateImageInput, { model, dimensions, styles }: Composer): Sketch {
  const defaults = model.peek()?.defaults;
  const { width, height } = dimensions.peek();
  return {
    prompt: input.prompt,
    negativePrompt: input.negativePrompt ?? null,
    renderedPrompt: input.prompt,
    steps: input.steps ?? defaults?.steps ?? 0,
    guidanceScale: input.guidanceScale ?? defaults?.guidanceScale ?? 0,
    seed: input.seed ?? 0,
    count: input.count ?? 1,
    format: input.format ?? "JPEG",
    style: styles.peek().find(({ id }) => id === input.style) ?? null,
    width,
    height,
    model: model.peek(),
  };
}

export function draftOf({ model, ...parameters }: Sketch): Job {
  return {
    id: "",
    status: "QUEUED",
    createdAt: new Date().toISOString(),
    queuePosition: null,
    reference: null,
    cost: null,
    cancelOutcome: null,
    model,
    parameters,
    progress: {
      phase: "WAITING",
      fraction: 0,
      step: 0,
      totalSteps: parameters.steps,
      etaSeconds: null,
      basis: "ESTIMATED",
      previewUrl: null,
    },
    images: [],
    withheld: [],
    failure: null,
    timings: { queueSeconds: null, inferenceSeconds: null, storeSeconds: null, totalSeconds: null },
  };
}
