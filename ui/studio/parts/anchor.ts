/** What is looked at stays where it is when cards come or go above it. The browser's own scroll anchoring leaves out
 * what is placed absolutely. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { anchorsAt, shiftOf, type Wall } from "../pure/anchors";

/** `submissions` counts what the caller has asked for: whoever asks wants to see the new card, and is led there. */
export function useAnchor(element: { readonly current: HTMLElement | null }, wall: Wall, submissions: number): void {
  const before = useRef({ wall, submissions });
  // Those stay the same until somebody scrolls: card by card, each would move on by a place, and all by a row at last.
  const anchors = useRef<{ readonly keys: readonly string[]; readonly seenFrom: number }>({ keys: [], seenFrom: NaN });
  useLayoutEffect(() => {
    const known = before.current;
    before.current = { wall, submissions };
    if (element.current === null || known.wall.keys === wall.keys || known.submissions !== submissions) return;
    const seenFrom = -element.current.getBoundingClientRect().top;
    const isUnmoved = Math.abs(seenFrom - anchors.current.seenFrom) < 1;
    const keys = isUnmoved ? anchors.current.keys : anchorsAt(known.wall, seenFrom);
    const shift = shiftOf(keys, known.wall, wall);
    if (shift !== 0) scrollBy({ top: shift, behavior: "instant" });
    anchors.current = { keys, seenFrom: -element.current.getBoundingClientRect().top };
  }, [element, wall, submissions]);
}
