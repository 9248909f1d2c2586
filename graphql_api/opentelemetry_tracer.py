"""The tracer that OpenTelemetry's SDK makes. Imported only where traces are on: it is an extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
_ATTRIBUTES = {"job_id": "text2image.job.id", "attempt": "text2image.job.attempt", "model": "text2image.model"}


class OpenTelemetryTracer:
    """See tracing.Tracer."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def span(self, name: str, parent: str | None, attributes: dict[str, str | int]) -> Iterator[None]:
        """See tracing.span."""
        context = None if parent is None else _PROPAGATOR.extract({"traceparent": parent})
        # An exception's text may quote what a caller wrote, so its class is all that is told.
        with self._tracer.start_as_current_span(
            name,
            context,
            attributes=_named(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR))
                span.set_attribute("error.type", type(error).__name__)
                raise

    def traceparent(self) -> str | None:
        """See tracing.traceparent."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get("traceparent")

    def note(self, attributes: dict[str, str | int]) -> None:
        """See tracing.note."""
        trace.get_current_span().set_attributes(_named(attributes))


def _named(attributes: dict[str, str | int]) -> dict[str, str | int]:
    return {_ATTRIBUTES.get(name, name): value for name, value in attributes.items()}
