/** The cards that can be seen, out of as many as there are. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { heightOf, layOut, rowsBetween, type Row } from "../pure/rows";
import { mosaicOf } from "../pure/sizes";
import { counted } from "../pure/words";
import { isFinal, type Entry } from "../state/jobs";
import type { Show } from "../state/gallery";
import { useAnchor } from "./anchor";
import { Card } from "./card";
import { useStudio } from "./context";
import { Empty } from "./empty";
import { Search } from "./icons";
import { hasModifier } from "./keys";

const TYPING_MS = 250;
// As much above and below the window as the window is tall.
const MARGIN = 1;
const NARROW = 520;
// How much of the gallery must be in sight for a new card to be noticed, in pixels.
const FIRST_CARD = 160;

export function Gallery() {
  const studio = useStudio();
  const { gallery } = studio;
  const entries = gallery.shown.value;
  const section = useRef<HTMLElement>(null);
  const submissions = studio.submissions.value;
  const shownFor = useRef(submissions);
  useEffect(() => {
    if (shownFor.current === submissions) return;
    shownFor.current = submissions;
    const top = section.current?.getBoundingClientRect().top ?? 0;
    const isSeen = top > -FIRST_CARD && top < innerHeight - FIRST_CARD;
    if (!isSeen) section.current?.scrollIntoView({ block: "start", behavior: scrolling() });
  }, [submissions]);
  const refused = studio.refused.value;
  const isKnown = !gallery.isLoading.value && refused === null;
  const isUnused = entries.length === 0 && isKnown && !gallery.isNarrowed && !gallery.hasMore.value;
  return (
    <section class="gallery" ref={section} aria-label="Images" aria-busy={gallery.isLoading.value}>
      {!isUnused && <Filter />}
      {isUnused ? <Empty /> : <Wall entries={entries} />}
      {gallery.problem.value !== null && <p class="line">{gallery.problem.value} Trying again…</p>}
      {refused !== null && (
        <p class="line" role="alert">
          {refused}
          <button type="button" class="button" onClick={() => studio.tryAgain()}>
            Try again
          </button>
        </p>
      )}
      {entries.length === 0 && gallery.isLoading.value && gallery.problem.value === null && <Awaited />}
      {entries.length === 0 && isKnown && gallery.isNarrowed && (
        <p class="line">
          No job matches.
          <button type="button" class="button" onClick={() => gallery.widen()}>
            Show all
          </button>
        </p>
      )}
    </section>
  );
}

function scrolling(): ScrollBehavior {
  return matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
}

/** Where images will be, while nothing is known of them. */
function Awaited() {
  return (
    <div class="awaited images" aria-hidden="true">
      {[16 / 9, 1, 4 / 3, 3 / 4, 4 / 3, 16 / 9].map((ratio, index) => (
        <i key={index} style={{ "--ratio": `${ratio}` }} />
      ))}
    </div>
  );
}

const SHOWN: readonly { readonly value: Show; readonly label: string }[] = [
  { value: "all", label: "All" },
  { value: "pictures", label: "Images" },
  { value: "open", label: "In progress" },
  { value: "failed", label: "Failed" },
];

