"""What the PostgreSQL store does beyond the contract: several processes, outages, and plans that do not get slow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from graphql_api.adapters.job_store import open_job_store
from graphql_api.adapters.job_store.migrations import SchemaTooNew
from graphql_api.adapters.job_store.postgres_pool import SQL
from graphql_api.adapters.job_store.rows import microseconds
from graphql_api.domain.errors import IdempotencyConflict, ServiceUnavailable
from graphql_api.domain.job import CancelOutcome, JobStatus
from graphql_api.domain.webhook import DeliveryAttempt
from graphql_api.ports import IdempotencyKey, JobQuery, JobStore, PageRequest
from tests.clients.postgres_server import PostgresServer
from tests.clients.waiting import PATIENCE_SECONDS
from tests.contract.sample_jobs import (
    ACME,
    ALICE,
    BOB,
    CAROL,
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

CALLERS = (ALICE, BOB, CAROL)
ACCOUNTS = (ACME, "Other", "other", "")


@pytest.fixture
async def stores(postgres_url: str) -> AsyncIterator[list[JobStore]]:
    """Three processes' views of one database, as far as that can be had in one process."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_job_store(postgres_url, connections=4)) for _ in range(3)]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server that a test may hurt."""
    server = PostgresServer(tmp_path).start()
    yield server
    server.resume_if_paused()
    server.stop()


# --- several processes -----------------------------------------------------------------------------------------------


async def test_processes_that_start_together_make_the_schema_once(postgres_url: str) -> None:
    async with AsyncExitStack() as stack:
        opened = await asyncio.gather(*(stack.enter_async_context(open_job_store(postgres_url)) for _ in range(6)))
        job = await added(opened[0])

        assert await opened[5].find(job.id) == job


async def test_database_of_a_later_version_is_refused(postgres: PostgresServer, postgres_url: str) -> None:
    async with open_job_store(postgres_url):
        pass
    postgres.execute("INSERT INTO schema_version VALUES (99)", postgres_url.rpartition("/")[2])

    with pytest.raises(SchemaTooNew, match="schema 99"):
        async with open_job_store(postgres_url):
            pass


async def test_database_of_the_version_before_accounts_opens_with_its_jobs(postgres_url: str) -> None:
    waiting, running = (replace(a_job(seconds=number), revision=number) for number in (1, 2))
    first = resources.files("graphql_api.adapters.job_store") / "migrations" / "postgres" / "0001_jobs.sql"
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(first.read_text())
        await connection.execute("CREATE TABLE schema_version (version integer PRIMARY KEY)")
        await connection.execute("INSERT INTO schema_version VALUES (1)")
        await connection.execute("INSERT INTO callers VALUES ($1, 2)", ALICE)
        for job in (waiting, running):
            row = row_of_former_version(
                job, "id", "caller_id", "revision", "status", "model", "created_at", "attempt", "work", "unswept"
            )
            places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
            await connection.execute(f"INSERT INTO jobs ({', '.join(row)}, turn) VALUES ({places}, 0)", *row.values())
        # As a claim of that version left it.
        await connection.execute(
            "UPDATE jobs SET status = 'RUNNING', attempt = 1, started_at = $2, claimed_at = $2 WHERE id = $1",
            running.id,
            microseconds(NOON),
        )
    finally:
        await connection.close()

    async with open_job_store(postgres_url) as store:
        assert await store.find(waiting.id) == waiting
        found = live(await store.find(running.id))
        assert found == running.claimed(at=NOON)
        assert await store.deliveries(running.id) == []
        await moved(store, found.paid(5).succeeded((), answered_at=NOON, at=NOON))
        await store.delete(waiting.id, at=NOON)
        assert await store.charged("", MARCH) == 0
        await added(store, charged_to(ACME, told()))
        assert (await claimed(store)).account == ACME
        assert await store.charged(ACME, MARCH) == 700
        assert len(await store.claim_deliveries(10, lease_seconds=60)) == 1


