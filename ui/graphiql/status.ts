/** What the fetcher knows of the server and the page should show. */

export interface Status {
  /** The server wants a credential, or another. */
  readonly isSignedOut: boolean;
  /** How often a lost connection was tried again; 0 while there is one, or none is needed. */
  readonly attempts: number;
  /** How many operations of the user were let in. */
  readonly admitted: number;
}

export class StatusStore {
  #status: Status = { isSignedOut: false, attempts: 0, admitted: 0 };
  readonly #listeners = new Set<() => void>();

  readonly read = (): Status => this.#status;

  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  change(changed: Partial<Status>): void {
    this.#status = { ...this.#status, ...changed };
    for (const listener of this.#listeners) listener();
  }

  refused(): void {
    this.change({ isSignedOut: true });
  }

  /** An introspection, which the page makes by itself, is let in like an operation, but is none of the user's. */
  letIn(isOperation: boolean): void {
    this.change({ isSignedOut: false, admitted: this.#status.admitted + Number(isOperation) });
  }
}
