import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { useEffect, useSyncExternalStore } from "react";
import type { StatusStore } from "./status";

const SIGN_IN = 'The server wants a credential: write { "Authorization": "Bearer <token>" } into Headers, and run.';

/** A line below the answer, when there is something to say. */
export function Notice({ store }: { readonly store: StatusStore }) {
  const status = useSyncExternalStore(store.listen, store.read);
  useSchemaOnceAdmitted(status.admitted);
  const text = status.isSignedOut
    ? SIGN_IN
    : status.attempts > 0 && `The connection was lost. Trying again (${status.attempts}) …`;
  return <div role="status">{text && <div className="notice">{text}</div>}</div>;
}

/** GraphiQL asks for the schema when it starts, which is before anybody could sign in. Not as the header is edited:
 * the server counts wrong tokens. */
function useSchemaOnceAdmitted(admitted: number): void {
  const isMissing = useGraphiQL((state) => !state.schema && !state.isIntrospecting);
  const { introspect } = useGraphiQLActions();
  useEffect(() => {
    if (admitted > 0 && isMissing) void introspect();
    // Only an operation that was let in is a reason to ask, not an introspection that has failed.
  }, [admitted]);
}
