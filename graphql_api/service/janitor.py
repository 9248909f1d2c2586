"""The janitor: puts right what a crash left behind, and takes away what nobody needs any more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from graphql_api import metrics
from graphql_api.domain.errors import ModelUnavailable, ServiceUnavailable
from graphql_api.domain.job import Job
from graphql_api.ports import JobStore
from graphql_api.service.clock import Clock, utc_now
from graphql_api.service.costs import with_lost_worker
from graphql_api.service.jobs import KEY_VALID_SECONDS, JobService
from graphql_api.service.models import ModelRegistry

logger = logging.getLogger(__name__)

AT_A_TIME = 100
DUTY = "janitor"


@dataclass(frozen=True, slots=True, kw_only=True)
class JanitorOptions:
    """When something is due. All times are in seconds.

    `settle_seconds` is how long the store must have answered without a gap before a lease counts as lost: while it was
    away nobody could renew one.
    `orphan_seconds` is how long a job may wait for a model that this process does not know: during an upgrade others
    may know more. `stray_seconds` is how long after the end of a job somebody who has lost it may still be storing a
    file.
    """

    round_seconds: float = 10.0
    duty_seconds: float = 30.0
    settle_seconds: float = 0.0
    orphan_seconds: float = 21_600.0
    stray_seconds: float = 300.0
    tombstone_seconds: float = 30 * 86_400.0


class Janitor:
    """Works in small rounds, in one of any number of processes at a time. Nothing depends on that: a janitor that was
    held up may come back in the middle of another's round, so every step may be done twice."""

    def __init__(
        self,
        store: JobStore,
        jobs: JobService,
        models: ModelRegistry,
        *,
        holder: str,
        options: JanitorOptions,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._models = models
        self._holder = holder
        self._options = options
        self._clock = clock
        self.is_on_duty = False
        """Whether the rounds are this one's to make, as far as it knows."""
        self._answered_since: float | None = None
        self._answered_at = 0.0

    async def run(self) -> None:
        """Rounds until cancelled; then let another janitor take over at once."""
        try:
            while True:
                await self.tidy()
                await asyncio.sleep(self._options.round_seconds)
        finally:
            with contextlib.suppress(ServiceUnavailable):
                if await self._holds_duty():
                    await self._store.hold_duty(DUTY, self._holder, lease_seconds=0)

    async def tidy(self) -> None:
        """One round, unless another process is at it."""
        try:
            if await self._holds_duty():
                if self._store_has_settled():
                    await self._requeue_lost()
                await self._fail_orphans()
                await self._forget()
                # Last, and not for long: leases must not wait for an image store that hangs.
                async with asyncio.timeout(self._options.duty_seconds / 2):
                    await self._delete_files()
                    await self._delete_expired()
        except Exception as error:
            # Also a row that this version of the program cannot read must not end every process in turn.
            metrics.JANITOR_FAILURES.inc()
            if isinstance(error, ServiceUnavailable):
                self._answered_since = None
            logger.warning("the janitor could not finish its round: %s", error, exc_info=error)

    def _store_has_settled(self) -> bool:
        now = asyncio.get_running_loop().time()
        was_away = now - self._answered_at > 2 * self._options.round_seconds + self._options.duty_seconds / 2
        if self._answered_since is None or was_away:
            self._answered_since = now
        self._answered_at = now
        return now - self._answered_since >= self._options.settle_seconds

    async def _holds_duty(self) -> bool:
        self.is_on_duty = await self._store.hold_duty(DUTY, self._holder, lease_seconds=self._options.duty_seconds)
        return self.is_on_duty

    async def _requeue_lost(self) -> None:
        for job in await self._store.lost_leases(AT_A_TIME):
            logger.warning("job %s lost its worker in attempt %d", job.id, job.attempt)
            lost = with_lost_worker(job).lost(max_losses=self._max_losses(job), at=self._clock())
            await self._move(lost, "lost_lease", if_lease_lost=True)

    async def _fail_orphans(self) -> None:
        before = self._ago(self._options.orphan_seconds)
        for job in await self._store.orphans(self._models.names, AT_A_TIME, created_before=before):
            gone = ModelUnavailable("The model was removed from this server.")
            await self._move(job.failed(gone, at=self._clock()), "orphan")

    async def _delete_files(self) -> None:
        before = self._ago(self._options.stray_seconds)
        for tombstone in await self._store.unpurged(AT_A_TIME, deleted_before=before):
            _count("purge", await self._jobs.purge(tombstone.job_id))
        for job in await self._store.unswept(AT_A_TIME, finished_before=before):
            _count("sweep", await self._jobs.sweep(job))

    async def _delete_expired(self) -> None:
        for job in await self._store.expired(AT_A_TIME, at=self._clock()):
            _count("expire", await self._jobs.remove(job))

    async def _forget(self) -> None:
        before = self._ago(self._options.tombstone_seconds)
        forgotten = await self._store.forget(AT_A_TIME, deleted_before=before, key_seconds=KEY_VALID_SECONDS)
        _count("forget", forgotten)

    def _ago(self, seconds: float) -> datetime:
        return self._clock() - timedelta(seconds=seconds)

    def _max_losses(self, job: Job) -> int:
        runnable = self._models.find(job.model_name)
        # Without its model it can only be put back, and fails as nobody's job in the next round.
        return job.losses + 2 if runnable is None else runnable.policy.max_attempts

    async def _move(self, job: Job, work: str, *, if_lease_lost: bool = False) -> None:
        moved = await self._store.update(job, if_lease_lost=if_lease_lost)
        if moved is None:
            return
        await self._jobs.announce(moved)
        _count(work, 1)
        if moved.is_final and moved.attempt:
            await self._jobs.discard_files(moved)


def _count(work: str, done: int) -> None:
    metrics.JANITOR_WORK.labels(work).inc(done)
