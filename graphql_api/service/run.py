"""One run: what a worker does with one claim of one job.

The claim is a lease. It is renewed while the run lasts; when a renewal is refused, or a notice says that the job was
canceled or deleted, the run is revoked and leaves nothing behind. Whoever first moves the row from the revision of the
claim has won. The other's files are deleted, unless the row names them.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from graphql_api.domain.errors import GenerationFailed, InvocationTimedOut, ServiceUnavailable
from graphql_api.domain.job import Job, JobPhase, Progress, ProgressBasis, StoredImage
from graphql_api.ports import (
    EventBroker,
    ImageStore,
    JobMoved,
    JobProgressed,
    JobStore,
    Notice,
    Preview,
    StepDone,
    job_topic,
)
from graphql_api.service.batch import Batch, finish_batch, invoke
from graphql_api.service.clock import Clock, utc_now
from graphql_api.service.estimates import Estimates
from graphql_api.service.models import RunnableModel
from graphql_api.service.pictures import FinishedPicture, image_key, thumbnail_key

logger = logging.getLogger(__name__)

T = TypeVar("T")

GENERATED_FRACTION = 0.95
"""Where progress stands when the model has answered and the images are not stored yet."""

MAX_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker works. All times are in seconds."""

    lease_seconds: float = 30.0
    poll_seconds: float = 2.0
    job_timeout_seconds: float = 600.0
    drain_seconds: float = 5.0
    estimate_seconds: float = 0.5
    retry_seconds: float = 0.2
    embed_parameters: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a run works with."""

    worker_id: str
    store: JobStore
    images: ImageStore
    broker: EventBroker
    estimates: Estimates
    executor: Executor
    options: WorkerOptions
    clock: Clock = utc_now


class Run:
    """One claim of one job, from the claim to its end."""

    def __init__(self, job: Job, runnable: RunnableModel, bench: Bench) -> None:
        self.job = job
        self.runnable = runnable
        self._bench = bench
        self._progress = job.progress
        self._put_keys: list[str] = []
        self._answered_at: datetime | None = None
        self._is_revoked = False
        self._task: asyncio.Task[None] | None = None

    async def see_through(self) -> None:
        """Work until the row says how the claim ended. When cancelled, give the job back."""
        self._task = asyncio.current_task()
        renewing = asyncio.create_task(self._keep_lease())
        try:
            async with self._bench.broker.subscribe(job_topic(self.job.id), self._on_notice):
                await self._check_claim()
                moved = await self._outcome()
            # From here on the row decides who has won; a revocation would only hide the outcome.
            renewing.cancel()
            await self._settle(moved)
        except asyncio.CancelledError:
            await self._give_back()
            if not self._is_revoked:
                raise
        finally:
            renewing.cancel()

    async def _outcome(self) -> Job:
        """The job as this run leaves it. The one place where any fault becomes a failed job."""
        try:
            async with asyncio.timeout(self._bench.options.job_timeout_seconds):
                return await self._generate()
        except TimeoutError as error:
            failure: GenerationFailed = InvocationTimedOut("The job ran longer than the server allows.")
            failure.__cause__ = error
        except GenerationFailed as error:
            failure = error
        except Exception as error:
            failure = GenerationFailed("The server met an unexpected fault.")
            failure.__cause__ = error
        logger.warning("job %s failed: %s", self.job.id, failure.code, exc_info=failure.__cause__ or failure)
        latest = self.job.with_progress(self._progress)
        return latest.failed(failure, at=self._bench.clock(), answered_at=self._answered_at)

    async def _generate(self) -> Job:
        estimating = asyncio.create_task(self._report_estimates())
        try:
            answers = await invoke(
                self.job,
                self.runnable,
                timeout_seconds=self._bench.options.job_timeout_seconds,
                on_step=self._on_step,
            )
        finally:
            estimating.cancel()
        self._answered_at = self._bench.clock()
        await self._report(
            replace(self._progress, phase=JobPhase.STORING, fraction=GENERATED_FRACTION, preview_key=None)
        )
        batch = await finish_batch(
            self.job,
            self.runnable,
            answers,
            executor=self._bench.executor,
            embed_parameters=self._bench.options.embed_parameters,
        )
        images = await self._store(batch)
        return self.job.with_progress(self._progress).succeeded(
            images,
            answered_at=self._answered_at,
            at=self._bench.clock(),
            withheld=tuple(batch.withheld[index] for index in sorted(batch.withheld)),
        )

    async def _store(self, batch: Batch) -> tuple[StoredImage, ...]:
        return tuple([await self._store_picture(index, batch.pictures[index]) for index in sorted(batch.pictures)])

    async def _store_picture(self, index: int, picture: FinishedPicture) -> StoredImage:
        key = image_key(self.job.id, index, picture.sha256, picture.format)
        small_key = thumbnail_key(self.job.id, index, picture.sha256)
        self._put_keys += [key, small_key]
        await _to_the_end(
            self._put(key, picture.body, picture.format.media_type),
            self._put(small_key, picture.thumbnail, "image/webp"),
        )
        return StoredImage(
            index=index,
            key=key,
            thumbnail_key=small_key,
            format=picture.format,
            width=picture.width,
            height=picture.height,
            size_bytes=len(picture.body),
            sha256=picture.sha256,
            blur_hash=picture.blur_hash,
            seed=self.job.parameters.seed_of(index),
        )

    async def _put(self, key: str, body: bytes, media_type: str) -> None:
        """Store a file. A store that is away for a while is waited for: the answer is in hand, and was paid for."""
        await self._insist(lambda: self._bench.images.put(key, body, media_type))

    async def _settle(self, moved: Job) -> None:
        """Write how the job ended, if the claim still holds, and tell the watchers."""
        saved = await self._insist(lambda: self._bench.store.update(moved))
        if saved is not None:
            await self._bench.broker.publish(JobMoved.of(saved))
        if saved is None or not saved.images:
            await self._discard_files()

    async def _give_back(self) -> None:
        if not self._is_revoked:
            released = await self._bench.store.update(self.job.with_progress(self._progress).released())
            if released is not None:
                await self._bench.broker.publish(JobMoved.of(released))
        await self._discard_files()

    async def _discard_files(self) -> None:
        """Delete the files of this run that the row does not name."""
        if not self._put_keys:
            return
        row = await self._bench.store.find(self.job.id)
        images = row.images if isinstance(row, Job) else ()
        named = {key for image in images for key in (image.key, image.thumbnail_key)}
        await self._bench.images.delete([key for key in self._put_keys if key not in named])

    async def _keep_lease(self) -> None:
        options = self._bench.options
        while True:
            await asyncio.sleep(options.lease_seconds / 3)
            try:
                is_held = await self._bench.store.renew(
                    self.job, self._bench.worker_id, lease_seconds=options.lease_seconds, progress=self._progress
                )
            except ServiceUnavailable as error:
                logger.warning("lease of job %s was not renewed: %s", self.job.id, error, exc_info=error)
                continue
            if not is_held:
                self._revoke()
                return

    async def _check_claim(self) -> None:
        """Notice a cancellation that came between the claim and the subscription."""
        row = await self._insist(lambda: self._bench.store.find(self.job.id))
        if row is None or row.revision != self.job.revision:
            self._revoke()

    def _on_notice(self, notice: Notice) -> None:
        if isinstance(notice, JobMoved) and notice.revision > self.job.revision:
            self._revoke()

    def _revoke(self) -> None:
        self._is_revoked = True
        if self._task is not None:
            self._task.cancel()

    async def _on_step(self, step: StepDone, fraction_of_steps: float) -> None:
        preview_key = self._progress.preview_key
        if step.preview is not None:
            preview_key = f"{self.job.id}/{secrets.token_hex(8)}.webp"
            await self._bench.broker.keep_preview(self.job.id, Preview(key=preview_key, body=step.preview))
        spent_seconds = (self._bench.clock() - (self.job.started_at or self.job.created_at)).total_seconds()
        await self._report(
            Progress(
                phase=JobPhase.GENERATING,
                fraction=round(GENERATED_FRACTION * fraction_of_steps, 4),
                step=round(fraction_of_steps * self.job.parameters.steps),
                total_steps=self.job.parameters.steps,
                eta_seconds=round(spent_seconds * (1 - fraction_of_steps) / fraction_of_steps, 3),
                basis=ProgressBasis.MEASURED,
                preview_key=preview_key,
            )
        )

    async def _report_estimates(self) -> None:
        """Where the endpoint is silent, tell how far such jobs were by now."""
        if self.runnable.endpoint.reports_steps:
            return
        expected_seconds = await self._bench.estimates.inference_seconds(self.job)
        if expected_seconds is None:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (spent_seconds := loop.time() - began) < expected_seconds:
            share = spent_seconds / expected_seconds
            await self._report(
                Progress(
                    phase=JobPhase.GENERATING,
                    fraction=round(GENERATED_FRACTION * share, 4),
                    step=int(share * self.job.parameters.steps),
                    total_steps=self.job.parameters.steps,
                    eta_seconds=round(expected_seconds - spent_seconds, 3),
                    basis=ProgressBasis.ESTIMATED,
                )
            )
            await asyncio.sleep(self._bench.options.estimate_seconds)

    async def _report(self, progress: Progress) -> None:
        self._progress = progress.not_behind(self._progress)
        await self._bench.broker.publish(
            JobProgressed(
                job_id=self.job.id,
                caller_id=self.job.caller_id,
                attempt=self.job.attempt,
                progress=self._progress,
            )
        )

    async def _insist(self, action: Callable[[], Awaitable[T]]) -> T:
        """Do something until the store behind it answers."""
        pause_seconds = self._bench.options.retry_seconds
        while True:
            try:
                return await action()
            except ServiceUnavailable as error:
                logger.warning("job %s waits for a store: %s", self.job.id, error, exc_info=error)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, MAX_RETRY_SECONDS)


async def _to_the_end(*actions: Coroutine[Any, Any, None]) -> None:
    """Wait for all actions, also when cancelled in the meantime, so that none goes on behind our back. Raises the first
    error, or the cancellation."""
    together = asyncio.gather(*actions, return_exceptions=True)
    try:
        results = await asyncio.shield(together)
    except asyncio.CancelledError:
        await together
        raise
    for error in results:
        if isinstance(error, BaseException):
            raise error
