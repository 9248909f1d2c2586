"""What the SQLite job store does in a second, and what it costs.

`python -m bench.bench_sqlite_store --rounds 5 --adds 8000`
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.harness import Figures, Target, arguments, report, run
from graphql_api.adapters.job_store import open_job_store
from graphql_api.domain.generation import GenerationParameters, ImageFormat
from graphql_api.domain.ids import CallerId, JobId, new_job_id
from graphql_api.domain.job import Job, Progress
from graphql_api.ports import IdempotencyKey, JobStore

TARGETS = (Target(text="CPU of an add among 32: below 150 us", figure="cpu_us_per_add_32", limit=150),)
CONCURRENCIES = (1, 32, 256)
QUEUE_LENGTHS = (1_000, 10_000, 100_000)
CLAIMS = 500
FINDS = 2_000
START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=5, adds=8000)
    rounds = [run(measure(asked.adds)) for _ in range(asked.rounds)]
    report("sqlite_store", {"product": rounds}, TARGETS, adds=asked.adds)


async def measure(adds: int) -> Figures:
    """One round, each question on a fresh store."""
    figures: dict[str, float] = {}
    for callers in CONCURRENCIES:
        async with fresh_store() as store:
            # A single caller waits for the disk each time; a part of the adds says enough.
            figures |= await adding(store, callers, adds if callers > 1 else adds // 8)
            if callers == CONCURRENCIES[-1]:
                figures |= await finding(store)
    for length in QUEUE_LENGTHS:
        async with fresh_store() as store:
            await _add_all(store, numbered_jobs(length), callers=256)
            figures |= await claiming(store, length)
    return figures


async def adding(store: JobStore, callers: int, adds: int) -> Figures:
    """Durable adds, each with a key of its own and the length of the queue checked."""
    jobs = numbered_jobs(adds)
    cpu, wall = time.process_time(), time.perf_counter()
    await _add_all(store, jobs, callers=callers)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {f"adds_per_second_{callers}": adds / wall, f"cpu_us_per_add_{callers}": 1e6 * cpu / adds}


async def finding(store: JobStore) -> Figures:
    """How long one read takes, with nothing else going on and beside 32 callers that add."""
    ids = list(itertools.islice(itertools.cycle(await _some_ids(store)), FINDS))
    quiet = await _find_all(store, ids)
    writers = asyncio.create_task(_add_all(store, numbered_jobs(10**9), callers=32))
    busy = await _find_all(store, ids)
    writers.cancel()
    await asyncio.wait([writers])
    return {"find_p50_us": 1e6 * statistics.median(quiet), "find_p50_us_beside_adds": 1e6 * statistics.median(busy)}


async def claiming(store: JobStore, length: int) -> Figures:
    """One claim at a time by each of 8 workers."""
    turns = iter(range(CLAIMS))

    async def work(worker_id: str) -> None:
        for _ in turns:
            await store.claim(worker_id, model_name="sketch", limit=1, lease_seconds=60, at=START)

    wall = time.perf_counter()
    await asyncio.gather(*(work(f"worker-{number}") for number in range(8)))
    return {f"claims_per_second_of_{length}": CLAIMS / (time.perf_counter() - wall)}


@asynccontextmanager
async def fresh_store() -> AsyncIterator[JobStore]:
    """An empty store on the disk that holds temporary files."""
    with tempfile.TemporaryDirectory(prefix="bench-store-") as folder:
        async with open_job_store(f"sqlite:{Path(folder) / 'jobs.db'}") as store:
            yield store


def numbered_jobs(count: int) -> Iterator[Job]:
    """Jobs of ten callers, a millisecond apart."""
    parameters = GenerationParameters(
        prompt="A lighthouse on a cliff above a stormy sea at dusk, waves, gulls, wide angle, dramatic light",
        rendered_prompt="A lighthouse on a cliff above a stormy sea at dusk, waves, gulls, wide angle, dramatic light",
        negative_prompt="blurry, low quality",
        style_name=None,
        width=1024,
        height=1024,
        steps=30,
        guidance_scale=7.5,
        seed=42,
        count=1,
        format=ImageFormat.JPEG,
    )
    for number in range(count):
        yield Job(
            id=new_job_id(),
            caller_id=CallerId(f"caller-{number % 10}"),
            model_name="sketch",
            parameters=parameters,
            created_at=START + timedelta(milliseconds=number),
            progress=Progress(total_steps=30),
        )


async def _add_all(store: JobStore, jobs: Iterator[Job], *, callers: int) -> None:
    async def add() -> None:
        for job in jobs:
            key = IdempotencyKey(key=job.id, digest="0" * 64, valid_seconds=86_400)
            await store.add(job, key=key, max_queued=10**9)

    await asyncio.gather(*(add() for _ in range(callers)))


async def _some_ids(store: JobStore) -> list[JobId]:
    changed = await store.changes(CallerId("caller-0"), after=0, limit=500)
    return [job.id for job in changed if isinstance(job, Job)]


async def _find_all(store: JobStore, ids: list[JobId]) -> list[float]:
    seconds = []
    for job_id in ids:
        start = time.perf_counter()
        await store.find(job_id)
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
