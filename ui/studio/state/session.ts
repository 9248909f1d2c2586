/** The API key of this window. It is kept in sessionStorage: a reload does not ask for it again, and it is gone with
 * the window. localStorage would hand it to every window for good, and to whoever uses the browser next. */
import { signal } from "@preact/signals";

const NAME = "text2image:key";

export class Session {
  readonly token = signal<string | null>(read());
  /** The server has said that it wants a key, or another. */
  readonly isSignedOut = signal(false);

  signIn(token: string): void {
    store(token);
    this.token.value = token;
    this.isSignedOut.value = false;
  }

  signOut(): void {
    store(null);
    this.token.value = null;
    this.isSignedOut.value = true;
  }
}

function read(): string | null {
  try {
    return sessionStorage.getItem(NAME);
  } catch {
    // A browser may keep nothing for a page.
    return null;
  }
}

function store(token: string | null): void {
  try {
    if (token === null) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, token);
  } catch {
    // Then it is asked for again after a reload.
  }
}
