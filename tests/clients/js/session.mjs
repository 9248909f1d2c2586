// What a client of either protocol must be able to do, through the `subscribe` that graphql-ws and graphql-sse share.

/** All results of an operation, and how it ended: {results, error}. */
export function run(client, query, variables, operationName) {
  return new Promise((resolve) => {
    const results = [];
    client.subscribe(
      { query, variables, operationName },
      {
        next: (result) => results.push(result),
        error: (error) => resolve({ results, error: Array.isArray(error) ? error : String(error) }),
        complete: () => resolve({ results }),
      },
    );
  });
}

/** The first result of a subscription, which is left then. */
export async function firstOf(client, query, variables) {
  for await (const result of client.iterate({ query, variables })) return result;
}

const QUERY = '{ models { name } }';

const GENERATE = `
  mutation Generate($input: GenerateImageInput!) {
    generateImage(input: $input) { job { id } errors { __typename } }
  }
`;

const FOLLOW = 'subscription Follow($id: ID!) { jobUpdated(id: $id) { kind job { status } } }';

/** Everything, one after the other, and then at once. The keys say what was done. */
export async function session(client) {
  const input = (steps) => ({ input: { prompt: 'a lighthouse', steps, size: { dimensions: { width: 64, height: 64 } } } });
  const seen = {
    query: await run(client, QUERY),
    mutation: await run(client, GENERATE, input(10)),
    refusedMutation: await run(client, GENERATE, { input: { prompt: '' } }),
  };
  const id = seen.mutation.results[0].data.generateImage.job.id;
  seen.leftEarly = await firstOf(client, FOLLOW, { id });
  const [subscription, syntaxError, validationError, coercionError, unknownOperation, noSuchJob, otherQuery] =
    await Promise.all([
      run(client, FOLLOW, { id }),
      run(client, '{ models { name }'),
      run(client, '{ notThere }'),
      run(client, FOLLOW, {}),
      run(client, 'query One { __typename } query Two { __typename }', undefined, 'Three'),
      run(client, FOLLOW, { id: 'no-such-job' }),
      run(client, QUERY),
    ]);
  return {
    ...seen,
    subscription,
    syntaxError,
    validationError,
    coercionError,
    unknownOperation,
    noSuchJob,
    otherQuery,
    afterwards: await run(client, QUERY),
  };
}
