/** What a picture was made from, and what can be done with it. */
import { useEffect, useRef, useState } from "preact/hooks";
import { asCurl, asGraphQL, asPython } from "../pure/snippets";
import { windowFor } from "../pure/links";
import { bytes, dollars, duration, title, when } from "../pure/words";
import { inputOf } from "../state/composer";
import { isFinal, type Job } from "../state/jobs";
import { useStudio } from "./context";
import { focusPrompt } from "./focus";

/** Signed URLs of files end after an hour, unless the server is told otherwise. */
const YOUNG_MS = 30 * 60 * 1000;
const LOOKED_AT_MS = 300;

export function Details({ job, index }: { job: Job; index: number }) {
  useFreshUrls(job.id);
  const image = job.images[index] ?? job.images[0];
  const { parameters } = job;
  return (
    <aside class="details">
      {/* It may be long: a keyboard scrolls it. */}
      <blockquote dir="auto" tabIndex={0}>
        {parameters.prompt}
      </blockquote>
      {parameters.negativePrompt !== null && (
        <p class="without" dir="auto">
          Negative prompt: {parameters.negativePrompt}
        </p>
      )}
      <Actions job={job} index={index} />
      <dl>
        <Fact name="Size" value={`${parameters.width} × ${parameters.height}`} />
        <Fact name="Style" value={parameters.style && title(parameters.style.name)} />
        <Fact name="Seed" value={String(image?.seed ?? parameters.seed)} />
        <Fact name="Steps" value={String(parameters.steps)} />
        <Fact name="Guidance" value={String(parameters.guidanceScale)} />
        <Fact name="Model" value={job.model?.name ?? null} />
        <Fact name="File" value={image ? `${image.format}, ${bytes(image.sizeBytes)}` : null} />
        <Fact name="Time" value={job.timings.totalSeconds === null ? null : duration(job.timings.totalSeconds)} />
        <Fact name="Cost" value={job.cost === null ? null : dollars(job.cost)} />
        <Fact name="Created" value={when(job.createdAt)} />
      </dl>
      {job.withheld.map(({ index: at, message }) => (
        <p key={at} class="note">
          Image {at + 1} was withheld: {message}
        </p>
      ))}
      <Copy job={job} index={index} />
      <Delete key={job.id} job={job} />
    </aside>
  );
}

/** What is looked at for a moment, on a page that is no longer young, has URLs that a download can use. */
function useFreshUrls(id: string): void {
  const studio = useStudio();
  useEffect(() => {
    if (performance.now() < YOUNG_MS) return;
    const timer = setTimeout(() => void studio.renew(id), LOOKED_AT_MS);
    return () => clearTimeout(timer);
  }, [studio, id]);
}

function Fact({ name, value }: { name: string; value: string | null }) {
  if (value === null) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd dir="auto">{value}</dd>
    </div>
  );
}

function Actions({ job, index }: { job: Job; index: number }) {
  const studio = useStudio();
  const image = job.images[index] ?? job.images[0];
  const seed = image?.seed ?? job.parameters.seed;
  const isReader = studio.viewer.value?.role === "READER";
  const leaving = (act: () => void) => () => {
    studio.view.close();
    act();
  };
  return (
    <div class="actions">
      {image && (
        <a class="button first" href={image.url} download={fileName(job, index)} target={windowFor(image.url, location.href)}>
          Download
        </a>
      )}
      {!isReader && !isFinal(job) && (
        <button type="button" class="button first" onClick={() => void studio.cancel(job)}>
          Cancel
        </button>
      )}
      {!isReader && isFinal(job) && (
        <>
          {job.status === "SUCCEEDED" && (
            <button
              type="button"
              class="button"
              title="The same with another seed"
              onClick={leaving(() => studio.vary(job))}
            >
              Vary
            </button>
          )}
          <button
            type="button"
            class={image ? "button" : "button first"}
            title="The same again, with the same seed"
            onClick={leaving(() => studio.again(job))}
          >
            {job.status === "SUCCEEDED" ? "Repeat" : "Retry"}
          </button>
          <button
            type="button"
            class="button"
            title="Put all of it into the form"
            onClick={leaving(() => {
              studio.composer.take(job, seed);
              focusPrompt();
            })}
          >
            Edit
          </button>
        </>
      )}
    </div>
  );
}

const COPIES = {
  GraphQL: asGraphQL,
  curl: asCurl,
  Python: asPython,
} as const;

function Copy({ job, index }: { job: Job; index: number }) {
  const studio = useStudio();
  const image = job.images[index];
  const copy = async (name: keyof typeof COPIES) => {
    // One image of a batch is made alone, by its own seed.
    const input = image && job.images.length > 1 ? inputOf(job, image.seed, 1) : inputOf(job, job.parameters.seed);
    try {
      await navigator.clipboard.writeText(COPIES[name](input, studio.url.href));
      studio.toasts.say(`Copied as ${name}.`);
    } catch {
      studio.toasts.say("The browser does not let this page copy.", { isProblem: true });
    }
  };
  return (
    <div class="copy" role="group" aria-label="Copy as">
      <span aria-hidden="true">Copy as</span>
      {(Object.keys(COPIES) as (keyof typeof COPIES)[]).map((name) => (
        <button key={name} type="button" class="link" onClick={() => void copy(name)}>
          {name}
        </button>
      ))}
    </div>
  );
}

/** Asks once more, in place. The focus goes to the answer that changes nothing. */
function Delete({ job }: { job: Job }) {
  const studio = useStudio();
  const [isSure, setSure] = useState<boolean | null>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isSure !== null) button.current?.focus();
  }, [isSure]);
  if (studio.viewer.value?.role === "READER") return null;
  if (!isSure) {
    return (
      <button type="button" class="link" ref={button} onClick={() => setSure(true)}>
        Delete
      </button>
    );
  }
  return (
    <div class="copy" role="group" aria-label="Delete for good?">
      <span>Delete for good?</span>
      <button
        type="button"
        class="link danger"
        onClick={() => {
          studio.view.close();
          void studio.delete(job);
        }}
      >
        Delete
      </button>
      <button type="button" class="link" ref={button} onClick={() => setSure(false)}>
        Keep
      </button>
    </div>
  );
}

function fileName(job: Job, index: number): string {
  const words = job.parameters.prompt.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "-");
  const image = job.images[index] ?? job.images[0];
  const ending = { JPEG: "jpg", PNG: "png", WEBP: "webp" }[job.parameters.format];
  return `${words.slice(0, 60).replaceAll(/^-+|-+$/g, "") || "image"}-${image?.seed ?? 0}.${ending}`;
}
