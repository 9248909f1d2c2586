"""Jobs as rows: the whole job as JSON, and beside it what is searched."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from graphql_api.domain.job import Job, Progress

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode
_decode_job = msgspec.json.Decoder(Job).decode
_decode_progress = msgspec.json.Decoder(Progress).decode


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 in UTC."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


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
    attempt: int
    work: int
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
        started_at=_maybe_microseconds(job.started_at),
        answered_at=_maybe_microseconds(job.answered_at),
        finished_at=_maybe_microseconds(job.finished_at),
        attempt=job.attempt,
        work=job.parameters.work,
        prompt_folded=job.parameters.prompt.casefold(),
        data=_encode(job).decode(),
    )


def job_of(data: str, progress: str | None) -> Job:
    """The job of a row, with the progress that was saved since its latest move."""
    job = _decode_job(data)
    return job if progress is None else replace(job, progress=_decode_progress(progress))


def progress_column(progress: Progress) -> str:
    """A progress report, as `job_of` takes it."""
    return _encode(progress).decode()


def list_column(values: object) -> str:
    """A collection of strings as a JSON array."""
    return _encode(values).decode()


def _maybe_microseconds(at: datetime | None) -> int | None:
    return None if at is None else microseconds(at)
