"""The part of schema.graphql that the benchmarks use, written as Strawberry's documentation writes schemas."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import AsyncGenerator
from dataclasses import asdict
from datetime import UTC, datetime
from enum import Enum

import strawberry
from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from bench.baseline.stock_events import broker
from bench.baseline.stock_store import CallerRow, IdempotencyKeyRow, JobRow, new_session

CALLER = "local"


@strawberry.enum
class JobStatus(Enum):
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


@strawberry.enum
class JobEventKind(Enum):
    DELETED = "DELETED"
    PROGRESS = "PROGRESS"
    SNAPSHOT = "SNAPSHOT"
    STATUS = "STATUS"


@strawberry.enum
class JobPhase(Enum):
    WAITING = "WAITING"
    GENERATING = "GENERATING"
    STORING = "STORING"
    DONE = "DONE"


@strawberry.enum
class ImageFormat(Enum):
    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"


@strawberry.type
class GenerationParameters:
    prompt: str
    negative_prompt: str | None
    width: int
    height: int
    steps: int
    guidance_scale: float
    seed: float
    count: int
    format: ImageFormat


@strawberry.type
class JobProgress:
    fraction: float
    step: int
    total_steps: int
    phase: JobPhase


@strawberry.type
class Image:
    url: str
    thumbnail_url: str
    width: int
    height: int


@strawberry.type
class GenerationJob:
    id: strawberry.ID
    status: JobStatus
    created_at: datetime
    parameters: GenerationParameters
    progress: JobProgress
    images: list[Image]


@strawberry.type
class JobEvent:
    kind: JobEventKind
    cursor: str
    occurred_at: datetime
    job_id: strawberry.ID
    job: GenerationJob | None


@strawberry.interface
class UserError:
    message: str


@strawberry.type
class InvalidInputError(UserError):
    pass


@strawberry.type
class IdempotencyConflictError(UserError):
    existing_job_id: strawberry.ID


@strawberry.type
class GenerateImagePayload:
    job: GenerationJob | None
    errors: list[InvalidInputError | IdempotencyConflictError]


@strawberry.input
class DimensionsInput:
    width: int
    height: int


@strawberry.input
class GenerateImageInput:
    prompt: str
    negative_prompt: str | None = None
    size: DimensionsInput | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    seed: float | None = None
    count: int = 1
    format: ImageFormat = ImageFormat.JPEG
    reference: str | None = None
    idempotency_key: str | None = None


def as_job(row: JobRow) -> GenerationJob:
    return GenerationJob(
        id=strawberry.ID(row.id),
        status=JobStatus(row.status),
        created_at=row.created_at,
        parameters=GenerationParameters(
            prompt=row.prompt,
            negative_prompt=row.negative_prompt,
            width=row.width,
            height=row.height,
            steps=row.steps,
            guidance_scale=row.guidance_scale,
            seed=row.seed,
            count=row.count,
            format=ImageFormat(row.format),
        ),
        progress=JobProgress(fraction=0.0, step=0, total_steps=row.steps, phase=JobPhase.WAITING),
        images=[],
    )


@strawberry.type
class Query:
    @strawberry.field
    async def job(self, id: strawberry.ID) -> GenerationJob | None:
        async with new_session() as session:
            row = await session.get(JobRow, str(id))
            return None if row is None else as_job(row)


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def generate_image(self, input: GenerateImageInput) -> GenerateImagePayload:
        if not input.prompt.strip():
            return GenerateImagePayload(job=None, errors=[InvalidInputError(message="The prompt is empty.")])
        digest = hashlib.sha256(repr(asdict(input)).encode()).hexdigest()
        async with new_session() as session, session.begin():
            if input.idempotency_key is not None:
                key = await session.get(IdempotencyKeyRow, (CALLER, input.idempotency_key))
                if key is not None and key.digest != digest:
                    conflict = IdempotencyConflictError(
                        message="The key was used with other input.", existing_job_id=strawberry.ID(key.job_id)
                    )
                    return GenerateImagePayload(job=None, errors=[conflict])
                if key is not None:
                    found = await session.execute(select(JobRow).where(JobRow.id == key.job_id))
                    return GenerateImagePayload(job=as_job(found.scalar_one()), errors=[])
            taken = await session.execute(
                insert(CallerRow)
                .values(id=CALLER, revision=1)
                .on_conflict_do_update(index_elements=[CallerRow.id], set_={"revision": CallerRow.revision + 1})
                .returning(CallerRow.revision)
            )
            row = new_row(input, revision=taken.scalar_one())
            session.add(row)
            if input.idempotency_key is not None:
                session.add(
                    IdempotencyKeyRow(
                        caller_id=CALLER,
                        key=input.idempotency_key,
                        digest=digest,
                        job_id=row.id,
                        created_at=row.created_at,
                    )
                )
        return GenerateImagePayload(job=as_job(row), errors=[])


def new_row(input: GenerateImageInput, *, revision: int) -> JobRow:
    size = input.size or DimensionsInput(width=512, height=512)
    return JobRow(
        id=str(uuid.uuid4()),
        caller_id=CALLER,
        revision=revision,
        status=JobStatus.QUEUED.value,
        model_name="sketch",
        prompt=input.prompt,
        rendered_prompt=input.prompt,
        negative_prompt=input.negative_prompt,
        style_name=None,
        width=size.width,
        height=size.height,
        steps=input.steps or 50,
        guidance_scale=input.guidance_scale or 7.5,
        seed=secrets.randbits(32) if input.seed is None else int(input.seed),
        count=input.count,
        format=input.format.value,
        reference=input.reference,
        created_at=datetime.now(UTC),
    )


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def job_updated(self, id: strawberry.ID) -> AsyncGenerator[JobEvent, None]:
        async with broker.subscribe(str(id)) as queue:
            while True:
                yield await queue.get()


schema = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)
