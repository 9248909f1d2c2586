"""What was asked of the endpoints, and how it ended."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

logger = logging.getLogger(__name__)

MOST_KEPT = 10_000


class Ending(StrEnum):
    """How an invocation ended."""

    DRAWN = "drawn"
    """Its answer was sent, or put into S3."""

    FAILED = "failed"
    """It was taken, and an error came of it."""

    REFUSED = "refused"
    """It was not taken: throttled, wrong, or the endpoint is not in service."""

    ABANDONED = "abandoned"
    """The client left, or the connection was lost, before the answer was complete."""

    DROPPED = "dropped"
    """A fault broke the connection or the stream."""

    EXPIRED = "expired"
    """It stayed in the queue of an asynchronous endpoint for too long."""


@dataclass(slots=True, kw_only=True)
class InvocationRecord:
    """One invocation. `kind` is how it was made, `model_ran` whether drawing began; `ended` is None until it has."""

    number: int
    endpoint: str
    kind: str
    inference_id: str | None
    received_at: datetime
    faults: Sequence[str] = ()
    model_ran: bool = False
    ended: Ending | None = None
    ended_at: datetime | None = None
    error: str | None = None

    def end(self, ending: Ending, error: str | None = None) -> None:
        """It is over. Only the first end counts."""
        if self.ended is not None:
            return
        self.ended, self.ended_at, self.error = ending, datetime.now(UTC), error
        logger.info(
            "%s: %s invocation %s, %s after %.2f s%s%s",
            self.endpoint,
            self.kind,
            self.inference_id or f"number {self.number}",
            ending,
            (self.ended_at - self.received_at).total_seconds(),
            f" with {error}" if error else "",
            "" if self.model_ran else ", the model did not run",
        )


@dataclass(slots=True)
class InvocationLog:
    """The latest invocations, oldest first."""

    kept: deque[InvocationRecord] = field(default_factory=lambda: deque(maxlen=MOST_KEPT))
    _count: int = 0

    def begin(self, *, endpoint: str, kind: str, inference_id: str | None) -> InvocationRecord:
        """Record one that has just come."""
        self._count += 1
        record = InvocationRecord(
            number=self._count,
            endpoint=endpoint,
            kind=kind,
            inference_id=inference_id,
            received_at=datetime.now(UTC),
        )
        self.kept.append(record)
        return record
