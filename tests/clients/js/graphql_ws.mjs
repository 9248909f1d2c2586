// A session of the package graphql-ws.
//
//   node graphql_ws.mjs ws://127.0.0.1:8000/graphql
//
// Prints what session.mjs has seen, and how many sockets and pongs there were.

import { createClient } from 'graphql-ws';
import { session } from './session.mjs';

let sockets = 0;
let pongs = 0;
const client = createClient({
  url: process.argv[2],
  lazy: false, // one socket from beginning to end, unless the server closes it
  keepAlive: 50,
  retryAttempts: 5,
  on: {
    connected: () => sockets++,
    pong: (received) => (pongs += received ? 1 : 0),
  },
});
const seen = await session(client);
console.log(JSON.stringify({ ...seen, sockets, pongs }));
await client.dispose();
