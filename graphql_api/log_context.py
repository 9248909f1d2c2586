"""Whose work is going on: the fields that every log record of it carries.

They live in a context variable, so they follow `await` and new tasks by themselves; `telemetry` writes them. Never a
prompt and never a token: a log is read by more people than the API.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

Field = str | int | float

_NOTHING: Mapping[str, Field] = MappingProxyType({})
_OWN = "text2image_fields"
_fields: ContextVar[Mapping[str, Field]] = ContextVar("log_fields", default=_NOTHING)


def current() -> Mapping[str, Field]:
    """The fields of what is going on here."""
    return _fields.get()


def request_id() -> str:
    """The ID of the request that is being handled; empty outside of one."""
    return str(_fields.get().get("request_id", ""))


def bind(**fields: Field) -> None:
    """Add fields for the rest of this task, and for the tasks that it starts."""
    _fields.set({**_fields.get(), **fields})


@contextmanager
def bound(**fields: Field) -> Iterator[None]:
    """Add fields while the context is open."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def only_here(**fields: Field | None) -> dict[str, object]:
    """The argument `extra` of one log record that has fields of its own; those that are None are left out."""
    return {_OWN: {name: value for name, value in fields.items() if value is not None}}


def fields_of(record: logging.LogRecord) -> Mapping[str, Field]:
    """The fields of what is going on here, and those that the record has of its own."""
    return {**current(), **getattr(record, _OWN, _NOTHING)}
