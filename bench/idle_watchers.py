"""What a watcher costs while nothing happens, with PostgreSQL and Valkey: memory of the API process and of Valkey, and
what the check for missed notices, every five seconds, costs the process and the database.

Each watcher follows a job of its own on a socket of its own. The time of the processors is measured for a while before
the watchers come and for as long while they are there; the difference, over their number, is what one costs. The system
counts that time in hundredths of a second, so few watchers or seconds tell little.

`python -m bench.idle_watchers --rounds 3 --watchers 5000 --seconds 30`
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime

from bench.backing import Backing, backing
from bench.documents import WATCH
from bench.harness import Figures, Server, Target, arguments, report, run, running
from bench.load.websocket import subscribe_all
from graphql_api.adapters.job_store.postgres import open_postgres_job_store
from graphql_api.bootstrap import SKETCH
from graphql_api.domain.generation import GenerationRequest, complete
from graphql_api.domain.ids import LOCAL_CALLER, global_id, new_job_id
from graphql_api.domain.job import Job, Progress

TARGETS = (Target(text="memory of the process for each: at most 40 kB", figure="kb_each", limit=40),)
OPEN_SECONDS = 120.0
SETTLE_SECONDS = 5.0


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=3, watchers=5000, seconds=30.0)
    figures: list[Figures] = []
    with backing() as servers:
        for turn in range(asked.rounds):
            with servers.database() as database, running(servers.replica(database)) as server:
                found = run(watching(servers, server, database, watchers=asked.watchers, seconds=asked.seconds))
            figures.append(found)
            shown = "  ".join(f"{name} {value:,.4g}" for name, value in found.items())
            print(f"round {turn + 1}: {shown}", file=sys.stderr)
    report("idle_watchers", {"product": figures}, TARGETS, watchers=asked.watchers, seconds=asked.seconds)


async def watching(servers: Backing, server: Server, database: str, *, watchers: int, seconds: float) -> Figures:
    """One round."""
    job_ids = await _add_jobs(database, watchers)
    await asyncio.sleep(SETTLE_SECONDS)
    empty = await _cpu_share(servers, server, seconds)
    uss_before, valkey_before = server.uss_bytes(), _valkey_bytes(servers)
    start, snapshots = time.perf_counter(), 0

    def on_message(_: int, message: bytes, __: int) -> None:
        nonlocal snapshots
        if b"SNAPSHOT" not in message:
            raise RuntimeError(f"Not a snapshot: {message!r}")
        snapshots += 1

    subscribers = await subscribe_all(server.port, WATCH, job_ids, on_message)
    try:
        while snapshots < watchers:
            if time.perf_counter() - start > OPEN_SECONDS:
                raise RuntimeError(f"Only {snapshots} of {watchers} subscriptions are live.")
            await asyncio.sleep(0.02)
        open_seconds = time.perf_counter() - start
        await asyncio.sleep(SETTLE_SECONDS)
        memory = {
            "kb_each": (server.uss_bytes() - uss_before) / 1000 / watchers,
            "valkey_bytes_each": (_valkey_bytes(servers) - valkey_before) / watchers,
        }
        full = await _cpu_share(servers, server, seconds)
    finally:
        for subscriber in subscribers:
            subscriber.close()
    return {
        **memory,
        "open_seconds": open_seconds,
        **{f"{name}_cpu_us_each_second": 1e6 * (full[name] - empty[name]) / watchers for name in full},
    }


async def _cpu_share(servers: Backing, server: Server, seconds: float) -> dict[str, float]:
    """Seconds of processor time a second."""
    before = _cpu_seconds(servers, server)
    await asyncio.sleep(seconds)
    return {name: (value - before[name]) / seconds for name, value in _cpu_seconds(servers, server).items()}


def _cpu_seconds(servers: Backing, server: Server) -> dict[str, float]:
    return {
        "replica": server.cpu_seconds(),
        "postgres": servers.postgres_cpu_seconds(),
        "valkey": servers.valkey_cpu_seconds(),
    }


def _valkey_bytes(servers: Backing) -> int:
    with servers.valkey.client() as client:
        return int(client.info("memory")["used_memory"])


async def _add_jobs(database: str, count: int) -> list[str]:
    """Queued jobs; their IDs, as clients spell them."""
    now = datetime.now(UTC)
    jobs = [
        Job(
            id=new_job_id(),
            caller_id=LOCAL_CALLER,
            model_name=SKETCH.name,
            parameters=complete(GenerationRequest(prompt=f"a lighthouse, {number}"), SKETCH, None),
            created_at=now,
            progress=Progress(total_steps=50),
        )
        for number in range(count)
    ]
    async with open_postgres_job_store(database, connections=2) as store:
        await asyncio.gather(*(store.add(job) for job in jobs))
    return [global_id("GenerationJob", job.id) for job in jobs]


if __name__ == "__main__":
    main()
