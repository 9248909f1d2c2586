"""A process that moves jobs as a worker does, at a given rate, and notes when each move was committed.

`python -m bench.fleet_worker --port 8000 --database postgresql://... --events valkey://...`; the port is its side door.
The store and the broker are the product's; what is left out of a worker is the model.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime

from bench.harness import run
from bench.hosting import taking_orders
from graphql_api.adapters.event_broker import open_event_broker
from graphql_api.adapters.job_store import open_job_store
from graphql_api.bootstrap import SKETCH
from graphql_api.domain.ids import global_id
from graphql_api.domain.job import Job, JobPhase
from graphql_api.ports import EventBroker, JobMoved, JobProgressed, JobStore

LEASE_SECONDS = 3600.0

Told = tuple[int, int, int, int]
"""Of an event: number of its job, step, and when it was due and when it was committed (time.monotonic_ns)."""


class FleetWorker:
    """What the benchmark orders."""

    def __init__(self, store: JobStore, broker: EventBroker) -> None:
        self._store = store
        self._broker = broker
        self._jobs: list[Job] = []
        self._turns: list[asyncio.Lock] = []
        self._step = 0

    async def claim_all(self, count: int) -> list[str]:
        """Claim so many jobs and announce each; their IDs, as clients spell them."""
        while len(self._jobs) < count:
            claimed = await self._store.claim(
                "bench",
                model_name=SKETCH.name,
                limit=count - len(self._jobs),
                lease_seconds=LEASE_SECONDS,
                at=datetime.now(UTC),
            )
            for job in claimed:
                await self._broker.publish(JobMoved.of(job))
            self._jobs += claimed
        self._turns = [asyncio.Lock() for _ in self._jobs]
        return [global_id("GenerationJob", job.id) for job in self._jobs]

    async def live(self) -> int:
        """Subscribers know by their snapshots."""
        return 0

    async def stream_moves(self, rate: float, seconds: float) -> list[Told]:
        """Move one job after the other, `rate` moves a second in all. A move that is slow does not hold up the next."""
        return await self._stream(rate, seconds, is_move=True)

    async def stream_progress(self, rate: float, seconds: float) -> list[Told]:
        """The same with reports of progress, which are not written down; "committed" is when they were handed over."""
        return await self._stream(rate, seconds, is_move=False)

    async def _stream(self, rate: float, seconds: float, *, is_move: bool) -> list[Told]:
        start, tasks = time.monotonic(), []
        for count in range(int(rate * seconds)):
            due = start + count / rate
            if (delay := due - time.monotonic()) > 0:
                await asyncio.sleep(delay)
            number = count % len(self._jobs)
            self._step += number == 0
            tell = self._move if is_move else self._report
            tasks.append(asyncio.create_task(tell(number, self._step, round(due * 1e9))))
        return list(await asyncio.gather(*tasks))

    async def _move(self, number: int, step: int, due: int) -> Told:
        # As Claim.write does: written on top of the row that was seen last, then announced.
        async with self._turns[number]:
            job = self._jobs[number]
            job = job.sent() if job.is_held_up else job.held_up(JobPhase.STARTING)
            saved = await self._store.update(replace(job, progress=replace(job.progress, step=step)))
            committed = time.monotonic_ns()
            if saved is None:
                raise RuntimeError(f"Somebody else moved job {job.id}.")
            self._jobs[number] = saved
            await self._broker.publish(JobMoved.of(saved))
            return number, step, due, committed

    async def _report(self, number: int, step: int, due: int) -> Told:
        job = self._jobs[number]
        told = time.monotonic_ns()
        progress = replace(job.progress, step=step)
        await self._broker.publish(
            JobProgressed(job_id=job.id, caller_id=job.caller_id, attempt=job.attempt, progress=progress)
        )
        return number, step, due, told


def main() -> None:
    """Take orders for ever."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--events", required=True)
    asked = parser.parse_args()

    async def work() -> None:
        async with open_job_store(asked.database) as store, open_event_broker(asked.events) as broker:
            async with taking_orders(FleetWorker(store, broker), asked.port):
                await asyncio.Event().wait()

    run(work())


if __name__ == "__main__":
    main()
