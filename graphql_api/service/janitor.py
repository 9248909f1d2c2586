"""The janitor: puts right what a crash left behind."""

from __future__ import annotations

import logging

from graphql_api.domain.errors import ModelUnavailable, ServiceUnavailable
from graphql_api.domain.job import Job
from graphql_api.ports import JobStore
from graphql_api.service.clock import Clock, utc_now
from graphql_api.service.jobs import JobService
from graphql_api.service.models import ModelRegistry

logger = logging.getLogger(__name__)

AT_A_TIME = 100


class Janitor:
    """Works in small rounds; every step may be done twice or by several processes at once."""

    def __init__(self, store: JobStore, jobs: JobService, models: ModelRegistry, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._jobs = jobs
        self._models = models
        self._clock = clock

    async def tidy(self) -> None:
        """One round: lost leases, jobs that nobody can run, files of deleted jobs."""
        try:
            for job in await self._store.lost_leases(AT_A_TIME):
                logger.warning("job %s lost its worker in attempt %d", job.id, job.attempt)
                lost = job.lost(max_losses=self._max_losses(job), at=self._clock())
                await self._move(lost, if_lease_lost=True)
            for job in await self._store.orphans(self._models.names, AT_A_TIME):
                gone = ModelUnavailable("The model was removed from this server.")
                await self._move(job.failed(gone, at=self._clock()))
            for tombstone in await self._store.unpurged(AT_A_TIME):
                await self._jobs.purge(tombstone.job_id)
        except ServiceUnavailable as error:
            logger.warning("the janitor could not finish its round: %s", error, exc_info=error)

    def _max_losses(self, job: Job) -> int:
        runnable = self._models.find(job.model_name)
        # Without its model it can only be put back, and fails as nobody's job in the next round.
        return job.losses + 2 if runnable is None else runnable.policy.max_attempts

    async def _move(self, job: Job, *, if_lease_lost: bool = False) -> None:
        moved = await self._store.update(job, if_lease_lost=if_lease_lost)
        if moved is not None:
            await self._jobs.announce(moved)
            if moved.is_final and moved.attempt:
                await self._jobs.discard_files(moved)