function Filter() {
  const studio = useStudio();
  const { gallery } = studio;
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const onInput = (text: string) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => (gallery.search.value = text), TYPING_MS);
  };
  const input = useRef<HTMLInputElement>(null);
  const search = gallery.search.value;
  useEffect(() => {
    // Whoever generates sees all again; whoever comes back, what they had searched for.
    const isTyping = search !== "" && document.activeElement === input.current;
    if (input.current && !isTyping) input.current.value = search;
    clearTimeout(timer.current);
  }, [search, studio.submissions.value]);
  const total = gallery.total.value ?? gallery.shown.value.length;
  return (
    <form class="filter" role="search" onSubmit={(event) => event.preventDefault()}>
      <label class="search">
        <Search />
        <span class="unseen">Search in prompts</span>
        <input
          ref={input}
          type="search"
          placeholder="Search"
          defaultValue={search}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      </label>
      <fieldset class="segments">
        <legend class="unseen">Show</legend>
        {SHOWN.map(({ value, label }) => (
          <label key={value}>
            <input
              type="radio"
              name="show"
              checked={gallery.show.value === value}
              onChange={() => (gallery.show.value = value)}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
      {total > 0 && <p class="total"><bdi>{counted(total, "job")}</bdi></p>}
    </form>
  );
}

function Wall({ entries }: { entries: readonly Entry[] }) {
  const studio = useStudio();
  const wall = useRef<HTMLUListElement>(null);
  const width = useWidth(wall);
  const [focused, setFocused] = useState<number | null>(null);
  const gap = width < NARROW ? 6 : 10;
  const wantedHeight = heightFor(entries.length, width);
  const rows = useMemo(
    () => layOut(entries.map(ratioOf), { width, wantedHeight, gap }),
    [entries, width, wantedHeight, gap],
  );
  const keys = useMemo(() => entries.map(({ key }) => key), [entries]);
  useAnchor(
    wall,
    useMemo(() => ({ rows, keys }), [rows, keys]),
    studio.submissions.value,
  );
  const [from, to] = useVisiblePart(wall);
  const drawn = withFocused(rowsBetween(rows, from, to), rows, focused);
  const height = heightOf(rows);

  useEffect(() => {
    if (width > 0 && to > height) void studio.gallery.more((problem) => studio.fail(problem));
  }, [studio, to, height, width, studio.gallery.isLoading.value]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (hasModifier(event)) return;
    const at = indexOf(event.target);
    const next =
      at === null ? null : neighbour(rows, at, event.key, getComputedStyle(document.body).direction === "rtl");
    if (next === null) return;
    event.preventDefault();
    setFocused(next);
    reveal(wall.current, rows, next);
    requestAnimationFrame(() =>
      wall.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus({ preventScroll: true }),
    );
  };

  return (
    <ul
      class="wall"
      ref={wall}
      style={{ blockSize: `${height}px` }}
      onKeyDown={onKeyDown}
      onFocusIn={(event) => setFocused(indexOf(event.target))}
      onFocusOut={() => setFocused(null)}
    >
      {drawn.flatMap(({ places }) =>
        places.map((place) => {
          const entry = entries[place.index];
          return entry && <Card key={entry.key} entry={entry} place={place} total={entries.length} />;
        }),
      )}
    </ul>
  );
}

/** How tall a row should be: a first picture is seen at once, the thousandth among others. */
function heightFor(count: number, width: number): number {
  if (width < NARROW) return count < 3 ? 360 : 190;
  if (count < 3) return Math.min(520, width / 2);
  return Math.min(count < 9 ? 330 : 260, Math.max(200, width / 3));
}

/** Width to height of a card, which does not change when the pictures come. */
function ratioOf({ job }: Entry): number {
  const { width, height, count } = job.peek().parameters;
  const { columns, rows } = mosaicOf(count, width / height);
  const ratio = (width / height) * (columns / rows);
  // What is said of a job under way needs room.
  return Math.max(isFinal(job.peek()) ? 0.5 : 0.56, ratio);
}

function useWidth(wall: { readonly current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = wall.current;
    if (element === null) return undefined;
    setWidth(element.clientWidth);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, [wall]);
  return width;
}

/** From where to where of the wall is drawn, in pixels. It moves in steps, so that most scrolling draws nothing. */
function useVisiblePart(wall: { readonly current: HTMLElement | null }): readonly [number, number] {
  const [part, setPart] = useState<readonly [number, number]>([0, 2000]);
  useLayoutEffect(() => {
    let frame = 0;
    const look = () => {
      frame = 0;
      const element = wall.current;
      if (element === null) return;
      const tall = innerHeight;
      const step = tall / 2;
      const seenFrom = Math.floor(-element.getBoundingClientRect().top / step) * step;
      const next = [seenFrom - tall * MARGIN, seenFrom + step + tall * (1 + MARGIN)] as const;
      setPart((known) => (known[0] === next[0] && known[1] === next[1] ? known : next));
    };
    const onScroll = () => {
      frame ||= requestAnimationFrame(look);
    };
    look();
    addEventListener("scroll", onScroll, { passive: true });
    addEventListener("resize", onScroll);
    return () => {
      cancelAnimationFrame(frame);
      removeEventListener("scroll", onScroll);
      removeEventListener("resize", onScroll);
    };
  }, [wall]);
  return part;
}

/** What has the focus stays drawn, or the focus would be lost. */
function withFocused(drawn: readonly Row[], rows: readonly Row[], focused: number | null): readonly Row[] {
  const row = focused === null ? undefined : rowOf(rows, focused);
  return row === undefined || drawn.includes(row) ? drawn : [...drawn, row];
}

function rowOf(rows: readonly Row[], index: number): Row | undefined {
  return rows.find(({ places }) => places.some((place) => place.index === index));
}

function indexOf(target: EventTarget | null): number | null {
  const index = target instanceof HTMLElement ? target.dataset["index"] : undefined;
  return index === undefined ? null : Number(index);
}

/** Which card a key leads to from one, or null. */
function neighbour(rows: readonly Row[], index: number, key: string, isRightToLeft: boolean): number | null {
  const last = rows.at(-1)?.places.at(-1)?.index ?? 0;
  const onward = isRightToLeft ? -1 : 1;
  const at = rows.findIndex(({ places }) => places.some((place) => place.index === index));
  const row = rows[at];
  switch (key) {
    case "ArrowRight":
      return clamp(index + onward, last);
    case "ArrowLeft":
      return clamp(index - onward, last);
    case "ArrowDown":
    case "ArrowUp": {
      const own = row?.places.find((place) => place.index === index);
      const other = rows[at + (key === "ArrowDown" ? 1 : -1)];
      if (own === undefined || other === undefined) return null;
      const middle = own.start + own.width / 2;
      const distance = (place: (typeof other.places)[number]) => Math.abs(place.start + place.width / 2 - middle);
      return other.places.reduce((best, place) => (distance(place) < distance(best) ? place : best)).index;
    }
    case "Home":
      return 0;
    case "End":
      return last;
    default:
      return null;
  }
}

function clamp(index: number, last: number): number {
  return Math.min(last, Math.max(0, index));
}

function reveal(wall: HTMLElement | null, rows: readonly Row[], index: number): void {
  const row = rowOf(rows, index);
  if (wall === null || row === undefined) return;
  const top = wall.getBoundingClientRect().top + row.top;
  const room = 80;
  if (top < room) scrollBy({ top: top - room });
  else if (top + row.height > innerHeight) scrollBy({ top: top + row.height - innerHeight + room / 4 });
}
