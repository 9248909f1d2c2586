/** All that the page knows and can do. It uses nothing but the public API. */
import { batch, signal } from "@preact/signals";
import { messageOf, Refused, SignedOut, type UserProblem } from "../api/errors";
import { Http } from "../api/http";
import { Live, type JobEvent, type LiveState } from "../api/live";
import {
  AvailabilityDocument,
  CancelDocument,
  DeleteDocument,
  GenerateDocument,
  OneJobDocument,
  WelcomeDocument,
  type GenerateImageInput,
  type WelcomeQuery,
} from "../api/operations";
import { duration } from "../pure/words";
import { Composer, inputOf, randomSeed } from "./composer";
import { Estimator } from "./estimate";
import { Gallery } from "./gallery";
import { isFinal, Jobs, referenceOf, type Job } from "./jobs";
import { Outbox, type Asked } from "./outbox";
import { Session } from "./session";
import { Toasts } from "./toasts";
import { View } from "./view";

const AVAILABILITY_EVERY_MS = 20_000;

export class Studio {
  readonly session = new Session();
  readonly composer = new Composer();
  readonly jobs = new Jobs();
  readonly toasts = new Toasts();
  readonly view = new View();
  readonly http: Http;
  readonly gallery: Gallery;
  readonly estimator: Estimator;
  readonly viewer = signal<WelcomeQuery["viewer"] | null>(null);
  readonly live = signal<LiveState>({ is: "connecting", attempt: 0 });
  readonly isOnline = signal(navigator.onLine);
  /** How often something was asked for: what was, is to be seen. */
  readonly submissions = signal(0);
  /** For screen readers. */
  readonly announcement = signal("");

  readonly #live: Live;
  readonly #outbox = new Outbox();
  #sending = new AbortController();
  #ends: (() => void)[] = [];

