"""Cursors: opaque, with a version in front, and forgiving. One that is not ours counts as none."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta

from graphql_api.domain.ids import as_job_id
from graphql_api.domain.job import Job
from graphql_api.ports import JobPosition

MAX_DIGITS = 18
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def event_cursor(revision: int) -> str:
    """The cursor of an event: its revision."""
    return _encode(f"e1:{revision}")


def parse_event_cursor(cursor: str | None) -> int | None:
    """The revision in an event's cursor, or None."""
    match _decode(cursor):
        case ["e1", revision] if _is_number(revision):
            return int(revision)
        case _:
            return None


def job_cursor(job: Job) -> str:
    """The cursor of a job in a list: time of creation and ID."""
    return _encode(f"j1:{(job.created_at - EPOCH) // MICROSECOND}:{job.id}")


def parse_job_cursor(cursor: str | None) -> JobPosition | None:
    """The position in a job's cursor, or None."""
    match _decode(cursor):
        case ["j1", microseconds, job_text] if _is_number(microseconds):
            job_id = as_job_id(job_text)
            try:
                created_at = EPOCH + int(microseconds) * MICROSECOND
            except OverflowError:
                return None
            return None if job_id is None else JobPosition(created_at=created_at, job_id=job_id)
        case _:
            return None


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str | None) -> list[str]:
    if cursor is None:
        return []
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(":")
    except (binascii.Error, ValueError):
        return []


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
