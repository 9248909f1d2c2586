/** What the browser keeps of the page: no headers, which hold credentials. `shouldPersistHeaders` is not enough, since the
 * history keeps the headers of an operation whatever it says. */
import type { Storage } from "@graphiql/toolkit";

const PREFIX = "graphiql:";
/** Texts of the user; all else is GraphiQL's own. */
const WRITTEN = new Set(["query", "variables"].map((name) => PREFIX + name));

export const storage: Storage = {
  getItem: (key) => localStorage.getItem(key),
  setItem: (key, value) => {
    if (key !== `${PREFIX}headers`) localStorage.setItem(key, WRITTEN.has(key) ? value : withoutHeaders(value));
  },
  removeItem: (key) => localStorage.removeItem(key),
  clear: () => ownKeys().forEach((key) => localStorage.removeItem(key)),
  get length() {
    return ownKeys().length;
  },
};

function ownKeys(): string[] {
  return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
}

function withoutHeaders(value: string): string {
  try {
    return JSON.stringify(JSON.parse(value, (name, member: unknown) => (name === "headers" ? null : member)));
  } catch {
    // The size of a pane, a theme, the name of a plugin.
    return value;
  }
}
