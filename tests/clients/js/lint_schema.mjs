// graphql-eslint over schema.graphql: its recommended rules for schemas and those for Relay.
//
//   node lint_schema.mjs ../../../schema.graphql
//
// Prints what it found as a list of "line: rule: message".

import { readFile } from 'node:fs/promises';
import plugin from '@graphql-eslint/eslint-plugin';
import { ESLint } from 'eslint';

const path = process.argv[2];
const schema = await readFile(path, 'utf8');
const rules = {
  ...plugin.configs['flat/schema-recommended'].rules,
  ...plugin.configs['flat/schema-relay'].rules,
  '@graphql-eslint/require-description': [
    'error',
    { types: true, FieldDefinition: true, InputValueDefinition: true, EnumValueDefinition: true, rootField: true },
  ],
  // Payloads, events, connections and errors are parts of an answer, not objects with an ID.
  '@graphql-eslint/strict-id-in-types': 'off',
  // A list of anything may be in a field; only connections wrap edges.
  '@graphql-eslint/relay-edge-types': ['error', { withEdgeSuffix: true, listTypeCanWrapOnlyEdgeType: false }],
};

const eslint = new ESLint({
  overrideConfigFile: true,
  overrideConfig: {
    files: ['**/*.graphql'],
    languageOptions: { parser: plugin.parser, parserOptions: { graphQLConfig: { schema } } },
    plugins: { '@graphql-eslint': plugin },
    rules,
  },
});
const [{ messages }] = await eslint.lintText(schema, { filePath: 'schema.graphql' });
console.log(JSON.stringify(messages.map(({ line, ruleId, message }) => `${line}: ${ruleId}: ${message}`)));