async def test_processes_that_charge_one_account_lose_nothing(stores: list[JobStore]) -> None:
    async def submit(store: JobStore) -> None:
        for number in range(20):
            job = charged_to(ACME, a_job(caller_id=CALLERS[number % 3]), reserved=1)
            await asyncio.gather(store.add(job), store.add(charged_to("other", reserved=1)))

    async def work(store: JobStore, name: str) -> None:
        for _ in range(10):
            jobs = await store.claim(name, model_name="sketch", limit=5, lease_seconds=60, at=NOON)
            await asyncio.gather(
                *(store.update(job.paid(100).canceled(CancelOutcome.STOPPED, at=NOON)) for job in jobs)
            )

    await asyncio.gather(
        *(submit(store) for store in stores), *(work(store, f"worker-{number}") for number, store in enumerate(stores))
    )

    found = [change for caller in CALLERS for change in await stores[0].changes(caller, after=0, limit=1000)]
    for account in (ACME, "other"):
        charged = [live(job).charged for job in found if live(job).account == account]
        assert len(charged) == 60
        assert await stores[0].charged(account, MARCH) == sum(charged)


async def test_processes_never_share_a_delivery_and_leave_none(stores: list[JobStore]) -> None:
    for _ in range(60):
        await added(stores[0], told())
    for _ in range(6):
        await stores[0].claim("worker", model_name="sketch", limit=10, lease_seconds=60, at=NOON)
    sent: list[str] = []

    async def send(store: JobStore) -> None:
        while len(sent) < 60:
            for claim in await store.claim_deliveries(3, lease_seconds=60):
                sent.append(claim.delivery.id)
                attempt = DeliveryAttempt(at=NOON, seconds=0.1, status_code=200)
                over = claim.delivery.attempted(attempt, next_attempt_at=None)
                assert await store.save_delivery(over, claim=claim.claim)

    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(send(store) for store in stores for _ in range(3)))

    assert len(set(sent)) == len(sent) == 60


async def test_one_of_two_workers_that_finish_the_same_job_wins(stores: list[JobStore]) -> None:
    await added(stores[0])
    running = await claimed(stores[0])

    results = await asyncio.gather(
        *(store.update(running.succeeded((), answered_at=NOON, at=NOON)) for store in stores for _ in range(10))
    )

    (won,) = [result for result in results if result is not None]
    assert won.revision == 3
    assert await stores[0].find(running.id) == won
    assert await stores[0].caller_revision(ALICE) == 3


async def test_one_key_in_several_processes_makes_one_job(stores: list[JobStore]) -> None:
    key = IdempotencyKey(key="k", digest="d", valid_seconds=60)

    submitted = await asyncio.gather(*(store.add(a_job(), key=key) for store in stores for _ in range(20)))

    assert sum(each.is_new for each in submitted) == 1
    assert len({each.job.id for each in submitted}) == 1
    assert await stores[0].caller_revision(ALICE) == 1


async def send_some(store: JobStore, chance: random.Random) -> None:
    """Claim and save deliveries, now and then one that somebody else has claimed by then."""
    for _ in range(25):
        for claim in await store.claim_deliveries(5, lease_seconds=0.01):
            attempt = DeliveryAttempt(at=NOON, seconds=0.1, problem=chance.choice(("no", None)))
            tried = claim.delivery.attempted(attempt, next_attempt_at=NOON)
            await store.save_delivery(tried, claim=claim.claim if chance.random() < 0.8 else None)


