/** One picture, as large as it goes, and what it was made from. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { said } from "../pure/progress";
import { isFinal, type Entry, type Job } from "../state/jobs";
import type { Open } from "../state/view";
import { useStudio } from "./context";
import { Details } from "./details";
import { hasModifier } from "./keys";
import { Arrow, Cross } from "./icons";
import { Toasts } from "./notices";
import { Picture } from "./picture";
import { Preview } from "./preview";

export function FullView() {
  const studio = useStudio();
  const open = studio.view.open.value;
  // A job that an address names may not be known yet.
  const [missing, setMissing] = useState<string | null>(null);
  studio.jobs.version.value;
  const entry = open === null ? undefined : studio.jobs.get(open.id);
  useEffect(() => {
    if (open === null || entry !== undefined) return;
    void studio.find(open.id).then((found) => setMissing(found === "missing" ? open.id : null));
  }, [studio, open, entry]);
  useEffect(() => {
    if (open === null || missing !== open.id) return;
    studio.toasts.say("There is no such job.", { isProblem: true });
    studio.view.close();
  }, [studio, open, missing]);
  // What lies outside of an open dialog is neither seen nor said.
  return open && entry ? <Dialog entry={entry} open={open} /> : <Toasts />;
}

function Dialog({ entry, open }: { entry: Entry; open: Open }) {
  const { view, jobs, gallery, fail } = useStudio();
  const dialog = useRef<HTMLDialogElement>(null);
  const job = entry.job.value;
  const previous = neighbour(gallery.shown.value, entry, open.index, -1);
  const next = neighbour(gallery.shown.value, entry, open.index, 1);

  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // It gives the focus back, which one that is only taken away does not.
    return () => element?.close();
  }, []);
  useEffect(() => {
    if (next === null) void gallery.more(fail);
  }, [gallery, fail, next === null]);

  // Of the window: what has the focus may go, as the button to the next picture does at the last one. And it looks at
  // what is open by then: keys may be quicker than drawing.
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const step = hasModifier(event) ? null : stepOf(event.key);
      const now = view.open.peek();
      const from = now && jobs.get(now.id);
      const to = step && now && from && neighbour(gallery.shown.peek(), from, now.index, step);
      if (to) view.show(to);
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [view, jobs, gallery]);

  return (
    <dialog
      class="full"
      ref={dialog}
      aria-label={job.parameters.prompt}
      onCancel={(event) => {
        event.preventDefault();
        view.close();
      }}
      onClick={(event) => event.target === dialog.current && view.close()}
    >
      <div class="full-inside">
        <figure>
          <Stage job={job} entry={entry} index={open.index} />
          {previous && (
            <button type="button" class="turn back" aria-label="Previous image" onClick={() => view.show(previous)}>
              <Arrow isBack />
            </button>
          )}
          {next && (
            <button type="button" class="turn on" aria-label="Next image" onClick={() => view.show(next)}>
              <Arrow isBack={false} />
            </button>
          )}
        </figure>
        <Details job={job} index={open.index} />
        <button type="button" class="round close" aria-label="Close" autofocus onClick={() => view.close()}>
          <Cross />
        </button>
      </div>
      <Toasts />
    </dialog>
  );
}

function Stage({ job, entry, index }: { job: Job; entry: Entry; index: number }) {
  const image = job.images[index] ?? job.images[0];
  const { width, height } = job.parameters;
  const shape = { "--w": `${width}`, "--h": `${height}` };
  if (image !== undefined) {
    return (
      <div class="stage" style={shape}>
        <Picture key={image.id} jobId={job.id} image={image} alt={job.parameters.prompt} width={image.width} />
      </div>
    );
  }
  const { phase, detail } = said(job, entry.sending.value);
  const { fraction } = job.progress;
  return (
    <div class="stage" style={shape} data-status={job.status}>
      <Preview key={job.id} job={job} left={1 - fraction} />
      {isFinal(job) ? (
        <p class="why">{job.status === "CANCELED" ? "Canceled" : (job.failure?.message ?? "There are no images.")}</p>
      ) : (
        <div class="underway">
          <p class="phase">
            <bdi>{phase}</bdi>
            {detail && <bdi class="eta">{detail}</bdi>}
          </p>
          <progress max={1} value={fraction} aria-label="Progress" />
        </div>
      )}
    </div>
  );
}

function stepOf(key: string): 1 | -1 | null {
  const isRightToLeft = getComputedStyle(document.body).direction === "rtl";
  if (key === (isRightToLeft ? "ArrowLeft" : "ArrowRight")) return 1;
  if (key === (isRightToLeft ? "ArrowRight" : "ArrowLeft")) return -1;
  return null;
}

/** The picture before or behind one: of the same job, or of the next. */
function neighbour(entries: readonly Entry[], entry: Entry, index: number, step: 1 | -1): Open | null {
  const { id, images } = entry.job.value;
  const inside = index + step;
  if (inside >= 0 && inside < images.length) return { id, index: inside };
  for (let at = entries.indexOf(entry) + step; at >= 0 && at < entries.length; at += step) {
    const other = entries[at];
    if (entries.indexOf(entry) < 0 || other === undefined) return null;
    const { id: otherId, images: others } = other.job.peek();
    if (otherId !== "") return { id: otherId, index: step === 1 ? 0 : Math.max(0, others.length - 1) };
  }
  return null;
}
