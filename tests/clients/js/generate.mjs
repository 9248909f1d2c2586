// Generates an image and follows the job to its end, whatever happens to the connection in between. Prints its events.
//
//   node generate.mjs ws://127.0.0.1:8000/graphql generate '{"prompt": "a lighthouse"}'
//   node generate.mjs ws://127.0.0.1:8000/graphql follow <ID of the job>
//
// With http:// instead of ws:// the events come as Server-Sent Events. TEXT2IMAGE_TOKEN_FILE names a file with the token,
// where the server wants one.

import { readFile } from 'node:fs/promises';
import { createClient as createEventClient } from 'graphql-sse';
import { createClient as createSocketClient } from 'graphql-ws';
import { patientFetch, resuming, signIn } from './connection.mjs';

const GENERATE = `
  mutation Generate($input: GenerateImageInput!) {
    generateImage(input: $input) {
      job { id }
      errors { __typename ... on UserError { message path } }
    }
  }
`;

const FOLLOW = `
  subscription Follow($id: ID!, $after: String) {
    jobUpdated(id: $id, after: $after) {
      kind
      cursor
      job { status progress { fraction } images { url } failure { message } }
    }
  }
`;

/** The token of now; read each time, since whoever renews it writes a new one. */
async function getToken() {
  const file = process.env.TEXT2IMAGE_TOKEN_FILE;
  return file ? (await readFile(file, 'utf8')).trim() : undefined;
}

/** Queue a job. Its ID, or an Error that says what is wrong with the input. */
async function generate(url, input) {
  const variables = { input: { idempotencyKey: crypto.randomUUID(), ...input } };
  const response = await patientFetch(getToken)(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query: GENERATE, variables }),
  });
  const { data, errors } = await response.json();
  const problems = errors ?? data.generateImage.errors;
  if (problems.length) throw new Error(JSON.stringify(problems));
  return data.generateImage.job.id;
}

/** Call `onEvent` with every event of a job, and return when the job has ended. */
async function follow(url, id, onEvent) {
  const client = url.startsWith('ws')
    ? createSocketClient({ url, retryAttempts: 0, connectionParams: () => signIn(getToken) })
    : createEventClient({ url, retryAttempts: 0, headers: () => signIn(getToken) });
  await new Promise((resolve, reject) => {
    resuming(client).subscribe(
      { query: FOLLOW, variables: { id } },
      { next: (result) => onEvent(result.data.jobUpdated), error: reject, complete: resolve },
    );
  });
  await client.dispose();
}

const [url, action, argument] = process.argv.slice(2);
const id = action === 'follow' ? argument : await generate(url.replace(/^ws/, 'http'), JSON.parse(argument));
await follow(url, id, (event) => console.log(JSON.stringify(event)));
