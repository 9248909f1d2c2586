"""Whose work is going on: the fields that every log record of it carries.

They live in a context variable, so they follow `await` and new tasks by themselves; `telemetry` writes them. Never a
prompt and never a token: a log is read by more people than the API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

_NOTHING: Mapping[str, str | int] = MappingProxyType({})
_fields: ContextVar[Mapping[str, str | int]] = ContextVar("log_fields", default=_NOTHING)


def current() -> Mapping[str, str | int]:
    """The fields of what is going on here."""
    return _fields.get()


def request_id() -> str:
    """The ID of the request that is being handled; empty outside of one."""
    return str(_fields.get().get("request_id", ""))


def bind(**fields: str | int) -> None:
    """Add fields for the rest of this task, and for the tasks that it starts."""
    _fields.set({**_fields.get(), **fields})


@contextmanager
def bound(**fields: str | int) -> Iterator[None]:
    """Add fields while the context is open."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)
