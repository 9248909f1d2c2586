/** Writes the types of the Studio's operations from schema.graphql: `npm run types`. With `--check` it writes nothing,
 * and fails when they are not what would be written. The file is committed, since an image is built without the
 * schema. */
import { readFile, writeFile } from "node:fs/promises";
import { codegen } from "@graphql-codegen/core";
import * as documents from "@graphql-codegen/typed-document-node";
import * as operations from "@graphql-codegen/typescript-operations";
import { buildSchema, parse } from "graphql";

const OUTPUT = new URL("studio/api/operations.ts", import.meta.url);

const read = (path) => readFile(new URL(path, import.meta.url), "utf8");
const schema = await read("../schema.graphql");
const wanted = await codegen({
  filename: "operations.ts",
  schema: parse(schema),
  schemaAst: buildSchema(schema),
  documents: [{ location: "operations.graphql", document: parse(await read("studio/api/operations.graphql")) }],
  config: {
    documentMode: "string",
    enumsAsTypes: true,
    immutableTypes: true,
    scalars: { DateTime: "string", ID: "string", UInt32: "number", URL: "string" },
    strictScalars: true,
    useTypeImports: true,
  },
  plugins: [{ operations: {} }, { documents: {} }],
  pluginMap: { operations, documents },
});

if (!process.argv.includes("--check")) {
  await writeFile(OUTPUT, wanted);
} else if ((await readFile(OUTPUT, "utf8")) !== wanted) {
  console.error("studio/api/operations.ts is not what schema.graphql and operations.graphql say: npm run types");
  process.exitCode = 1;
}
