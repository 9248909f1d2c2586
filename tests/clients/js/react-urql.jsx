// A page that generates images and shows how far they are: React and urql.

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { cacheExchange } from '@urql/exchange-graphcache';
import { createClient } from 'graphql-ws';
import { Client, Provider, fetchExchange, gql, subscriptionExchange, useMutation, useQuery, useSubscription } from 'urql';
import { patientFetch, resuming, signIn } from './connection.mjs';

const url = new URL('/graphql', window.location.href);

/** The token of now. Ask your sign-in library here, such as Auth0's `getAccessTokenSilently()`. */
async function getToken() {
  return window.sessionStorage.getItem('token');
}

const JOB_FIELDS = gql`
  fragment JobFields on GenerationJob {
    id
    status
    progress { fraction previewUrl }
    parameters { prompt }
    images { id url }
    failure { message }
  }
`;

const JOBS = gql`
  query Jobs {
    jobs(first: 10) { edges { node { ...JobFields } } }
  }
  ${JOB_FIELDS}
`;

const GENERATE = gql`
  mutation Generate($input: GenerateImageInput!) {
    generateImage(input: $input) {
      job { ...JobFields }
      errors { __typename ... on UserError { message } }
    }
  }
  ${JOB_FIELDS}
`;

const FOLLOW = gql`
  subscription Follow($id: ID!, $after: String) {
    jobUpdated(id: $id, after: $after) { cursor job { ...JobFields } }
  }
  ${JOB_FIELDS}
`;

/** Put a new job in front of the list in the cache. */
function showFirst(result, _arguments, cache) {
  const { job } = result.generateImage;
  if (!job) return;
  cache.updateQuery({ query: JOBS }, (shown) => {
    const edge = { __typename: 'GenerationJobEdge', node: job };
    return shown && { ...shown, jobs: { ...shown.jobs, edges: [edge, ...shown.jobs.edges] } };
  });
}

const partOfAnother = () => null;
const subscriptions = resuming(
  createClient({
    url: url.href.replace(/^http/, 'ws'),
    retryAttempts: 0,
    connectionParams: () => signIn(getToken),
  }),
);

const client = new Client({
  url: url.href,
  preferGetMethod: false, // the server refuses a GET that a link on another page could send
  fetch: patientFetch(getToken),
  exchanges: [
    cacheExchange({
      keys: {
        GenerationJobConnection: partOfAnother,
        GenerationJobEdge: partOfAnother,
        GenerationParameters: partOfAnother,
        JobEvent: partOfAnother,
        JobFailure: partOfAnother,
        JobProgress: partOfAnother,
      },
      updates: { Mutation: { generateImage: showFirst } },
    }),
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: (request) => ({
        subscribe: (sink) => ({ unsubscribe: subscriptions.subscribe(request, sink) }),
      }),
    }),
  ],
});

function App() {
  const [{ data, error }] = useQuery({ query: JOBS });
  const [generation, generate] = useMutation(GENERATE);

  function submit(event) {
    event.preventDefault();
    const prompt = event.currentTarget.elements.prompt.value;
    // The key makes it safe to send the request again when its answer was lost.
    generate({ input: { prompt, idempotencyKey: crypto.randomUUID() } });
  }

  const problem = error ?? generation.error ?? generation.data?.generateImage.errors[0];
  return (
    <main>
      <form onSubmit={submit}>
        <input name="prompt" defaultValue="a lighthouse over the ocean" />
        <button disabled={!data || generation.fetching}>Generate</button>
      </form>
      {problem && <p role="alert">{problem.message}</p>}
      {data?.jobs.edges.map(({ node }) => <Job key={node.id} job={node} />)}
    </main>
  );
}

/** A job. Its subscription writes into the cache, and what is shown comes from there. */
function Job({ job }) {
  const isOver = ['SUCCEEDED', 'FAILED', 'CANCELED'].includes(job.status);
  const [{ error }] = useSubscription({ query: FOLLOW, variables: { id: job.id }, pause: isOver });
  const picture = job.images[0]?.url ?? job.progress.previewUrl;
  const problem = error ?? job.failure;
  return (
    <article>
      <p role="status">{job.status}</p>
      {!isOver && <progress value={job.progress.fraction} />}
      {picture && <img src={new URL(picture, url).href} alt={job.parameters.prompt} />}
      {problem && <p role="alert">{problem.message}</p>}
    </article>
  );
}

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <Provider value={client}>
      <App />
    </Provider>
  </StrictMode>,
);
