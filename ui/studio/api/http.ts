/** Queries and mutations, over HTTP. */
import { pause, waitBefore } from "../pure/waiting";
import { Refused, SignedOut, Unreachable } from "./errors";
import type { TypedDocumentString } from "./operations";

const PASSING_STATUSES = [408, 425, 429, 500, 502, 503, 504];
const PASSING_CODES = ["RATE_LIMITED", "SERVICE_UNAVAILABLE"];
const UNAUTHORIZED = 401;

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

  constructor(url: string, token: () => string | null) {
    this.#url = url;
    this.#token = token;
  }

  /** The data of an operation. Throws SignedOut, Unreachable or Refused, and what the signal was aborted with. */
  async ask<Result, Variables>(
    document: TypedDocumentString<Result, Variables>,
    variables: Variables,
    { signal, onWait }: AskOptions = {},
  ): Promise<Result> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#once(document, variables, signal);
      } catch (problem) {
        if (!(problem instanceof Unreachable) || onWait === undefined) throw problem;
        onWait(problem, attempt);
        await pause(problem.retryAfterMs ?? waitBefore(attempt), signal);
      }
    }
  }

  async #once<Result, Variables>(
    document: TypedDocumentString<Result, Variables>,
    variables: Variables,
    signal?: AbortSignal,
  ): Promise<Result> {
    const response = await this.#send(JSON.stringify({ query: document.toString(), variables }), signal);
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

  async #send(body: string, signal?: AbortSignal): Promise<Response> {
    const token = this.#token();
    const headers: Record<string, string> = { "Content-Type": "application/json", Accept: "application/json" };
    if (token !== null) headers["Authorization"] = `Bearer ${token}`;
    try {
      return await fetch(this.#url, { method: "POST", headers, body, signal: signal ?? null });
    } catch (problem) {
      if (signal?.aborted) throw problem;
      throw new Unreachable("The server cannot be reached.");
    }
  }
}

async function parsed<Result>(response: Response): Promise<Answer<Result>> {
  try {
    return (await response.json()) as Answer<Result>;
  } catch {
    throw new Unreachable("The answer broke off.");
  }
}