async def test_nothing_waits_in_a_circle_and_no_revision_is_lost_whatever_comes_together(
    stores: list[JobStore], postgres: PostgresServer, postgres_url: str
) -> None:
    chance = random.Random(1)

    async def submit(store: JobStore) -> None:
        for number in range(40):
            key = IdempotencyKey(key=str(number % 7), digest="d", valid_seconds=0 if number % 2 else 60)
            # The job of the key may have been deleted.
            job = told(job=charged_to(chance.choice(ACCOUNTS), a_job(caller_id=chance.choice(CALLERS))))
            with contextlib.suppress(IdempotencyConflict):
                await store.add(job, key=key if chance.random() < 0.5 else None)

    async def work(store: JobStore, name: str) -> None:
        for _ in range(25):
            for job in await store.claim(name, model_name="sketch", limit=3, lease_seconds=60, at=NOON):
                await store.renew(job, name, lease_seconds=60, progress=job.progress)
                end = job.released() if chance.random() < 0.3 else job.canceled(CancelOutcome.STOPPED, at=NOON)
                await store.update(end)

    async def interfere(store: JobStore) -> None:
        for _ in range(25):
            for caller in CALLERS:
                page = await store.page(caller, JobQuery(statuses=frozenset({JobStatus.QUEUED})), PageRequest(limit=4))
                canceled = [job.canceled(CancelOutcome.NOT_STARTED, at=NOON) for job in page.jobs]
                await asyncio.gather(*(store.update(job) for job in canceled[:2]))
                await asyncio.gather(*(store.delete(job.id, at=NOON) for job in canceled[2:3]))

    await asyncio.gather(
        *(submit(store) for store in stores),
        *(work(store, f"worker-{number}") for number, store in enumerate(stores)),
        *(interfere(store) for store in stores),
        *(send_some(store, chance) for store in stores),
    )

    for caller in CALLERS:
        latest = await stores[0].caller_revision(caller)
        seen = [found.revision for found in await stores[0].changes(caller, after=0, limit=10_000)]
        assert seen == sorted(set(seen))
        assert seen[-1] == latest
    database = postgres_url.rpartition("/")[2]
    assert postgres.execute(f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{database}'") == "0"


# --- outages ---------------------------------------------------------------------------------------------------------


async def test_restart_of_the_server_is_waited_for(own_server: PostgresServer) -> None:
    async with open_job_store(own_server.url()) as store:
        job = await added(store)
        own_server.stop()
        reading = [asyncio.create_task(store.find(job.id)) for _ in range(5)]
        adding = asyncio.create_task(store.add(a_job()))
        await asyncio.to_thread(own_server.start)

        assert await asyncio.gather(*reading) == [job] * 5
        assert (await adding).is_new


async def test_server_that_is_away_is_said_so_and_found_again(own_server: PostgresServer) -> None:
    async with open_job_store(own_server.url()) as store:
        own_server.stop()
        with pytest.raises(ServiceUnavailable):
            await store.check()
        with pytest.raises(ServiceUnavailable):
            await store.add(a_job())
        await asyncio.to_thread(own_server.start)

        await store.check()
        await added(store)


async def test_server_that_does_not_answer_is_said_so_within_seconds(own_server: PostgresServer) -> None:
    async with open_job_store(own_server.url()) as store:
        own_server.pause()
        async with asyncio.timeout(10):
            with pytest.raises(ServiceUnavailable):
                await store.check()
        own_server.resume()

        await store.check()


async def test_process_that_is_cancelled_in_the_middle_leaves_the_store_usable(store_of_its_own: JobStore) -> None:
    job = await added(store_of_its_own)
    for _ in range(30):
        tasks = [asyncio.create_task(store_of_its_own.find(job.id)) for _ in range(8)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result == job for result in results[1::2])


@pytest.fixture
async def store_of_its_own(postgres_url: str) -> AsyncIterator[JobStore]:
    async with open_job_store(postgres_url, connections=3) as store:
        yield store


async def test_what_keeps_it_from_opening_is_said_without_the_password(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = postgres.url("no_such_database").replace("postgres@", "postgres:hush-hush@")

    with pytest.raises(ServiceUnavailable, match="no_such_database") as refused:
        async with open_job_store(url):
            pass
    with pytest.raises(ValueError, match="cannot be read") as unread:
        async with open_job_store("postgresql://u:hush-hush@host:port/x"):
            pass

    assert "hush-hush" not in f"{refused.value} {unread.value} {caplog.text}"


# --- plans -----------------------------------------------------------------------------------------------------------


FILL = """
INSERT INTO callers SELECT 'caller-' || n, 1000 FROM generate_series(1, 100) AS n;
INSERT INTO jobs (id, caller_id, revision, status, model, created_at, started_at, answered_at, finished_at,
                  attempt, work, unswept, turn, data)
SELECT 'job-' || n, 'caller-' || (n % 100 + 1), n / 100 + 1,
       (ARRAY['SUCCEEDED', 'SUCCEEDED', 'SUCCEEDED', 'QUEUED', 'RUNNING', 'FAILED'])[n % 6 + 1], 'sketch',
       n * 1000, n * 1000 + 1, n * 1000 + 2, n * 1000 + 3, 1, 1, n % 1000 = 0, n / 100, repeat('x', 300)
FROM generate_series(1, 30000) AS n;
INSERT INTO prompts SELECT id, caller_id, 'a lighthouse number ' || md5(id) FROM jobs;
INSERT INTO deliveries (job_id, revision, caller_id, url, event, state, due_at, data)
SELECT id, revision, caller_id, 'https://hooks.example', 'JOB_SUCCEEDED',
       CASE WHEN finished_at % 3 = 0 THEN 'PENDING' ELSE 'DELIVERED' END,
       now() + make_interval(secs => finished_at % 3000 - 30), data
FROM jobs WHERE status = 'SUCCEEDED';
ANALYZE;
"""


@pytest.fixture(scope="module")
def filled_url(postgres: PostgresServer) -> str:
    """30,000 jobs of 100 callers."""
    postgres.execute("CREATE DATABASE filled")
    url = postgres.url("filled")

    async def fill() -> None:
        async with open_job_store(url):
            pass
        connection = await asyncpg.connect(url)
        await connection.execute(FILL)
        await connection.close()

    asyncio.run(fill())
    return url


async def plan_of(url: str, name: str, *arguments: Any) -> str:
    """How the server goes about a statement once it looks at its arguments no more, as it does in the long run."""
    connection = await asyncpg.connect(url, server_settings={"plan_cache_mode": "force_generic_plan"})
    try:
        rows = await connection.fetch(f"EXPLAIN (FORMAT JSON) {SQL[name]}", *arguments)
    finally:
        await connection.close()
    plan = json.loads(rows[0][0])[0]["Plan"]
    return "\n".join(_nodes(plan))


def _nodes(plan: dict[str, Any]) -> Iterator[str]:
    yield " ".join(str(plan[key]) for key in ("Node Type", "Index Name", "Relation Name") if key in plan)
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


EVERYWHERE = (-(2**63), "", 2**63 - 1, "", None, None)


@pytest.mark.parametrize(
    ("name", "arguments", "index"),
    [
        ("newest_jobs", ("caller-7", *EVERYWHERE, 21), "jobs_of_caller_by_age"),
        ("oldest_jobs", ("caller-7", *EVERYWHERE, 21), "jobs_of_caller_by_age"),
        ("recent_work", ("sketch", 20), "succeeded_jobs"),
        ("claim_jobs", ("sketch", 4, 1, "worker", 30.0), "queued_jobs"),
        ("expired", (100, 1), "expiring_jobs"),
        ("unswept", (100, 1), "unswept_jobs"),
    ],
)
async def test_what_is_asked_often_is_read_from_an_index_in_its_order(
    filled_url: str, name: str, arguments: tuple[Any, ...], index: str
) -> None:
    plan = await plan_of(filled_url, name, *arguments)

    assert f"Index Scan {index} jobs" in plan, plan
    assert "Seq Scan jobs" not in plan
    assert "Limit\nSort" not in plan, plan


async def test_due_deliveries_are_read_from_the_index_of_what_is_due(filled_url: str) -> None:
    plan = await plan_of(filled_url, "claim_deliveries", 10, 30.0)

    assert "Index Scan pending_deliveries deliveries" in plan, plan
    assert "Seq Scan deliveries" not in plan, plan
    assert "Limit\nSort" not in plan, plan


async def test_active_jobs_of_a_caller_are_counted_in_an_index(filled_url: str) -> None:
    plan = await plan_of(filled_url, "count_active", "caller-7", 10)

    assert "active_jobs_of_caller" in plan, plan


async def test_changes_are_merged_from_two_indexes(filled_url: str) -> None:
    plan = await plan_of(filled_url, "changes", "caller-7", 10, 100)

    assert "jobs_of_caller_by_revision" in plan
    assert "Seq Scan jobs" not in plan


async def test_search_reads_the_trigrams(filled_url: str) -> None:
    plan = await plan_of(filled_url, "newest_jobs_found", "caller-7", *EVERYWHERE, 21, "%c4ca42%")

    assert "prompts_by_trigram" in plan, plan


def test_no_statement_skips_rows_by_counting_them() -> None:
    assert not [name for name, text in SQL.items() if "offset" in text.lower()]


async def test_renewal_of_a_lease_touches_no_index(postgres: PostgresServer, postgres_url: str) -> None:
    async with open_job_store(postgres_url) as store:
        await added(store)
        running = await claimed(store)
        for _ in range(20):
            assert await store.renew(running, "worker-1", lease_seconds=60, progress=running.progress)
        assert live(await store.find(running.id)) == running
    database = postgres_url.rpartition("/")[2]
    updated, in_place = postgres.execute(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'jobs'", database
    ).split("|")

    # All but the claim.
    assert (int(updated), int(in_place)) == (21, 20)
