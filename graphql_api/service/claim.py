"""A claim: the right of one worker to move one job, for as long as the row says so.

Others may write the row in the meantime without ending the claim: a notice of an answer is noted there by whoever
received it. So every write is made on top of the row as it is, and only a row that has moved on ends the claim.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from graphql_api import metrics
from graphql_api.domain.errors import ServiceUnavailable
from graphql_api.domain.job import Job, JobStatus, Progress, Tombstone
from graphql_api.ports import JobMoved, JobProgressed
from graphql_api.service.bench import Bench
from graphql_api.service.counting import count_end

logger = logging.getLogger(__name__)

T = TypeVar("T")

Change = Callable[[Job], Job]
"""A move of a job, or an addition to it. It may be made again, on top of a row that holds it already."""


class ClaimLost(Exception):
    """The job was canceled, deleted, ended, or claimed by somebody else."""


class Claim:
    """The row of a claimed job as it was last seen, with the progress of the run that holds it."""

    def __init__(self, job: Job, bench: Bench) -> None:
        self.job = job
        self.changed = asyncio.Event()
        """Set when somebody else has written the row."""
        self.is_over = False
        """Whether nothing is to be told any more."""
        self._bench = bench

    def adopt(self, row: Job | Tombstone | None) -> bool:
        """Take over a row that may be newer. False when it says that the claim is over."""
        if not isinstance(row, Job) or row.status is not JobStatus.RUNNING or row.attempt != self.job.attempt:
            return False
        if row.revision > self.job.revision:
            # Whoever wrote it knows less of the progress than we do.
            self.job = replace(row, progress=self.job.progress)
            self.changed.set()
        return True

    async def report(self, progress: Progress) -> None:
        """Tell the watchers how far the run is. The next write, or renewal of the lease, saves it."""
        if self.is_over:
            return
        self.job = self.job.with_progress(progress)
        await self._bench.broker.publish(
            JobProgressed(
                job_id=self.job.id,
                caller_id=self.job.caller_id,
                attempt=self.job.attempt,
                progress=self.job.progress,
            )
        )

    async def renew(self) -> bool | None:
        """Extend the lease and save the progress. False when the claim is over, None when the store is away."""
        lease_seconds = self._bench.options.lease_seconds
        try:
            return await self._bench.store.renew(
                self.job, self._bench.worker_id, lease_seconds=lease_seconds, progress=self.job.progress
            )
        except ServiceUnavailable as error:
            metrics.LEASE_RENEWALS_FAILED.inc()
            logger.warning("lease of job %s was not renewed: %s", self.job.id, error)
            return None

    async def look(self) -> bool:
        """Read the row. False when the claim is over."""
        return self.adopt(await self._insist(lambda: self._bench.store.find(self.job.id)))

    async def write(self, change: Change) -> Job:
        """Make a change durable and tell the watchers. Waits for a store that is away. Raises ClaimLost."""
        while True:
            saved = await self._insist(partial(self._bench.store.update, change(self.job)))
            if saved is not None:
                return await self._announced(saved)
            row = await self._insist(lambda: self._bench.store.find(self.job.id))
            if not self.adopt(row):
                if isinstance(row, Job):
                    # It may be a write of ours, whose outcome was lost with the connection.
                    await self._bench.broker.publish(JobMoved.of(row))
                raise ClaimLost

    async def write_at_once(self, change: Change) -> None:
        """As `write`, but raises ServiceUnavailable rather than wait, and does nothing when the claim is over."""
        saved = await self._bench.store.update(change(self.job))
        if saved is None and self.adopt(await self._bench.store.find(self.job.id)):
            saved = await self._bench.store.update(change(self.job))
        if saved is not None:
            await self._announced(saved)

    async def _announced(self, saved: Job) -> Job:
        # Before it is announced: the announcement comes back to this worker too, and must not look like news.
        self.job = saved
        self.is_over = saved.status is not JobStatus.RUNNING
        count_end(saved)
        await self._bench.broker.publish(JobMoved.of(saved))
        return saved

    async def _insist(self, action: Callable[[], Awaitable[T]]) -> T:
        return await self._bench.insist(action, what_for=f"job {self.job.id}")
