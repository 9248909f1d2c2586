// graphql-inspector: what a client of the released schema would notice of the schema of today.
//
//   node compare_schemas.mjs schema.released.graphql ../../../schema.graphql
//
// Prints the messages of the changes that break clients.

import { readFile } from 'node:fs/promises';
import { CriticalityLevel, diff } from '@graphql-inspector/core';
import { buildSchema } from 'graphql';

const [released, today] = await Promise.all(
  process.argv.slice(2).map(async (path) => buildSchema(await readFile(path, 'utf8'))),
);
const changes = await diff(released, today);
const breaking = changes.filter(({ criticality }) => criticality.level === CriticalityLevel.Breaking);
console.log(JSON.stringify(breaking.map(({ message }) => message)));
