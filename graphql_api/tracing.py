"""Spans of a trace, from the request to the stored image. Nothing happens until `telemetry` installs a tracer.

The code that is traced knows only this module. Attributes are IDs and names of models, never a prompt.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

_NO_SPAN = nullcontext()


class Tracer(Protocol):
    """What makes spans."""

    def span(self, name: str, parent: str | None, attributes: dict[str, str | int]) -> AbstractContextManager[None]:
        """See `span`."""
        ...

    def traceparent(self) -> str | None:
        """See `traceparent`."""
        ...

    def note(self, attributes: dict[str, str | int]) -> None:
        """See `note`."""
        ...


_tracer: Tracer | None = None


def install(tracer: Tracer | None) -> None:
    """Trace with this from now on; None for not at all."""
    global _tracer
    _tracer = tracer


def is_on() -> bool:
    """Whether spans go anywhere."""
    return _tracer is not None


def span(name: str, *, parent: str | None = None, **attributes: str | int) -> AbstractContextManager[None]:
    """A span while the context is open. What leaves it by an exception is marked with the name of its class alone.

    It belongs to the span that is open here; with `parent`, a W3C traceparent, to that one, which may be another
    process's. It must not be held open over a `yield`: whoever takes what was yielded would be inside it.
    """
    return _NO_SPAN if _tracer is None else _tracer.span(name, parent, attributes)


def traceparent() -> str | None:
    """The span that is open here as a W3C traceparent, for whoever goes on elsewhere."""
    return None if _tracer is None else _tracer.traceparent()


def note(**attributes: str | int) -> None:
    """Add attributes to the span that is open here."""
    if _tracer is not None:
        _tracer.note(attributes)
