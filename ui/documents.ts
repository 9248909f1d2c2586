/** Writes the texts of the Studio's operations by their names: a server that runs trusted documents only reads them. */
import type { Plugin } from "vite";
import * as operations from "./studio/api/operations.ts";

export function documents(): Plugin {
  return {
    name: "documents",
    apply: "build",
    generateBundle() {
      const texts = Object.entries(operations)
        .filter(([name]) => name.endsWith("Document"))
        .map(([name, document]) => [`studio-${name}`, String(document)]);
      this.emitFile({
        type: "asset",
        fileName: "studio/documents.json",
        source: JSON.stringify(Object.fromEntries(texts), null, 2),
      });
    },
  };
}
