"""Logs: configured here, once; written everywhere through the standard library."""

from __future__ import annotations

import logging
import sys
from typing import Literal


def configure_logging(level: str, log_format: Literal["text", "json"]) -> None:
    """Send the log to standard error, one line an event."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json_formatter() if log_format == "json" else _text_formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # uvicorn writes two lines for every socket that is opened, the SDK tells where it found each of its settings.
    for chatty in ("uvicorn.error", "botocore", "aiobotocore", "aioboto3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _text_formatter() -> logging.Formatter:
    return logging.Formatter("%(asctime)s %(levelname)-8s %(name)s  %(message)s")


def _json_formatter() -> logging.Formatter:
    # Imported only where it is used: it costs a sixth of the time to the first answer.
    import structlog

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
    )
