"""How many jobs a second workers claim from one PostgreSQL, and how long one claim takes with queues of some lengths.

Each claimer is a process with a store of its own, as a worker is; it claims one job after the other, or several at a
time, through the store. The baseline is the textbook's queue on the same table: one statement that picks the oldest job
with FOR UPDATE SKIP LOCKED and marks it, by hand with asyncpg. It numbers no revisions and serves no caller in turn.

`python -m bench.claims --rounds 3 --claims 4000 --jobs 100000 --callers 1000`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import asyncpg

from bench.backing import backing, make_schema
from bench.filling import Filling, fill
from bench.harness import ROOT, Figures, Process, Target, arguments, percentile, report, run
from graphql_api.adapters.job_store.postgres import open_postgres_job_store
from graphql_api.adapters.job_store.postgres_pool import SQL
from graphql_api.bootstrap import SKETCH
from graphql_api.domain.job import Job

TARGETS = (
    Target(
        text="jobs claimed a second, one at a time: at least 1,000", figure="by_1_per_second", limit=1000, at_least=True
    ),
    Target(text="the same, eight at a time: at least 1,000", figure="by_8_per_second", limit=1000, at_least=True),
    Target(
        text="a claim of the longest queue over one of the shortest: at most 1.5",
        figure="longest_over_shortest",
        limit=1.5,
    ),
)
CLAIMERS = 4
LENGTHS = (0.01, 0.1, 1.0)
"""Of the queue, as parts of `--jobs`."""
LONE_CLAIMS = 300
WARM_UP_CLAIMS = 50
COUNTS = 15

Claim = Callable[[int], Awaitable[int]]
"""Claims up to so many jobs; how many it got."""

BY_HAND = """
UPDATE jobs SET status = 'RUNNING', attempt = attempt + 1, started_at = $1, claimed_at = $1, worker_id = $2,
    lease_until = clock_timestamp() + interval '60 seconds'
