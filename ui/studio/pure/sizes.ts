/** Sizes that can be chosen, and how large pictures of them are. */
import type { AspectRatio } from "../api/operations";

export const RATIOS: readonly { readonly value: AspectRatio; readonly label: string; readonly ratio: number }[] = [
  { value: "PORTRAIT_9_16", label: "9:16", ratio: 9 / 16 },
  { value: "PORTRAIT_3_4", label: "3:4", ratio: 3 / 4 },
  { value: "SQUARE", label: "1:1", ratio: 1 },
  { value: "LANDSCAPE_4_3", label: "4:3", ratio: 4 / 3 },
  { value: "LANDSCAPE_16_9", label: "16:9", ratio: 16 / 9 },
];

export interface Dimensions {
  readonly width: number;
  readonly height: number;
}

/** About what the server makes of a ratio: enough for the shape of a card, until it says. */
export function dimensionsOf(ratio: AspectRatio, native: Dimensions, multiple: number): Dimensions {
  const wanted = RATIOS.find(({ value }) => value === ratio)?.ratio ?? 1;
  const height = Math.sqrt((native.width * native.height) / wanted);
  return { width: rounded(height * wanted, multiple), height: rounded(height, multiple) };
}

function rounded(pixels: number, multiple: number): number {
  return Math.max(multiple, Math.round(pixels / multiple) * multiple);
}

/** How pictures of a batch stand together: so that the whole is nearest to an upright page lying on its side. */
export function mosaicOf(count: number, ratio: number): { readonly columns: number; readonly rows: number } {
  if (count === 1) return { columns: 1, rows: 1 };
  const comfortable = 1.25;
  const ways = Array.from({ length: count }, (_, index) => {
    const columns = index + 1;
    return { columns, rows: Math.ceil(count / columns) };
  });
  const strain = ({ columns, rows }: { columns: number; rows: number }) =>
    Math.abs(Math.log((ratio * columns) / rows / comfortable)) + 0.4 * (columns * rows - count);
  return ways.reduce((best, way) => (strain(way) < strain(best) ? way : best));
}
