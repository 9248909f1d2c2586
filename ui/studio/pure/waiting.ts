/** How long to wait before trying again: docs/clients/reconnecting.md. */

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/** Exponential backoff in milliseconds; half of it is chance, so that not all clients of a server come back at once. */
export function waitBefore(attempt: number, chance: () => number = Math.random): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt);
  return longest / 2 + (chance() * longest) / 2;
}

/** Waits so many milliseconds, or until the browser says that it has a network again. Throws when aborted. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = (settle: () => void) => () => {
      clearTimeout(timer);
      removeEventListener("online", onEnd);
      signal?.removeEventListener("abort", onAbort);
      settle();
    };
    const onEnd = over(resolve);
    const onAbort = over(() => reject(signal?.reason as Error));
    const timer = setTimeout(onEnd, milliseconds);
    addEventListener("online", onEnd);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
  });
}
