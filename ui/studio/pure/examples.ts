/** Prompts for whoever does not know what to ask for. `style` is the name of one, and is passed over where there is
 * none. */

export interface Example {
  readonly prompt: string;
  readonly style: string;
}

export const EXAMPLES: readonly Example[] = [
  { prompt: "a lighthouse on a basalt cliff, storm clearing at dusk", style: "watercolor" },
  { prompt: "a greenhouse on the moon, earth rising behind the glass", style: "concept-art" },
  { prompt: "a tram stop in the rain, one umbrella in red", style: "neon-noir" },
  { prompt: "a fox asleep under a fern, seen from above", style: "ink-wash" },
  { prompt: "a harbour town built from sugar cubes", style: "isometric" },
  { prompt: "a chair by the window on a slow sunday morning", style: "oil-painting" },
  { prompt: "mountains as folded paper, long shadows", style: "minimalist" },
  { prompt: "a night market seen from a balloon", style: "cinematic" },
];

/** Some of them, others for each seed. */
export function someExamples(count: number, seed: number): readonly Example[] {
  return Array.from({ length: count }, (_, index) => EXAMPLES[(seed + index) % EXAMPLES.length]).filter(
    (example) => example !== undefined,
  );
}
