"""How long a page of a caller's list takes in a table of a million jobs of a thousand callers, in PostgreSQL.

Two times of each: the round trip through the store, with the decoding of the jobs (`ms`), and what the database itself
needs to plan and run the statement that finds the page (`db_ms`, from EXPLAIN ANALYZE). The table is larger than what
PostgreSQL keeps in its own memory and smaller than that of the machine: the rest comes from the system's cache.

The baseline, by hand with asyncpg on the same rows: pages by LIMIT and OFFSET, a search by ILIKE in the job's JSON, and
the jobs decoded by json.loads.

`python -m bench.job_lists --rounds 3 --asks 300 --jobs 1000000 --callers 1000`
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from bench.backing import ROOMY, backing, make_schema
from bench.filling import COMMON, RARE, Filling, fill
from bench.harness import Figures, Target, arguments, percentile, report, run
from graphql_api.adapters.job_store.postgres import open_postgres_job_store
from graphql_api.adapters.job_store.postgres_pool import SQL
from graphql_api.adapters.job_store.ranges import cut_range, whole_range
from graphql_api.domain.job import Job
from graphql_api.ports import JobPosition, JobQuery, JobStore, PageRequest

LIMIT = 20
TARGETS = (
    Target(text="first page, round trip: p50 below 5 ms", figure="first_p50_ms", limit=5),
    Target(text="first page, in the database: p50 below 5 ms", figure="first_db_p50_ms", limit=5),
)
WATCHED = 500
"""As many as WatchService asks for at a time."""
PLANS = 30
"""How many of the asks are explained too."""
WARM_UP_ASKS = 20

Ask = Callable[[str], Awaitable[object]]
"""Asks for something of a caller."""


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=3, asks=300, jobs=1_000_000, callers=1000)
    filling = Filling(jobs=asked.jobs, callers=asked.callers, is_queued=False)
    figures: dict[str, list[Figures]] = {}
    with backing(ROOMY) as servers, servers.database() as database:
        make_schema(database)
        start = time.perf_counter()
        fill(database, filling)
        fill_seconds = time.perf_counter() - start
        megabytes = int(servers.postgres.execute("SELECT pg_database_size(current_database())", _name(database))) >> 20
        print(f"filled in {fill_seconds:.0f} s, {megabytes} MB", file=sys.stderr)
        for turn in range(asked.rounds):
            for side, measure in (("product", through_the_store), ("baseline", by_hand)):
                if asked.only not in (None, side):
                    continue
                found = run(measure(database, filling, asked.asks))
                figures.setdefault(side, []).append(found)
                shown = "  ".join(f"{name} {value:,.4g}" for name, value in found.items())
                print(f"round {turn + 1} {side}: {shown}", file=sys.stderr)
    report(
        "job_lists",
        figures,
        TARGETS,
        jobs=asked.jobs,
        callers=asked.callers,
        megabytes=megabytes,
        seconds_to_fill=round(fill_seconds),
    )


def _name(database: str) -> str:
    return database.rpartition("/")[2]


async def _timed(ask: Ask, filling: Filling, asks: int) -> list[float]:
    """Seconds of each ask, for callers at random, in rising order."""
    chance = random.Random(asks)
    seconds = []
    for number in range(WARM_UP_ASKS + asks):
        caller = filling.caller(chance.randrange(filling.callers))
        start = time.perf_counter()
        await ask(caller)
        if number >= WARM_UP_ASKS:
            seconds.append(time.perf_counter() - start)
    return sorted(seconds)


def _percentiles(name: str, ordered: Sequence[float]) -> Figures:
    return {f"{name}_p50_ms": 1000 * percentile(ordered, 50), f"{name}_p99_ms": 1000 * percentile(ordered, 99)}


# --- the product -----------------------------------------------------------------------------------------------------


async def through_the_store(database: str, filling: Filling, asks: int) -> Figures:
    """One round of all questions."""
    figures: dict[str, float] = {}
    async with open_postgres_job_store(database, connections=2) as store:
        middles = await _middles(store, filling)
        for name, query in (
            ("first", JobQuery()),
            ("common", JobQuery(search=COMMON)),
            ("rare", JobQuery(search=RARE)),
        ):
            figures |= _percentiles(name, await _timed(_page(store, query), filling, asks))
        figures |= _percentiles("middle", await _timed(_page(store, JobQuery(), middles), filling, asks))
        figures |= _percentiles("revisions_of_500", await _timed(await _revisions(store, filling), filling, asks))
        figures |= _percentiles("caller_revision", await _timed(_caller_revision(store), filling, asks))
        figures |= _percentiles("count", await _timed(_count(store, JobQuery()), filling, asks))
        figures |= _percentiles("count_common", await _timed(_count(store, JobQuery(search=COMMON)), filling, asks))
    connection = await asyncpg.connect(database)
    try:
        first = PageRequest(limit=LIMIT)
        figures["first_db_p50_ms"] = await _in_database(connection, filling, JobQuery(), lambda _: first)
        for name, term in (("common", COMMON), ("rare", RARE)):
            query = JobQuery(search=term)
            figures[f"{name}_db_p50_ms"] = await _in_database(connection, filling, query, lambda _: first)
        figures["middle_db_p50_ms"] = await _in_database(
            connection, filling, JobQuery(), lambda caller: PageRequest(limit=LIMIT, after=middles[caller])
        )
    finally:
        await connection.close()
    return figures


def _page(store: JobStore, query: JobQuery, after: dict[str, JobPosition] | None = None) -> Ask:
    async def ask(caller: Any) -> None:
        page = PageRequest(limit=LIMIT, after=None if after is None else after[caller])
        found = await store.page(caller, query, page)
        if not query.search and len(found.jobs) != LIMIT:
            raise RuntimeError(f"{len(found.jobs)} jobs of {caller}")

    return ask


def _caller_revision(store: JobStore) -> Ask:
    """What that watch asks for each caller whose jobs somebody follows."""

    async def ask(caller: Any) -> None:
        if not await store.caller_revision(caller):
            raise RuntimeError(f"no jobs of {caller}")

    return ask


def _count(store: JobStore, query: JobQuery) -> Ask:
    async def ask(caller: Any) -> None:
        if not await store.count(caller, query) and not query.search:
            raise RuntimeError(f"no jobs of {caller}")

    return ask


async def _revisions(store: JobStore, filling: Filling) -> Ask:
    """What the watch over missed notices asks: the revisions of jobs that lie anywhere in the table."""
    chance = random.Random(WATCHED)
    per_caller, each = filling.jobs // filling.callers, -(-WATCHED // filling.callers)
    ids = [
        job.id
        for number in range(filling.callers)
        for job in await store.changes(filling.caller(number), after=chance.randrange(per_caller - each), limit=each)
        if isinstance(job, Job)
    ][:WATCHED]

    async def ask(_: str) -> None:
        if len(await store.revisions(ids)) != len(ids):
            raise RuntimeError("Jobs are missing.")

    return ask


async def _middles(store: JobStore, filling: Filling) -> dict[str, JobPosition]:
    """Of each caller, where half of the list is newer."""
    per_caller = filling.jobs // filling.callers
    middles: dict[str, JobPosition] = {}
    for number in range(filling.callers):
        caller = filling.caller(number)
        (job, *_) = await store.changes(caller, after=per_caller // 2, limit=1)
        assert isinstance(job, Job)
        middles[caller] = JobPosition(created_at=job.created_at, job_id=job.id)
    return middles


async def _in_database(
    connection: Any, filling: Filling, query: JobQuery, request: Callable[[str], PageRequest]
) -> float:
    """Median of the milliseconds that planning and running take."""
    chance = random.Random(filling.jobs)
    milliseconds = []
    for _ in range(PLANS):
        caller = filling.caller(chance.randrange(filling.callers))
        part = cut_range(whole_range(query), request(caller))
        given = [caller, *part.low, *part.high, None, None, LIMIT + 1]
        if query.search:
            given.append(f"%{query.search}%")
        name = "newest_jobs_found" if query.search else "newest_jobs"
        ((plan,),) = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {SQL[name]}", *given)
        (times,) = json.loads(plan)
        milliseconds.append(times["Planning Time"] + times["Execution Time"])
    return percentile(sorted(milliseconds), 50)


# --- by hand ---------------------------------------------------------------------------------------------------------

BY_OFFSET = "SELECT data FROM jobs WHERE caller_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3"
BY_ILIKE = "SELECT data FROM jobs WHERE caller_id = $1 AND data ILIKE $2 ORDER BY created_at DESC, id DESC LIMIT $3"


async def by_hand(database: str, filling: Filling, asks: int) -> Figures:
    """One round of what is there by hand too."""
    connection: Any = await asyncpg.connect(database)
    middle = filling.jobs // filling.callers // 2

    async def page(caller: str, offset: int) -> None:
        rows = await connection.fetch(BY_OFFSET, caller, LIMIT + 1, offset)
        [json.loads(row["data"]) for row in rows]

    async def search(caller: str, term: str) -> None:
        rows = await connection.fetch(BY_ILIKE, caller, f"%{term}%", LIMIT + 1)
        [json.loads(row["data"]) for row in rows]

    async def count(caller: str) -> None:
        await connection.fetchval("SELECT count(*) FROM jobs WHERE caller_id = $1", caller)

    asking: dict[str, Ask] = {
        "first": lambda caller: page(caller, 0),
        "common": lambda caller: search(caller, COMMON),
        "rare": lambda caller: search(caller, RARE),
        "middle": lambda caller: page(caller, middle),
        "count": count,
    }
    figures: dict[str, float] = {}
    try:
        for name, ask in asking.items():
            figures |= _percentiles(name, await _timed(ask, filling, asks))
    finally:
        await asyncio.wait_for(connection.close(), 10)
    return figures


if __name__ == "__main__":
    main()
