"""Notices as bytes on the wire, between processes that may run different versions of the program."""

from __future__ import annotations

import msgspec

from graphql_api.domain.ids import CallerId, JobId
from graphql_api.domain.job import Job, Progress
from graphql_api.ports import JobMoved, JobProgressed, Notice, Reread

MAX_NOTICE_BYTES = 16 * 1024
"""A move whose row makes it larger travels without the row, which is then read."""


class _Moved(msgspec.Struct, tag_field="kind", tag="moved", frozen=True, omit_defaults=True):
    job_id: JobId
    caller_id: CallerId
    revision: int
    job: Job | None = None
    is_deleted: bool = False


class _Progressed(msgspec.Struct, tag_field="kind", tag="progressed", frozen=True):
    job_id: JobId
    caller_id: CallerId
    attempt: int
    progress: Progress


class _Lost(msgspec.Struct, tag_field="kind", tag="lost", frozen=True):
    pass


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Moved | _Progressed | _Lost).decode


def encode_notice(notice: Notice) -> bytes:
    """A notice as JSON. Fields may be added in later versions: readers pass over those they do not know."""
    if isinstance(notice, Reread):
        return _encode(_Lost())
    if isinstance(notice, JobProgressed):
        return _encode(_Progressed(notice.job_id, notice.caller_id, notice.attempt, notice.progress))
    moved = _Moved(notice.job_id, notice.caller_id, notice.revision, notice.job, notice.is_deleted)
    encoded = _encode(moved)
    if len(encoded) > MAX_NOTICE_BYTES:
        return _encode(msgspec.structs.replace(moved, job=None))
    return encoded


def decode_notice(encoded: bytes) -> Notice:
    """The notice, or a Reread when another version of the program wrote what this one cannot understand."""
    try:
        decoded = _decode(encoded)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Reread()
    match decoded:
        case _Moved(job_id, caller_id, revision, job, is_deleted):
            return JobMoved(job_id=job_id, caller_id=caller_id, revision=revision, job=job, is_deleted=is_deleted)
        case _Progressed(job_id, caller_id, attempt, progress):
            return JobProgressed(job_id=job_id, caller_id=caller_id, attempt=attempt, progress=progress)
        case _:
            return Reread()
