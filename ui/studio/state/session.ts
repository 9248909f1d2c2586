/** The API key of this window. It is kept in sessionStorage: a reload does not ask for it again, and it is gone with
 * the window. localStorage would hand it to every window for good, and to whoever uses the browser next. */
import { signal } from "@preact/signals";
import { keep, kept } from "./kept";

const NAME = "text2image:key";

export class Session {
  readonly token = signal<string | null>(kept(NAME));
  /** The server has said that it wants a key, or another. */
  readonly isSignedOut = signal(false);

  signIn(token: string): void {
    keep(NAME, token);
    this.token.value = token;
    this.isSignedOut.value = false;
  }

  signOut(): void {
    keep(NAME, null);
    this.token.value = null;
    this.isSignedOut.value = true;
  }
}
