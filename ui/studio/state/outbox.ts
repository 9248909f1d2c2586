/** What was asked for and is not answered yet. It is kept by the window, so that a reload asks for it again: with the
 * same idempotency key, and so not twice. */
import type { GenerateImageInput } from "../api/operations";
import type { Job } from "./jobs";
import { keep, kept } from "./kept";

const NAME = "text2image:outbox";
// The server knows a key for 24 hours. A browser that opens its windows of last week would have all made once more.
const KEPT_MS = 23 * 3600 * 1000;

export interface Asked {
  /** The idempotency key of the input. */
  readonly key: string;
  readonly input: GenerateImageInput;
  /** What its card shows until the server has answered. */
  readonly draft: Job;
}

export class Outbox {
  #asked: readonly Asked[] = read();

  /** Oldest first. */
  get all(): readonly Asked[] {
    return this.#asked;
  }

  put(asked: Asked): void {
    this.#become([...this.#asked, asked]);
  }

  /** It is answered, whatever the answer is. */
  drop(key: string): void {
    this.#become(this.#asked.filter((asked) => asked.key !== key));
  }

  clear(): void {
    this.#become([]);
  }

  #become(asked: readonly Asked[]): void {
    this.#asked = asked;
    keep(NAME, asked.length > 0 ? JSON.stringify(asked) : null);
  }
}

function read(): readonly Asked[] {
  const text = kept(NAME);
  const asked = text === null ? [] : (JSON.parse(text) as Asked[]);
  return asked.filter(({ draft }) => Date.now() - Date.parse(draft.createdAt) < KEPT_MS);
}
