"""What a caller does with jobs: estimate, submit, get, list, cancel, delete."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from graphql_api import tracing
from graphql_api.domain.caller import Caller
from graphql_api.domain.errors import (
    BudgetExceeded,
    JobNotFound,
    NotPermitted,
    RateLimited,
    ServiceUnavailable,
    StyleNotFound,
    Text2ImageError,
)
from graphql_api.domain.generation import GenerationParameters, GenerationRequest, Model, complete
from graphql_api.domain.ids import CallerId, JobId, new_job_id
from graphql_api.domain.job import CancelOutcome, Job, JobStatus, Progress
from graphql_api.domain.styles import STYLES, Style
from graphql_api.ports import (
    EventBroker,
    IdempotencyKey,
    ImageStore,
    JobMoved,
    JobPage,
    JobQuery,
    JobStore,
    PageRequest,
    Submitted,
)
from graphql_api.service.clock import Clock, utc_now
from graphql_api.service.costs import micro_dollars, with_cancellation
from graphql_api.service.counting import count_end
from graphql_api.service.estimates import Estimates
from graphql_api.service.fair_use import Admission, FairUse
from graphql_api.service.models import ModelRegistry
from graphql_api.service.queue_places import QueuePlaces
from graphql_api.service.webhooks import Webhooks

logger = logging.getLogger(__name__)

KEY_VALID_SECONDS = 24 * 60 * 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a job would take: seconds from now to its end, US dollars for its invocations, each None where nothing is
    known or the model has no price, and how many queued jobs of its model there are already."""

    seconds: float | None
    dollars: float | None
    jobs_ahead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobService:
    """The caller's side of jobs. Another caller's job is treated exactly like one that does not exist."""

    store: JobStore
    images: ImageStore
    broker: EventBroker
    models: ModelRegistry
    estimates: Estimates
    max_queued: int | None = None
    retention_seconds: float | None = None
    fair_use: FairUse | None = None
    webhooks: Webhooks = field(default_factory=Webhooks)
    clock: Clock = utc_now
    places: QueuePlaces = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", QueuePlaces(self.store))

    async def estimate(self, request: GenerationRequest) -> Estimate:
        """What a job would take if it was submitted now. Raises InvalidInput, ModelNotFound or StyleNotFound."""
        model, parameters = self._checked(request)
        depths = await self.store.depths()
        jobs_ahead = sum(depth.jobs for depth in depths if depth.model_name == model.name)
        seconds = await self.estimates.inference_seconds_of(model.name, parameters)
        price = model.price_per_second
        return Estimate(
            seconds=await self.estimates.seconds_in_queue_and_after_of(model.name, parameters, jobs_ahead=jobs_ahead),
            dollars=None if seconds is None or price is None else seconds * price,
            jobs_ahead=jobs_ahead,
        )

    async def submit(self, caller: Caller, request: GenerationRequest) -> Submitted:
        """Record a job durably and announce it; the caller may be answered when this returns.

        Raises NotPermitted, InvalidInput, ModelNotFound, StyleNotFound, IdempotencyConflict, QueueFull, RateLimited or
        BudgetExceeded, or ServiceUnavailable when the host of a webhook cannot be looked up now; then nothing was
        queued. A repeat of an idempotency key gets its job whatever the limits say and whatever became of the webhook.
        """
        if not caller.may_write:
            raise NotPermitted
        model, parameters = self._checked(request)
        key = _idempotency_key(request, model.name)
        if request.webhook is not None:
            known = None if key is None else await self.store.find_by_key(caller.id, key)
            if known is not None:
                return Submitted(job=await self.with_live_progress(known), is_new=False)
            self.webhooks.check_form(request.webhook)
        job_id, created_at = new_job_id(), self.clock()
        with tracing.span("submit job", job_id=job_id, model=model.name):
            reserved = await self._reserved(model, parameters)
            job = Job(
                id=job_id,
                caller_id=caller.id,
                model_name=model.name,
                parameters=parameters,
                reference=request.reference,
                created_at=created_at,
                expires_at=self._expiry(created_at),
                progress=Progress(total_steps=parameters.steps),
                trace=tracing.traceparent(),
                webhook=request.webhook,
                account=caller.account,
                reserved=reserved or 0,
            )
            submitted = await self._add(job, caller, key=key, reserved=reserved)
            if not submitted.is_new:
                return replace(submitted, job=await self.with_live_progress(submitted.job))
            await self.announce(submitted.job)
            return submitted

    async def get(self, caller_id: CallerId, job_id: JobId) -> Job | None:
        """The caller's job with its latest progress, or None."""
        job = await self.store.find(job_id, caller_id=caller_id)
        return await self.with_live_progress(job) if isinstance(job, Job) else None

    async def page(self, caller_id: CallerId, query: JobQuery, page: PageRequest) -> JobPage:
        """Part of the caller's list, newest first, with the latest progress of what runs."""
        found = await self.store.page(caller_id, query, page)
        return replace(found, jobs=tuple([await self.with_live_progress(job) for job in found.jobs]))

    async def count(self, caller_id: CallerId, query: JobQuery) -> int:
        """How many of the caller's jobs match."""
        return await self.store.count(caller_id, query)

    async def cancel(self, caller_id: CallerId, job_id: JobId) -> Job:
        """Cancel a job; one that has ended stays as it ended. Raises JobNotFound.

        The worker that runs it learns of it by the announcement, or by the lease that it can no longer renew.
        """
        while True:
            job = await self.get(caller_id, job_id)
            if job is None:
                raise JobNotFound(path=("id",))
            if job.is_final:
                return job
            moved = await self.store.update(self._canceled(job))
            if moved is not None:
                await self.announce(moved)
                if job.status is JobStatus.QUEUED and job.attempt:
                    await self.discard_files(moved)
                return moved

    async def delete(self, caller_id: CallerId, job_id: JobId) -> None:
        """Delete a job with its images. Its worker stops, and what it has cost so far is charged, once, however often
        this is tried: where that is anything, the job is canceled first, without a word to its watchers, who hear of
        the deletion. Raises JobNotFound.
        """
        while True:
            job = await self.get(caller_id, job_id)
            if job is None:
                raise JobNotFound(path=("id",))
            if job.is_final or self._paid_when_left(job).charged == job.charged:
                break
            if (job := await self.store.update(self._canceled(job))) is not None:
                break
        if not await self.remove(job):
            raise JobNotFound(path=("id",))

    async def remove(self, job: Job) -> bool:
        """Replace a job by a tombstone, tell its watchers, and delete its files. False when it is gone already."""
        tombstone = await self.store.delete(job.id, at=self.clock())
        if tombstone is None:
            return False
        await self.broker.publish(
            JobMoved(job_id=job.id, caller_id=job.caller_id, revision=tombstone.revision, job=None, is_deleted=True)
        )
        # Its worker, or one that has lost it, may be storing a file right now. The janitor purges those later.
        await self.purge(job.id, for_good=not job.attempt or (job.is_final and not job.may_have_strays))
        return True

    async def purge(self, job_id: JobId, *, for_good: bool = True) -> bool:
        """Delete the files of a deleted job; `for_good` when nobody is left who could store another. What fails now,
        for which this is False, is done again by the janitor."""
        try:
            await self.images.delete_job(job_id)
            if for_good:
                await self.store.purged(job_id)
        except Text2ImageError as error:
            logger.warning("files of deleted job %s are still there: %s", job_id, error, exc_info=error)
            return False
        return True

    async def discard_files(self, job: Job) -> None:
        """Delete what lost workers may have stored for a job that ended without images, and that nobody holds."""
        try:
            await self.images.delete_job(job.id)
        except ServiceUnavailable as error:
            logger.warning("files of job %s may be left behind: %s", job.id, error, exc_info=error)

    async def sweep(self, job: Job) -> bool:
        """Delete the files of a job that has ended which it does not name. What fails now, for which this is False, is
        done again later."""
        try:
            stored = await self.images.keys_of(job.id)
            await self.images.delete([key for key in stored if key not in job.file_keys])
            await self.store.swept(job.id)
        except ServiceUnavailable as error:
            logger.warning("files of job %s may be left behind: %s", job.id, error, exc_info=error)
            return False
        return True

    async def queue_position(self, job: Job) -> int | None:
        """Jobs ahead of a queued job; None for any other."""
        return await self.places.jobs_ahead(job) if job.status is JobStatus.QUEUED else None

    async def eta_seconds(self, job: Job) -> float | None:
        """Seconds to the end, as far as anything is known."""
        if job.status is not JobStatus.QUEUED:
            return job.progress.eta_seconds
        return await self.estimates.seconds_in_queue_and_after(job, jobs_ahead=await self.places.jobs_ahead(job))

    async def with_live_progress(self, job: Job) -> Job:
        """The job with what its worker reported since the row was written."""
        if job.status is not JobStatus.RUNNING:
            return job
        live = await self.broker.latest_progress(job.id)
        return job.with_progress(live.progress) if live is not None and live.attempt == job.attempt else job

    async def announce(self, job: Job) -> None:
        """Tell watchers that a job took its revision, and count it where that was its end."""
        count_end(job)
        await self.broker.publish(JobMoved.of(job))

    def _expiry(self, created_at: datetime) -> datetime | None:
        return None if self.retention_seconds is None else created_at + timedelta(seconds=self.retention_seconds)

    def _checked(self, request: GenerationRequest) -> tuple[Model, GenerationParameters]:
        model = self.models.get(request.model_name).model
        return model, complete(request, model, _style(request.style_name))

    async def _reserved(self, model: Model, parameters: GenerationParameters) -> int | None:
        """What a job is expected to cost, 0 where nobody knows, None where its model has no price."""
        if model.price_per_second is None:
            return None
        return micro_dollars(model, await self.estimates.inference_seconds_of(model.name, parameters) or 0.0)

    async def _add(self, job: Job, caller: Caller, *, key: IdempotencyKey | None, reserved: int | None) -> Submitted:
        try:
            async with self._admitting(job, caller, reserved) as admission:
                if job.webhook is not None:
                    # Only now that it is counted, since it may take long, and there is not much of it to go around.
                    await self.webhooks.check_host(caller.id, job.webhook)
                with tracing.span("add to store"):
                    submitted = await self.store.add(job, key=key, max_queued=self.max_queued)
                if admission is not None and not submitted.is_new:
                    admission.undo()
                return submitted
        except (RateLimited, BudgetExceeded):
            known = None if key is None else await self.store.find_by_key(caller.id, key)
            if known is None:
                raise
            return Submitted(job=known, is_new=False)

    def _admitting(
        self, job: Job, caller: Caller, reserved: int | None
    ) -> AbstractAsyncContextManager[Admission | None]:
        if self.fair_use is None:
            return nullcontext()
        parameters = job.parameters
        pixels = parameters.width * parameters.height * parameters.count
        return self.fair_use.admitting(caller, pixels=pixels, reserved=reserved)

    def _canceled(self, job: Job) -> Job:
        return self._paid_when_left(job).canceled(self._cancel_outcome(job), at=self.clock())

    def _paid_when_left(self, job: Job) -> Job:
        """The job with what it has cost by now, if it is left now."""
        runnable = self.models.find(job.model_name)
        if runnable is None:
            return job
        return with_cancellation(job, runnable.model, self._cancel_outcome(job), at=self.clock())

    def _cancel_outcome(self, job: Job) -> CancelOutcome:
        is_queued = job.status is JobStatus.QUEUED
        runnable = self.models.find(job.model_name)
        if runnable is not None and runnable.can_stop:
            return CancelOutcome.NOT_STARTED if is_queued else CancelOutcome.STOPPED
        # The row is written before anything is sent, so what it does not know of was not sent. What a lost worker has
        # sent may still be running.
        was_sent = job.losses > 0 or job.deferred or not (is_queued or job.is_held_up)
        return CancelOutcome.DETACHED if was_sent else CancelOutcome.NOT_STARTED


def _style(name: str | None) -> Style | None:
    if name is None:
        return None
    if name not in STYLES:
        raise StyleNotFound("There is no style with this ID.", path=("style",))
    return STYLES[name]


def _idempotency_key(request: GenerationRequest, model_name: str) -> IdempotencyKey | None:
    if request.idempotency_key is None:
        return None
    # Leaving the model out and naming the default are the same request.
    digest = replace(request, model_name=model_name).digest()
    return IdempotencyKey(key=request.idempotency_key, digest=digest, valid_seconds=KEY_VALID_SECONDS)
