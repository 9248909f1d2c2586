/** A job in the gallery: its progress, then its pictures. */
import { said } from "../pure/progress";
import type { Place } from "../pure/rows";
import { mosaicOf } from "../pure/sizes";
import { isFinal, type Entry, type Job, type Sending } from "../state/jobs";
import { useStudio } from "./context";
import { Cross } from "./icons";
import { Picture } from "./picture";
import { Preview } from "./preview";

// In pixels.
const NARROW = 150;

interface Props {
  readonly entry: Entry;
  readonly place: Place;
  readonly total: number;
}

export function Card({ entry, place, total }: Props) {
  const studio = useStudio();
  const job = entry.job.value;
  const sending = entry.sending.value;
  const box = {
    insetInlineStart: `${place.start}px`,
    top: `${place.top}px`,
    inlineSize: `${place.width}px`,
    blockSize: `${place.height}px`,
  };
  return (
    <li class="card" data-status={job.status} style={box} aria-setsize={total} aria-posinset={place.index + 1}>
      <button
        type="button"
        class="card-open"
        data-index={place.index}
        aria-label={labelOf(job, sending)}
        disabled={sending !== null}
        onClick={(event) => studio.view.show({ id: job.id, index: pictureAt(event.target) })}
      >
        <Surface job={job} width={place.width} />
        <span class="caption" dir="auto">
          {job.parameters.prompt}
        </span>
      </button>
      {isFinal(job) ? <Ended job={job} /> : <Underway job={job} sending={sending} isNarrow={place.width < NARROW} />}
    </li>
  );
}

/** The preview stays below the pictures while they fade in. */
function Surface({ job, width }: { job: Job; width: number }) {
  const { columns } = mosaicOf(job.parameters.count, job.parameters.width / job.parameters.height);
  return (
    <>
      <Preview job={job} left={job.status === "SUCCEEDED" ? 0.1 : 1 - job.progress.fraction} />
      {job.images.length > 0 && (
        <span class="mosaic" style={{ "--columns": `${columns}` }}>
          {job.images.map((image) => (
            <Picture key={image.id} jobId={job.id} image={image} alt="" width={width / columns} />
          ))}
        </span>
      )}
    </>
  );
}

interface UnderwayProps {
  readonly job: Job;
  readonly sending: Sending;
  readonly isNarrow: boolean;
}

function Underway({ job, sending, isNarrow }: UnderwayProps) {
  const studio = useStudio();
  const { phase, brief, detail } = said(job, sending);
  return (
    <div class="underway">
      <p class="phase">
        <bdi>{isNarrow ? brief : phase}</bdi>
        {!isNarrow && detail && <bdi class="eta">{detail}</bdi>}
      </p>
      {sending === null && studio.viewer.value?.role !== "READER" && (
        <button
          type="button"
          class="round"
          title="Cancel"
          aria-label="Cancel"
          onClick={({ currentTarget }) => {
            // This button goes; what has the focus must not.
            currentTarget.closest(".card")?.querySelector<HTMLElement>(".card-open")?.focus();
            void studio.cancel(job);
          }}
        >
          <Cross />
        </button>
      )}
      <progress
        max={1}
        value={job.status === "RUNNING" ? job.progress.fraction : 0}
        aria-label={`Progress: ${job.parameters.prompt}`}
      />
    </div>
  );
}

function Ended({ job }: { job: Job }) {
  const studio = useStudio();
  if (job.status === "SUCCEEDED") return null;
  return (
    <div class="ended">
      <p class="why">{job.status === "CANCELED" ? "Canceled" : (job.failure?.message ?? "Failed")}</p>
      {studio.viewer.value?.role !== "READER" && (
        <button type="button" class="quiet" onClick={() => studio.again(job)}>
          Retry
        </button>
      )}
    </div>
  );
}

/** Which picture of a batch was clicked on; the first, for a keyboard. */
function pictureAt(target: EventTarget | null): number {
  const picture = target instanceof Element ? target.closest(".picture") : null;
  return picture === null ? 0 : [...(picture.parentElement?.children ?? [])].indexOf(picture);
}

function labelOf(job: Job, sending: Sending): string {
  const { prompt } = job.parameters;
  if (job.status === "SUCCEEDED") return job.images.length > 1 ? `${prompt}, ${job.images.length} images` : prompt;
  if (job.status === "FAILED") return `${prompt}, failed`;
  if (job.status === "CANCELED") return `${prompt}, canceled`;
  return `${prompt}, ${said(job, sending).phase}`;
}
