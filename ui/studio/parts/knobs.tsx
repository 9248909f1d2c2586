/** Everything of a generation but its words. */
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { RATIOS } from "../pure/sizes";
import { counted } from "../pure/words";
import { randomSeed, type Model, type Size } from "../state/composer";
import type { Gallery } from "../state/gallery";
import { useStudio } from "./context";
import { Dice, Lock } from "./icons";
import { Problem } from "./problem";

const MOST_GUIDANCE = 20;

const FOLDED_IN_MORE = ["negativePrompt", "steps", "guidanceScale"];
const FOLDED = [...FOLDED_IN_MORE, "size", "count", "seed", "modelId"];

export function Knobs() {
  const { composer } = useStudio();
  const isWide = useIsWide();
  const options = useUnfolded(FOLDED);
  const more = useUnfolded(FOLDED_IN_MORE);
  const model = composer.model.value;
  if (model === null) return <div class="awaited options" />;
  const { width, height } = composer.dimensions.value;
  return (
    <details class="options" open={isWide} ref={options}>
      <summary>{`${width} × ${height}, ${counted(composer.count.value, "image")}, ${model.name}`}</summary>
      <div>
        <Sizes model={model} />
        <Count most={model.limits.maxCount} />
        <details class="more-knobs" ref={more}>
          <summary>More</summary>
          <div class="knobs">
            <Negative />
            <Slider
              name="steps"
              label="Steps"
              least={1}
              most={model.limits.maxSteps}
              step={1}
              value={composer.steps.value ?? model.defaults.steps}
              onChange={(value) => (composer.steps.value = value)}
            />
            <Slider
              name="guidanceScale"
              label="Guidance"
              least={0}
              most={MOST_GUIDANCE}
              step={0.5}
              value={composer.guidance.value ?? model.defaults.guidanceScale}
              onChange={(value) => (composer.guidance.value = value)}
            />
            <FileFormat />
          </div>
        </details>
        <Seed />
        <Models />
      </div>
    </details>
  );
}

/** Opens what is folded in when something is wrong with one of its fields. */
function useUnfolded(fields: readonly string[]): RefObject<HTMLDetailsElement | null> {
  const { composer } = useStudio();
  const details = useRef<HTMLDetailsElement>(null);
  const isWrong = fields.some((field) => composer.problemAt(field) !== null);
  useEffect(() => {
    if (isWrong && details.current) details.current.open = true;
  }, [isWrong]);
  return details;
}

/** Whether the form has a column of its own, as in looks/page.css. */
function useIsWide(): boolean {
  const [query] = useState(() => matchMedia("(min-width: 58rem)"));
  const [isWide, setWide] = useState(query.matches);
  useEffect(() => {
    const look = () => setWide(query.matches);
    query.addEventListener("change", look);
    return () => query.removeEventListener("change", look);
  }, [query]);
  return isWide;
}

function Sizes({ model }: { model: Model }) {
  const { composer } = useStudio();
  const { width, height } = composer.dimensions.value;
  const native = model.defaults.width / model.defaults.height;
  const sizes: readonly { value: Size; label: string; ratio: number }[] = RATIOS.map((size) =>
    // What the model makes by itself is chosen by leaving the size out.
    Math.abs(size.ratio - native) < 0.01 ? { ...size, value: "native" } : size,
  );
  return (
    <fieldset class="field">
      <legend>
        Size <output class="value">{`${width} × ${height}`}</output>
      </legend>
      <div class="shapes">
        {sizes.map(({ value, label, ratio }) => (
          <label key={value} class="shape">
            <input
              type="radio"
              name="size"
              checked={composer.size.value === value}
              onChange={() => composer.chooseSize(value)}
            />
            <span>
              <i style={{ "--ratio": `${ratio}` }} />
              {label}
            </span>
          </label>
        ))}
        <label class="shape">
          <input
            type="radio"
            name="size"
            checked={composer.size.value === "custom"}
            onChange={() => composer.chooseSize("custom")}
          />
          <span>
            <i class="dashed" />
            Custom
          </span>
        </label>
      </div>
      {composer.size.value === "custom" && (
        <div class="pair">
          <Pixels
            label="Width"
            value={width}
            model={model}
            onChange={(value) => (composer.custom.value = { width: value, height })}
          />
          <Pixels
            label="Height"
            value={height}
            model={model}
            onChange={(value) => (composer.custom.value = { width, height: value })}
          />
        </div>
      )}
      <Problem field="size" />
    </fieldset>
  );
}

interface PixelsProps {
  readonly label: string;
  readonly value: number;
  readonly model: Model;
  readonly onChange: (value: number) => void;
}

