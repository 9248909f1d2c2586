// Apollo Client: HttpLink for queries and mutations, GraphQLWsLink for subscriptions, a cache by ID.
//
//   node apollo.mjs http://127.0.0.1:8000/graphql session
//   node apollo.mjs http://127.0.0.1:8000/graphql follow <ID of a job>
//
// `session` prints what was seen as one object, `follow` an event a line.

import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import { patientFetch, resuming, signIn } from './connection.mjs';
import { FOLLOW, GENERATE, INPUT, INVALID, JOB, MODELS, NODES, possibleTypes } from './operations.mjs';

const [url, action, id] = process.argv.slice(2);
const getToken = async () => undefined;

const sockets = createClient({
  url: url.replace(/^http/, 'ws'),
  retryAttempts: 0,
  connectionParams: () => signIn(getToken),
});
const client = new ApolloClient({
  link: ApolloLink.split(
    ({ operationType }) => operationType === 'subscription',
    new GraphQLWsLink(resuming(sockets)),
    new HttpLink({ uri: url, fetch: patientFetch(getToken) }),
  ),
  cache: new InMemoryCache({ possibleTypes: await possibleTypes(url) }),
});

/** Call `onEvent` with every event of a job, and return when its subscription completes. */
function follow(jobId, onEvent) {
  return new Promise((resolve, reject) => {
    client.subscribe({ query: gql(FOLLOW), variables: { id: jobId } }).subscribe({
      next: ({ data, error }) => (error ? reject(error) : onEvent(data.jobUpdated)),
      error: reject,
      complete: resolve,
    });
  });
}

async function session() {
  const { models, styles } = (await client.query({ query: gql(MODELS) })).data;
  const generate = async (input) => (await client.mutate({ mutation: gql(GENERATE), variables: { input } })).data;
  const refused = (await generate({ prompt: '' })).generateImage;
  const made = (await generate(INPUT)).generateImage;

  // A query that is only ever answered by the network once: the events of the subscription move what it shows.
  const watched = client.watchQuery({ query: gql(JOB), variables: { id: made.job.id } });
  const succeeded = new Promise((resolve) => {
    watched.subscribe(({ data }) => data?.job?.status === 'SUCCEEDED' && resolve(data.job));
  });
  const events = [];
  await follow(made.job.id, (event) => events.push(event));
  const shown = await succeeded;

  const ids = [made.job.id, models[0].id, styles[0].id, shown.images[0].id, 'nobody'];
  const { nodes } = (await client.query({ query: gql(NODES), variables: { ids } })).data;
  const cached = client.readQuery({ query: gql(NODES), variables: { ids } });
  const invalid = await client.query({ query: gql(INVALID) }).catch((error) => error);
  return {
    models,
    refused,
    made,
    events,
    shown,
    nodes,
    nodesInCache: cached?.nodes,
    invalid: CombinedGraphQLErrors.is(invalid) && invalid.errors[0].extensions.code,
  };
}

if (action === 'session') console.log(JSON.stringify(await session()));
else await follow(id, (event) => console.log(JSON.stringify(event)));
client.stop();
await sockets.dispose();
