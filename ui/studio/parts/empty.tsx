/** What stands where the pictures will be. */
import { EXAMPLES } from "../pure/examples";
import { title } from "../pure/words";
import { useExample } from "./examples";

export function Empty() {
  const use = useExample();
  return (
    <div class="empty">
      <h2>No images yet</h2>
      <p>Describe an image, or start from one of these.</p>
      <ul>
        {EXAMPLES.map((example) => (
          <li key={example.prompt}>
            <button type="button" onClick={() => use(example)}>
              <q>{example.prompt}</q>
              <small>{title(example.style)}</small>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
