"""What webhooks are to be told, in PostgreSQL. Deliveries are queued by the statements that move jobs."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from graphql_api.adapters.job_store.postgres_pool import PostgresPool
from graphql_api.adapters.job_store.ranges import NEVER_STORED
from graphql_api.adapters.job_store.readable import readable
from graphql_api.adapters.job_store.rows import attempts_column, delivery_of, job_of_row
from graphql_api.domain.ids import JobId
from graphql_api.domain.webhook import Delivery
from graphql_api.ports import DueDelivery


async def claim_deliveries(pool: PostgresPool, limit: int, *, lease_seconds: float) -> Sequence[DueDelivery]:
    """Lease up to `limit` deliveries that are due."""
    rows = await pool.write("claim_deliveries", limit, lease_seconds)
    return readable(sorted(rows, key=lambda row: row["since"]), _due)


async def save_delivery(pool: PostgresPool, delivery: Delivery, claim: int | None) -> bool:
    """Write a delivery, whoever holds it or only for a claim, and line up those behind it. The attempts are written for
    a claim only."""
    attempts = None if claim is None else attempts_column(delivery)
    written = (delivery.state.value, delivery.begun_at, delivery.next_attempt_at, attempts)
    return bool(await pool.write("save_delivery", delivery.job_id, delivery.revision, *written, claim))


async def deliveries_of(pool: PostgresPool, job_id: JobId) -> Sequence[Delivery]:
    """The deliveries of a job, by rising revision."""
    if NEVER_STORED.search(job_id):
        return []
    return [delivery_of(*row) for row in await pool.read("deliveries", job_id)]


def _due(row: asyncpg.Record) -> DueDelivery:
    return DueDelivery(
        delivery=delivery_of(*row[:10]),
        job=job_of_row(row["data"], None, row["revision"], row["claimed_at"]),
        claim=row["claim"],
    )
