/** What was asked for and is not answered yet. It is kept by the window, so that a reload asks for it again: with the
 * same idempotency key, and so not twice. Each says who has asked, since another may sign in to the same window. */
import type { GenerateImageInput } from "../api/operations";
import type { Job } from "./jobs";
import { keep, kept } from "./kept";

const NAME = "text2image:outbox";
// The server knows a key for 24 hours. A browser that opens its windows of last week would have all made once more.
const KEPT_MS = 23 * 3600 * 1000;

export interface Asked {
  /** ID of the viewer who has asked. */
  readonly caller: string;
  /** The idempotency key of the input. */
  readonly key: string;
  readonly input: GenerateImageInput;
  /** What its card shows until the server has answered. */
  readonly draft: Job;
}

export class Outbox {
  #asked: readonly Asked[] = read();

  /** What a caller has asked for, oldest first. What others have is forgotten. */
  of(caller: string): readonly Asked[] {
    this.#become(this.#asked.filter((asked) => asked.caller === caller));
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

/** What is no outbox, as that of another version may be, counts as none. */
function read(): readonly Asked[] {
  let found: unknown;
  try {
    found = JSON.parse(kept(NAME) ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(found)) return [];
  return found.filter(isAsked).filter(({ draft }) => Date.now() - Date.parse(draft.createdAt) < KEPT_MS);
}

function isAsked(found: unknown): found is Asked {
  const { caller, key, input, draft } = (found ?? {}) as {
    readonly [Name in keyof Asked]?: Partial<Asked[Name]> | null;
  };
  const isNamed = typeof caller === "string" && typeof key === "string";
  return isNamed && typeof input?.prompt === "string" && !!draft?.createdAt && !!draft.parameters && !!draft.progress;
}
