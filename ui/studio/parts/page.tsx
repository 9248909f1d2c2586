/** The page: the form beside the pictures, and what may lie over both. */
import { Composer } from "./composer";
import { useStudio } from "./context";
import { FullView } from "./full_view";
import { Gallery } from "./gallery";
import { Connection } from "./notices";
import { SignIn } from "./sign_in";

// A server without GraphiQL takes this out of the page.
const EXPLORER = document.querySelector<HTMLMetaElement>('meta[name="explorer"]')?.content;

export function Page() {
  const studio = useStudio();
  return studio.session.isSignedOut.value ? <SignIn /> : <Desk />;
}

function Desk() {
  const studio = useStudio();
  const viewer = studio.viewer.value;
  return (
    <>
      <div class="desk">
        <header class="head">
          <h1>Studio</h1>
          <nav aria-label="Elsewhere">
            {EXPLORER && <a href={EXPLORER}>API</a>}
            {viewer && studio.session.token.value !== null && (
              <button type="button" class="link" onClick={() => studio.signOut()} title={`Signed in as ${viewer.name}`}>
                Sign out
              </button>
            )}
          </nav>
        </header>
        <div class="side">
          <Composer />
        </div>
        <main>
          <Connection />
          <Gallery />
        </main>
      </div>
      <FullView />
    </>
  );
}
