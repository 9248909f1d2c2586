"""What SqliteJobStore promises beyond the contract: crashes, a full disk, one process at a time, groups of writes."""

from __future__ import annotations

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest

from graphql_api.adapters.job_store import open_job_store
from graphql_api.adapters.job_store.group_commit import GroupCommit
from graphql_api.adapters.job_store.migrations import SchemaTooNew, migrate_sqlite
from graphql_api.adapters.job_store.sqlite import SqliteJobStore, open_sqlite_job_store
from graphql_api.adapters.job_store.sqlite_file import StoreInUse, connect
from graphql_api.domain.errors import QueueFull, ServiceUnavailable
from graphql_api.domain.ids import JobId
from graphql_api.domain.job import JobStatus
from graphql_api.domain.webhook import DeliveryAttempt, WebhookEvent
from graphql_api.ports import IdempotencyKey, JobQuery
from tests.contract.sample_jobs import (
    ACME,
    ALICE,
    MARCH,
    NOON,
    a_job,
    added,
    charged_to,
    claimed,
    live,
    moved,
    row_of_former_version,
    told,
)

COLUMNS_OF_FORMER_VERSION = (
    "id caller_id revision status model created_at started_at answered_at finished_at expires_at attempt work unswept "
    "prompt_folded"
).split()

OTHER_PROCESS = """
import asyncio, sys
sys.path[:0] = ["tests"]
from tests.contract.sample_jobs import added, claimed
from graphql_api.adapters.job_store import open_job_store

async def main():
    async with open_job_store(sys.argv[1]) as store:
        await added(store)
        running = await claimed(store)
        print(running.id, (await added(store)).id, flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


@contextmanager
def other_process(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has the store open until its standard input is closed."""
    command = [sys.executable, "-c", OTHER_PROCESS, url]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def ids_from(process: subprocess.Popen[str]) -> tuple[JobId, JobId]:
    """The running and the queued job that it has acknowledged."""
    assert process.stdout is not None
    running, queued = process.stdout.readline().split()
    return JobId(running), JobId(queued)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'jobs.db'}"


# --- crashes ---------------------------------------------------------------------------------------------------------


async def test_acknowledged_jobs_outlive_a_killed_process(url: str) -> None:
    with other_process(url) as process:
        running_id, queued_id = ids_from(process)
        process.send_signal(signal.SIGKILL)

    async with open_job_store(url) as store:
        assert live(await store.find(running_id)).status is JobStatus.RUNNING
        assert live(await store.find(queued_id)).status is JobStatus.QUEUED
        assert await store.caller_revision(ALICE) == 3


async def test_reopened_store_lists_running_jobs_as_lost_at_once(url: str) -> None:
    with other_process(url) as process:
        running_id, _ = ids_from(process)
        process.kill()

    async with open_job_store(url) as store:
        assert [job.id for job in await store.lost_leases(10)] == [running_id]


async def test_closing_finishes_what_waits_and_leaves_one_file(url: str, tmp_path: Path) -> None:
    async with open_job_store(url) as store:
        adding = [asyncio.ensure_future(store.add(a_job())) for _ in range(10)]
        while not any(task.done() for task in adding):
            await asyncio.wait(adding, return_when=asyncio.FIRST_COMPLETED)
        adding += [asyncio.ensure_future(store.add(a_job())) for _ in range(10)]
        await asyncio.sleep(0)

    assert all(task.done() and task.exception() is None for task in adding)
    assert names_in(tmp_path) == ["jobs.db", "jobs.db.lock"]
    async with open_job_store(url) as store:
        assert await store.count(ALICE, JobQuery()) == 20


async def test_length_of_the_queue_is_known_after_reopening(url: str) -> None:
    async with open_job_store(url) as store:
        await added(store)
        await added(store)
        await claimed(store)

    async with open_job_store(url) as store:
        with pytest.raises(QueueFull):
            await store.add(a_job(), max_queued=1)
        assert (await store.add(a_job(), max_queued=2)).is_new


async def test_closed_store_refuses(url: str) -> None:
    async with open_job_store(url) as store:
        job = await added(store)

    with pytest.raises(ServiceUnavailable):
        await store.add(a_job())
    with pytest.raises(ServiceUnavailable):
        await store.find(job.id)


# --- opening ---------------------------------------------------------------------------------------------------------


