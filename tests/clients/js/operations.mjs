// What Apollo Client and urql are asked to do.

export const MODELS = `query Models { models { __typename id name isDefault } styles { __typename id name } }`;

export const GENERATE = `
  mutation Generate($input: GenerateImageInput!) {
    generateImage(input: $input) {
      job { __typename id status }
      errors {
        __typename
        ... on UserError { message path }
        ... on QueueFullError { retryAfterSeconds }
      }
    }
  }
`;

export const JOB = `query Job($id: ID!) { job(id: $id) { __typename id status images { __typename id url } } }`;

export const FOLLOW = `
  subscription Follow($id: ID!, $after: String) {
    jobUpdated(id: $id, after: $after) {
      __typename
      kind
      cursor
      job { __typename id status progress { __typename fraction } images { __typename id url } }
    }
  }
`;

export const NODES = `
  query Nodes($ids: [ID!]!) {
    nodes(ids: $ids) {
      __typename
      id
      ... on GenerationJob { status }
      ... on Model { name }
      ... on Style { keywords }
      ... on Image { format }
    }
  }
`;

export const INVALID = `query Invalid { notThere }`;

export const INPUT = { prompt: 'a lighthouse', steps: 10, size: { dimensions: { width: 64, height: 64 } } };

/** Which types each interface and union of the schema has. */
export async function possibleTypes(url) {
  const query = '{ __schema { types { name possibleTypes { name } } } }';
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  const { data } = await response.json();
  const abstract = data.__schema.types.filter((type) => type.possibleTypes);
  return Object.fromEntries(abstract.map((type) => [type.name, type.possibleTypes.map(({ name }) => name)]));
}