  /** `url` is that of the API, absolute. */
  constructor(readonly url: URL) {
    const token = () => this.session.token.peek();
    this.http = new Http(url.href, token);
    this.gallery = new Gallery(this.http, this.jobs);
    this.estimator = new Estimator(this.http, this.composer);
    this.#live = new Live(url.href.replace(/^http/, "ws"), token, {
      onEvent: (event) => this.#happened(event),
      onState: (state) => {
        this.live.value = state;
        if (state.is === "refused") this.fail(new SignedOut());
      },
      onGap: () => this.gallery.reload(this.fail),
    });
    addEventListener("online", () => (this.isOnline.value = true));
    addEventListener("offline", () => (this.isOnline.value = false));
  }

  /** Read what there is, follow what happens, and ask again for what was not answered before a reload. */
  start(): void {
    this.#end();
    for (const asked of this.#outbox.all) if (this.jobs.get(asked.key) === undefined) void this.#send(asked);
    this.#live.start();
    this.#ends = [
      () => this.#live.stop(),
      this.gallery.start(this.fail),
      this.estimator.start(this.jobs.version),
      this.#watchAvailability(),
    ];
    void this.#welcome();
  }

  signIn(token: string): void {
    this.session.signIn(token);
    this.start();
  }

  signOut(): void {
    this.#end();
    // What is not answered yet was asked for by whoever signs out, and by nobody who may come.
    this.#sending.abort();
    this.#sending = new AbortController();
    this.#outbox.clear();
    batch(() => {
      this.jobs.clear();
      this.viewer.value = null;
      this.session.signOut();
    });
  }

  /** Ask for what the composer holds. */
  generate(): void {
    const { composer } = this;
    composer.problems.value = [];
    const input = composer.input.peek();
    if (input.prompt === "") {
      const message = "Write a prompt first.";
      composer.problems.value = [{ __typename: "InvalidInputError", message, path: ["prompt"] }];
      return;
    }
    this.#submit(input, this.#sketchOf(input));
  }

  /** The same again: with the seed that it had, and so the same picture. */
  again(job: Job): void {
    this.#repeat(job, job.parameters.seed);
  }

  /** The same with another seed. */
  vary(job: Job): void {
    this.#repeat(job, randomSeed());
  }

  async cancel(job: Job): Promise<void> {
    await this.#change(async () => {
      const askedAt = this.jobs.asked();
      const { cancelJob } = await this.http.ask(CancelDocument, { id: job.id }, { onWait: this.#tellOfWaiting });
      if (cancelJob.job) this.jobs.answered([cancelJob.job], askedAt);
      return cancelJob.errors;
    });
  }

  async delete(job: Job): Promise<void> {
    await this.#change(async () => {
      const { deleteJob } = await this.http.ask(DeleteDocument, { id: job.id }, { onWait: this.#tellOfWaiting });
      this.jobs.happened({ kind: "DELETED", cursor: "", jobId: job.id, job: null });
      return deleteJob.errors;
    });
  }

  /** Read a job that an address names and that is on no page yet. */
  async find(id: string): Promise<boolean> {
    if (this.jobs.get(id)) return true;
    try {
      const askedAt = this.jobs.asked();
      const { job } = await this.http.ask(OneJobDocument, { id }, { onWait: () => undefined });
      if (job) this.jobs.answered([job], askedAt);
      return job !== null;
    } catch (problem) {
      this.fail(problem);
      return false;
    }
  }

  /** Say what went wrong; where a credential is wanted, ask for it. */
  readonly fail = (problem: unknown): void => {
    if (problem instanceof SignedOut) {
      this.#end();
      this.session.isSignedOut.value = true;
    } else {
      this.toasts.say(messageOf(problem), { isProblem: true });
    }
  };

  readonly #tellOfWaiting = ({ message }: Error, attempt: number): void => {
    if (attempt === 0) this.toasts.say(`${message} Trying again…`, { isProblem: true });
  };

  #end(): void {
    for (const end of this.#ends) end();
    this.#ends = [];
  }

  async #welcome(): Promise<void> {
    try {
      const known = await this.http.ask(WelcomeDocument, {}, { onWait: () => undefined });
      batch(() => {
        this.viewer.value = known.viewer;
        this.session.isSignedOut.value = false;
        this.composer.welcome(known);
      });
    } catch (problem) {
      this.fail(problem);
    }
  }

  #watchAvailability(): () => void {
    const timer = setInterval(() => {
      if (document.hidden) return;
      void this.http.ask(AvailabilityDocument, {}).then(
        ({ models }) => {
          const now = new Map(models.map(({ id, availability }) => [id, availability]));
          this.composer.models.value = this.composer.models
            .peek()
            .map((model) => ({ ...model, availability: now.get(model.id) ?? "UNAVAILABLE" }));
        },
        () => undefined,
      );
    }, AVAILABILITY_EVERY_MS);
    return () => clearInterval(timer);
  }

  #repeat(job: Job, seed: number): void {
    this.#submit(inputOf(job, seed), {
      ...job.parameters,
      seed,
      model: job.model,
    });
  }

  /** What the server will make of the input, as far as one can tell. */
  #sketchOf(input: GenerateImageInput): Sketch {
    const { model, dimensions, styles } = this.composer;
    const defaults = model.peek()?.defaults;
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
      width: dimensions.peek().width,
      height: dimensions.peek().height,
      model: model.peek(),
    };
  }

  #submit(input: GenerateImageInput, { model, ...parameters }: Sketch): void {
    const key = newKey();
    const asked: Asked = {
      key,
      input: { ...input, idempotencyKey: key, reference: referenceOf(key) },
      draft: unsent(parameters, model),
    };
    this.#outbox.put(asked);
    batch(() => {
      this.gallery.widen();
      this.submissions.value += 1;
      void this.#send(asked);
    });
  }

  /** Put the card up, and ask until there is an answer. */
  async #send({ key, input, draft }: Asked): Promise<void> {
    const entry = this.jobs.draft(key, draft);
    const { signal } = this.#sending;
    const onWait = () => {
      // Unless an event has brought it meanwhile.
      if (entry.sending.peek() !== null) entry.sending.value = "waiting";
    };
    try {
      const askedAt = this.jobs.asked();
      const { generateImage } = await this.http.ask(GenerateDocument, { input }, { signal, onWait });
      if (generateImage.job) this.jobs.answered([generateImage.job], askedAt);
      else this.#refused(input, generateImage.errors);
    } catch (problem) {
      if (signal.aborted) return;
      if (problem instanceof Refused) {
        this.#refused(input, [{ __typename: problem.code, message: problem.message, path: null }]);
      } else this.fail(problem);
    }
    this.jobs.withdraw(key);
    this.#outbox.drop(key);
  }

  #refused({ prompt }: GenerateImageInput, problems: readonly UserProblem[]): void {
    const { composer } = this;
    composer.problems.value = problems.map(withDelay);
    // After a reload the form is empty.
    if (composer.prompt.peek() === "") composer.prompt.value = prompt;
  }

  async #change(ask: () => Promise<readonly UserProblem[]>): Promise<void> {
    try {
      for (const { message } of await ask()) this.toasts.say(message, { isProblem: true });
    } catch (problem) {
      this.fail(problem);
    }
  }

  #happened(event: JobEvent): void {
    const before = this.jobs.get(event.jobId)?.job.peek();
    this.jobs.happened(event);
    const { job } = event;
    if (job === null || !isFinal(job) || before === undefined || isFinal(before)) return;
    const what = job.parameters.prompt;
    if (job.status === "SUCCEEDED") this.announcement.value = `Ready: ${what}`;
    else if (job.status === "FAILED") this.announcement.value = `Failed: ${what}. ${job.failure?.message ?? ""}`;
    else this.announcement.value = `Canceled: ${what}`;
  }
}

type Sketch = Job["parameters"] & { readonly model: Job["model"] };

function unsent(parameters: Job["parameters"], model: Job["model"]): Job {
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

function withDelay(problem: UserProblem): UserProblem {
  const seconds = problem.retryAfterSeconds;
  if (seconds === undefined) return problem;
  return { ...problem, message: `${problem.message} Try again in ${duration(seconds)}.` };
}

/** crypto.randomUUID is there on https and on loopback only. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
