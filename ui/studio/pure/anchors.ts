/** By how much what is looked at has moved. */
import type { Row } from "./rows";

export interface Wall {
  readonly rows: readonly Row[];
  /** Of the cards, in their order. */
  readonly keys: readonly string[];
}

// Some of those that are looked at may go.
const MOST_ANCHORS = 50;

/** The first cards that are seen from a place on, in pixels from the top; none where that is in the first row. */
export function anchorsAt({ rows, keys }: Wall, seenFrom: number): readonly string[] {
  const first = rows[0];
  if (first === undefined || seenFrom <= first.top + first.height) return [];
  const index = rows.find(({ top, height }) => top + height > seenFrom)?.places[0]?.index;
  return index === undefined ? [] : keys.slice(index, index + MOST_ANCHORS);
}

/** How far the first of some cards that is still there has moved, in pixels. */
export function shiftOf(anchors: readonly string[], before: Wall, after: Wall): number {
  if (anchors.length === 0) return 0;
  const [tops, topsAfter] = [topsOf(before), topsOf(after)];
  for (const key of anchors) {
    const [top, topAfter] = [tops.get(key), topsAfter.get(key)];
    if (top !== undefined && topAfter !== undefined) return topAfter - top;
  }
  return 0;
}

function topsOf({ rows, keys }: Wall): ReadonlyMap<string | undefined, number> {
  return new Map(rows.flatMap(({ top, places }) => places.map(({ index }) => [keys[index], top] as const)));
}
