import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { documents } from "./documents.ts";
import { precompress } from "./precompress.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const server = process.env["TEXT2IMAGE_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  root: here("."),
  // One entry for each page; graphql_api/http/pages.py serves what is made of them.
  build: {
    rolldownOptions: {
      input: [here("graphiql/index.html"), here("studio/index.html")],
      // "use client" in packages that are also for servers: this is the client.
      checks: { moduleLevelDirective: false },
    },
    outDir: here("../graphql_api/pages"),
    emptyOutDir: true,
    target: "es2022",
    // What is bundled asks for its licences to come with it.
    license: { fileName: "licenses.md" },
    // Inline code, which the policy of the pages forbids.
    modulePreload: { polyfill: false },
    // Monaco is one chunk of this size, and loads after the page is there.
    chunkSizeWarningLimit: 4000,
  },
  worker: { format: "es" },
  plugins: [documents(), precompress()],
  server: { proxy: { "/graphql": { target: server, ws: true }, "/images": server, "/previews": server } },
});
