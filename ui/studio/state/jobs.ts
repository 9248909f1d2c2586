/** Every job that the page knows, by its ID. What is drawn of a job follows its own signal, so that progress of one
 * draws one card. */
import { batch, signal, type Signal } from "@preact/signals";
import type { JobEvent } from "../api/live";
import type { JobPartsFragment } from "../api/operations";

export type Job = JobPartsFragment;

/** `sending` and `waiting` (for a connection) are before the server has answered: until then it has no ID. */
export type Sending = "sending" | "waiting" | null;

export interface Entry {
  /** Stays the same when the server gives the job its ID, so that the card stays where it is. */
  readonly key: string;
  readonly job: Signal<Job>;
  readonly sending: Signal<Sending>;
}

interface Known extends Entry {
  /** When an event or an answer has last changed it. */
  changedAt: number;
}

export const FINAL: readonly Job["status"][] = ["SUCCEEDED", "FAILED", "CANCELED"];

export function isFinal(job: Job): boolean {
  return FINAL.includes(job.status);
}

export class Jobs {
  /** Rises when a job comes, goes or changes its status: when lists may look different. */
  readonly version = signal(0);

  readonly #byKey = new Map<string, Known>();
  readonly #keyOfId = new Map<string, string>();
  // They do not come back: what says otherwise was said before.
  readonly #deleted = new Set<string>();
  // A clock of its own: what happened before what.
  #clock = 0;

  /** In no order. */
  all(): Iterable<Entry> {
    return this.#byKey.values();
  }

  get(id: string): Entry | undefined {
    return this.#byKey.get(this.#keyOfId.get(id) ?? id);
  }

  isDeleted(id: string): boolean {
    return this.#deleted.has(id);
  }

  /** Put a job up before the server knows of it. `key` is its idempotency key, and the end of its reference. */
  draft(key: string, job: Job): Entry {
    const entry = { key, job: signal(job), sending: signal<Sending>("sending"), changedAt: this.#tick() };
    this.#byKey.set(key, entry);
    this.#changed();
    return entry;
  }

  /** Take a draft back that was refused. */
  withdraw(key: string): void {
    if (this.#byKey.get(key)?.sending.peek() != null && this.#byKey.delete(key)) this.#changed();
  }

  /** When a question was asked: hand it to `answered` with what came back. */
  asked(): number {
    return this.#tick();
  }

  /** Take jobs over from the answer to a question. Events that came while it was on its way are newer. */
  answered(jobs: Iterable<Job>, askedAt: number): void {
    batch(() => {
      for (const job of jobs) {
        const known = this.#find(job);
        if (known === undefined || known.changedAt < askedAt) this.#put(job);
      }
    });
  }

  /** Let go of what is no longer there: what a complete answer should hold, and does not, unless it has changed since the
   * question. */
  reconcile(jobs: Iterable<Job>, askedAt: number, shouldHold: (job: Job) => boolean): void {
    const there = new Set(Array.from(jobs, ({ id }) => id));
    batch(() => {
      for (const { job, sending, changedAt } of [...this.#byKey.values()]) {
        const known = job.peek();
        const isMissing = sending.peek() === null && !there.has(known.id) && shouldHold(known);
        if (isMissing && changedAt < askedAt) this.#remove(known.id);
      }
    });
  }

  /** Take an event over. Those of one stream come in order. */
  happened(event: JobEvent): void {
    batch(() => {
      if (event.job === null) {
        this.#deleted.add(event.jobId);
        this.#remove(event.jobId);
      } else this.#put(event.job);
    });
  }

  clear(): void {
    this.#byKey.clear();
    this.#keyOfId.clear();
    this.#deleted.clear();
    this.#changed();
  }

  #find(job: Job): Known | undefined {
    const key = this.#keyOfId.get(job.id);
    if (key !== undefined) return this.#byKey.get(key);
    // The event of a job may overtake the answer to its mutation: then its reference says which draft it is.
    const own = this.#byKey.get(keyOf(job.reference) ?? "");
    return own?.sending.peek() == null ? undefined : own;
  }

  #put(job: Job): void {
    if (this.#deleted.has(job.id)) return;
    const known = this.#find(job);
    if (known === undefined) {
      const own = keyOf(job.reference);
      // By its reference, so that it is found by whoever has asked for it and heard no answer.
      const key = own === undefined || this.#byKey.has(own) ? job.id : own;
      this.#byKey.set(key, { key, job: signal(job), sending: signal(null), changedAt: this.#tick() });
      this.#keyOfId.set(job.id, key);
      this.#changed();
      return;
    }
    const isListedAnew = known.sending.peek() !== null || known.job.peek().status !== job.status;
    this.#keyOfId.set(job.id, known.key);
    known.changedAt = this.#tick();
    known.job.value = job;
    known.sending.value = null;
    if (isListedAnew) this.#changed();
  }

  #remove(id: string): void {
    const key = this.#keyOfId.get(id);
    if (key === undefined) return;
    this.#keyOfId.delete(id);
    this.#byKey.delete(key);
    this.#changed();
  }

  #changed(): void {
    this.version.value += 1;
  }

  #tick(): number {
    this.#clock += 1;
    return this.#clock;
  }
}

const REFERENCE = "studio:";

/** What the Studio gives a job as its reference. */
export function referenceOf(key: string): string {
  return REFERENCE + key;
}

function keyOf(reference: string | null): string | undefined {
  return reference?.startsWith(REFERENCE) ? reference.slice(REFERENCE.length) : undefined;
}
