"""Jobs in PostgreSQL, for any number of processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import asyncpg

from graphql_api.adapters.database_login import ReadLogin
from graphql_api.adapters.job_store.batches import Batches
from graphql_api.adapters.job_store.migrations import migrate_postgres
from graphql_api.adapters.job_store.postgres_deliveries import claim_deliveries, deliveries_of, save_delivery
from graphql_api.adapters.job_store.postgres_pages import count_of, page_of
from graphql_api.adapters.job_store.postgres_pool import NOT_NOW, PostgresPool, open_pool
from graphql_api.adapters.job_store.ranges import NEVER_STORED
from graphql_api.adapters.job_store.rows import (
    depth_of,
    instant,
    job_columns,
    job_of_row,
    microseconds,
    progress_column,
    start_url,
    work_of,
)
from graphql_api.domain.errors import IdempotencyConflict, QueueFull, ServiceUnavailable
from graphql_api.domain.ids import CallerId, JobId
from graphql_api.domain.job import Job, Progress, Tombstone
from graphql_api.domain.webhook import Delivery
from graphql_api.ports import (
    DueDelivery,
    IdempotencyKey,
    JobPage,
    JobQuery,
    PageRequest,
    QueueDepth,
    Submitted,
    Work,
)

RETRY_WHEN_FULL_SECONDS = 10.0

DEPTH_SECONDS = 1.0
"""How old a count of the queue may be while it is not full. What other processes add in that time is not in it."""


class PostgresJobStore:
    """Jobs in PostgreSQL. Leases, duties and keys are timed by the clock of the database.

    New jobs and moves are written in batches: while one is on its way to the disk, the next fills up.
    """

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool
        self._adding = Batches[_New, int | None](self._add_all, key=lambda new: new.unique)
        self._moving = Batches[_Move, int | None](self._update_all, key=lambda move: move.job.id)
        self._line = _Line(pool)

    async def add(self, job: Job, *, key: IdempotencyKey | None = None, max_queued: int | None = None) -> Submitted:
        async with self._line.place(max_queued) as is_room:
            while True:
                revision = await self._adding.ask(_New(job, key)) if is_room else None
                if revision is not None:
                    return Submitted(job=replace(job, revision=revision), is_new=True)
                # None where the key counts no more; it is free by then.
                earlier = None if key is None else await self.find_by_key(job.caller_id, key)
                if earlier is not None:
                    return Submitted(job=earlier, is_new=False)
                if not is_room:
                    raise QueueFull(retry_after_seconds=RETRY_WHEN_FULL_SECONDS)

    async def find(self, job_id: JobId, *, caller_id: CallerId | None = None) -> Job | Tombstone | None:
        if NEVER_STORED.search(job_id):
            return None
        rows = await self._pool.read("find_job", job_id, caller_id)
        # Both for a moment never: a deletion moves the one to the other in one transaction.
        return _job_or_tombstone(rows[0]) if rows else None

    async def find_by_key(self, caller_id: CallerId, key: IdempotencyKey) -> Job | None:
        rows = await self._pool.read("known_key", caller_id, key.key, key.valid_seconds)
        return _same_request(key, rows[0]) if rows else None

    async def count_active(self, caller_id: CallerId, limit: int) -> int:
        ((active,),) = await self._pool.read("count_active", caller_id, limit)
        return int(active)

    async def charged(self, account: str, month: str) -> int:
        rows = await self._pool.read("charged", account, month)
        return int(rows[0]["charged"]) if rows else 0

    async def page(self, caller_id: CallerId, query: JobQuery, page: PageRequest) -> JobPage:
        return await page_of(self._pool, caller_id, query, page)

    async def count(self, caller_id: CallerId, query: JobQuery) -> int:
        return await count_of(self._pool, caller_id, query)

    async def update(self, job: Job, *, if_lease_lost: bool = False) -> Job | None:
        revision = await self._moving.ask(_Move(job, if_lease_lost))
        return None if revision is None else replace(job, revision=revision)

    async def delete(self, job_id: JobId, *, at: datetime) -> Tombstone | None:
        rows = await self._pool.write("delete_job", job_id, microseconds(at))
        return _tombstone(*rows[0]) if rows else None

    async def changes(
        self, caller_id: CallerId, *, after: int, limit: int, active_only: bool = False
    ) -> Sequence[Job | Tombstone]:
        if active_only:
            return _jobs(await self._pool.read("changed_active_jobs", caller_id, after, limit))
        return [_job_or_tombstone(row) for row in await self._pool.read("changes", caller_id, after, limit)]

    async def caller_revision(self, caller_id: CallerId) -> int:
        rows = await self._pool.read("caller_revision", caller_id)
        return int(rows[0]["revision"]) if rows else 0

    async def caller_revisions(self, caller_ids: Sequence[CallerId]) -> Mapping[CallerId, int]:
        return {row["caller_id"]: row["revision"] for row in await self._pool.read("caller_revisions", caller_ids)}

    async def revisions(self, job_ids: Sequence[JobId]) -> Mapping[JobId, int]:
        return {row["id"]: row["revision"] for row in await self._pool.read("revisions", job_ids)}

    async def claim(
        self, worker_id: str, *, model_name: str, limit: int, lease_seconds: float, at: datetime
    ) -> Sequence[Job]:
        rows = await self._pool.write("claim_jobs", model_name, limit, microseconds(at), worker_id, lease_seconds)
        return [
            job_of_row(*row[:4]) for row in sorted(rows, key=lambda row: (row["turn"], row["created_at"], row["id"]))
        ]

    async def renew(self, job: Job, worker_id: str, *, lease_seconds: float, progress: Progress) -> bool:
        lease = (job.id, job.attempt, worker_id, lease_seconds, progress_column(progress))
        # In time for another try.
        return bool(await self._pool.write("renew_lease", *lease, within=max(0.5, lease_seconds / 6)))

    async def lost_leases(self, limit: int) -> Sequence[Job]:
        return _jobs(await self._pool.read("lost_leases", limit))

    async def jobs_ahead(self, jobs: Sequence[Job]) -> Mapping[JobId, int]:
        if not jobs:
            return {}
        if len(jobs) == 1:
            # Counting is many times as fast as numbering.
            (job,) = jobs
            ((ahead,),) = await self._pool.read("jobs_ahead", job.id, job.model_name)
            return {job.id: int(ahead)}
        rows = await self._pool.read("jobs_ahead_of_each", jobs[0].model_name, [job.id for job in jobs])
        return {row["id"]: row["ahead"] for row in rows}

    async def orphans(self, model_names: Sequence[str], limit: int, *, created_before: datetime) -> Sequence[Job]:
        return _jobs(await self._pool.read("orphans", model_names, limit, microseconds(created_before)))

    async def recent_work(self, model_name: str, limit: int) -> Sequence[Work]:
        return [work_of(*row) for row in await self._pool.read("recent_work", model_name, limit)]

    async def depths(self) -> Sequence[QueueDepth]:
        return [depth_of(*row) for row in await self._pool.read("depths")]

    async def claim_deliveries(self, limit: int, *, lease_seconds: float) -> Sequence[DueDelivery]:
        return await claim_deliveries(self._pool, limit, lease_seconds=lease_seconds)

    async def save_delivery(self, delivery: Delivery, *, claim: int | None = None) -> bool:
        return await save_delivery(self._pool, delivery, claim)

    async def deliveries(self, job_id: JobId) -> Sequence[Delivery]:
        return await deliveries_of(self._pool, job_id)

    async def unpurged(self, limit: int, *, deleted_before: datetime) -> Sequence[Tombstone]:
        return [_tombstone(*row) for row in await self._pool.read("unpurged", limit, microseconds(deleted_before))]

    async def purged(self, job_id: JobId) -> None:
        await self._pool.write("mark_purged", job_id)

    async def unswept(self, limit: int, *, finished_before: datetime) -> Sequence[Job]:
        return _jobs(await self._pool.read("unswept", limit, microseconds(finished_before)))

    async def swept(self, job_id: JobId) -> None:
        await self._pool.write("mark_swept", job_id)

    async def expired(self, limit: int, *, at: datetime) -> Sequence[Job]:
        return _jobs(await self._pool.read("expired", limit, microseconds(at)))

    async def forget(self, limit: int, *, deleted_before: datetime, key_seconds: float) -> int:
        ((tombstones,),) = await self._pool.write("forget_tombstones", limit, microseconds(deleted_before))
        ((keys,),) = await self._pool.write("forget_keys", limit, key_seconds)
        return int(tombstones) + int(keys)

    async def hold_duty(self, duty: str, holder: str, *, lease_seconds: float) -> bool:
        return bool(await self._pool.write("hold_duty", duty, holder, lease_seconds))

    async def check(self) -> None:
        await self._pool.check()

    async def finish(self) -> None:
        """Wait for the batches that are under way."""
        await self._adding.close()
        await self._moving.close()

    async def _add_all(self, batch: Sequence[_New]) -> Sequence[int | None]:
        """The revision of each new job, None for those whose key is held."""
        rows = [job_columns(new.job) for new in batch]
        keys = [new.key for new in batch]
        added = await self._pool.write(
            "add_jobs",
            *_arrays(
                rows, "id", "caller_id", "status", "model", "created_at", "started_at", "answered_at", "finished_at"
            ),
            *_arrays(rows, "expires_at", "attempt", "work", "unswept", "charged", "prompt_folded", "data"),
            [new.job.account or None for new in batch],
            [new.job.month if new.job.account else None for new in batch],
            [start_url(new.job) for new in batch],
            [None if key is None else key.key for key in keys],
            [None if key is None else key.digest for key in keys],
            [None if key is None else key.valid_seconds for key in keys],
        )
        revisions = {row["id"]: row["revision"] for row in added}
        return [revisions.get(new.job.id) for new in batch]

    async def _update_all(self, batch: Sequence[_Move]) -> Sequence[int | None]:
        """The new revision of each job that was where its move started from, None for the others."""
        rows = [job_columns(move.job) for move in batch]
        moved = await self._pool.write(
            "update_jobs",
            *_arrays(rows, "id", "revision"),
            [move.if_lease_lost for move in batch],
            *_arrays(rows, "status", "started_at", "answered_at", "finished_at", "expires_at"),
            *_arrays(rows, "attempt", "unswept", "charged", "data"),
            [move.job.webhook_event for move in batch],
            [None if move.job.webhook is None else move.job.webhook.url for move in batch],
        )
        revisions = {row["id"]: row["revision"] for row in moved}
        return [revisions.get(move.job.id) for move in batch]


@asynccontextmanager
async def open_postgres_job_store(
    url: str, *, connections: int, login: ReadLogin | None = None
) -> AsyncIterator[PostgresJobStore]:
    """Open the store in a database, whose schema is made or brought up to date. Without a `login` the URL says who
    logs in.

    Raises ValueError when the URL cannot be read, SchemaTooNew when a later version of the program has used the
    database, ServiceUnavailable when it cannot be used.
    """
    async with open_pool(url, connections=connections, login=login) as pool:
        await _prepare(pool)
        store = PostgresJobStore(PostgresPool(pool))
        try:
            yield store
        finally:
            await store.finish()


async def _prepare(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    try:
        async with pool.acquire() as connection:
            await migrate_postgres(connection)
    except (*NOT_NOW, asyncpg.InsufficientPrivilegeError) as error:
        raise ServiceUnavailable(f"The job store cannot be opened: {error}.") from error


@dataclass(frozen=True, slots=True)
class _New:
    job: Job
    key: IdempotencyKey | None

    @property
    def unique(self) -> object:
        """Of two new jobs with one key, the second must find the first."""
        return self.job.id if self.key is None else (self.job.caller_id, self.key.key)


@dataclass(frozen=True, slots=True)
class _Move:
    job: Job
    if_lease_lost: bool


class _Line:
    """How long the queue is, counted anew only when it may be full or the count is old."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool
        self._counted = 0
        self._good_until = 0.0
        self._counting = asyncio.Lock()
        self._joining = 0
        """Jobs that are being added, and may not be in a count."""

    @asynccontextmanager
    async def place(self, max_queued: int | None) -> AsyncIterator[bool]:
        """Whether there is room for a job, which is added while the context is open."""
        if max_queued is None:
            yield True
            return
        if not self._has_room(max_queued):
            async with self._counting:
                if not self._has_room(max_queued):
                    joining = self._joining
                    ((queued,),) = await self._pool.read("queued_jobs", max_queued)
                    self._counted = queued + joining
                    self._good_until = asyncio.get_running_loop().time() + DEPTH_SECONDS
        if self._counted >= max_queued:
            yield False
            return
        self._counted += 1
        self._joining += 1
        try:
            yield True
        finally:
            self._joining -= 1

    def _has_room(self, max_queued: int) -> bool:
        return self._counted < max_queued and asyncio.get_running_loop().time() < self._good_until