async def test_second_process_is_refused_while_the_first_has_the_store(url: str, tmp_path: Path) -> None:
    with other_process(url) as process:
        running_id, _ = ids_from(process)
        with pytest.raises(StoreInUse, match="in use") as caught:
            async with open_job_store(url):
                pass
        process.communicate()

    assert str(tmp_path) not in caught.value.message
    async with open_job_store(url) as store:
        assert live(await store.find(running_id)).status is JobStatus.RUNNING


async def test_store_cannot_be_opened_twice_under_two_names(url: str, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "jobs.db")

    async with open_job_store(url):
        with pytest.raises(StoreInUse):
            async with open_job_store(f"sqlite:{tmp_path / 'link.db'}"):
                pass


async def test_database_of_a_later_version_is_refused_and_left_alone(url: str, tmp_path: Path) -> None:
    async with open_job_store(url) as store:
        job = await added(store)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        (known,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("PRAGMA user_version = 999")

    with pytest.raises(SchemaTooNew, match="999"):
        async with open_job_store(url):
            pass

    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.execute(f"PRAGMA user_version = {known}")
    async with open_job_store(url) as store:
        assert await store.find(job.id) == job


async def test_database_of_the_version_before_accounts_opens_with_its_jobs(url: str, tmp_path: Path) -> None:
    waiting, running = (replace(a_job(seconds=number), revision=number) for number in (1, 2))
    running = replace(running.claimed(at=NOON), attempt=1)
    folder = resources.files("graphql_api.adapters.job_store") / "migrations" / "sqlite"
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        for name in ("0001_jobs.sql", "0002_queue_rounds_and_upkeep.sql"):
            connection.executescript((folder / name).read_text())
        connection.execute("PRAGMA user_version = 2")
        connection.execute("INSERT INTO callers VALUES (?, 2)", (ALICE,))
        for job in (waiting, running):
            row = row_of_former_version(job, *COLUMNS_OF_FORMER_VERSION)
            places = ", ".join(f":{column}" for column in row)
            connection.execute(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({places})", row)
        connection.execute("UPDATE queue_depth SET jobs = 1")
        connection.commit()

    async with open_job_store(url) as store:
        assert await store.find(waiting.id) == waiting
        assert await store.find(running.id) == running
        assert await store.deliveries(running.id) == []
        done = await moved(store, running.paid(5).succeeded((), answered_at=NOON, at=NOON))
        await store.delete(waiting.id, at=NOON)
        assert await store.charged("", done.month) == 0
        await added(store, charged_to(ACME, told()))
        assert (await claimed(store)).account == ACME
        assert await store.charged(ACME, MARCH) == 700
        assert len(await store.claim_deliveries(10, lease_seconds=60)) == 1


async def test_file_that_is_no_database_is_refused(url: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_bytes(b"something else" * 1000)

    with pytest.raises(ServiceUnavailable) as caught:
        async with open_job_store(url):
            pass

    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    assert str(tmp_path) not in caught.value.message


async def test_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable):
        async with open_job_store(f"sqlite:{tmp_path}"):
            pass


async def test_folders_on_the_way_to_the_file_are_made(tmp_path: Path) -> None:
    async with open_job_store(f"sqlite:{tmp_path / 'a' / 'b' / 'jobs.db'}") as store:
        await added(store)


@pytest.mark.parametrize("bad_url", ["", "jobs.db", "mysql://host/db", "sqlite:", "sqlite::memory:", "sqlite:a\0b"])
async def test_url_that_names_no_store_is_refused(bad_url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:"):
        async with open_job_store(bad_url):
            pass


# --- time ------------------------------------------------------------------------------------------------------------


async def test_leases_and_keys_run_out_by_the_clock(tmp_path: Path) -> None:
    now = NOON
    async with open_sqlite_job_store(tmp_path / "jobs.db", clock=lambda: now) as store:
        key = IdempotencyKey(key="key", digest="digest", valid_seconds=60)
        await store.add(a_job(), key=key)
        running = await claimed(store, lease_seconds=30)

        now = NOON + timedelta(seconds=29.9)
        assert await store.lost_leases(10) == []
        assert await store.renew(running, "worker-1", lease_seconds=30, progress=running.progress)
        now = NOON + timedelta(seconds=59.8)
        assert await store.lost_leases(10) == []
        assert not (await store.add(a_job(), key=key)).is_new
        now = NOON + timedelta(seconds=60)
        assert await store.lost_leases(10) == [running]
        assert (await store.add(a_job(), key=key)).is_new


async def test_deliveries_are_due_and_leased_by_the_clock(tmp_path: Path) -> None:
    now = NOON
    async with open_sqlite_job_store(tmp_path / "jobs.db", clock=lambda: now) as store:
        await added(store, told(WebhookEvent.JOB_STARTED))
        await claimed(store)
        (claim,) = await store.claim_deliveries(10, lease_seconds=30)
        assert claim.delivery.created_at == NOON

        now = NOON + timedelta(seconds=29.9)
        assert await store.claim_deliveries(10, lease_seconds=30) == []
        now = NOON + timedelta(seconds=30)
        (claim,) = await store.claim_deliveries(10, lease_seconds=30)
        attempt = DeliveryAttempt(at=now, seconds=1.0, status_code=500, problem="no")
        put_off = claim.delivery.attempted(attempt, next_attempt_at=now + timedelta(seconds=10))
        assert await store.save_delivery(put_off, claim=claim.claim)

        now = NOON + timedelta(seconds=39.9)
        assert await store.claim_deliveries(10, lease_seconds=30) == []
        now = NOON + timedelta(seconds=40)
        assert len(await store.claim_deliveries(10, lease_seconds=30)) == 1


async def test_reopened_store_gives_out_claimed_deliveries_at_once_and_others_when_they_are_due(url: str) -> None:
    async with open_job_store(url) as store:
        for _ in range(2):
            await added(store, told(WebhookEvent.JOB_STARTED))
            await claimed(store)
        held, put_off = await store.claim_deliveries(10, lease_seconds=3600)
        attempt = DeliveryAttempt(at=NOON, seconds=1.0, status_code=500, problem="no")
        later = put_off.delivery.attempted(attempt, next_attempt_at=datetime.now(UTC) + timedelta(hours=1))
        assert await store.save_delivery(later, claim=put_off.claim)

    async with open_job_store(url) as store:
        (again,) = await store.claim_deliveries(10, lease_seconds=3600)
        assert again.delivery == held.delivery
        assert not await store.save_delivery(held.delivery, claim=held.claim)


async def test_job_without_account_and_webhook_touches_neither_ledger_nor_deliveries(tmp_path: Path) -> None:
    told_to: list[str] = []
    connection = connect(tmp_path / "jobs.db")
    migrate_sqlite(connection)
    connection.set_trace_callback(told_to.append)
    writer = GroupCommit(connection)
    store = SqliteJobStore(writer, writer, clock=lambda: NOON)
    try:
        await added(store)
        running = await claimed(store)
        await moved(store, running.paid(5).succeeded((), answered_at=NOON, at=NOON))
    finally:
        await writer.close()

    assert told_to
    assert not [each for each in told_to if "accounts" in each or "deliveries" in each]


# --- faults ----------------------------------------------------------------------------------------------------------


async def test_faulty_write_in_a_group_fails_only_its_own_caller(url: str) -> None:
    async with open_job_store(url) as store:
        there = await added(store)
        jobs = [a_job() for _ in range(10)]

        results = await asyncio.gather(
            *(store.add(job) for job in [*jobs[:5], there, *jobs[5:]]), return_exceptions=True
        )

        assert isinstance(results[5], sqlite3.IntegrityError)
        assert sum(isinstance(result, BaseException) for result in results) == 1
        found = await store.changes(ALICE, after=0, limit=100)
        assert [one.revision for one in found] == list(range(1, 12))
        assert found[0] == there


async def test_disk_without_room_is_service_unavailable_and_promises_nothing(url: str, tmp_path: Path) -> None:
    async with open_job_store(url) as store:
        job = await added(store)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        soft = (tmp_path / "jobs.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        try:
            results = await asyncio.gather(*(store.add(a_job()) for _ in range(3)), return_exceptions=True)
            assert await store.find(job.id) == job
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

        assert [type(result) for result in results] == [ServiceUnavailable] * 3
        assert await store.caller_revision(ALICE) == 1
        assert (await added(store)).revision == 2


async def test_cancelled_caller_does_not_disturb_the_others(url: str) -> None:
    async with open_job_store(url) as store:
        adding = [asyncio.ensure_future(store.add(a_job())) for _ in range(30)]
        await asyncio.sleep(0)
        for task in adding[::2]:
            task.cancel()

        results = await asyncio.gather(*adding, return_exceptions=True)

        assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False] * 15
        job = await added(store)
        await moved(store, await claimed(store))
        assert await store.find(job.id) is not None


# --- groups of writes ------------------------------------------------------------------------------------------------


class Database:
    """A group commit on a table of unique numbers, and what its connection was told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[str] = []
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY, filler BLOB)")
        connection.set_trace_callback(self.told.append)
        self.group = GroupCommit(connection)

    async def insert(self, number: int, *, size: int = 0) -> int:
        """Write a number with a filler of `size` bytes."""

        def operation(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO numbers VALUES (?, zeroblob(?))", (number, size))
            return number

        return await self.group.run(operation)

    def numbers(self) -> list[int]:
        """What others see."""
        with closing(sqlite3.connect(self.path)) as connection:
            return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "numbers.db")
    yield opened
    await opened.group.close()


@asynccontextmanager
async def held_up(database: Database) -> AsyncIterator[asyncio.Future[bool]]:
    """The thread is in the middle of one operation until the end of the block."""
    loop = asyncio.get_running_loop()
    has_begun, go_on = asyncio.Event(), threading.Event()

    def operation(_: sqlite3.Connection) -> bool:
        loop.call_soon_threadsafe(has_begun.set)
        return go_on.wait(60)

    running = asyncio.ensure_future(database.group.run(operation))
    await has_begun.wait()
    try:
        yield running
    finally:
        go_on.set()


async def test_writes_that_wait_are_committed_together(database: Database) -> None:
    async with held_up(database) as first:
        inserts = [asyncio.ensure_future(database.insert(number)) for number in range(50)]
        await asyncio.sleep(0)
        assert not any(insert.done() for insert in inserts)

    assert await first
    assert await asyncio.gather(*inserts) == list(range(50))
    assert [word for word in database.told if word in ("BEGIN IMMEDIATE", "COMMIT")] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ] * 2


async def test_others_see_a_write_once_it_is_acknowledged(database: Database) -> None:
    await database.insert(1)

    assert database.numbers() == [1]


async def test_error_rolls_a_group_back_and_runs_each_write_alone(database: Database) -> None:
    results = await asyncio.gather(*(database.insert(number) for number in (1, 2, 2, 3)), return_exceptions=True)

    assert [isinstance(result, sqlite3.IntegrityError) for result in results] == [False, False, True, False]
    assert database.numbers() == [1, 2, 3]


async def test_error_of_the_domain_fails_its_caller_without_a_second_run(database: Database) -> None:
    def refuse(_: sqlite3.Connection) -> None:
        raise QueueFull(retry_after_seconds=1)

    results = await asyncio.gather(
        database.insert(1), database.group.run(refuse), database.insert(2), return_exceptions=True
    )

    assert [type(result) for result in results] == [int, QueueFull, int]
    assert "ROLLBACK" not in database.told


async def test_cancelled_caller_who_waits_writes_nothing(database: Database) -> None:
    async with held_up(database):
        inserts = [asyncio.ensure_future(database.insert(number)) for number in range(4)]
        await asyncio.sleep(0)
        inserts[1].cancel()
        inserts[2].cancel()
        await asyncio.wait(inserts[1:3])

    assert await asyncio.gather(*inserts[::3]) == [0, 3]
    assert database.numbers() == [0, 3]


async def test_cancelled_caller_whose_write_runs_does_not_break_the_thread(database: Database) -> None:
    async with held_up(database) as running:
        running.cancel()
        await asyncio.wait([running])

    assert await database.insert(1) == 1


async def test_full_database_is_service_unavailable(database: Database) -> None:
    await database.group.run(lambda connection: connection.execute("PRAGMA max_page_count = 10").fetchall())

    results = await asyncio.gather(
        database.insert(1), database.insert(2, size=1_000_000), database.insert(3), return_exceptions=True
    )

    assert [type(result) for result in results] == [int, ServiceUnavailable, int]
    assert isinstance(results[1], ServiceUnavailable)
    assert isinstance(results[1].__cause__, sqlite3.OperationalError)
    assert database.numbers() == [1, 3]


async def test_read_only_database_is_service_unavailable(database: Database) -> None:
    await database.group.run(lambda connection: connection.execute("PRAGMA query_only = ON").fetchall())

    with pytest.raises(ServiceUnavailable):
        await database.insert(1)


async def test_database_that_somebody_locks_is_service_unavailable_until_it_is_free(database: Database) -> None:
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        results = await asyncio.gather(database.insert(1), database.insert(2), return_exceptions=True)

    assert [type(result) for result in results] == [ServiceUnavailable, ServiceUnavailable]
    assert await database.insert(3) == 3
