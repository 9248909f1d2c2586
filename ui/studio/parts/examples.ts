import type { Example } from "../pure/examples";
import { useStudio } from "./context";

/** Puts an example into the composer, and the caller there. */
export function useExample(): (example: Example) => void {
  const { composer } = useStudio();
  return ({ prompt, style }) => {
    composer.prompt.value = prompt;
    composer.styleId.value = composer.styles.peek().find(({ name }) => name === style)?.id ?? null;
    composer.problems.value = [];
    document.getElementById("prompt")?.focus();
  };
}
