/** Reads single jobs: those that an address names, and those whose URLs have ended. */
import { endsSession } from "../api/errors";
import type { Http } from "../api/http";
import { OneJobDocument } from "../api/operations";
import type { Jobs } from "./jobs";

const RENEWED_EVERY_MS = 60_000;

/** What there is of a job: `unknown` when the server could not say. */
export type Found = "found" | "missing" | "unknown";

export class Reader {
  readonly #http: Http;
  readonly #jobs: Jobs;
  readonly #fail: (problem: unknown) => void;
  readonly #renewedAt = new Map<string, number>();

  constructor(http: Http, jobs: Jobs, fail: (problem: unknown) => void) {
    this.#http = http;
    this.#jobs = jobs;
    this.#fail = fail;
  }

  /** Read a job, unless it is known. */
  async find(id: string): Promise<Found> {
    if (this.#jobs.get(id)) return "found";
    try {
      await this.#read(id);
      return this.#jobs.get(id) ? "found" : "missing";
    } catch (problem) {
      this.#fail(problem);
      return "unknown";
    }
  }

  /** Read a job again, once a minute at most. */
  async renew(id: string): Promise<void> {
    const now = performance.now();
    if (now - (this.#renewedAt.get(id) ?? -Infinity) < RENEWED_EVERY_MS) return;
    this.#renewedAt.set(id, now);
    try {
      await this.#read(id);
    } catch (problem) {
      // That an image is not there is said in its place.
      if (endsSession(problem)) this.#fail(problem);
    }
  }

  async #read(id: string): Promise<void> {
    const askedAt = this.#jobs.asked();
    const { job } = await this.#http.ask(OneJobDocument, { id }, { onWait: () => undefined });
    if (job) this.#jobs.answered([job], askedAt);
  }
}
