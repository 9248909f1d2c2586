"""The worker: claims jobs as slots come free, and drains."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from graphql_api import metrics
from graphql_api.domain.job import Job
from graphql_api.ports import QUEUE_TOPIC, JobMoved
from graphql_api.service.bench import Bench
from graphql_api.service.models import RunnableModel
from graphql_api.service.run import Run

logger = logging.getLogger(__name__)


class Worker:
    """Runs up to `concurrency` jobs of each model at a time."""

    def __init__(self, models: Iterable[RunnableModel], bench: Bench) -> None:
        self._models = tuple(models)
        self._bench = bench
        self._runs: dict[asyncio.Task[None], Run] = {}
        self._wake = asyncio.Event()
        self._is_draining = False
        self._drain_seconds = bench.options.drain_seconds
        self._drained = asyncio.Event()

    async def run(self) -> None:
        """Claim and run jobs until cancelled; then claim no more, give running jobs `drain_seconds` to end, and give
        back those that did not. After `drain` there is nothing left to do but to wait for that."""
        for runnable in self._models:
            metrics.JOB_SLOTS.labels(runnable.model.name).set(runnable.concurrency)
        try:
            async with self._bench.broker.subscribe(QUEUE_TOPIC, lambda _: self._wake.set()):
                await self._work()
        finally:
            self._drained.set()
        await asyncio.Event().wait()

    async def drain(self, seconds: float) -> None:
        """Have `run` claim no more, and return when every running job has ended, which they get so many seconds for,
        or has been given back."""
        self._is_draining, self._drain_seconds = True, seconds
        self._wake.set()
        await self._drained.wait()

    async def _work(self) -> None:
        try:
            while not self._is_draining:
                self._wake.clear()
                await self._claim_what_fits()
                await self._wait_for_work()
        finally:
            await self._give_up()

    async def _claim_what_fits(self) -> None:
        for runnable in self._models:
            running = sum(run.runnable is runnable for run in self._runs.values())
            if running < runnable.concurrency:
                for job in await self._claim(runnable, runnable.concurrency - running):
                    self._start(job, runnable)

    async def _claim(self, runnable: RunnableModel, limit: int) -> list[Job]:
        claiming = asyncio.ensure_future(self._claim_and_announce(runnable, limit))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # What was claimed in the last moment would wait until its lease has run out.
            for job in await claiming:
                released = await self._bench.store.update(job.released())
                if released is not None:
                    await self._bench.broker.publish(JobMoved.of(released))
            raise

    async def _claim_and_announce(self, runnable: RunnableModel, limit: int) -> list[Job]:
        try:
            claimed = await self._bench.store.claim(
                self._bench.worker_id,
                model_name=runnable.model.name,
                limit=limit,
                lease_seconds=self._bench.options.lease_seconds,
                at=self._bench.clock(),
            )
        except Exception as error:
            # Whatever it is, the jobs that run here go on; what was claimed after all is lost with its lease.
            logger.warning("no job was claimed: %s", error, exc_info=error)
            return []
        # Before anything else: watchers get the revisions of a caller in their order.
        for job in claimed:
            await self._bench.broker.publish(JobMoved.of(job))
        return list(claimed)

    def _start(self, job: Job, runnable: RunnableModel) -> None:
        run = Run(job, runnable, self._bench)
        task = asyncio.create_task(run.see_through(), name=f"run of job {job.id}")
        self._runs[task] = run
        metrics.JOBS_RUNNING.labels(job.model_name).inc()
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        run = self._runs.pop(task)
        metrics.JOBS_RUNNING.labels(run.job.model_name).dec()
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease runs out, and the janitor puts the job back.
            logger.error("the run of job %s broke", run.job.id, exc_info=error)

    async def _wait_for_work(self) -> None:
        try:
            async with asyncio.timeout(self._bench.options.poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _give_up(self) -> None:
        """Each run is cancelled once: it is giving its job back then, and must get to the end of that."""
        leaving = [task for task, run in self._runs.items() if run.can_be_left]
        staying = [task for task, run in self._runs.items() if not run.can_be_left]
        for task in leaving:
            task.cancel()
        late: set[asyncio.Task[None]] = set()
        if staying:
            _, late = await asyncio.wait(staying, timeout=self._drain_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*leaving, *late, return_exceptions=True)
