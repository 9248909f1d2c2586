/** Prompts for whoever does not know what to ask for. `style` is the name of one, and is passed over where there is
 * none. */

export interface Example {
  readonly prompt: string;
  readonly style: string;
}

// The built-in renderer knows what is in them: the first image of a first visit is to be recognised.
export const EXAMPLES: readonly Example[] = [
  { prompt: "a cherry tree in blossom beside a lake", style: "watercolor" },
  { prompt: "a castle on a hill at sunset", style: "fantasy" },
  { prompt: "northern lights over a frozen lake", style: "cinematic" },
  { prompt: "an astronaut above the clouds of jupiter", style: "concept-art" },
  { prompt: "a city street in the rain, one red umbrella", style: "neon-noir" },
  { prompt: "a cabin in the snow, smoke rising", style: "vintage-film" },
  { prompt: "an old fisherman, portrait by lamplight", style: "pencil-sketch" },
  { prompt: "a cat on the garden wall at night", style: "line-art" },
];

/** Some of them, others for each seed. */
export function someExamples(count: number, seed: number): readonly Example[] {
  return Array.from({ length: count }, (_, index) => EXAMPLES[(seed + index) % EXAMPLES.length]).filter(
    (example) => example !== undefined,
  );
}
