/** What the caller is about to ask for. */
import { computed, signal, type ReadonlySignal } from "@preact/signals";
import type { UserProblem } from "../api/errors";
import type { AspectRatio, GenerateImageInput, WelcomeQuery } from "../api/operations";
import { dimensionsOf, RATIOS, type Dimensions } from "../pure/sizes";
import { LARGEST_SEED, problemsOf } from "./checks";
import { Fields } from "./fields";
import type { Job } from "./jobs";

export type Model = WelcomeQuery["models"][number];
export type Style = WelcomeQuery["styles"][number];
export type Format = Job["parameters"]["format"];

/** `native` is the size that the model makes when it is not told. */
export type Size = AspectRatio | "native" | "custom";

export class Composer {
  readonly models = signal<readonly Model[]>([]);
  readonly styles = signal<readonly Style[]>([]);

  readonly #fields = new Fields();
  readonly prompt = this.#fields.make("");
  readonly negativePrompt = this.#fields.make("");
  readonly styleId = this.#fields.make<string | null>(null);
  readonly modelId = this.#fields.make<string | null>(null);
  readonly size = this.#fields.make<Size>("native");
  readonly custom = this.#fields.make<Dimensions>({ width: 0, height: 0 });
  /** Null: as the model has it. */
  readonly steps = this.#fields.make<number | null>(null);
  readonly guidance = this.#fields.make<number | null>(null);
  /** Null: another one each time. */
  readonly seed = this.#fields.make<number | null>(null);
  readonly count = this.#fields.make(1);
  readonly format = this.#fields.make<Format>("JPEG");
  /** What is wrong with the last try. */
  readonly problems = this.#fields.make<readonly UserProblem[]>([]);

  readonly model: ReadonlySignal<Model | null> = computed(() => {
    const models = this.models.value;
    return models.find(({ id }) => id === this.modelId.value) ?? models.find(({ isDefault }) => isDefault) ?? null;
  });

  readonly dimensions: ReadonlySignal<Dimensions> = computed(() => {
    const model = this.model.value;
    if (this.size.value === "custom") return this.custom.value;
    if (model === null) return { width: 1, height: 1 };
    if (this.size.value === "native") return model.defaults;
    return dimensionsOf(this.size.value, model.defaults, model.limits.sizeMultiple);
  });

  readonly input: ReadonlySignal<GenerateImageInput> = computed(() => {
    const size = this.size.value;
    return {
      prompt: this.prompt.value.trim(),
      count: this.count.value,
      format: this.format.value,
      ...(this.negativePrompt.value.trim() && { negativePrompt: this.negativePrompt.value.trim() }),
      ...(this.styleId.value !== null && { style: this.styleId.value }),
      ...(this.model.value && { modelId: this.model.value.id }),
      ...(size === "custom" && { size: { dimensions: this.custom.value } }),
      ...(size !== "custom" && size !== "native" && { size: { aspectRatio: size } }),
      ...(this.steps.value !== null && { steps: this.steps.value }),
      ...(this.guidance.value !== null && { guidanceScale: this.guidance.value }),
      ...(this.seed.value !== null && { seed: this.seed.value }),
    };
  });

  /** Whether it can be asked for; what is wrong is said at its field. */
  check(): boolean {
    this.problems.value = problemsOf(this.input.peek(), this.model.peek());
    return this.problems.peek().length === 0;
  }

  /** What is wrong with a field of the input, such as `size`; of none in particular when null. */
  problemAt(field: string | null): string | null {
    const found = this.problems.value.find(({ path }) => fieldOf(path) === field);
    return found?.message ?? null;
  }

  welcome({ models, styles }: Pick<WelcomeQuery, "models" | "styles">): void {
    this.models.value = models;
    this.styles.value = styles;
  }

  /** Forget what the caller has chosen, and what there is to choose from. Returns what takes the first back. */
  empty(): () => void {
    this.welcome({ models: [], styles: [] });
    return this.#fields.empty();
  }

  /** Another model has other bounds. */
  chooseModel(id: string): void {
    this.modelId.value = id;
    this.steps.value = null;
    this.guidance.value = null;
    this.size.value = "native";
    this.count.value = Math.min(this.count.value, this.model.value?.limits.maxCount ?? 1);
  }

  chooseSize(size: Size): void {
    if (size === "custom") {
      const { width, height } = this.dimensions.value;
      this.custom.value = { width, height };
    }
    this.size.value = size;
  }

  rollSeed(): void {
    this.seed.value = randomSeed();
  }

  /** Ask for what a job was asked for. The seed is kept only where it is given. */
  take(job: Job, seed: number | null): void {
    const { parameters } = job;
    if (job.model !== null && this.models.value.some(({ id }) => id === job.model?.id)) this.chooseModel(job.model.id);
    this.prompt.value = parameters.prompt;
    this.negativePrompt.value = parameters.negativePrompt ?? "";
    this.styleId.value = parameters.style?.id ?? null;
    this.steps.value = parameters.steps;
    this.guidance.value = parameters.guidanceScale;
    this.count.value = parameters.count;
    this.format.value = parameters.format;
    this.seed.value = seed;
    this.#takeSize(parameters);
    this.problems.value = [];
  }

  #takeSize({ width, height }: Dimensions): void {
    const model = this.model.value;
    const isSame = (other: Dimensions) => other.width === width && other.height === height;
    const ratio = RATIOS.find(
      ({ value }) => model && isSame(dimensionsOf(value, model.defaults, model.limits.sizeMultiple)),
    );
    this.custom.value = { width, height };
    this.size.value = model && isSame(model.defaults) ? "native" : (ratio?.value ?? "custom");
  }
}

export function randomSeed(): number {
  return Math.floor(Math.random() * (LARGEST_SEED + 1));
}

/** The input that a job was made from, for another try. */
export function inputOf({ parameters, model }: Job, seed: number, count = parameters.count): GenerateImageInput {
  return {
    prompt: parameters.prompt,
    count,
    format: parameters.format,
    seed,
    steps: parameters.steps,
    guidanceScale: parameters.guidanceScale,
    size: { dimensions: { width: parameters.width, height: parameters.height } },
    ...(parameters.negativePrompt !== null && { negativePrompt: parameters.negativePrompt }),
    ...(parameters.style !== null && { style: parameters.style.id }),
    ...(model !== null && { modelId: model.id }),
  };
}

/** The fields that the form has a place for. */
const PLACES = ["prompt", "negativePrompt", "style", "modelId", "size", "steps", "guidanceScale", "seed", "count"];

/** Paths begin at the argument or behind it: `["input", "prompt"]`. */
function fieldOf(path: ReadonlyArray<string> | null): string | null {
  return path?.find((part) => PLACES.includes(part)) ?? null;
}
