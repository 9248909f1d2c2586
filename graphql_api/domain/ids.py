"""Identifiers of jobs, and how they look from outside.

Inside, a job is named by a UUID version 7 (RFC 9562): sortable by time of creation and, with 74 random bits,
not to be guessed. Outside, every object has one opaque ID: the Base64 of `TypeName:key`.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
import uuid
from typing import NewType

JobId = NewType("JobId", str)
CallerId = NewType("CallerId", str)

LOCAL_CALLER = CallerId("local")
"""Who asks when the server does not ask who asks."""


def new_job_id() -> JobId:
    """A UUID version 7, in its canonical text form of 36 characters."""
    milliseconds = time.time_ns() // 1_000_000
    bits = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0b11 << 62) | 0b10 << 62
    return JobId(str(uuid.UUID(int=bits)))


def as_job_id(text: str) -> JobId | None:
    """The job ID that `text` spells, or None when it spells none."""
    try:
        return JobId(str(uuid.UUID(text))) if len(text) == 36 else None
    except ValueError:
        return None


def global_id(type_name: str, key: str) -> str:
    """The opaque ID of an object."""
    return base64.b64encode(f"{type_name}:{key}".encode()).decode()


def parse_global_id(opaque: str) -> tuple[str, str] | None:
    """Type name and key of an opaque ID, or None when it is not one."""
    try:
        type_name, separator, key = base64.b64decode(opaque, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (type_name, key) if separator else None


def key_of(type_name: str, opaque: str) -> str | None:
    """The key of an opaque ID of this type, or None."""
    match parse_global_id(opaque):
        case (found, key) if found == type_name:
            return key
        case _:
            return None


def image_key_of(job_id: JobId, index: int) -> str:
    """The key of an image: its job and its position in the batch."""
    return f"{job_id}/{index}"


def parse_image_key(key: str) -> tuple[JobId, int] | None:
    """Job and position of an image's key, or None when it is not one."""
    job_text, _, index_text = key.partition("/")
    job_id = as_job_id(job_text)
    if job_id is None or not index_text.isascii() or not index_text.isdigit() or len(index_text) > 4:
        return None
    return job_id, int(index_text)
