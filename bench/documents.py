"""The GraphQL documents that both sides run."""

GENERATE = (
    "mutation($input: GenerateImageInput!) { generateImage(input: $input) {"
    " job { id status createdAt parameters { seed width height } }"
    " errors { __typename ... on UserError { message } } } }"
)

WATCH = (
    "subscription($id: ID!) { jobUpdated(id: $id) { kind cursor occurredAt job { id status"
    " progress { fraction step totalSteps phase } images { url thumbnailUrl width height } } } }"
)
