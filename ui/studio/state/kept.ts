/** What this window keeps across reloads, and forgets when it is closed: sessionStorage. */

/** Null where nothing is kept. */
export function kept(name: string): string | null {
  try {
    return sessionStorage.getItem(name);
  } catch {
    // A browser may keep nothing for a page.
    return null;
  }
}

/** Null forgets it. */
export function keep(name: string, text: string | null): void {
  try {
    if (text === null) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, text);
  } catch {
    // Then it lasts as long as the page.
  }
}
