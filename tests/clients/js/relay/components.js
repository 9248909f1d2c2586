// The GraphQL of a few components, for relay-compiler: it knows what a Relay schema must have.

import { graphql } from 'react-relay';

export const page = graphql`
  query componentsPageQuery($count: Int!) {
    ...components_jobs @arguments(count: $count)
    models {
      id
      name
    }
  }
`;

export const jobs = graphql`
  fragment components_jobs on Query
  @refetchable(queryName: "componentsJobsPaginationQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" }) {
    jobs(first: $count, after: $cursor) @connection(key: "components_jobs") {
      edges {
        node {
          ...components_job
        }
      }
    }
  }
`;

export const job = graphql`
  fragment components_job on GenerationJob @refetchable(queryName: "componentsJobRefetchQuery") {
    id
    status
    progress {
      fraction
    }
    images {
      id
      url
    }
  }
`;

export const generate = graphql`
  mutation componentsGenerateMutation($input: GenerateImageInput!, $connections: [ID!]!) {
    generateImage(input: $input) {
      job @prependNode(connections: $connections, edgeTypeName: "GenerationJobEdge") {
        ...components_job
      }
      errors {
        __typename
        ... on UserError {
          message
        }
      }
    }
  }
`;

export const remove = graphql`
  mutation componentsDeleteMutation($input: DeleteJobInput!, $connections: [ID!]!) {
    deleteJob(input: $input) {
      deletedJobId @deleteEdge(connections: $connections) @deleteRecord
    }
  }
`;

export const follow = graphql`
  subscription componentsJobSubscription($id: ID!, $after: String) {
    jobUpdated(id: $id, after: $after) {
      cursor
      job {
        ...components_job
      }
    }
  }
`;

export const followAll = graphql`
  subscription componentsJobsSubscription($after: String, $connections: [ID!]!) {
    jobsUpdated(after: $after) {
      cursor
      kind
      jobId @deleteRecord
      job @prependNode(connections: $connections, edgeTypeName: "GenerationJobEdge") {
        ...components_job
      }
    }
  }
`;
