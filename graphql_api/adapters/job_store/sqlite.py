"""Jobs in a SQLite file, for one process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from graphql_api.adapters.job_store.group_commit import GroupCommit
from graphql_api.adapters.job_store.migrations import migrate_sqlite
from graphql_api.adapters.job_store.rows import (
    depth_of,
    instant,
    job_columns,
    job_of,
    ledger_charge,
    list_column,
    microseconds,
    progress_column,
    work_of,
)
from graphql_api.adapters.job_store.sqlite_deliveries import (
    deliveries_of,
    due_deliveries,
    lease_deliveries,
    queue_delivery,
    save_delivery,
)
from graphql_api.adapters.job_store.sqlite_file import connect, lock
from graphql_api.adapters.job_store.sqlite_pages import count_of, page_of
from graphql_api.adapters.sql import load_sql
from graphql_api.domain.errors import IdempotencyConflict, QueueFull, ServiceUnavailable
from graphql_api.domain.ids import CallerId, JobId
from graphql_api.domain.job import Job, JobStatus, Progress, Tombstone
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

_SQL = load_sql("graphql_api.adapters.job_store", "sqlite.sql")

Clock = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SqliteJobStore:
    """Jobs in a SQLite file. Writes are committed in groups; leases and keys are timed by `clock`."""

    def __init__(self, writer: GroupCommit, reader: GroupCommit, *, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def add(self, job: Job, *, key: IdempotencyKey | None = None, max_queued: int | None = None) -> Submitted:
        return await self._writer.run(lambda db: _add(db, job, key, max_queued, self._now()))

    async def find(self, job_id: JobId, *, caller_id: CallerId | None = None) -> Job | Tombstone | None:
        return await self._reader.run(lambda db: _find(db, job_id, caller_id) or _find_tombstone(db, job_id, caller_id))

    async def find_by_key(self, caller_id: CallerId, key: IdempotencyKey) -> Job | None:
        return await self._reader.run(lambda db: _job_of_key(db, caller_id, key, self._now()))

    async def count_active(self, caller_id: CallerId, limit: int) -> int:
        which = (caller_id, limit)
        return await self._reader.run(lambda db: int(db.execute(_SQL["count_active"], which).fetchone()[0]))

    async def charged(self, account: str, month: str) -> int:
        return await self._reader.run(lambda db: _charged(db, account, month))

    async def page(self, caller_id: CallerId, query: JobQuery, page: PageRequest) -> JobPage:
        return await self._reader.run(lambda db: page_of(db, caller_id, query, page))

    async def count(self, caller_id: CallerId, query: JobQuery) -> int:
        return await self._reader.run(lambda db: count_of(db, caller_id, query))

    async def update(self, job: Job, *, if_lease_lost: bool = False) -> Job | None:
        return await self._writer.run(lambda db: _update(db, job, if_lease_lost, self._now))

    async def delete(self, job_id: JobId, *, at: datetime) -> Tombstone | None:
        return await self._writer.run(lambda db: _delete(db, job_id, at))

    async def changes(
        self, caller_id: CallerId, *, after: int, limit: int, active_only: bool = False
    ) -> Sequence[Job | Tombstone]:
        return await self._reader.run(lambda db: _changes(db, caller_id, after, limit, active_only))

    async def caller_revision(self, caller_id: CallerId) -> int:
        return await self._reader.run(lambda db: _caller_revision(db, caller_id))

    async def caller_revisions(self, caller_ids: Sequence[CallerId]) -> Mapping[CallerId, int]:
        ids = list_column(caller_ids)
        return await self._reader.run(lambda db: dict(db.execute(_SQL["caller_revisions"], (ids,))))

    async def revisions(self, job_ids: Sequence[JobId]) -> Mapping[JobId, int]:
        ids = list_column(job_ids)
        return await self._reader.run(lambda db: dict(db.execute(_SQL["revisions"], {"ids": ids})))

    async def claim(
        self, worker_id: str, *, model_name: str, limit: int, lease_seconds: float, at: datetime
    ) -> Sequence[Job]:
        def claim(db: sqlite3.Connection) -> Sequence[Job]:
            lease_until = self._from_now(lease_seconds)
            queued = _jobs(db.execute(_SQL["claim_candidates"], (model_name, limit)))
            return [_lease(db, job.claimed(at=at), worker_id, lease_until, self._now) for job in queued]

        return await self._writer.run(claim)

    async def renew(self, job: Job, worker_id: str, *, lease_seconds: float, progress: Progress) -> bool:
        saved = progress_column(progress)

        def renew(db: sqlite3.Connection) -> bool:
            lease = (self._from_now(lease_seconds), saved, job.id, job.attempt, worker_id)
            return db.execute(_SQL["renew_lease"], lease).rowcount == 1

        return await self._writer.run(renew)

    async def lost_leases(self, limit: int) -> Sequence[Job]:
        return await self._reader.run(lambda db: _jobs(db.execute(_SQL["lost_leases"], (self._now(), limit))))

    async def jobs_ahead(self, jobs: Sequence[Job]) -> Mapping[JobId, int]:
        return await self._reader.run(lambda db: _jobs_ahead(db, jobs))

    async def orphans(self, model_names: Sequence[str], limit: int, *, created_before: datetime) -> Sequence[Job]:
        which = (microseconds(created_before), list_column(model_names), limit)
        return await self._reader.run(lambda db: _jobs(db.execute(_SQL["orphans"], which)))

    async def recent_work(self, model_name: str, limit: int) -> Sequence[Work]:
        which = (model_name, limit)
        return await self._reader.run(lambda db: [work_of(*row) for row in db.execute(_SQL["recent_work"], which)])

    async def depths(self) -> Sequence[QueueDepth]:
        return await self._reader.run(lambda db: [depth_of(*row) for row in db.execute(_SQL["depths"])])

    async def claim_deliveries(self, limit: int, *, lease_seconds: float) -> Sequence[DueDelivery]:
        def lease(db: sqlite3.Connection) -> Sequence[Sequence[Any]]:
            return lease_deliveries(db, limit, now=self._now(), lease_until=self._from_now(lease_seconds))

        # What cannot be read must not undo the lease of what can.
        return due_deliveries(await self._writer.run(lease))

    async def save_delivery(self, delivery: Delivery, *, claim: int | None = None) -> bool:
        return await self._writer.run(lambda db: save_delivery(db, delivery, claim))

    async def deliveries(self, job_id: JobId) -> Sequence[Delivery]:
        return await self._reader.run(lambda db: deliveries_of(db, job_id))

    async def unpurged(self, limit: int, *, deleted_before: datetime) -> Sequence[Tombstone]:
        which = (microseconds(deleted_before), limit)
        return await self._reader.run(lambda db: _tombstones(db.execute(_SQL["unpurged"], which)))

    async def purged(self, job_id: JobId) -> None:
        await self._writer.run(lambda db: db.execute(_SQL["mark_purged"], (job_id,)))

    async def unswept(self, limit: int, *, finished_before: datetime) -> Sequence[Job]:
        which = (microseconds(finished_before), limit)
        return await self._reader.run(lambda db: _jobs(db.execute(_SQL["unswept"], which)))

    async def swept(self, job_id: JobId) -> None:
        await self._writer.run(lambda db: db.execute(_SQL["mark_swept"], (job_id,)))

    async def expired(self, limit: int, *, at: datetime) -> Sequence[Job]:
        return await self._reader.run(lambda db: _jobs(db.execute(_SQL["expired"], (microseconds(at), limit))))

    async def forget(self, limit: int, *, deleted_before: datetime, key_seconds: float) -> int:
        def forget(db: sqlite3.Connection) -> int:
            tombstones = db.execute(_SQL["forget_tombstones"], (microseconds(deleted_before), limit))
            keys = db.execute(_SQL["forget_keys"], (self._from_now(-key_seconds), limit))
            return tombstones.rowcount + keys.rowcount

        return await self._writer.run(forget)

    async def hold_duty(self, duty: str, holder: str, *, lease_seconds: float) -> bool:
        def hold(db: sqlite3.Connection) -> bool:
            lease_until = self._from_now(lease_seconds)
            asked = {"duty": duty, "holder": holder, "lease_until": lease_until, "now": self._now()}
            return db.execute(_SQL["hold_duty"], asked).rowcount == 1

        return await self._writer.run(hold)

    async def check(self) -> None:
        await self._reader.run(lambda db: db.execute(_SQL["check"]).fetchone())

    def _now(self) -> int:
        return microseconds(self._clock())

    def _from_now(self, seconds: float) -> int:
        return self._now() + round(seconds * 1_000_000)


@asynccontextmanager
async def open_sqlite_job_store(path: Path, *, clock: Clock = _utc_now) -> AsyncIterator[SqliteJobStore]:
    """Open the store in a file, which is made with its folders when it is not there.

    Raises StoreInUse when somebody else has it open, SchemaTooNew when a later version of the program has used it,
    ServiceUnavailable when the file cannot be used.
    """
    opened = await asyncio.to_thread(_open, path)
    # Reads have a connection and a thread too, so that they do not wait for a commit that is on its way to the disk.
    # They see everything that was acknowledged before they were asked for.
    writer = GroupCommit(opened.writing, on_end=opened.lock.close)
    reader = GroupCommit(opened.reading, begin="BEGIN")
    try:
        yield SqliteJobStore(writer, reader, clock=clock)
    finally:
        try:
            await reader.close()
        finally:
            await writer.close()


class _Opened(NamedTuple):
    lock: TextIO
    writing: sqlite3.Connection
    reading: sqlite3.Connection


def _open(path: Path) -> _Opened:
    """Lock the file, bring its schema up to date and take back every lease and duty: whoever held one is gone."""
    try:
        with ExitStack() as stack:
            path.parent.mkdir(parents=True, exist_ok=True)
            real_path = path.resolve()
            opened = _Opened(
                lock=stack.enter_context(lock(real_path)),
                writing=stack.enter_context(closing(connect(real_path))),
                reading=stack.enter_context(closing(connect(real_path))),
            )
            migrate_sqlite(opened.writing)
            opened.writing.execute(_SQL["forget_leases"])
            opened.writing.execute(_SQL["forget_claimed_deliveries"])
            opened.writing.execute(_SQL["forget_duties"])
            opened.reading.execute("PRAGMA query_only = ON")
            stack.pop_all()
            return opened
    except (OSError, sqlite3.Error) as error:
        raise ServiceUnavailable("The job store cannot be opened.") from error


# --- operations: each runs in a transaction of the group -------------------------------------------------------------


def _add(db: sqlite3.Connection, job: Job, key: IdempotencyKey | None, max_queued: int | None, now: int) -> Submitted:
    if key is not None or max_queued is not None:
        earlier = _admit(db, job.caller_id, key, max_queued, now)
        if earlier is not None:
            return Submitted(job=earlier, is_new=False)
    added = replace(job, revision=_take_revision(db, job.caller_id))
    line = {"model": job.model_name, "caller_id": job.caller_id}
    (turn,) = db.execute(_SQL["next_turn"], line).fetchone()
    row = job_columns(added)
    db.execute(_SQL["insert_job"], (*row, turn))
    _change_queue_depth(db, None, job.status)
    _charge(db, added, row.charged)
    if key is not None:
        db.execute(_SQL["keep_key"], (job.caller_id, key.key, key.digest, job.id, now))
    return Submitted(job=added, is_new=True)


def _admit(
    db: sqlite3.Connection, caller_id: CallerId, key: IdempotencyKey | None, max_queued: int | None, now: int
) -> Job | None:
    """The job that the key stands for, or None when a new one may be added."""
    parameters = (caller_id, None if key is None else key.key)
    queued, digest, job_id, used_at = db.execute(_SQL["admission"], parameters).fetchone()
    if key is not None and job_id is not None and _counts(key, used_at, now):
        return _same_request(db, key, digest, job_id)
    if max_queued is not None and queued >= max_queued:
        raise QueueFull(retry_after_seconds=RETRY_WHEN_FULL_SECONDS)
    return None


def _job_of_key(db: sqlite3.Connection, caller_id: CallerId, key: IdempotencyKey, now: int) -> Job | None:
    row = db.execute(_SQL["known_key"], (caller_id, key.key)).fetchone()
    if row is None:
        return None
    digest, job_id, used_at = row
    return _same_request(db, key, digest, job_id) if _counts(key, used_at, now) else None


def _counts(key: IdempotencyKey, used_at: int, now: int) -> bool:
    return now - used_at < key.valid_seconds * 1_000_000


def _same_request(db: sqlite3.Connection, key: IdempotencyKey, digest: str, job_id: JobId) -> Job:
    if digest != key.digest:
        raise IdempotencyConflict("This idempotency key was used before with other input.", existing_job_id=job_id)
    job = _find(db, job_id)
    if job is None:
        raise IdempotencyConflict("The job of this idempotency key was deleted.", existing_job_id=job_id)
    return job


def _take_revision(db: sqlite3.Connection, caller_id: CallerId) -> int:
    db.execute(_SQL["take_revision"], (caller_id,))
    return _caller_revision(db, caller_id)


def _caller_revision(db: sqlite3.Connection, caller_id: CallerId) -> int:
    row = db.execute(_SQL["caller_revision"], (caller_id,)).fetchone()
    return 0 if row is None else int(row[0])


def _find(db: sqlite3.Connection, job_id: JobId, caller_id: CallerId | None = None) -> Job | None:
    row = db.execute(_SQL["job"], (job_id, caller_id)).fetchone()
    return None if row is None else job_of(*row)


def _find_tombstone(db: sqlite3.Connection, job_id: JobId, caller_id: CallerId | None) -> Tombstone | None:
    return next(iter(_tombstones(db.execute(_SQL["tombstone"], (job_id, caller_id)))), None)


def _jobs(rows: Iterable[tuple[str, str | None]]) -> list[Job]:
    return [job_of(data, progress) for data, progress in rows]


def _tombstones(rows: Iterable[tuple[JobId, CallerId, int, int]]) -> list[Tombstone]:
    return [
        Tombstone(job_id=job_id, caller_id=caller_id, revision=revision, deleted_at=instant(deleted_at))
        for job_id, caller_id, revision, deleted_at in rows
    ]


def _update(db: sqlite3.Connection, job: Job, if_lease_lost: bool, now: Callable[[], int]) -> Job | None:
    state = db.execute(_SQL["job_state"], (job.id,)).fetchone()
    if state is None:
        return None
    _, revision, status, _, lease_until, charged = state
    if if_lease_lost and lease_until > now():
        return None
    return _move(db, job, before=status, charged=charged, now=now) if revision == job.revision else None


def _move(db: sqlite3.Connection, job: Job, *, before: str, charged: int, now: Callable[[], int]) -> Job:
    """Write a job whose row has the status `before` and is in the ledger with `charged`."""
    moved = replace(job, revision=_take_revision(db, job.caller_id))
    row = job_columns(moved)
    db.execute(_SQL["update_job"], (*row, moved.id))
    _change_queue_depth(db, before, moved.status)
    _charge(db, moved, row.charged - charged)
    if moved.webhook is not None and moved.status != before:
        queue_delivery(db, moved, moved.webhook, row.data, now=now())
    return moved


def _delete(db: sqlite3.Connection, job_id: JobId, at: datetime) -> Tombstone | None:
    state = db.execute(_SQL["job_state"], (job_id,)).fetchone()
    if state is None:
        return None
    caller_id, _, status, attempt, _, charged = state
    revision = _take_revision(db, caller_id)
    if charged and status == JobStatus.QUEUED and attempt == 0:
        _charge(db, job_of(*db.execute(_SQL["job"], (job_id, None)).fetchone()), -charged)
    db.execute(_SQL["delete_job"], (job_id,))
    db.execute(_SQL["delete_deliveries"], (job_id,))
    _change_queue_depth(db, status, None)
    db.execute(_SQL["insert_tombstone"], (job_id, caller_id, revision, microseconds(at)))
    return Tombstone(job_id=job_id, caller_id=caller_id, revision=revision, deleted_at=at)


def _charge(db: sqlite3.Connection, job: Job, amount: int) -> None:
    """Charge the account of a job with an amount, which may be negative."""
    if amount:
        db.execute(_SQL["charge"], (job.account, job.month, amount))


def _charged(db: sqlite3.Connection, account: str, month: str) -> int:
    row = db.execute(_SQL["charged"], (account, month)).fetchone()
    return 0 if row is None else int(row[0])


def _change_queue_depth(db: sqlite3.Connection, before: str | None, after: str | None) -> None:
    """For every write that may bring a job into the queue or out of it: its status on both sides."""
    change = (after == JobStatus.QUEUED) - (before == JobStatus.QUEUED)
    if change:
        db.execute(_SQL["change_queue_depth"], (change,))


def _jobs_ahead(db: sqlite3.Connection, jobs: Sequence[Job]) -> Mapping[JobId, int]:
    if len(jobs) == 1:
        # Counting is many times as fast as numbering.
        (job,) = jobs
        return {job.id: db.execute(_SQL["jobs_ahead"], (job.model_name, job.id)).fetchone()[0]}
    ids = list_column([job.id for job in jobs])
    return dict(db.execute(_SQL["jobs_ahead_of_each"], {"model": jobs[0].model_name, "ids": ids})) if jobs else {}


def _changes(
    db: sqlite3.Connection, caller_id: CallerId, after: int, limit: int, active_only: bool
) -> Sequence[Job | Tombstone]:
    which = (caller_id, after, limit)
    if active_only:
        return _jobs(db.execute(_SQL["changed_active_jobs"], which))
    jobs = _jobs(db.execute(_SQL["changed_jobs"], which))
    tombstones = _tombstones(db.execute(_SQL["changed_tombstones"], which))
    changed: list[Job | Tombstone] = [*jobs, *tombstones]
    return sorted(changed, key=lambda moved: moved.revision)[:limit]


def _lease(db: sqlite3.Connection, claimed: Job, worker_id: str, lease_until: int, now: Callable[[], int]) -> Job:
    # A claim charges nothing.
    job = _move(db, claimed, before=JobStatus.QUEUED, charged=ledger_charge(claimed), now=now)
    db.execute(_SQL["grant_lease"], (worker_id, lease_until, job.id))
    return job
