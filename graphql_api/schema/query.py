"""The read side."""

from __future__ import annotations

from typing import Annotated

import strawberry
from graphql import GraphQLError
from strawberry import ID, UNSET, argument

from graphql_api.domain.errors import RequestRefused
from graphql_api.domain.ids import as_job_id, key_of, parse_global_id, parse_image_key
from graphql_api.domain.styles import STYLES
from graphql_api.ports import PageRequest
from graphql_api.schema.context import Context, Info
from graphql_api.schema.cursors import parse_job_cursor
from graphql_api.schema.errors import ErrorCode, EstimateError, user_error
from graphql_api.schema.inputs import GenerateImageInput, JobFilter, given, job_query
from graphql_api.schema.types import (
    GenerationEstimate,
    GenerationJob,
    GenerationJobConnection,
    Image,
    Model,
    Node,
    Style,
    Viewer,
    WebhookDelivery,
)

DEFAULT_PAGE_JOBS = 20
MAX_PAGE_JOBS = 100
MAX_NODES = 100


@strawberry.type(description="Result of estimate.")
class EstimatePayload:
    estimate: GenerationEstimate | None = strawberry.field(
        default=None, description="The estimate; null when `errors` is not empty."
    )
    errors: list[EstimateError] = strawberry.field(
        default_factory=list, description="Why the input would be refused; empty on success."
    )


@strawberry.type(description="Read side of the API.")
class Query:
    @strawberry.field(description="Who asks, what they may use, and what they have used.")
    def viewer(self, info: Info) -> Viewer:
        return Viewer.of(info.context.caller)

    @strawberry.field(description="What a generation would take and cost, without starting it.")
    async def estimate(
        self, info: Info, input: Annotated[GenerateImageInput, argument(description="What would be generated.")]
    ) -> EstimatePayload:
        try:
            estimate = await info.context.jobs.estimate(input.to_domain())
        except RequestRefused as error:
            return EstimatePayload(errors=[user_error(error)])
        return EstimatePayload(estimate=GenerationEstimate.of(estimate))

    @strawberry.field(description="One job of the caller, or null when there is none with this ID.")
    async def job(self, info: Info, id: Annotated[ID, argument(description="ID of the job.")]) -> GenerationJob | None:
        return await _find_job(info.context, key_of("GenerationJob", id))

    @strawberry.field(description="Jobs of the caller, newest first.")
    async def jobs(
        self,
        info: Info,
        first: Annotated[
            int | None,
            argument(
                description="How many to return from the start; capped at 100, 20 when neither first nor last is given."
            ),
        ] = UNSET,
        after: Annotated[str | None, argument(description="Return jobs behind this cursor.")] = UNSET,
        last: Annotated[int | None, argument(description="How many to return from the end; capped at 100.")] = UNSET,
        before: Annotated[str | None, argument(description="Return jobs before this cursor.")] = UNSET,
        filter: Annotated[JobFilter | None, argument(description="Narrow the list.")] = UNSET,
    ) -> GenerationJobConnection:
        query = job_query(filter)
        page = _page_request(first=given(first), last=given(last), after=given(after), before=given(before))
        return GenerationJobConnection.of(await info.context.jobs.page(info.context.caller_id, query, page), query)

    @strawberry.field(description="One model, or null when there is none with this ID.")
    def model(self, info: Info, id: Annotated[ID, argument(description="ID of the model.")]) -> Model | None:
        return _find_model(info.context, key_of("Model", id))

    @strawberry.field(description="Every model this server can run; the default comes first.")
    def models(self, info: Info) -> list[Model]:
        return [Model.of(runnable.model) for runnable in info.context.models]

    @strawberry.field(description="Every style this server knows.")
    def styles(self) -> list[Style]:
        return [Style.of(style) for style in STYLES.values()]

    @strawberry.field(description="Any object by its ID, or null.")
    async def node(self, info: Info, id: Annotated[ID, argument(description="ID of the object.")]) -> Node | None:
        return await _find_node(info.context, id)

    @strawberry.field(description="Objects by their IDs, in the same order; null where there is none.")
    async def nodes(
        self, info: Info, ids: Annotated[list[ID], argument(description="IDs of the objects; at most 100.")]
    ) -> list[Node | None]:
        if len(ids) > MAX_NODES:
            raise GraphQLError(f"At most {MAX_NODES} IDs.", extensions={"code": ErrorCode.BAD_USER_INPUT})
        return [await _find_node(info.context, each) for each in ids]


def _page_request(*, first: int | None, last: int | None, after: str | None, before: str | None) -> PageRequest:
    """`first` wins over `last`; both are brought between 0 and the cap rather than refused."""
    from_end = first is None and last is not None
    asked = last if from_end else first
    return PageRequest(
        limit=DEFAULT_PAGE_JOBS if asked is None else max(0, min(asked, MAX_PAGE_JOBS)),
        after=parse_job_cursor(after),
        before=parse_job_cursor(before),
        from_end=from_end,
    )


async def _find_job(context: Context, key: str | None) -> GenerationJob | None:
    job_id = None if key is None else as_job_id(key)
    job = None if job_id is None else await context.jobs.get(context.caller_id, job_id)
    return None if job is None else GenerationJob.of(job)


def _find_model(context: Context, name: str | None) -> Model | None:
    runnable = None if name is None else context.models.find(name)
    return None if runnable is None else Model.of(runnable.model)


async def _find_image(context: Context, key: str) -> Image | None:
    parsed = parse_image_key(key)
    job = None if parsed is None else await context.jobs.get(context.caller_id, parsed[0])
    if job is None or parsed is None:
        return None
    return next((Image.of(job, stored) for stored in job.images if stored.index == parsed[1]), None)


async def _find_delivery(context: Context, key: str) -> WebhookDelivery | None:
    job_id = as_job_id(key.partition(".")[0])
    if job_id is None or await context.jobs.get(context.caller_id, job_id) is None:
        return None
    found = (each for each in await context.webhooks.deliveries(job_id) if each.id == key)
    return next((WebhookDelivery.of(each) for each in found), None)


async def _find_node(context: Context, opaque: str) -> Node | None:
    match parse_global_id(opaque):
        case ("GenerationJob", key):
            return await _find_job(context, key)
        case ("Image", key):
            return await _find_image(context, key)
        case ("WebhookDelivery", key):
            return await _find_delivery(context, key)
        case ("Viewer", caller_id) if caller_id == context.caller_id:
            return Viewer.of(context.caller)
        case ("Model", name):
            return _find_model(context, name)
        case ("Style", name) if name in STYLES:
            return Style.of(STYLES[name])
        case _:
            return None
