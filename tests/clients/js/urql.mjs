// urql: fetchExchange for queries and mutations, subscriptionExchange with graphql-ws, Graphcache by ID.
//
//   node urql.mjs http://127.0.0.1:8000/graphql session
//   node urql.mjs http://127.0.0.1:8000/graphql follow <ID of a job>
//
// `session` prints what was seen as one object, `follow` an event a line.

import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { getIntrospectionQuery } from 'graphql';
import { createClient } from 'graphql-ws';
import { onEnd, pipe, subscribe } from 'wonka';
import { patientFetch, resuming, signIn } from './connection.mjs';
import { FOLLOW, GENERATE, INPUT, INVALID, JOB, MODELS, NODES } from './operations.mjs';

const [url, action, id] = process.argv.slice(2);
const getToken = async () => undefined;

const introspection = await new Client({ url, exchanges: [fetchExchange], preferGetMethod: false }).query(
  getIntrospectionQuery(),
  {},
);
const sockets = createClient({
  url: url.replace(/^http/, 'ws'),
  retryAttempts: 0,
  connectionParams: () => signIn(getToken),
});
const subscriptions = resuming(sockets);
const client = new Client({
  url,
  preferGetMethod: false, // a GET would need a header, see docs/clients/reconnecting.md
  fetch: patientFetch(getToken),
  exchanges: [
    // JobProgress, JobEvent and the payloads are parts of something else, and have no ID of their own.
    cacheExchange({
      schema: introspection.data,
      keys: { JobProgress: () => null, JobEvent: () => null },
    }),
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: (request) => ({
        subscribe: (sink) => ({ unsubscribe: subscriptions.subscribe(request, sink) }),
      }),
    }),
  ],
});

/** Call `onEvent` with every event of a job, and return when its subscription completes. */
function follow(jobId, onEvent, over = client) {
  return new Promise((resolve, reject) => {
    pipe(
      over.subscription(FOLLOW, { id: jobId }),
      onEnd(resolve),
      subscribe(({ data, error, hasNext }) => {
        if (error) reject(error);
        // At the end urql tells the last result once more, without a next one.
        else if (hasNext) onEvent(data.jobUpdated);
      }),
    );
  });
}

async function session() {
  const { models, styles } = (await client.query(MODELS, {})).data;
  const generate = async (input) => (await client.mutation(GENERATE, { input })).data;
  const refused = (await generate({ prompt: '' })).generateImage;
  const made = (await generate(INPUT)).generateImage;

  // A query that is only ever answered by the network once: the events of the subscription move what it shows.
  const succeeded = new Promise((resolve) => {
    client.query(JOB, { id: made.job.id }).subscribe(({ data }) => {
      if (data?.job?.status === 'SUCCEEDED') resolve(data.job);
    });
  });
  const events = [];
  await follow(made.job.id, (event) => events.push(event));
  const shown = await succeeded;

  // Without sockets: fetchExchange takes Server-Sent Events too.
  const streams = new Client({ url, exchanges: [fetchExchange], preferGetMethod: false, fetchSubscriptions: true });
  const eventsByFetch = [];
  const other = (await generate(INPUT)).generateImage;
  await follow(other.job.id, (event) => eventsByFetch.push(event), streams);

  const ids = [made.job.id, models[0].id, styles[0].id, shown.images[0].id, 'nobody'];
  const { nodes } = (await client.query(NODES, { ids })).data;
  const cached = client.readQuery(NODES, { ids }, { requestPolicy: 'cache-only' });
  const invalid = await client.query(INVALID, {});
  return {
    models,
    refused,
    made,
    events,
    eventsByFetch,
    shown,
    nodes,
    nodesInCache: cached?.data?.nodes,
    invalid: invalid.error?.graphQLErrors[0]?.extensions.code,
  };
}

if (action === 'session') console.log(JSON.stringify(await session()));
else await follow(id, (event) => console.log(JSON.stringify(event)));
await sockets.dispose();
process.exit(); // a query that is watched keeps it here
