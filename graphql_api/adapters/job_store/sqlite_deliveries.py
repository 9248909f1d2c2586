"""What webhooks are to be told, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from graphql_api.adapters.job_store.readable import readable
from graphql_api.adapters.job_store.rows import (
    attempts_column,
    delivery_of,
    instant,
    job_of,
    maybe_microseconds,
    microseconds,
)
from graphql_api.adapters.sql import load_sql
from graphql_api.domain.ids import JobId
from graphql_api.domain.job import Job
from graphql_api.domain.webhook import Delivery, Webhook
from graphql_api.ports import DueDelivery

_SQL = load_sql("graphql_api.adapters.job_store", "sqlite.sql")


def queue_delivery(db: sqlite3.Connection, moved: Job, webhook: Webhook, data: str, *, now: int) -> None:
    """Queue what the webhook of a job is told of its move, if anything; `data` is the job as JSON."""
    event = webhook.event_of(moved.status)
    if event is None:
        return
    told = {
        "job_id": moved.id,
        "revision": moved.revision,
        "caller_id": moved.caller_id,
        "url": webhook.url,
        "event": event.value,
        "data": data,
        "now": now,
    }
    db.execute(_SQL["queue_delivery"], told)


def lease_deliveries(db: sqlite3.Connection, limit: int, *, now: int, lease_until: int) -> Sequence[Sequence[Any]]:
    """Lease up to `limit` deliveries that are due. Their rows, for `due_deliveries`."""
    rows = [
        (*columns, claim + 1, data)
        for *columns, claim, data in db.execute(_SQL["due_deliveries"], (now, limit)).fetchall()
    ]
    for job_id, _, revision, *_, claim, _ in rows:
        lease = {"claim": claim, "lease_until": lease_until, "job_id": job_id, "revision": revision}
        db.execute(_SQL["lease_delivery"], lease)
    return rows


def due_deliveries(rows: Sequence[Sequence[Any]]) -> Sequence[DueDelivery]:
    """The deliveries that were leased, as far as they can be read."""
    return readable(rows, _due)


def save_delivery(db: sqlite3.Connection, delivery: Delivery, claim: int | None) -> bool:
    """Write a delivery, whoever holds it or only for a claim, and line up those behind it. The attempts are written for
    a claim only."""
    saved = {
        "job_id": delivery.job_id,
        "revision": delivery.revision,
        "state": delivery.state.value,
        "begun_at": microseconds(delivery.begun_at),
        "next_attempt_at": maybe_microseconds(delivery.next_attempt_at),
        "attempts": None if claim is None else attempts_column(delivery),
        "claim": claim,
    }
    if db.execute(_SQL["save_delivery"], saved).rowcount != 1:
        return False
    db.execute(_SQL["line_up_deliveries"], saved)
    return True


def deliveries_of(db: sqlite3.Connection, job_id: JobId) -> Sequence[Delivery]:
    """The deliveries of a job, by rising revision."""
    return [_delivery(row) for row in db.execute(_SQL["deliveries"], (job_id,))]


def _due(row: Sequence[Any]) -> DueDelivery:
    *columns, claim, data = row
    return DueDelivery(delivery=_delivery(columns), job=job_of(data, None), claim=claim)


def _delivery(columns: Sequence[Any]) -> Delivery:
    job_id, caller_id, revision, url, event, created_at, begun_at, state, next_attempt_at, attempts = columns
    return delivery_of(
        job_id,
        caller_id,
        revision,
        url,
        event,
        instant(created_at),
        instant(begun_at),
        state,
        None if next_attempt_at is None else instant(next_attempt_at),
        attempts,
    )