def _same_request(key: IdempotencyKey, row: asyncpg.Record) -> Job:
    """The job that a key stands for. Raises IdempotencyConflict."""
    digest, job_id, *columns = row
    if digest != key.digest:
        raise IdempotencyConflict(
            "This idempotency key was used before with other input.", existing_job_id=JobId(job_id)
        )
    if columns[0] is None:
        raise IdempotencyConflict("The job of this idempotency key was deleted.", existing_job_id=JobId(job_id))
    return job_of_row(*columns)


def _arrays(rows: Sequence[Any], *columns: str) -> list[list[Any]]:
    return [[getattr(row, column) for row in rows] for column in columns]


def _jobs(rows: Iterable[asyncpg.Record]) -> list[Job]:
    return [job_of_row(*row) for row in rows]


def _job_or_tombstone(row: asyncpg.Record) -> Job | Tombstone:
    data, progress, revision, claimed_at, deleted_id, caller_id, deleted_at = row
    if data is None:
        return _tombstone(deleted_id, caller_id, revision, deleted_at)
    return job_of_row(data, progress, revision, claimed_at)


def _tombstone(job_id: str, caller_id: str, revision: int, deleted_at: int) -> Tombstone:
    return Tombstone(
        job_id=JobId(job_id), caller_id=CallerId(caller_id), revision=revision, deleted_at=instant(deleted_at)
    )
