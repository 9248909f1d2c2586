"""Logs and traces: configured here, once; written everywhere through the standard library and `tracing`."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from graphql_api import __version__, log_context, metrics, tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

LAG_SECONDS = 0.2
FLUSH_SECONDS = 3.0

# uvicorn writes two lines for every socket that is opened, the SDK tells where it found each of its settings, Pillow
# what is in each file.
_CHATTY = ("uvicorn.error", "botocore", "aiobotocore", "aioboto3", "PIL", "asyncio", "urllib3")


def configure_logging(level: str, log_format: Literal["text", "json"]) -> None:
    """Send the log to standard error, one line an event, each with its fields by `log_context`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json_formatter() if log_format == "json" else _TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _TextFormatter(logging.Formatter):
    """For people: what the record is about stands behind its message, in short."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s  %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        message = super().formatMessage(record)
        about = " ".join(f"{name.removesuffix('_id')}={value}" for name, value in log_context.fields_of(record).items())
        return f"{message}  [{about}]" if about else message


def _json_formatter() -> logging.Formatter:
    # Imported only where it is used: it costs a sixth of the time to the first answer.
    import structlog
    from structlog.tracebacks import ExceptionDictTransformer

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_fields,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # Without the variables of the frames: they hold prompts.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False, max_frames=20)),
            structlog.processors.JSONRenderer(),
        ],
    )


def _add_fields(logger: object, method: str, event: Any) -> Any:
    event.update(log_context.fields_of(event["_record"]))
    return event


async def watch_event_loop() -> None:
    """Measure for ever how late the event loop is."""
    while True:
        # Not the loop's clock: uvloop's stands still within a turn, and counts whole milliseconds.
        due = time.monotonic() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        metrics.LOOP_LAG.observe(max(time.monotonic() - due, 0.0))


@asynccontextmanager
async def traces(mode: Literal["off", "otlp"]) -> AsyncIterator[None]:
    """Send traces while the context is open, where the OTEL_* variables say. Raises ValueError without the extra."""
    if mode == "off":
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise ValueError(
            "TEXT2IMAGE_TRACES=otlp needs what `pip install 'text2image-graphql[opentelemetry]'` brings."
        ) from error
    provider = install_tracer(OTLPSpanExporter())
    try:
        yield
    finally:
        tracing.install(None)
        # A collector that is away may hold up nobody: its last spans are lost then.
        flushing = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        flushing.start()
        await asyncio.to_thread(flushing.join, FLUSH_SECONDS)


def install_tracer(exporter: SpanExporter, *, at_once: bool = False) -> TracerProvider:
    """Trace through OpenTelemetry from now on. Spans are exported in batches, or `at_once`. Raises ValueError for
    OTEL_* variables that make no sense."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    from graphql_api.opentelemetry_tracer import OpenTelemetryTracer

    ours = Resource({"service.name": "text2image", "service.version": __version__})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter) if at_once else BatchSpanProcessor(exporter))
    tracing.install(OpenTelemetryTracer(provider.get_tracer("text2image", __version__)))
    return provider
