"""Jobs to fill a store with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from graphql_api.adapters.job_store.rows import job_columns
from graphql_api.domain.generation import GenerationParameters, ImageFormat
from graphql_api.domain.ids import CallerId, new_job_id
from graphql_api.domain.job import Job, JobStatus, Progress, StoredImage, Tombstone
from graphql_api.domain.webhook import Webhook, WebhookEvent
from graphql_api.ports import JobPosition, JobStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE = CallerId("alice")
LATER = NOON + timedelta(hours=1)
BOB = CallerId("bob")
CAROL = CallerId("carol")
ACME = "acme"
MARCH = "2026-03"
HOOK = "https://hooks.example/jobs"


def a_job(
    *,
    caller_id: CallerId = ALICE,
    model_name: str = "sketch",
    prompt: str = "A fox in the snow",
    seconds: float = 0.0,
    steps: int = 20,
) -> Job:
    """A queued job that was made `seconds` after noon."""
    parameters = GenerationParameters(
        prompt=prompt,
        rendered_prompt=f"{prompt}, highly detailed",
        negative_prompt=None,
        style_name="PHOTO",
        width=512,
        height=256,
        steps=steps,
        guidance_scale=7.5,
        seed=2**32 - 1,
        count=2,
        format=ImageFormat.WEBP,
    )
    return Job(
        id=new_job_id(),
        caller_id=caller_id,
        model_name=model_name,
        parameters=parameters,
        created_at=NOON + timedelta(seconds=seconds),
        progress=Progress(total_steps=steps),
        expires_at=NOON + timedelta(days=30, microseconds=1),
    )


def charged_to(account: str, job: Job | None = None, *, reserved: int = 700) -> Job:
    """A job that is charged to an account."""
    return replace(a_job() if job is None else job, account=account, reserved=reserved)


def told(*events: WebhookEvent, job: Job | None = None) -> Job:
    """A job whose webhook is told of events, of all when none are given."""
    webhook = Webhook(url=HOOK, events=frozenset(events or WebhookEvent))
    return replace(a_job() if job is None else job, webhook=webhook)


def an_image(index: int = 0) -> StoredImage:
    """A stored image."""
    return StoredImage(
        index=index,
        key=f"images/x/{index}-abc.webp",
        thumbnail_key=f"images/x/{index}-abc-thumbnail.webp",
        format=ImageFormat.WEBP,
        width=512,
        height=256,
        size_bytes=12_345,
        sha256="ab" * 32,
        blur_hash="LEHV6nWB2yk8pyo0adR*.7kCMdnj",
        seed=index,
    )


async def added(store: JobStore, job: Job | None = None) -> Job:
    """A job as the store holds it."""
    return (await store.add(a_job() if job is None else job)).job


async def claims(store: JobStore, limit: int) -> Sequence[Job]:
    """Up to `limit` jobs, claimed, in the order of their claims."""
    return await store.claim("worker-1", model_name="sketch", limit=limit, lease_seconds=60, at=NOON)


async def claimed(store: JobStore, *, worker_id: str = "worker-1", lease_seconds: float = 60.0) -> Job:
    """The next queued job, claimed."""
    (job,) = await store.claim(worker_id, model_name="sketch", limit=1, lease_seconds=lease_seconds, at=NOON)
    return job


async def moved(store: JobStore, job: Job) -> Job:
    """A job after an update that must be taken."""
    updated = await store.update(job)
    assert updated is not None
    return updated


async def succeeded(store: JobStore, job: Job, *, inference_seconds: float = 4.0, at_seconds: float = 5.0) -> Job:
    """A claimed job, ended well."""
    end = NOON + timedelta(seconds=at_seconds)
    return await moved(
        store, job.succeeded((an_image(),), answered_at=NOON + timedelta(seconds=inference_seconds), at=end)
    )


async def in_status(store: JobStore, job: Job, status: JobStatus) -> Job:
    """A new job, moved to a status by plain updates."""
    return await moved(store, replace(await added(store, job), status=status))


def row_of_former_version(job: Job, *columns: str) -> Mapping[str, object]:
    """These columns of a job as the version before accounts and webhooks wrote them."""
    row = job_columns(job)
    data = json.loads(row.data)
    for later in ("webhook", "account", "reserved", "cost"):
        del data[later]
    return {column: getattr(row, column) for column in columns} | {"data": json.dumps(data)}


def position_of(job: Job) -> JobPosition:
    """Where a job stands in the list."""
    return JobPosition(created_at=job.created_at, job_id=job.id)


def newest_first(jobs: Iterable[Job]) -> list[Job]:
    """The order of the list."""
    return sorted(jobs, key=lambda job: (job.created_at, job.id), reverse=True)


def live(found: Job | Tombstone | None) -> Job:
    """A job that must be there."""
    assert isinstance(found, Job)
    return found
