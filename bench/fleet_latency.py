"""How long an event takes from the worker's commit to a subscriber, through PostgreSQL, Valkey and another process.

Two API processes; jobs are submitted at one, their subscribers are at the other. A third process moves the jobs as a
worker does (`fleet_worker.py`): it writes the row, and when that is committed it publishes. All processes share the
machine, and so the clock (CLOCK_MONOTONIC). The time of the commit itself is in `since_due`, not in p50 and p99.

Moves (`STATUS`) are what the targets are held against. Reports of progress are measured too, one a second for each
subscriber, so that none is held back by the limit of five a second.

`python -m bench.fleet_latency --rounds 3 --seconds 20 --subscribers 300 --rate 300`
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.backing import Backing, backing
from bench.documents import GENERATE
from bench.harness import (
    READY_SECONDS,
    ROOT,
    Control,
    Figures,
    Server,
    Target,
    arguments,
    free_port,
    latency_figures,
    percentile,
    report,
    run,
    running,
    stop,
)
from bench.load.graphql import ask
from bench.watching import Arrivals, open_watchers

TARGETS = (
    Target(text="p50 from commit to frame: below 8 ms", figure="p50_ms", limit=8),
    Target(text="p99 from commit to frame: below 30 ms", figure="p99_ms", limit=30),
)
WARM_UP_SECONDS = 2.0
SETTLE_SECONDS = 1.0


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=3, seconds=20.0, subscribers=300, rate=300.0)
    figures: list[Figures] = []
    with backing() as servers:
        for turn in range(asked.rounds):
            found = _measured(servers, subscribers=asked.subscribers, rate=asked.rate, seconds=asked.seconds)
            figures.append(found)
            shown = "  ".join(f"{name} {value:,.4g}" for name, value in found.items())
            print(f"round {turn + 1}: {shown}", file=sys.stderr)
    report(
        "fleet_latency",
        {"product": figures},
        TARGETS,
        subscribers=asked.subscribers,
        events_per_second=asked.rate,
        seconds=asked.seconds,
    )


def _measured(servers: Backing, *, subscribers: int, rate: float, seconds: float) -> Figures:
    with (
        servers.database() as database,
        running(servers.replica(database)) as submitting,
        running(servers.replica(database)) as watched,
        _worker(database, servers.valkey.url) as control_port,
    ):
        return run(
            latency(servers, submitting, watched, control_port, subscribers=subscribers, rate=rate, seconds=seconds)
        )


async def latency(
    servers: Backing,
    submitting: Server,
    watched: Server,
    control_port: int,
    *,
    subscribers: int,
    rate: float,
    seconds: float,
) -> Figures:
    """One round."""
    for number in range(subscribers):
        await ask(submitting.port, GENERATE, {"input": {"prompt": f"a lighthouse, {number}"}})
    worker = Server(port=0, control_port=control_port, process=watched.process)
    control = await Control.connect(worker)
    job_ids = await control.ask("claim_all", count=subscribers)
    async with open_watchers(watched, control, count=subscribers, job_ids=job_ids) as arrivals:
        await _streamed(control, arrivals, "stream_moves", rate, WARM_UP_SECONDS)
        cpu_before = _cpu_seconds(servers, watched)
        moves, since_due = await _streamed(control, arrivals, "stream_moves", rate, seconds)
        cpu = {name: value - cpu_before[name] for name, value in _cpu_seconds(servers, watched).items()}
        reports, _ = await _streamed(control, arrivals, "stream_progress", rate, seconds)
        progress = latency_figures(reports)
        return {
            **latency_figures(moves),
            "p99_since_due_ms": 1000 * percentile(since_due, 99),
            "progress_p50_ms": progress["p50_ms"],
            "progress_p99_ms": progress["p99_ms"],
            **{f"{name}_cpu_us_each": 1e6 * value / len(moves) for name, value in cpu.items()},
        }


def _cpu_seconds(servers: Backing, watched: Server) -> dict[str, float]:
    return {
        "replica": watched.cpu_seconds(),
        "postgres": servers.postgres_cpu_seconds(),
        "valkey": servers.valkey_cpu_seconds(),
    }


async def _streamed(
    control: Control, arrivals: Arrivals, order: str, rate: float, seconds: float
) -> tuple[Sequence[float], Sequence[float]]:
    """Seconds from the commit to the frame of each event, and from when it was due, in rising order."""
    await asyncio.sleep(SETTLE_SECONDS)
    arrivals.kept = []
    before = arrivals.events
    told = await control.ask(order, rate=rate, seconds=seconds)
    await arrivals.wait_for(before + len(told))
    came_at = {(number, step): now for number, step, now in arrivals.kept}
    waits = sorted((came_at[number, step] - committed) / 1e9 for number, step, _, committed in told)
    return waits, sorted((came_at[number, step] - due) / 1e9 for number, step, due, _ in told)


@contextmanager
def _worker(database: str, events: str) -> Iterator[int]:
    """The process that moves the jobs; the port of its side door."""
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "bench.fleet_worker", "--port", str(port)),
            *("--database", database, "--events", events),
        ],
        cwd=ROOT,
    )
    try:
        run(_until_open(port))
        yield port
    finally:
        stop(process)


async def _until_open(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    main()
