// A page that generates images and shows how far they are: React and Apollo Client.

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { ApolloProvider, useMutation, useQuery, useSubscription } from '@apollo/client/react';
import { createClient } from 'graphql-ws';
import { patientFetch, resuming, signIn } from './connection.mjs';

const url = new URL('/graphql', window.location.href);

/** The token of now. Ask your sign-in library here, such as Auth0's `getAccessTokenSilently()`. */
async function getToken() {
  return window.sessionStorage.getItem('token');
}

const sockets = createClient({
  url: url.href.replace(/^http/, 'ws'),
  retryAttempts: 0,
  connectionParams: () => signIn(getToken),
});

const client = new ApolloClient({
  link: ApolloLink.split(
    ({ operationType }) => operationType === 'subscription',
    new GraphQLWsLink(resuming(sockets)),
    new HttpLink({ uri: url.href, fetch: patientFetch(getToken) }),
  ),
  cache: new InMemoryCache({ possibleTypes: { Node: ['GenerationJob', 'Image', 'Model', 'Style'] } }),
});

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

function App() {
  const { data, error } = useQuery(JOBS);
  const [generate, generation] = useMutation(GENERATE, {
    update: (cache, result) => showFirst(cache, result.data.generateImage.job),
    onError: () => {}, // it is in `generation.error`
  });

  function submit(event) {
    event.preventDefault();
    const prompt = event.currentTarget.elements.prompt.value;
    // The key makes it safe to send the request again when its answer was lost.
    generate({ variables: { input: { prompt, idempotencyKey: crypto.randomUUID() } } });
  }

  const problem = error ?? generation.error ?? generation.data?.generateImage.errors[0];
  return (
    <main>
      <form onSubmit={submit}>
        <input name="prompt" defaultValue="a lighthouse over the ocean" />
        <button disabled={!data || generation.loading}>Generate</button>
      </form>
      {problem && <p role="alert">{problem.message}</p>}
      {data?.jobs.edges.map(({ node }) => <Job key={node.id} job={node} />)}
    </main>
  );
}

/** A job. Its subscription writes into the cache, and what is shown comes from there. */
function Job({ job }) {
  const isOver = ['SUCCEEDED', 'FAILED', 'CANCELED'].includes(job.status);
  const { error } = useSubscription(FOLLOW, { variables: { id: job.id }, skip: isOver, ignoreResults: true });
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

/** Put a new job in front of the list in the cache. */
function showFirst(cache, job) {
  if (!job) return;
  cache.updateQuery({ query: JOBS }, (shown) => {
    const edge = { __typename: 'GenerationJobEdge', node: job };
    return shown && { jobs: { ...shown.jobs, edges: [edge, ...shown.jobs.edges] } };
  });
}

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <ApolloProvider client={client}>
      <App />
    </ApolloProvider>
  </StrictMode>,
);
