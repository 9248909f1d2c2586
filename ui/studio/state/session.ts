/** The API key of this window. It is kept in sessionStorage: a reload does not ask for it again, and it is gone with
 * the window. localStorage would hand it to every window for good, and to whoever uses the browser next. */
import { signal } from "@preact/signals";
import { keep, kept } from "./kept";

const KEY = "text2image:key";
const CALLER = "text2image:caller";

export class Session {
  readonly token = signal<string | null>(kept(KEY));
  /** The server has said that it wants a key, or another. */
  readonly isSignedOut = signal(false);
  #caller: string | null = kept(CALLER);

  /** ID of the viewer who the key is known to be of: it is kept with it. Null when the server has not said it yet. */
  get caller(): string | null {
    return this.#caller;
  }

  /** The server has taken the key, and said whose it is. */
  accepted(caller: string): void {
    this.#know(caller);
    this.isSignedOut.value = false;
  }

  /** The server has not taken the key. */
  refused(): void {
    this.#know(null);
    this.isSignedOut.value = true;
  }

  signIn(token: string): void {
    keep(KEY, token);
    this.#know(null);
    this.token.value = token;
    this.isSignedOut.value = false;
  }

  signOut(): void {
    keep(KEY, null);
    this.#know(null);
    this.token.value = null;
    this.isSignedOut.value = true;
  }

  #know(caller: string | null): void {
    this.#caller = caller;
    keep(CALLER, caller);
  }
}
