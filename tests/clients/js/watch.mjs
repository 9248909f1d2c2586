// Follows a job to its end, whatever happens to the connection in between, and prints its events.
//
//   node watch.mjs ws://127.0.0.1:8000/graphql <ID of the job>      over a WebSocket
//   node watch.mjs http://127.0.0.1:8000/graphql <ID of the job>    over Server-Sent Events

import { setTimeout as sleep } from 'node:timers/promises';
import { createClient as createEventClient, NetworkError } from 'graphql-sse';
import { createClient as createSocketClient } from 'graphql-ws';
import WebSocket from 'ws'; // browsers, and Node from version 22, have one of their own

const QUERY = `
  subscription Watch($id: ID!, $after: String) {
    jobUpdated(id: $id, after: $after) {
      kind
      cursor
      job { status progress { fraction } images { url } failure { message } }
    }
  }
`;

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;

// After these, the same request would only fail again. 4403 may be worth a try with a new token.
const FATAL_CLOSE_CODES = [4400, 4401, 4403, 4406, 4409, 4429, 4500];

// What may be over soon, of what the server answers without a stream.
const PASSING_STATUSES = [408, 425, 429, 500, 502, 503, 504];

/** A client whose own retries are off: they would send the same `after` again. */
function createClient(url) {
  return url.startsWith('ws')
    ? createSocketClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 })
    : createEventClient({ url, retryAttempts: 0 });
}

/** Whether the server, or what is in front of it, says that it is no use to come back. */
function isFatal(error) {
  if (error instanceof NetworkError) return error.response ? !PASSING_STATUSES.includes(error.response.status) : false;
  if (typeof error?.code === 'number') return FATAL_CLOSE_CODES.includes(error.code); // a CloseEvent
  return Array.isArray(error) || error instanceof TypeError || error instanceof SyntaxError;
}

/** Exponential backoff; half of it is chance, so that not all clients of a server come back at once. */
function waitBefore(attempt) {
  const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** attempt);
  return longest / 2 + (Math.random() * longest) / 2;
}

/** Every event of a job. A new subscription takes the place of one that was cut, from the last event on. */
export async function* follow(client, id) {
  let after;
  let attempt = 0;
  for (;;) {
    try {
      for await (const result of client.iterate({ query: QUERY, variables: { id, after } })) {
        if (result.errors) throw result.errors;
        const event = result.data.jobUpdated;
        after = event.cursor;
        attempt = 0;
        yield event;
      }
      return; // completed by the server: the job has ended
    } catch (error) {
      if (isFatal(error)) throw error;
      await sleep(waitBefore(attempt++));
    }
  }
}

const [url, id] = process.argv.slice(2);
const client = createClient(url);
for await (const event of follow(client, id)) console.log(JSON.stringify(event));
await client.dispose();
