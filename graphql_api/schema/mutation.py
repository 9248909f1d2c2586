"""The write side."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import ID, argument

from graphql_api.domain.errors import JobNotFound, RequestRefused
from graphql_api.domain.ids import JobId, as_job_id, key_of
from graphql_api.schema.context import Info
from graphql_api.schema.errors import CancelJobError, DeleteJobError, GenerateImageError, user_error
from graphql_api.schema.inputs import CancelJobInput, DeleteJobInput, GenerateImageInput
from graphql_api.schema.types import GenerationJob


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


@strawberry.type(description="Write side of the API.")
class Mutation:
    @strawberry.mutation(description="Queue a generation and return at once.")
    async def generate_image(
        self, info: Info, input: Annotated[GenerateImageInput, argument(description="What to generate.")]
    ) -> GenerateImagePayload:
        try:
            submitted = await info.context.jobs.submit(info.context.caller_id, input.to_domain())
        except RequestRefused as error:
            return GenerateImagePayload(errors=[user_error(error)])
        return GenerateImagePayload(job=GenerationJob.of(submitted.job))

    @strawberry.mutation(
        description="Cancel a job; canceling a job that has ended changes nothing and is not an error."
    )
    async def cancel_job(
        self, info: Info, input: Annotated[CancelJobInput, argument(description="Which job.")]
    ) -> CancelJobPayload:
        try:
            job = await info.context.jobs.cancel(info.context.caller_id, _job_id(input.id))
        except RequestRefused as error:
            return CancelJobPayload(errors=[user_error(error)])
        return CancelJobPayload(job=GenerationJob.of(job))

    @strawberry.mutation(description="Delete a job with its images; a running job is canceled first.")
    async def delete_job(
        self, info: Info, input: Annotated[DeleteJobInput, argument(description="Which job.")]
    ) -> DeleteJobPayload:
        try:
            await info.context.jobs.delete(info.context.caller_id, _job_id(input.id))
        except RequestRefused as error:
            return DeleteJobPayload(errors=[user_error(error)])
        return DeleteJobPayload(deleted_job_id=input.id)


def _job_id(opaque: str) -> JobId:
    key = key_of("GenerationJob", opaque)
    job_id = None if key is None else as_job_id(key)
    if job_id is None:
        raise JobNotFound(path=("id",))
    return job_id
