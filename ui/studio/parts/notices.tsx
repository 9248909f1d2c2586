/** What is said at the edge of the page: the connection, and what just happened. */
import { useStudio } from "./context";
import { Cross } from "./icons";

/** Nothing while all is well. A first attempt, and one that lasts a moment, are no news. */
export function Connection() {
  const studio = useStudio();
  const text = useConnectionText();
  return (
    <p class="connection" role="status" data-is={studio.live.value.is}>
      {text}
    </p>
  );
}

function useConnectionText(): string {
  const studio = useStudio();
  const live = studio.live.value;
  if (studio.session.isSignedOut.value) return "";
  if (!studio.isOnline.value) return "You are offline. Jobs go on meanwhile.";
  if (live.is === "waiting" || (live.is === "connecting" && live.attempt > 0)) {
    return "Connection lost. Reconnecting…";
  }
  return "";
}

export function Toasts() {
  const { toasts, announcement } = useStudio();
  return (
    <>
      <div class="unseen" role="status" aria-live="polite">
        {/* Equal words are said again. */}
        <p key={announcement.value.id}>{announcement.value.text}</p>
      </div>
      <div class="toasts" role="status" aria-live="polite">
        {toasts.shown.value.map(({ id, text, isProblem }) => (
          <p key={id} class="toast" data-problem={isProblem}>
            {text}
            <button type="button" class="round" aria-label="Dismiss" onClick={() => toasts.dismiss(id)}>
              <Cross />
            </button>
          </p>
        ))}
      </div>
    </>
  );
}
