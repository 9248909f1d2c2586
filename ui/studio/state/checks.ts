/** What can be said of an input without asking the server. It looks again, and at more. */
import type { UserProblem } from "../api/errors";
import type { GenerateImageInput } from "../api/operations";
import type { Dimensions } from "../pure/sizes";
import type { Model } from "./composer";

export const LARGEST_SEED = 2 ** 32 - 1;

export function problemsOf(input: GenerateImageInput, model: Model | null): readonly UserProblem[] {
  const found: UserProblem[] = [];
  const add = (field: string, message: string) =>
    found.push({ __typename: "InvalidInputError", message, path: [field] });
  if (input.prompt === "") add("prompt", "Write a prompt first.");
  const { seed, size } = input;
  if (typeof seed === "number" && !isWhole(seed, LARGEST_SEED)) add("seed", `A whole number, 0 to ${LARGEST_SEED}.`);
  if (size?.dimensions && model !== null && !isMade(size.dimensions, model)) {
    const { sizeMultiple, maxDimension } = model.limits;
    add("size", `Multiples of ${sizeMultiple}, up to ${maxDimension}.`);
  }
  return found;
}

function isMade({ width, height }: Dimensions, { limits }: Model): boolean {
  return [width, height].every(
    (side) => side > 0 && isWhole(side, limits.maxDimension) && side % limits.sizeMultiple === 0,
  );
}

function isWhole(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= most;
}