WHERE id IN (
    SELECT id FROM jobs WHERE status = 'QUEUED' AND model = $3
    ORDER BY turn, created_at, id LIMIT $4 FOR UPDATE SKIP LOCKED
)
RETURNING data
"""


def main() -> None:
    """Measure and report, or be one of the claimers."""
    if "--claim" in sys.argv:
        _be_claimer()
        return
    asked = arguments(__doc__, rounds=3, claims=4000, jobs=100_000, callers=1000)
    figures: dict[str, list[Figures]] = {}
    with backing() as servers:
        for turn in range(asked.rounds):
            for side in ("product", "baseline"):
                if asked.only not in (None, side):
                    continue
                found: dict[str, float] = {}
                for part in LENGTHS:
                    with servers.database() as database:
                        filling = Filling(jobs=round(asked.jobs * part), callers=asked.callers, is_queued=True)
                        _prepare(database, filling)
                        found |= _lone(database, side, f"of_{filling.jobs}")
                        if part == LENGTHS[-1]:
                            if side == "product":
                                found |= run(_counting(database, filling))
                            found |= _together(database, side, claims=asked.claims, limit=1)
                            found |= _together(database, side, claims=asked.claims, limit=8)
                found["longest_over_shortest"] = (
                    found[f"of_{round(asked.jobs * LENGTHS[-1])}_p50_ms"]
                    / found[f"of_{round(asked.jobs * LENGTHS[0])}_p50_ms"]
                )
                with servers.database() as database:
                    _prepare(database, Filling(jobs=asked.jobs, callers=1, is_queued=True))
                    found |= _lone(database, side, "of_one_caller")
                    found |= _together(database, side, claims=asked.claims, limit=1, name="of_one_caller_by_1")
                figures.setdefault(side, []).append(found)
                shown = "  ".join(f"{name} {value:,.4g}" for name, value in found.items())
                print(f"round {turn + 1} {side}: {shown}", file=sys.stderr)
    notes: Mapping[str, object] = {"claims": asked.claims, "jobs": asked.jobs, "callers": asked.callers}
    report("claims", figures, TARGETS, claimers=CLAIMERS, **notes)


def _prepare(database: str, filling: Filling) -> None:
    make_schema(database)
    fill(database, filling)


# --- what else reads the queue ---------------------------------------------------------------------------------------


async def _counting(database: str, filling: Filling) -> Figures:
    """Questions whose answer is a count of the queue: they take longer the longer it is."""
    async with open_postgres_job_store(database, connections=2) as store:
        (last,) = await store.changes(filling.caller(-1), after=filling.jobs // filling.callers - 1, limit=1)
        assert isinstance(last, Job)
        ahead = await _median_ms(lambda: store.jobs_ahead([last]))
        depths = await _median_ms(store.depths)
    connection = await asyncpg.connect(database)
    try:
        room = await _median_ms(lambda: connection.fetchval(SQL["queued_jobs"], filling.jobs))
    finally:
        await connection.close()
    return {"jobs_ahead_of_last_ms": ahead, "depths_ms": depths, "room_in_queue_ms": room}


async def _median_ms(ask: Callable[[], Awaitable[object]]) -> float:
    seconds = []
    for _ in range(COUNTS):
        start = time.perf_counter()
        await ask()
        seconds.append(time.perf_counter() - start)
    return 1000 * percentile(sorted(seconds), 50)


# --- one claimer, nothing else going on ------------------------------------------------------------------------------


def _lone(database: str, side: str, name: str) -> Figures:
    async def measure() -> list[float]:
        async with AsyncExitStack() as stack:
            claim = await _opened(stack, database, side, "worker-lone")
            seconds = []
            for number in range(WARM_UP_CLAIMS + LONE_CLAIMS):
                start = time.perf_counter()
                await claim(1)
                if number >= WARM_UP_CLAIMS:
                    seconds.append(time.perf_counter() - start)
            return sorted(seconds)

    ordered = run(measure())
    return {f"{name}_p50_ms": 1000 * percentile(ordered, 50), f"{name}_p99_ms": 1000 * percentile(ordered, 99)}


async def _opened(stack: AsyncExitStack, database: str, side: str, worker_id: str) -> Claim:
    """What claims: the store, or a statement by hand."""
    if side == "product":
        store = await stack.enter_async_context(open_postgres_job_store(database, connections=2))

        async def claim(limit: int) -> int:
            now = datetime.now(UTC)
            return len(await store.claim(worker_id, model_name=SKETCH.name, limit=limit, lease_seconds=60, at=now))

        return claim
    connection = await asyncpg.connect(database)
    stack.push_async_callback(connection.close)

    async def claim_by_hand(limit: int) -> int:
        now = time.time_ns() // 1000
        return len(
            [json.loads(row["data"]) for row in await connection.fetch(BY_HAND, now, worker_id, SKETCH.name, limit)]
        )

    return claim_by_hand


# --- several processes -----------------------------------------------------------------------------------------------


def _together(database: str, side: str, *, claims: int, limit: int, name: str | None = None) -> Figures:
    """Jobs a second of all claimers, from the moment when all were ready until the last one had its share."""
    claimers = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "bench.claims", "--claim", "--side", side, "--database", database),
                *("--worker", f"worker-{number}", "--jobs", str(claims // CLAIMERS), "--limit", str(limit)),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(CLAIMERS)
    ]
    try:
        for claimer in claimers:
            _line(claimer)
        start = time.perf_counter()
        for claimer in claimers:
            assert claimer.stdin is not None
            claimer.stdin.write(b"go\n")
            claimer.stdin.flush()
        said = [json.loads(_line(claimer)) for claimer in claimers]
        seconds = time.perf_counter() - start
    finally:
        for claimer in claimers:
            claimer.terminate()
            claimer.wait()
    waits = sorted(wait for one in said for wait in one["seconds"])
    prefix = name or f"by_{limit}"
    return {
        f"{prefix}_per_second": sum(one["jobs"] for one in said) / seconds,
        f"{prefix}_p50_ms": 1000 * percentile(waits, 50),
        f"{prefix}_p99_ms": 1000 * percentile(waits, 99),
    }


def _line(process: Process) -> bytes:
    assert process.stdout is not None
    line = bytes(process.stdout.readline())
    if not line:
        raise RuntimeError("A claimer ended.")
    return line


def _be_claimer() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--claim", action="store_true")
    for name in ("side", "database", "worker"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("jobs", "limit"):
        parser.add_argument(f"--{name}", required=True, type=int)
    asked = parser.parse_args()

    async def work() -> None:
        async with AsyncExitStack() as stack:
            claim = await _opened(stack, asked.database, asked.side, asked.worker)
            # Connects, and lets the database make its plans.
            for _ in range(10):
                await claim(asked.limit)
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            seconds, jobs = [], 0
            while jobs < asked.jobs:
                start = time.perf_counter()
                jobs += await claim(asked.limit)
                seconds.append(time.perf_counter() - start)
            print(json.dumps({"jobs": jobs, "seconds": seconds}), flush=True)

    run(work())


if __name__ == "__main__":
    main()
