/** The focus, where the browser would lose it. */

/** Put it into the prompt, once what is open is closed and has given it back. */
export function focusPrompt(): void {
  requestAnimationFrame(() => requestAnimationFrame(() => document.getElementById("prompt")?.focus()));
}
