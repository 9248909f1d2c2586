/** Queries and mutations, over HTTP. */
import { pause, waitBefore } from "../pure/waiting";
import { Ended, Refused, SignedOut, Unreachable } from "./errors";
import type { TypedDocumentString } from "./operations";

const PASSING_STATUSES = [408, 425, 429, 500, 502, 503, 504];
const PASSING_CODES = ["RATE_LIMITED", "SERVICE_UNAVAILABLE"];
const UNAUTHORIZED = 401;
// An answer takes no time to make: what is silent for so long has been lost on its way. All that the Studio asks for may
// be asked for again.
const LONGEST_TRY_MS = 30_000;

interface Answer<Result> {
  readonly data?: Result | null;
  readonly errors?: ReadonlyArray<{ readonly message: string; readonly extensions?: { readonly code?: string } }>;
}

export interface AskOptions {
  readonly signal?: AbortSignal;
  /** Told of each try that came to nothing, before the next. Without it there is only one try. */
  readonly onWait?: (problem: Unreachable, attempt: number) => void;
}

export class Http {
  readonly #url: string;
  readonly #token: () => string | null;
  #session = new AbortController();

  constructor(url: string, token: () => string | null) {
    this.#url = url;
    this.#token = token;
  }

  /** What is asked for from now on is asked for by somebody else than what was, which comes to nothing. */
  begin(): void {
    this.end();
    this.#session = new AbortController();
  }

  /** All that is under way comes to nothing, and so does what is asked for before the next `begin`. */
  end(): void {
    this.#session.abort(new Ended());
  }

  /** The data of an operation. Throws SignedOut, Unreachable, Refused or Ended, and what the signal was aborted with. */
  async ask<Result, Variables>(
    document: TypedDocumentString<Result, Variables>,
    variables: Variables,
    { signal, onWait }: AskOptions = {},
  ): Promise<Result> {
    const stop = anyOf(this.#session.signal, signal);
    stop.throwIfAborted();
    for (let attempt = 0; ; attempt += 1) {
      try {
        const data = await this.#once(document, variables, stop);
        stop.throwIfAborted();
        return data;
      } catch (problem) {
        // Also a 401, which is then of a key that is no longer used.
        stop.throwIfAborted();
        if (!(problem instanceof Unreachable) || onWait === undefined) throw problem;
        onWait(problem, attempt);
        await pause(problem.retryAfterMs ?? waitBefore(attempt), stop);
      }
    }
  }

  async #once<Result, Variables>(
    document: TypedDocumentString<Result, Variables>,
    variables: Variables,
    stop: AbortSignal,
  ): Promise<Result> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), LONGEST_TRY_MS);
    try {
      const body = JSON.stringify({ query: document.toString(), variables });
      return await read<Result>(await this.#send(body, anyOf(stop, late.signal)));
    } catch (problem) {
      throw late.signal.aborted ? new Unreachable("The server does not answer.") : problem;
    } finally {
      clearTimeout(timer);
    }
  }

  async #send(body: string, signal: AbortSignal): Promise<Response> {
    const token = this.#token();
    const headers: Record<string, string> = { "Content-Type": "application/json", Accept: "application/json" };
    if (token !== null) headers["Authorization"] = `Bearer ${token}`;
    try {
      return await fetch(this.#url, { method: "POST", headers, body, signal });
    } catch {
      throw new Unreachable("The server cannot be reached.");
    }
  }
}

async function read<Result>(response: Response): Promise<Result> {
  if (response.status === UNAUTHORIZED) throw new SignedOut();
  if (PASSING_STATUSES.includes(response.status)) {
    const seconds = Number(response.headers.get("Retry-After"));
    throw new Unreachable("The server is busy.", seconds > 0 ? seconds * 1000 : null);
  }
  const { data, errors } = await parsed<Result>(response);
  const error = errors?.[0];
  if (error) {
    const code = error.extensions?.code ?? "UNKNOWN";
    throw PASSING_CODES.includes(code) ? new Unreachable(error.message) : new Refused(error.message, code);
  }
  if (data === undefined || data === null) throw new Refused("The server gave no data.", "UNKNOWN");
  return data;
}

async function parsed<Result>(response: Response): Promise<Answer<Result>> {
  try {
    return (await response.json()) as Answer<Result>;
  } catch {
    throw new Unreachable("The answer broke off.");
  }
}

function anyOf(one: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other === undefined ? one : AbortSignal.any([one, other]);
}
