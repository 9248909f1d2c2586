"""Compiled selections give what graphql-core gives, or give up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import parse
from graphql.execution import execute_subscription_event
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from graphql_api.bootstrap import SKETCH
from graphql_api.domain.errors import ModelFailed
from graphql_api.domain.events import JobEvent, JobEventKind
from graphql_api.domain.generation import ModelAvailability
from graphql_api.domain.job import CancelOutcome, Job
from graphql_api.schema import schema
from graphql_api.schema.limits import operations_of
from graphql_api.schema.plans import plan_for
from graphql_api.schema.types import JobEvent as EventType
from tests.contract.sample_jobs import NOON, a_job, an_image

EVERYTHING = """
subscription Everything { jobUpdated(id: "x") {
  kind cursor jobId occurredAt __typename
  job {
    id status createdAt startedAt finishedAt expiresAt reference cancelOutcome queuePosition
    model { id name description license isDefault availability
            defaults { width height steps guidanceScale }
            limits { maxCount maxDimension maxPromptLength maxSteps sizeMultiple } }
    parameters { prompt renderedPrompt negativePrompt width height steps guidanceScale seed count format
                 style { id name keywords } }
    progress { basis fraction phase previewUrl step totalSteps etaSeconds }
    timings { queueSeconds inferenceSeconds storeSeconds totalSeconds }
    failure { code message retryable }
    images { id url thumbnailUrl width height format sizeBytes sha256 blurHash seed }
    withheld { index code message }
  }
} }
"""

SHAPES = [
    EVERYTHING,
    "subscription { jobUpdated(id: 1) { a: kind b: kind job { s: status } } }",
    "subscription { jobUpdated(id: 1) { ...E job { ...J ... { progress { step } } } } }"
    " fragment E on JobEvent { cursor job { id } }"
    " fragment J on GenerationJob { ...N progress { fraction } images { ...N url } }"
    " fragment N on Node { id __typename }",
    "subscription { alias: jobUpdated(id: 1) { job { ... on Node { id ... on Image { url } } status } } }",
    "subscription { jobUpdated(id: 1) { job { images { id } images { url } } job { images { id width } } } }",
]

UNKNOWN_SHAPES = [
    "subscription($v: Boolean!) { jobUpdated(id: 1) { kind @include(if: $v) } }",
    "subscription { jobUpdated(id: 1) { ... @skip(if: false) { kind } } }",
    "subscription { jobUpdated(id: 1) { ...F @include(if: true) } } fragment F on JobEvent { kind }",
]


class Images:
    async def url_for(self, key: str) -> str:
        return f"/{key}"


class Jobs:
    """As much of the service as the resolvers of an event ask for."""

    images = Images()

    async def queue_position(self, job: Job) -> int | None:
        return 3 if not job.is_final else None

    async def eta_seconds(self, job: Job) -> float | None:
        return 1.5


class Models:
    def find(self, name: str) -> Any:
        return SimpleNamespace(model=SKETCH) if name == "sketch" else None

    async def availability(self, name: str) -> ModelAvailability:
        return ModelAvailability.READY


CONTEXT: Any = SimpleNamespace(jobs=Jobs(), models=Models(), caller_id="alice", request_id="r")

QUEUED = replace(a_job(), reference="mine")
RUNNING = QUEUED.claimed(at=NOON + timedelta(seconds=1))
STATES = [
    QUEUED,
    RUNNING,
    RUNNING.succeeded((an_image(0), an_image(1)), answered_at=NOON, at=NOON + timedelta(seconds=3)),
    RUNNING.failed(ModelFailed("It broke."), at=NOON),
    RUNNING.canceled(CancelOutcome.STOPPED, at=NOON),
    replace(QUEUED, model_name="gone"),
    None,
]


def an_event(job: Job | None) -> EventType:
    kind = JobEventKind.DELETED if job is None else JobEventKind.STATUS
    return EventType.of(JobEvent(kind=kind, job_id=QUEUED.id, job=job, revision=5, occurred_at=NOON))


async def by_graphql_core(query: str, event: Any, context: Any) -> Any:
    executor = StrawberryGraphQLCoreExecutionContext.build(
        schema._schema, parse(query), None, context, None, None, operation_extensions=None
    )
    assert not isinstance(executor, list)
    result = execute_subscription_event(executor.build_per_event_executor(event))
    return await result if not hasattr(result, "data") else result


def plan_of(query: str) -> Any:
    document = parse(query)
    return plan_for(schema._schema, document, next(operations_of(document)))


@pytest.mark.parametrize("job", STATES, ids=lambda job: job.status if job else "deleted")
@pytest.mark.parametrize("query", SHAPES)
async def test_a_plan_gives_what_graphql_core_gives(query: str, job: Job | None) -> None:
    expected = await by_graphql_core(query, an_event(job), CONTEXT)
    plan = plan_of(query)

    assert schema._documents.read(query).errors == ()
    assert plan is not None
    assert expected.errors is None
    assert await plan.execute(an_event(job), CONTEXT) == expected.data


async def test_the_order_of_the_fields_is_that_of_the_selection() -> None:
    data = await plan_of(EVERYTHING).execute(an_event(QUEUED), CONTEXT)
    expected = await by_graphql_core(EVERYTHING, an_event(QUEUED), CONTEXT)

    assert list(data["jobUpdated"]["job"]) == list(expected.data["jobUpdated"]["job"])


@pytest.mark.parametrize("query", UNKNOWN_SHAPES)
def test_what_plans_do_not_know_is_left_to_graphql_core(query: str) -> None:
    assert schema._documents.read(query).errors == ()
    assert plan_of(query) is None


async def test_a_plan_gives_up_where_a_resolver_fails() -> None:
    class Broken(Jobs):
        async def eta_seconds(self, job: Job) -> float | None:
            raise RuntimeError("no database")

    context = SimpleNamespace(**{**vars(CONTEXT), "jobs": Broken()})

    assert await plan_of(EVERYTHING).execute(an_event(QUEUED), context) is None


async def test_a_plan_gives_up_where_a_required_value_is_missing() -> None:
    event = an_event(None)
    event.cursor = None  # type: ignore[assignment]

    assert await plan_of("subscription { jobUpdated(id: 1) { cursor } }").execute(event, CONTEXT) is None
