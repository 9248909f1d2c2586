/** The form: what to show, and how. */
import { useState } from "preact/hooks";
import { someExamples } from "../pure/examples";
import { dollars, duration, title } from "../pure/words";
import { useStudio } from "./context";
import { useExample } from "./examples";
import { Knobs } from "./knobs";
import { Problem } from "./problem";

const FIRST_STYLES = 9;
const EXAMPLES_SHOWN = 3;

export function Composer() {
  const studio = useStudio();
  const { composer } = studio;
  const isReader = studio.viewer.value?.role === "READER";
  return (
    <form
      class="composer"
      aria-label="New picture"
      onSubmit={(event) => {
        event.preventDefault();
        studio.generate();
      }}
    >
      <Prompt />
      <Styles />
      <Knobs />
      <div class="go">
        {isReader && <p class="note">This key looks and watches, and generates nothing.</p>}
        <Problem field={null} />
        <button type="submit" class="generate" disabled={isReader || composer.model.value === null}>
          Generate
        </button>
        <Estimate />
      </div>
    </form>
  );
}

function Prompt() {
  const studio = useStudio();
  const { composer } = studio;
  const longest = composer.model.value?.limits.maxPromptLength ?? 0;
  const length = composer.prompt.value.length;
  const onKeyDown = (event: KeyboardEvent) => {
    // While an input method is composing, Enter is its own.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    studio.generate();
  };
  return (
    <div class="field">
      <label for="prompt">What to show</label>
      <textarea
        id="prompt"
        rows={4}
        dir="auto"
        value={composer.prompt.value}
        placeholder="A lighthouse on a basalt cliff"
        aria-invalid={composer.problemAt("prompt") !== null}
        aria-describedby="prompt-problem prompt-hint"
        enterkeyhint="go"
        onInput={(event) => (composer.prompt.value = event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <Problem field="prompt" />
      <p class="hint" id="prompt-hint">
        {longest > 0 && length > longest * 0.8
          ? `${length} of ${longest} characters`
          : "Enter generates, Shift+Enter begins a line."}
      </p>
      {length === 0 && studio.gallery.shown.value.length > 0 && <Examples />}
    </div>
  );
}

function Examples() {
  const use = useExample();
  const [seed] = useState(() => Math.floor(Math.random() * 100));
  return (
    <ul class="examples" aria-label="Examples">
      {someExamples(EXAMPLES_SHOWN, seed).map((example) => (
        <li key={example.prompt}>
          <button type="button" onClick={() => use(example)}>
            {example.prompt}
          </button>
        </li>
      ))}
    </ul>
  );
}

function Styles() {
  const { composer } = useStudio();
  const [isOpen, setOpen] = useState(false);
  const styles = composer.styles.value;
  const chosen = composer.styleId.value;
  const shown = isOpen ? styles : styles.filter(({ id }, index) => index < FIRST_STYLES || id === chosen);
  if (styles.length === 0) return null;
  return (
    <fieldset class="field">
      <legend>Style</legend>
      <div class="chips" data-open={isOpen}>
        <Chip label="None" isChosen={chosen === null} onChoose={() => (composer.styleId.value = null)} />
        {shown.map(({ id, name, keywords }) => (
          <Chip
            key={id}
            label={title(name)}
            hint={keywords}
            isChosen={chosen === id}
            onChoose={() => (composer.styleId.value = id)}
          />
        ))}
        {styles.length > FIRST_STYLES && (
          <button type="button" class="chip more" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
            {isOpen ? "Fewer" : `${styles.length - shown.length} more`}
          </button>
        )}
      </div>
      <Problem field="style" />
    </fieldset>
  );
}

interface ChipProps {
  readonly label: string;
  readonly hint?: string;
  readonly isChosen: boolean;
  readonly onChoose: () => void;
}

function Chip({ label, hint, isChosen, onChoose }: ChipProps) {
  return (
    <label class="chip" title={hint}>
      <input type="radio" name="style" checked={isChosen} onChange={onChoose} />
      <span>{label}</span>
    </label>
  );
}

function Estimate() {
  const estimate = useStudio().estimator.estimate.value;
  if (estimate === null) return <p class="estimate">&nbsp;</p>;
  const parts = [
    estimate.seconds === null ? null : duration(estimate.seconds),
    estimate.cost === null ? null : dollars(estimate.cost),
    estimate.jobsAhead === 0 ? null : `${estimate.jobsAhead} ahead`,
  ];
  const known = parts.filter((part) => part !== null).join(" · ");
  return <p class="estimate">{known ? `Expected: ${known}` : "No figures yet"}</p>;
}
