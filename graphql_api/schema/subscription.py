"""The live side.

A resolver that can refuse is a coroutine that checks and then returns the stream: only so does a refusal reach the
client as an `error` message rather than as an event without data.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry
from graphql import GraphQLError
from strawberry import ID, UNSET, argument

from graphql_api import metrics
from graphql_api.domain.errors import InvalidInput, JobNotFound, RequestRefused
from graphql_api.domain.events import JobEventKind
from graphql_api.domain.ids import as_job_id, key_of
from graphql_api.schema.context import Info
from graphql_api.schema.cursors import parse_event_cursor
from graphql_api.schema.errors import ErrorCode, top_level_error
from graphql_api.schema.inputs import GenerateImageInput, JobFilter, given, job_query
from graphql_api.schema.types import JobEvent
from graphql_api.service.watching import Events

_EVENTS_SENT = {kind: metrics.EVENTS_SENT.labels(kind.value.lower()) for kind in JobEventKind}

After = Annotated[str | None, argument(description="Cursor of the last event seen.")]


@strawberry.type(description="Live side of the API, over graphql-transport-ws or Server-Sent Events.")
class Subscription:
    @strawberry.subscription(
        description="Start a generation and follow it. `idempotencyKey` is required: a client that\n"
        "reconnects sends the operation again and is attached to the same job."
    )
    async def generate_image(
        self, info: Info, input: Annotated[GenerateImageInput, argument(description="What to generate.")]
    ) -> AsyncGenerator[JobEvent, None]:
        context = info.context
        if not context.may_write:
            raise GraphQLError("Starting a generation needs POST.", extensions={"code": ErrorCode.BAD_REQUEST})
        try:
            if not given(input.idempotency_key):
                raise InvalidInput("A subscription needs an idempotencyKey.", path=("idempotencyKey",))
            submitted = await context.jobs.submit(context.caller, input.to_domain())
            events = await context.watching.watch_job(context.caller_id, submitted.job.id)
        except RequestRefused as error:
            raise top_level_error(error) from error
        return _stream(events)

    @strawberry.subscription(
        description="Follow one job: first its state now (or, with `after`, what was missed), then\n"
        "every change. Completes by itself behind the event with a terminal status."
    )
    async def job_updated(
        self,
        info: Info,
        id: Annotated[ID, argument(description="ID of the job.")],
        after: After = UNSET,
    ) -> AsyncGenerator[JobEvent, None]:
        context, key = info.context, key_of("GenerationJob", id)
        job_id = None if key is None else as_job_id(key)
        try:
            if job_id is None:
                raise JobNotFound(path=("id",))
            events = await context.watching.watch_job(context.caller_id, job_id, after=parse_event_cursor(given(after)))
        except RequestRefused as error:
            raise top_level_error(error) from error
        return _stream(events)

    @strawberry.subscription(description="Follow all jobs of the caller; never completes by itself.")
    async def jobs_updated(
        self,
        info: Info,
        after: After = UNSET,
        filter: Annotated[JobFilter | None, argument(description="Narrow the stream.")] = UNSET,
    ) -> AsyncGenerator[JobEvent, None]:
        context = info.context
        events = await context.watching.watch_caller(
            context.caller_id, after=parse_event_cursor(given(after)), query=job_query(filter)
        )
        return _stream(events)


async def _stream(events: Events) -> AsyncGenerator[JobEvent, None]:
    async with aclosing(events):
        async for event in events:
            yield JobEvent.of(event)
            _EVENTS_SENT[event.kind].inc()
            # A stream may be idle for hours: it holds on to nothing meanwhile.
            del event
