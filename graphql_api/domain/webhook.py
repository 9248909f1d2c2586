"""Webhooks: who is told of a job besides its watchers, and what became of telling them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from graphql_api.domain.ids import CallerId, JobId

MAX_URL_CHARS = 2_000


class WebhookEvent(StrEnum):
    """What a webhook can be told of."""

    JOB_STARTED = "JOB_STARTED"
    JOB_SUCCEEDED = "JOB_SUCCEEDED"
    JOB_FAILED = "JOB_FAILED"
    JOB_CANCELED = "JOB_CANCELED"


EVENT_OF_STATUS: Mapping[str, WebhookEvent] = {
    "RUNNING": WebhookEvent.JOB_STARTED,
    "SUCCEEDED": WebhookEvent.JOB_SUCCEEDED,
    "FAILED": WebhookEvent.JOB_FAILED,
    "CANCELED": WebhookEvent.JOB_CANCELED,
}
"""What a move to a status is called, where it is told at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where to send which events of a job."""

    url: str
    events: frozenset[WebhookEvent]

    def event_of(self, status: str) -> WebhookEvent | None:
        """What to tell of a move to this status, or None."""
        event = EVENT_OF_STATUS.get(status)
        return event if event in self.events else None


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    GAVE_UP = "GAVE_UP"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """One request. `status_code` is None when there was no answer; `problem` says in a few words what went wrong."""

    at: datetime
    seconds: float
    status_code: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The telling of one event: of the move of a job to a revision, by which receivers can order them.

    `next_attempt_at` is None unless it is PENDING; `begun_at` is when it was queued, or replayed for the last time:
    attempts go on for a day from then. `attempts` holds the latest ones, oldest first.
    """

    job_id: JobId
    caller_id: CallerId
    revision: int
    url: str
    event: WebhookEvent
    created_at: datetime
    begun_at: datetime
    state: DeliveryState = DeliveryState.PENDING
    next_attempt_at: datetime | None
    attempts: tuple[DeliveryAttempt, ...] = ()

    @property
    def id(self) -> str:
        """What receivers know it by; the same however often it is sent."""
        return f"{self.job_id}.{self.revision}"

    def attempted(self, attempt: DeliveryAttempt, *, next_attempt_at: datetime | None, kept: int = 20) -> Delivery:
        """After one more attempt. Without a next one it is over: delivered when nothing went wrong."""
        if attempt.problem is None:
            state, next_attempt_at = DeliveryState.DELIVERED, None
        else:
            state = DeliveryState.GAVE_UP if next_attempt_at is None else DeliveryState.PENDING
        attempts = (*self.attempts, attempt)[-kept:]
        return replace(self, state=state, next_attempt_at=next_attempt_at, attempts=attempts)

    def replayed(self, *, at: datetime) -> Delivery:
        """To be sent once more, from the beginning."""
        return replace(self, state=DeliveryState.PENDING, begun_at=at, next_attempt_at=at)
