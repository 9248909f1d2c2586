"""The GraphQL operations of the command line."""

from __future__ import annotations

_JOB = """
fragment JobFields on GenerationJob {
  id status queuePosition cancelOutcome createdAt finishedAt cost
  model { name }
  progress { phase fraction step totalSteps etaSeconds previewUrl }
  parameters {
    prompt negativePrompt renderedPrompt width height steps guidanceScale seed count format style { name }
  }
  images { url format width height sizeBytes seed sha256 }
  withheld { index code message }
  failure { code message retryable }
}
"""
_EVENT = "kind cursor occurredAt jobId job { ...JobFields }"
_ERRORS = "errors { __typename ... on UserError { message } "

GENERATE = (
    "mutation Generate($input: GenerateImageInput!) { generateImage(input: $input) { job { id } "
    + _ERRORS
    + "... on QueueFullError { retryAfterSeconds } ... on RateLimitedError { retryAfterSeconds } "
    "... on BudgetExceededError { retryAfterSeconds } } } }"
)
CANCEL = (
    "mutation Cancel($id: ID!) { cancelJob(input: {id: $id}) { job { id status cancelOutcome } " + _ERRORS + "} } }"
)
FOLLOW_JOB = (
    "subscription FollowJob($id: ID!, $after: String) { jobUpdated(id: $id, after: $after) { " + _EVENT + " } }" + _JOB
)
FOLLOW_ALL = "subscription FollowAll($after: String) { jobsUpdated(after: $after) { " + _EVENT + " } }" + _JOB
HISTORY = (
    "query History($first: Int!, $after: String, $filter: JobFilter) { jobs(first: $first, after: $after, "
    "filter: $filter) { edges { node { ...JobFields } } pageInfo { endCursor hasNextPage } } }" + _JOB
)
STYLES = "query Styles { styles { name } }"
MODELS = "query Models { models { name } }"
