"""GraphQL over HTTP, and what tests ask for again and again."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any

import httpx

from tests.clients.waiting import PATIENCE_SECONDS, eventually

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
FINAL = ("SUCCEEDED", "FAILED", "CANCELED")
SMALL = {"dimensions": {"width": 64, "height": 64}}

JOB_FIELDS = """
fragment JobFields on GenerationJob {
  id status queuePosition cancelOutcome reference createdAt startedAt finishedAt
  failure { code message retryable }
  progress { fraction phase step totalSteps basis previewUrl }
  parameters { prompt negativePrompt renderedPrompt width height steps seed count guidanceScale format style { name } }
  images { id url thumbnailUrl sha256 width height sizeBytes format seed }
}
"""
GENERATE = (
    """
mutation Generate($input: GenerateImageInput!) {
  generateImage(input: $input) {
    job { ...JobFields }
    errors {
      __typename
      ... on UserError { message path }
      ... on IdempotencyConflictError { existingJobId }
      ... on QueueFullError { retryAfterSeconds }
    }
  }
}
"""
    + JOB_FIELDS
)
JOB = "query Job($id: ID!) { job(id: $id) { ...JobFields } }" + JOB_FIELDS
CANCEL = (
    "mutation Cancel($id: ID!) { cancelJob(input: {id: $id}) {"
    " job { ...JobFields } errors { __typename ... on UserError { message path } } } }" + JOB_FIELDS
)
DELETE = (
    "mutation Delete($id: ID!) { deleteJob(input: {id: $id}) {"
    " deletedJobId errors { __typename ... on UserError { message path } } } }"
)
ACTIVE = "{ jobs(first: 100, filter: {statuses: [QUEUED, RUNNING]}) { edges { node { id } } } }"
TOTAL = "query Total($filter: JobFilter) { jobs(first: 0, filter: $filter) { totalCount } }"


class Api:
    """A client of one server."""

    def __init__(self, origin: str) -> None:
        # No TLS is spoken here, and loading the certificates would take longer than most tests.
        self.http = httpx.AsyncClient(base_url=origin, timeout=PATIENCE_SECONDS, trust_env=False, verify=False)

    async def __aenter__(self) -> Api:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def post(
        self, body: object, *, accept: str | None = JSON, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """POST a JSON value, or bytes as they are."""
        request = self.http.build_request(
            "POST",
            "/graphql",
            headers={"Content-Type": JSON, **({} if accept is None else {"Accept": accept}), **(headers or {})},
            **({"content": body} if isinstance(body, bytes) else {"json": body}),
        )
        if accept is None:
            del request.headers["Accept"]
        return await self.http.send(request)

    async def get(
        self, parameters: dict[str, str], *, accept: str = JSON, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """GET, with the header that the server wants to see."""
        given = {"GraphQL-Require-Preflight": "1"} if headers is None else headers
        return await self.http.get("/graphql", params=parameters, headers={"Accept": accept, **given})

    async def graphql(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """The whole answer."""
        answer = (await self.post({"query": query, "variables": variables})).json()
        assert isinstance(answer, dict)
        return answer

    async def data(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """The data of an answer that must not have errors."""
        answer = await self.graphql(query, variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def try_to_generate(self, **fields: Any) -> dict[str, Any]:
        """The payload of generateImage. Small and quick, where `fields` do not say otherwise."""
        given = {"prompt": "a lighthouse", "size": SMALL, "steps": 1, **fields}
        payload: dict[str, Any] = (await self.data(GENERATE, {"input": given}))["generateImage"]
        return payload

    async def generate(self, **fields: Any) -> dict[str, Any]:
        """A job that was accepted."""
        payload = await self.try_to_generate(**fields)
        assert payload["errors"] == []
        job: dict[str, Any] = payload["job"]
        return job

    async def job(self, job_id: str) -> dict[str, Any] | None:
        """A job as it is now."""
        found: dict[str, Any] | None = (await self.data(JOB, {"id": job_id}))["job"]
        return found

    async def job_when(self, job_id: str, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """A job as soon as it meets a condition."""

        async def look() -> dict[str, Any] | None:
            job = await self.job(job_id)
            assert job is not None, "the job is gone"
            return job if condition(job) else None

        found: dict[str, Any] = await eventually(look)
        return found

    async def finished(self, job_id: str) -> dict[str, Any]:
        """A job as it ended."""
        return await self.job_when(job_id, lambda job: job["status"] in FINAL)

    async def running(self, job_id: str) -> dict[str, Any]:
        """A job as soon as it runs; it must not be over by then."""
        job = await self.job_when(job_id, lambda job: job["status"] != "QUEUED")
        assert job["status"] == "RUNNING"
        return job

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """The payload of cancelJob."""
        payload: dict[str, Any] = (await self.data(CANCEL, {"id": job_id}))["cancelJob"]
        return payload

    async def delete(self, job_id: str) -> dict[str, Any]:
        """The payload of deleteJob."""
        payload: dict[str, Any] = (await self.data(DELETE, {"id": job_id}))["deleteJob"]
        return payload

    async def total(self, **job_filter: Any) -> int:
        """How many jobs there are."""
        total: int = (await self.data(TOTAL, {"filter": job_filter}))["jobs"]["totalCount"]
        return total

    async def cancel_everything(self) -> None:
        """Leave no work behind for the next test."""
        while edges := (await self.data(ACTIVE))["jobs"]["edges"]:
            for edge in edges:
                await self.cancel(edge["node"]["id"])


def new_key() -> str:
    """An idempotency key that nobody has used."""
    return secrets.token_hex(16)


def codes_of(answer: dict[str, Any]) -> list[str]:
    """The codes of the errors of an answer."""
    return [error["extensions"]["code"] for error in answer["errors"]]
