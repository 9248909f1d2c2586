import { describe, expect, test } from "vitest";
import { layOut } from "../pure/rows";
import { anchorsAt, shiftOf, type Wall } from "../pure/anchors";

const SPACE = { width: 300, wantedHeight: 100, gap: 0 };
const IN_SECOND_ROW = 150;

/** Rows of three square cards, 100 pixels tall. */
function wallOf(keys: string): Wall {
  return {
    keys: [...keys],
    rows: layOut(
      [...keys].map(() => 1),
      SPACE,
    ),
  };
}

function shift(before: string, after: string, seenFrom = IN_SECOND_ROW): number {
  const wall = wallOf(before);
  return shiftOf(anchorsAt(wall, seenFrom), wall, wallOf(after));
}

describe("what is looked at", () => {
  test("begins with the row that is seen", () => {
    expect(anchorsAt(wallOf("abcdefghi"), IN_SECOND_ROW)).toEqual([..."defghi"]);
  });

  test("moves by as much as the rows that come and go above it", () => {
    expect(shift("abcdefghi", "xyzabcdefghi")).toBe(100);
    expect(shift("abcdefghi", "xyzuvwabcdefghi")).toBe(200);
    expect(shift("abcdefghi", "defghi")).toBe(-100);
    expect(shift("abcdefghi", "abcdefghijkl")).toBe(0);
  });

  test("is led by the next card, where the first one goes", () => {
    expect(shift("abcdefghi", "xyzabcefghi")).toBe(100);
  });

  test("is not led where the first row is seen, or nothing is left of it", () => {
    expect(shift("abcdefghi", "xyzabcdefghi", 100)).toBe(0);
    expect(shift("abcdefghi", "xyz")).toBe(0);
    expect(shift("", "xyz")).toBe(0);
  });
});
