// A session of the package graphql-sse, in the mode of distinct connections.
//
//   node graphql_sse.mjs http://127.0.0.1:8000/graphql
//
// Prints what session.mjs has seen.

import { createClient } from 'graphql-sse';
import { session } from './session.mjs';

const client = createClient({ url: process.argv[2], retryAttempts: 0 });
console.log(JSON.stringify(await session(client)));
client.dispose();
