/** Why a request came to nothing. What a caller can fix is data, and comes back as data: see `UserProblem`. */

/** The server wants a credential, or another one. */
export class SignedOut extends Error {
  constructor() {
    super("The server wants an API key.");
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

/** What to say of a problem of any kind. */
export function messageOf(problem: unknown): string {
  return problem instanceof Error ? problem.message : "Something went wrong.";
}
