"""Jobs as rows: the whole job as JSON, and beside it what is searched."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from graphql_api.domain.ids import CallerId, JobId
from graphql_api.domain.job import Job, Progress
from graphql_api.domain.webhook import Delivery, DeliveryAttempt, DeliveryState, WebhookEvent
from graphql_api.ports import QueueDepth, Work

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode
_decode_job = msgspec.json.Decoder(Job).decode
_decode_progress = msgspec.json.Decoder(Progress).decode
_decode_attempts = msgspec.json.Decoder(tuple[DeliveryAttempt, ...]).decode


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 in UTC."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def maybe_microseconds(at: datetime | None) -> int | None:
    """The same of an instant that may be missing."""
    return None if at is None else microseconds(at)


def instant(since_epoch: int) -> datetime:
    """The instant that `microseconds` counted to."""
    return _EPOCH + timedelta(microseconds=since_epoch)


class JobColumns(NamedTuple):
    """Everything that is written when a job is written, all of it from one value, so that it cannot drift apart."""

    id: str
    caller_id: str
    revision: int
    status: str
    model: str
    created_at: int
    started_at: int | None
    answered_at: int | None
    finished_at: int | None
    expires_at: int | None
    attempt: int
    work: int
    unswept: bool
    charged: int
    prompt_folded: str
    data: str


def job_columns(job: Job) -> JobColumns:
    """The row of a job."""
    return JobColumns(
        id=job.id,
        caller_id=job.caller_id,
        revision=job.revision,
        status=job.status.value,
        model=job.model_name,
        created_at=microseconds(job.created_at),
        started_at=maybe_microseconds(job.started_at),
        answered_at=maybe_microseconds(job.answered_at),
        finished_at=maybe_microseconds(job.finished_at),
        expires_at=maybe_microseconds(job.expires_at),
        attempt=job.attempt,
        work=job.parameters.work,
        unswept=job.may_have_strays,
        charged=ledger_charge(job),
        prompt_folded=job.parameters.prompt.casefold(),
        data=_encode(job).decode(),
    )


def ledger_charge(job: Job) -> int:
    """What the ledger holds for a job, in millionths of a US dollar: nothing where nobody keeps accounts."""
    return job.charged if job.account else 0


def start_url(job: Job) -> str | None:
    """Where to tell that a job has started, or None."""
    return job.webhook.url if job.webhook is not None and WebhookEvent.JOB_STARTED in job.webhook.events else None


def job_of(data: str, progress: str | None) -> Job:
    """The job of a row, with the progress that was saved since its latest move."""
    job = _decode_job(data)
    return job if progress is None else replace(job, progress=_decode_progress(progress))


def job_of_row(data: str, progress: str | None, revision: int, claimed_at: int | None) -> Job:
    """The job of a row that keeps its revision and its latest claim in columns of their own, beside the job as it was
    before that claim."""
    job = _decode_job(data)
    if claimed_at is not None:
        job = job.claimed(at=instant(claimed_at))
    saved = job.progress if progress is None else _decode_progress(progress)
    return replace(job, revision=revision, progress=saved)


def work_of(amount: int, started_at: int, answered_at: int, finished_at: int) -> Work:
    """How long a job took, from its columns."""
    return Work(
        amount=amount,
        inference_seconds=(answered_at - started_at) / 1_000_000,
        store_seconds=(finished_at - answered_at) / 1_000_000,
    )


def depth_of(model: str, jobs: int, oldest_created_at: int) -> QueueDepth:
    """The length of a model's queue, from a row."""
    return QueueDepth(model_name=model, jobs=jobs, oldest_created_at=instant(oldest_created_at))


def delivery_of(
    job_id: str,
    caller_id: str,
    revision: int,
    url: str,
    event: str,
    created_at: datetime,
    begun_at: datetime,
    state: str,
    next_attempt_at: datetime | None,
    attempts: str,
) -> Delivery:
    """A delivery, from its columns."""
    return Delivery(
        job_id=JobId(job_id),
        caller_id=CallerId(caller_id),
        revision=revision,
        url=url,
        event=WebhookEvent(event),
        created_at=created_at,
        begun_at=begun_at,
        state=DeliveryState(state),
        next_attempt_at=next_attempt_at,
        attempts=_decode_attempts(attempts),
    )


def attempts_column(delivery: Delivery) -> str:
    """The attempts of a delivery, as `delivery_of` takes them."""
    return _encode(delivery.attempts).decode()


def progress_column(progress: Progress) -> str:
    """A progress report, as `job_of` takes it."""
    return _encode(progress).decode()


def list_column(values: object) -> str:
    """A collection of strings as a JSON array."""
    return _encode(values).decode()
