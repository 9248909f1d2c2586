/** Where the cards of the gallery stand: rows of one height, filled from edge to edge. Pictures keep their shape, and
 * the place of each of 10,000 cards is known without drawing any. */

export interface Place {
  readonly index: number;
  /** From the start of the line and from the top, in pixels. */
  readonly start: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Row {
  readonly top: number;
  readonly height: number;
  readonly places: readonly Place[];
}

export interface Space {
  /** All in pixels. */
  readonly width: number;
  readonly wantedHeight: number;
  readonly gap: number;
}

const TALLEST = 1.35;

/** Rows of cards, whose shapes are given as width to height. */
export function layOut(ratios: readonly number[], { width, wantedHeight, gap }: Space): readonly Row[] {
  const rows: Row[] = [];
  let top = 0;
  let first = 0;
  while (first < ratios.length && width > 0) {
    let sum = 0;
    let end = first;
    let height = Infinity;
    while (end < ratios.length && height > wantedHeight) {
      sum += ratios[end] ?? 1;
      const lower = (width - gap * (end - first)) / sum;
      // The card that makes the row too low goes to the next one, where the row is nearer to what is wanted without it.
      if (height <= wantedHeight * TALLEST && height / wantedHeight < wantedHeight / lower) break;
      end += 1;
      height = lower;
    }
    // The last row is not stretched to be full.
    height = Math.min(height, end === ratios.length ? wantedHeight : wantedHeight * TALLEST);
    rows.push({ top, height, places: placesOf(ratios.slice(first, end), first, top, height, gap) });
    top += height + gap;
    first = end;
  }
  return rows;
}

function placesOf(ratios: readonly number[], first: number, top: number, height: number, gap: number): Place[] {
  let start = 0;
  return ratios.map((ratio, offset) => {
    const place = { index: first + offset, start, top, width: ratio * height, height };
    start += place.width + gap;
    return place;
  });
}

/** How tall all rows are together. */
export function heightOf(rows: readonly Row[]): number {
  const last = rows.at(-1);
  return last === undefined ? 0 : last.top + last.height;
}

/** The rows that reach into a part of the page, found in logarithmic time. */
export function rowsBetween(rows: readonly Row[], from: number, to: number): readonly Row[] {
  return rows.slice(
    firstWhere(rows, (row) => row.top + row.height >= from),
    firstWhere(rows, (row) => row.top > to),
  );
}

function firstWhere(rows: readonly Row[], isTrue: (row: Row) => boolean): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const row = rows[middle];
    if (row !== undefined && isTrue(row)) high = middle;
    else low = middle + 1;
  }
  return low;
}
