/** Where the server wants an API key. */
import { useEffect, useRef } from "preact/hooks";
import { useStudio } from "./context";
import { Toasts } from "./notices";

export function SignIn() {
  const studio = useStudio();
  const wasRefused = studio.session.token.value !== null;
  // `autofocus` works once for each page that is loaded.
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  return (
    <main class="sign-in">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const key = new FormData(event.currentTarget).get("key");
          if (typeof key === "string" && key.trim()) studio.signIn(key.trim());
        }}
      >
        <h1>Studio</h1>
        <label for="key">API key</label>
        <input
          id="key"
          name="key"
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          ref={field}
          aria-invalid={wasRefused}
          aria-describedby="key-hint"
        />
        {wasRefused && (
          <p class="problem" role="alert">
            This key is not accepted. It may have expired.
          </p>
        )}
        <p class="hint" id="key-hint">
          The key is kept in this window only, until you close it.
        </p>
        <button type="submit" class="generate">
          Sign in
        </button>
      </form>
      <Toasts />
    </main>
  );
}
