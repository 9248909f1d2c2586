"""How long jobs take, learned from the latest ones that succeeded on the same model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

from graphql_api.domain.generation import GenerationParameters
from graphql_api.domain.job import Job
from graphql_api.ports import JobQueue
from graphql_api.service.models import ModelRegistry

SAMPLE_JOBS = 20
FRESH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Pace:
    seconds_per_work: float
    store_seconds: float
    read_at: float


class Estimates:
    """Durations to expect. None until one job has succeeded on the model."""

    def __init__(
        self, queue: JobQueue, models: ModelRegistry, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._queue = queue
        self._models = models
        self._monotonic = monotonic
        self._paces: dict[str, _Pace] = {}

    async def inference_seconds(self, job: Job) -> float | None:
        """From the invocation to the model's answer."""
        return await self.inference_seconds_of(job.model_name, job.parameters)

    async def inference_seconds_of(self, model_name: str, parameters: GenerationParameters) -> float | None:
        """As `inference_seconds`, of a job that is not there yet."""
        pace = await self._pace(model_name)
        return None if pace is None else pace.seconds_per_work * parameters.work

    async def seconds_in_queue_and_after(self, job: Job, *, jobs_ahead: int) -> float | None:
        """From now to the end of a queued job. Jobs ahead are taken to be like it, and to share one worker's slots."""
        return await self.seconds_in_queue_and_after_of(job.model_name, job.parameters, jobs_ahead=jobs_ahead)

    async def seconds_in_queue_and_after_of(
        self, model_name: str, parameters: GenerationParameters, *, jobs_ahead: int
    ) -> float | None:
        """As `seconds_in_queue_and_after`, of a job that is not there yet."""
        own_seconds = await self._seconds_after_start(model_name, parameters)
        runnable = self._models.find(model_name)
        if own_seconds is None or runnable is None:
            return None
        return own_seconds * (1 + jobs_ahead / runnable.concurrency)

    async def _seconds_after_start(self, model_name: str, parameters: GenerationParameters) -> float | None:
        pace = await self._pace(model_name)
        return None if pace is None else pace.seconds_per_work * parameters.work + pace.store_seconds

    async def _pace(self, model_name: str) -> _Pace | None:
        now = self._monotonic()
        known = self._paces.get(model_name)
        if known is not None and now - known.read_at < FRESH_SECONDS:
            return known
        if known is not None:
            # It does for those who ask while it is read anew.
            self._paces[model_name] = replace(known, read_at=now)
        recent = await self._queue.recent_work(model_name, SAMPLE_JOBS)
        if not recent:
            return None
        pace = _Pace(
            seconds_per_work=median(each.inference_seconds / each.amount for each in recent),
            store_seconds=median(each.store_seconds for each in recent),
            read_at=now,
        )
        self._paces[model_name] = pace
        return pace
