/** The form: what to show, and how. */
import { useState } from "preact/hooks";
import { someExamples } from "../pure/examples";
import { dollars, duration, title } from "../pure/words";
import { useStudio } from "./context";
import { useExample } from "./examples";
import { Knobs } from "./knobs";
import { Problem } from "./problem";

const FIRST_STYLES = 9;
const EXAMPLES_SHOWN = 2;

export function Composer() {
  const studio = useStudio();
  const { composer } = studio;
  const isReader = studio.viewer.value?.role === "READER";
  return (
    <form
      class="composer"
      aria-label="New image"
      // What is wrong is said at its field: the browser would say nothing of fields that are folded in.
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        studio.generate();
      }}
    >
      <Prompt />
      <Styles />
      <Knobs />
      <div class="go">
        {isReader && <p class="note">This API key may look at images, not generate them.</p>}
        <Problem field={null} />
        <button type="submit" class="generate" disabled={isReader || composer.model.value === null}>
          Generate
        </button>
        {!isReader && <Estimate />}
      </div>
    </form>
  );
}

function Prompt() {
  const studio = useStudio();
  const { composer } = studio;
  const longest = composer.model.value?.limits.maxPromptLength ?? 0;
  const length = composer.prompt.value.trim().length;
  const isRefused = composer.problemAt("prompt") !== null;
  const onKeyDown = (event: KeyboardEvent) => {
    // While an input method is composing, Enter is its own.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    // Whoever holds the key wants one.
    if (!event.repeat) studio.generate();
  };
  return (
    <div class="field">
      <label for="prompt">Prompt</label>
      <textarea
        id="prompt"
        rows={4}
        dir="auto"
        value={composer.prompt.value}
        placeholder="Describe an image…"
        aria-invalid={isRefused}
        aria-describedby="prompt-problem prompt-hint"
        enterkeyhint="go"
        onInput={(event) => (composer.prompt.value = event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <Problem field="prompt" />
      <p class="hint" id="prompt-hint" hidden={isRefused}>
        {longest > 0 && length > longest * 0.8 ? (
          `${length} of ${longest} characters`
        ) : (
          <span class="of-keys">Enter generates, Shift+Enter starts a new line.</span>
        )}
      </p>
      {length === 0 && studio.gallery.shown.value.length > 0 && <Examples />}
    </div>
  );
}

function Examples() {
  const use = useExample();
  const [seed] = useState(() => Math.floor(Math.random() * 100));
  return (
    <ul class="examples" aria-label="Examples" data-label="Try">
      {someExamples(EXAMPLES_SHOWN, seed).map((example) => (
        <li key={example.prompt}>
          <button type="button" title={example.prompt} onClick={() => use(example)}>
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
  // What stands below it does not jump when they come.
  if (styles.length === 0) return composer.model.value === null ? <div class="awaited styles" /> : null;
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
            <bdi>{isOpen ? "Fewer" : `${styles.length - shown.length} more`}</bdi>
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
  // It keeps its line: the button above is not to move.
  if (estimate === null) return <p class="estimate">&nbsp;</p>;
  const { seconds, cost, jobsAhead } = estimate;
  const parts = [
    seconds === null ? null : seconds < 1 ? duration(seconds) : `about ${duration(seconds)}`,
    cost === null ? null : dollars(cost),
    jobsAhead === 0 ? null : `${jobsAhead} ahead in the queue`,
  ];
  return <p class="estimate">{parts.filter((part) => part !== null).join(" · ") || "no estimate yet"}</p>;
}
