/** All that the page knows and can do. It uses nothing but the public API. */
import { batch, computed, signal, type ReadonlySignal } from "@preact/signals";
import { endsSession, messageOf, SignedOut, type UserProblem } from "../api/errors";
import { Http } from "../api/http";
import { Live, type JobEvent, type LiveState } from "../api/live";
import {
  CancelDocument,
  DeleteDocument,
  WelcomeDocument,
  type GenerateImageInput,
  type WelcomeQuery,
} from "../api/operations";
import { duration } from "../pure/words";
import { watchAvailability } from "./availability";
import { Composer, inputOf, randomSeed } from "./composer";
import { draftOf, sketchOf, type Sketch } from "./draft";
import { Estimator } from "./estimate";
import { Gallery } from "./gallery";
import { isFinal, Jobs, type Job } from "./jobs";
import { Reader, type Found } from "./reader";
import { Sender } from "./sender";
import { Session } from "./session";
import { Toasts } from "./toasts";
import { View } from "./view";

/** What a caller has on the page, put away until it is known who comes next. */
interface Aside {
  /** ID of the viewer. */
  readonly caller: string;
  readonly restore: () => void;
}

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
  /** For screen readers. Each has its ID: equal texts are said again. */
  readonly announcement = signal<{ readonly id: number; readonly text: string }>({ id: 0, text: "" });
  /** Why the page cannot go on, until `tryAgain`. */
  readonly refused: ReadonlySignal<string | null>;

  readonly #live: Live;
  readonly #sender: Sender;
  readonly #reader: Reader;
  /** Why the server has not said what there is. */
  readonly #unwelcome = signal<string | null>(null);
  #aside: Aside | null = null;
  #ends: (() => void)[] = [];

  /** `url` is that of the API, absolute. */
  constructor(readonly url: URL) {
    const token = () => this.session.token.peek();
    this.http = new Http(url.href, token);
    this.gallery = new Gallery(this.http, this.jobs);
    this.estimator = new Estimator(this.http, this.composer);
    this.refused = computed(() => this.#unwelcome.value ?? this.gallery.refused.value);
    this.#sender = new Sender(this.http, this.jobs, {
      onRefused: (input, problems) => this.#refused(input, problems),
      onProblem: this.fail,
    });
    this.#reader = new Reader(this.http, this.jobs, this.fail);
    this.#live = new Live(url.href.replace(/^http/, "ws"), token, {
      onEvent: (event) => this.#happened(event),
      onState: (state) => {
        this.live.value = state;
        if (state.is === "refused") this.fail(new SignedOut());
      },
      onGap: () => this.gallery.refresh(this.fail),
    });
    addEventListener("online", () => (this.isOnline.value = true));
    addEventListener("offline", () => (this.isOnline.value = false));
  }

  /** Read what there is, follow what happens, and ask again for what was not answered before a reload. */
  start(): void {
    this.#end();
    this.http.begin();
    // The key is the same as before the reload, and so its caller.
    if (this.session.caller !== null) this.#sender.resume(this.session.caller);
    this.#live.start();
    this.#ends = [
      () => this.#live.stop(),
      this.gallery.start(this.fail),
      this.estimator.start(this.jobs.version),
      watchAvailability(this.http, this.composer),
    ];
    void this.#welcome();
  }

  signIn(token: string): void {
    this.session.signIn(token);
    this.start();
  }

  /** Nothing of the caller stays, nor of what was not answered. */
  signOut(): void {
    batch(() => {
      this.#end();
      this.#empty();
      this.view.close();
      this.#sender.forget();
      this.#aside = null;
      this.session.signOut();
    });
  }

  /** Ask once more for what was refused. */
  tryAgain(): void {
    if (this.#unwelcome.peek() !== null) void this.#welcome();
    this.gallery.tryAgain();
  }

  /** Ask for what the composer holds. */
  generate(): void {
    const { composer } = this;
    if (composer.check()) this.#submit(composer.input.peek(), sketchOf(composer.input.peek(), composer));
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
      this.#happened({ kind: "DELETED", cursor: "", jobId: job.id, job: null });
      // It is gone, whether by this or by a try before it, whose answer was lost.
      return deleteJob.errors.filter(({ __typename }) => __typename !== "JobNotFoundError");
    });
  }

  /** Read a job that an address names and that is on no page yet. */
  find(id: string): Promise<Found> {
    return this.#reader.find(id);
  }

  /** Read a job again whose URLs have ended, once a minute at most. */
  renew(id: string): Promise<void> {
    return this.#reader.renew(id);
  }

  /** Say what went wrong; where a credential is wanted, ask for it. */
  readonly fail = (problem: unknown): void => {
    if (problem instanceof SignedOut) this.#lose();
    else if (!endsSession(problem)) this.toasts.say(messageOf(problem), { isProblem: true });
  };

  readonly #tellOfWaiting = ({ message }: Error, attempt: number): void => {
    if (attempt === 0) this.toasts.say(`${message} Trying again…`, { isProblem: true });
  };

  #end(): void {
    this.http.end();
    for (const end of this.#ends) end();
    this.#ends = [];
  }

  /** The key has ended. What is on the page is put away until its caller comes back. */
  #lose(): void {
    const caller = this.session.caller;
    batch(() => {
      this.#end();
      const restore = this.#empty();
      if (caller !== null) this.#aside = { caller, restore };
      this.session.refused();
    });
  }

  /** Returns what takes back what the caller has filled in, and looks at. */
  #empty(): () => void {
    this.jobs.clear();
    this.viewer.value = null;
    this.#unwelcome.value = null;
    this.#announce("");
    const restores = [this.composer.empty(), this.gallery.empty()];
    // An address that was opened before anybody had signed in is looked at by whoever does.
    if (this.session.caller !== null) this.view.cover();
    return () => {
      for (const restore of restores) restore();
      this.view.reveal();
    };
  }

  async #welcome(): Promise<void> {
    this.#unwelcome.value = null;
    try {
      const known = await this.http.ask(WelcomeDocument, {}, { onWait: () => undefined });
      batch(() => {
        this.viewer.value = known.viewer;
        this.composer.welcome(known);
        this.#arrived(known.viewer.id);
      });
    } catch (problem) {
      if (!endsSession(problem)) this.#unwelcome.value = messageOf(problem);
      this.fail(problem);
    }
  }

  #arrived(caller: string): void {
    this.session.accepted(caller);
    const aside = this.#aside;
    this.#aside = null;
    if (aside?.caller === caller) aside.restore();
    else if (aside !== null) this.view.close();
    this.#sender.resume(caller);
  }

  #repeat(job: Job, seed: number): void {
    this.#submit(inputOf(job, seed), { ...job.parameters, seed, model: job.model });
  }

  #submit(input: GenerateImageInput, sketch: Sketch): void {
    const viewer = this.viewer.peek();
    if (viewer === null) {
      this.toasts.say("The server has not answered yet. Try again in a moment.", { isProblem: true });
      return;
    }
    batch(() => {
      this.gallery.widen();
      this.submissions.value += 1;
      this.#sender.submit(viewer.id, input, draftOf(sketch));
      this.#announce(`Queued: ${input.prompt}`);
    });
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
    const { job } = event;
    batch(() => {
      if (job === null) this.gallery.deleting(event.jobId);
      this.jobs.happened(event);
    });
    if (job === null || !isFinal(job) || before === undefined || isFinal(before)) return;
    const what = job.parameters.prompt;
    if (job.status === "SUCCEEDED") this.#announce(`Ready: ${what}`);
    else if (job.status === "FAILED") this.#announce(`Failed: ${what}. ${job.failure?.message ?? ""}`);
    else this.#announce(`Canceled: ${what}`);
  }

  #announce(text: string): void {
    this.announcement.value = { id: this.announcement.peek().id + 1, text };
  }
}

function withDelay(problem: UserProblem): UserProblem {
  const seconds = problem.retryAfterSeconds;
  if (seconds === undefined) return problem;
  return { ...problem, message: `${problem.message} Try again in ${duration(seconds)}.` };
}