function Pixels({ label, value, model, onChange }: PixelsProps) {
  return (
    <label>
      {label}
      <input
        type="number"
        inputmode="numeric"
        min={model.limits.sizeMultiple}
        max={model.limits.maxDimension}
        step={model.limits.sizeMultiple}
        value={value}
        onInput={(event) => onChange(Number(event.currentTarget.value))}
      />
    </label>
  );
}

function Count({ most }: { most: number }) {
  const { composer } = useStudio();
  const counts = Array.from({ length: most }, (_, index) => index + 1);
  if (most === 1) return null;
  return (
    <fieldset class="field inline">
      <legend>Images</legend>
      <div class="segments">
        {counts.map((count) => (
          <label key={count}>
            <input
              type="radio"
              name="count"
              checked={composer.count.value === count}
              onChange={() => (composer.count.value = count)}
            />
            <span>{count}</span>
          </label>
        ))}
      </div>
      <Problem field="count" />
    </fieldset>
  );
}

function Negative() {
  const { composer } = useStudio();
  return (
    <div class="field">
      <label for="negative">Negative prompt</label>
      <input
        id="negative"
        type="text"
        autocomplete="off"
        value={composer.negativePrompt.value}
        onInput={(event) => (composer.negativePrompt.value = event.currentTarget.value)}
      />
      <Problem field="negativePrompt" />
    </div>
  );
}

interface SliderProps {
  readonly name: string;
  readonly label: string;
  readonly least: number;
  readonly most: number;
  readonly step: number;
  readonly value: number;
  readonly onChange: (value: number) => void;
}

function Slider({ name, label, least, most, step, value, onChange }: SliderProps) {
  return (
    <div class="field">
      <label for={name}>
        {label} <output class="value">{value}</output>
      </label>
      <input
        id={name}
        type="range"
        min={least}
        max={most}
        step={step}
        value={value}
        onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
      />
      <Problem field={name} />
    </div>
  );
}

function FileFormat() {
  const { composer } = useStudio();
  return (
    <fieldset class="field inline">
      <legend>Format</legend>
      <div class="segments">
        {(["JPEG", "PNG", "WEBP"] as const).map((format) => (
          <label key={format}>
            <input
              type="radio"
              name="format"
              checked={composer.format.value === format}
              onChange={() => (composer.format.value = format)}
            />
            <span>{format === "WEBP" ? "WebP" : format}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

/** Unlocked, each generation has another seed. */
function Seed() {
  const { composer, gallery } = useStudio();
  const seed = composer.seed.value;
  const isLocked = seed !== null;
  return (
    <div class="field inline">
      <label for="seed">Seed</label>
      <div class="seed">
        <input
          id="seed"
          type="number"
          inputmode="numeric"
          min={0}
          max={2 ** 32 - 1}
          placeholder="Random"
          value={seed ?? ""}
          onInput={(event) => {
            const { value, valueAsNumber } = event.currentTarget;
            composer.seed.value = value === "" ? null : valueAsNumber;
          }}
        />
        <button
          type="button"
          class="tool"
          title={isLocked ? "Use another seed each time" : "Keep the last seed"}
          aria-label="Keep the seed"
          aria-pressed={isLocked}
          onClick={() => (composer.seed.value = isLocked ? null : (lastSeed(gallery) ?? randomSeed()))}
        >
          <Lock isOpen={!isLocked} />
        </button>
        <button
          type="button"
          class="tool"
          title="Pick another seed"
          aria-label="Pick another seed"
          onClick={() => composer.rollSeed()}
        >
          <Dice />
        </button>
      </div>
      <Problem field="seed" />
    </div>
  );
}

/** That of the newest job, once the server has said it. */
function lastSeed(gallery: Gallery): number | undefined {
  return gallery.shown.peek().find(({ sending }) => sending.peek() === null)?.job.peek().parameters.seed;
}

const AVAILABILITY = {
  READY: "Ready",
  SCALED_TO_ZERO: "Asleep. The first job wakes it, which takes a few minutes.",
  STARTING: "Starting",
  UNAVAILABLE: "Not available",
} as const;

function Models() {
  const { composer } = useStudio();
  const models = composer.models.value;
  const model = composer.model.value;
  if (model === null) return null;
  return (
    <div class="field inline">
      <label for="model">Model</label>
      <select
        id="model"
        value={model.id}
        aria-describedby="availability"
        onChange={(event) => composer.chooseModel(event.currentTarget.value)}
      >
        {models.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
      <p class="availability" id="availability" data-is={model.availability} title={model.description ?? undefined}>
        {AVAILABILITY[model.availability]}
      </p>
      <Problem field="modelId" />
    </div>
  );
}
