/** Why a request came to nothing. What a caller can fix is data, and comes back as data: see `UserProblem`. */

/** The server wants a credential, or another one. */
export class SignedOut extends Error {
  constructor() {
    super("The server wants an API key.");
  }
}

/** Nobody wants the answer any more: whoever asked has signed out, or their key has ended. */
export class Ended extends Error {
  constructor() {
    super("The session has ended.");
  }
}

/** Nobody answered, or somebody in between: the same may go through later. */
export class Unreachable extends Error {
  readonly retryAfterMs: number | null;

  constructor(message: string, retryAfterMs: number | null = null) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** A top-level GraphQL error: the same again is refused again. `code` is `extensions.code`. */
export class Refused extends Error {
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

/** One of the `errors` of a payload. */
export interface UserProblem {
  readonly __typename: string;
  readonly message: string;
  readonly path: ReadonlyArray<string> | null;
  readonly retryAfterSeconds?: number;
}

/** Whether a problem is of the whole session rather than of one question. */
export function endsSession(problem: unknown): boolean {
  return problem instanceof SignedOut || problem instanceof Ended;
}

/** What to say of a problem of any kind. */
export function messageOf(problem: unknown): string {
  return problem instanceof Error ? problem.message : "Something went wrong.";
}
