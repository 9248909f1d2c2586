"""The write side."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import ID, argument

from graphql_api.domain.errors import DeliveryNotFound, JobNotFound, RefusedForNow, RequestRefused
from graphql_api.domain.ids import JobId, as_job_id, key_of
from graphql_api.schema.context import Info
from graphql_api.schema.errors import (
    CancelJobError,
    DeleteJobError,
    GenerateImageError,
    ReplayDeliveryError,
    user_error,
)
from graphql_api.schema.inputs import CancelJobInput, DeleteJobInput, GenerateImageInput, ReplayDeliveryInput
from graphql_api.schema.types import GenerationJob, WebhookDelivery


@strawberry.type(description="Result of generateImage.")
class GenerateImagePayload:
    job: GenerationJob | None = strawberry.field(default=None, description="The job; null when `errors` is not empty.")
    errors: list[GenerateImageError] = strawberry.field(
        default_factory=list, description="Why nothing was queued; empty on success."
    )


@strawberry.type(description="Result of cancelJob.")
class CancelJobPayload:
    job: GenerationJob | None = strawberry.field(default=None, description="The job; null when `errors` is not empty.")
    errors: list[CancelJobError] = strawberry.field(
        default_factory=list, description="Why nothing was done; empty on success."
    )


@strawberry.type(description="Result of deleteJob.")
class DeleteJobPayload:
    deleted_job_id: ID | None = strawberry.field(
        default=None, description="ID of the deleted job; null when `errors` is not empty."
    )
    errors: list[DeleteJobError] = strawberry.field(
        default_factory=list, description="Why nothing was done; empty on success."
    )


@strawberry.type(description="Result of replayDelivery.")
class ReplayDeliveryPayload:
    delivery: WebhookDelivery | None = strawberry.field(
        default=None, description="The delivery, about to be sent; null when `errors` is not empty."
    )
    errors: list[ReplayDeliveryError] = strawberry.field(
        default_factory=list, description="Why nothing is sent; empty on success."
    )


@strawberry.type(description="Write side of the API.")
class Mutation:
    @strawberry.mutation(description="Queue a generation and return at once.")
    async def generate_image(
        self, info: Info, input: Annotated[GenerateImageInput, argument(description="What to generate.")]
    ) -> GenerateImagePayload:
        try:
            submitted = await info.context.jobs.submit(info.context.caller, input.to_domain())
        except RequestRefused as error:
            if isinstance(error, RefusedForNow):
                info.context.retry_after_seconds = error.retry_after_seconds
            return GenerateImagePayload(errors=[user_error(error)])
        return GenerateImagePayload(job=GenerationJob.of(submitted.job))

    @strawberry.mutation(
        description="Cancel a job; canceling a job that has ended changes nothing and is not an error."
    )
    async def cancel_job(
        self, info: Info, input: Annotated[CancelJobInput, argument(description="Which job.")]
    ) -> CancelJobPayload:
        info.context.check_may_write()
        try:
            job = await info.context.jobs.cancel(info.context.caller_id, _job_id(input.id))
        except RequestRefused as error:
            return CancelJobPayload(errors=[user_error(error)])
        return CancelJobPayload(job=GenerationJob.of(job))

    @strawberry.mutation(description="Delete a job with its images; a running job is canceled first.")
    async def delete_job(
        self, info: Info, input: Annotated[DeleteJobInput, argument(description="Which job.")]
    ) -> DeleteJobPayload:
        info.context.check_may_write()
        try:
            await info.context.jobs.delete(info.context.caller_id, _job_id(input.id))
        except RequestRefused as error:
            return DeleteJobPayload(errors=[user_error(error)])
        return DeleteJobPayload(deleted_job_id=input.id)

    @strawberry.mutation(description="Send what a webhook was told once more, with the same `webhook-id`.")
    async def replay_delivery(
        self, info: Info, input: Annotated[ReplayDeliveryInput, argument(description="Which delivery.")]
    ) -> ReplayDeliveryPayload:
        info.context.check_may_write()
        try:
            delivery_id = key_of("WebhookDelivery", input.id)
            if delivery_id is None:
                raise DeliveryNotFound(path=("id",))
            delivery = await info.context.webhooks.replay(info.context.caller_id, delivery_id)
        except RequestRefused as error:
            return ReplayDeliveryPayload(errors=[user_error(error)])
        return ReplayDeliveryPayload(delivery=WebhookDelivery.of(delivery))


def _job_id(opaque: str) -> JobId:
    key = key_of("GenerationJob", opaque)
    job_id = None if key is None else as_job_id(key)
    if job_id is None:
        raise JobNotFound(path=("id",))
    return job_id
