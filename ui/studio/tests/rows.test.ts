import { describe, expect, test } from "vitest";
import { heightOf, layOut, rowsBetween } from "../pure/rows";
import { mosaicOf } from "../pure/sizes";

const SPACE = { width: 1000, wantedHeight: 250, gap: 10 };
const MANY = Array.from({ length: 10_000 }, (_, index) => [1, 16 / 9, 0.75, 4 / 3, 0.5625][index % 5] ?? 1);

describe("rows of cards", () => {
  test("each card has one place, and its shape", () => {
    const places = layOut(MANY, SPACE).flatMap((row) => row.places);

    expect(places.map(({ index }) => index)).toEqual(MANY.map((_, index) => index));
    for (const { index, width, height } of places) expect(width / height).toBeCloseTo(MANY[index] ?? 0);
  });

  test("rows are full from edge to edge, but for the last, which is not stretched", () => {
    const rows = layOut([...MANY.slice(0, 100), 1], SPACE);
    const endOf = (row: (typeof rows)[number]) => {
      const last = row.places.at(-1);
      return (last?.start ?? 0) + (last?.width ?? 0);
    };

    for (const row of rows.slice(0, -1)) expect(endOf(row)).toBeCloseTo(SPACE.width);
    expect(rows.at(-1)?.height).toBeLessThanOrEqual(SPACE.wantedHeight);
  });

  test("nothing overlaps", () => {
    const rows = layOut(MANY, SPACE);

    rows.forEach((row, at) => {
      const before = rows[at - 1];
      if (before) expect(row.top).toBeCloseTo(before.top + before.height + SPACE.gap);
    });
    expect(heightOf(rows)).toBeGreaterThan(SPACE.wantedHeight * 1000);
  });

  test("the rows of a window are found, and no others", () => {
    const rows = layOut(MANY, SPACE);
    const [from, to] = [50_000, 51_000];

    const found = rowsBetween(rows, from, to);

    expect(found).toEqual(rows.filter((row) => row.top + row.height >= from && row.top <= to));
    expect(found.length).toBeGreaterThan(2);
  });

  test("there are none where there is no room, or nothing to show", () => {
    expect(layOut([], SPACE)).toEqual([]);
    expect(layOut([1], { ...SPACE, width: 0 })).toEqual([]);
    expect(rowsBetween([], 0, 100)).toEqual([]);
    expect(heightOf([])).toBe(0);
  });
});

describe("pictures of a batch", () => {
  test.each([
    [1, 1, 1, 1],
    [2, 1, 2, 1],
    [4, 1, 2, 2],
    [2, 16 / 9, 1, 2],
    [4, 0.5625, 4, 1],
  ])("%i of the shape %f stand in %i columns and %i rows", (count, ratio, columns, rows) => {
    expect(mosaicOf(count, ratio)).toEqual({ columns, rows });
  });

  test("all have a place", () => {
    for (let count = 1; count <= 10; count += 1) {
      const { columns, rows } = mosaicOf(count, 0.8);
      expect(columns * rows).toBeGreaterThanOrEqual(count);
    }
  });
});
