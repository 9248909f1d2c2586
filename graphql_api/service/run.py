"""One run: what a worker does with one claim of one job.

The claim is a lease. It is renewed while the run lasts; when a renewal is refused, or a notice says that the job was
canceled or deleted, the run is revoked and leaves nothing behind. Whoever first moves the row from the claim has won.
The other's files are deleted, unless the row names them.
"""

from __future__ import annotations

import asyncio
import logging

from graphql_api import log_context, metrics, tracing
from graphql_api.domain.errors import GenerationFailed, ImageNotStored, ServiceUnavailable
from graphql_api.domain.job import Job, StoredImage
from graphql_api.ports import DeferredEndpoint, JobMoved, Notice, Reread, job_topic
from graphql_api.service.batch import Batch, finish_batch
from graphql_api.service.bench import Bench, to_the_end
from graphql_api.service.claim import Change, Claim, ClaimLost
from graphql_api.service.costs import Bill
from graphql_api.service.deferring import DeferredInvocations
from graphql_api.service.invoking import DirectInvocations, Outcomes
from graphql_api.service.models import RunnableModel
from graphql_api.service.pictures import FinishedPicture, image_key, thumbnail_key
from graphql_api.service.reporting import Reporter

logger = logging.getLogger(__name__)

RENEW_AGAIN_SECONDS = 1.0


class Run:
    """One claim of one job, from the claim to its end."""

    def __init__(self, job: Job, runnable: RunnableModel, bench: Bench) -> None:
        self.runnable = runnable
        self._bench = bench
        self._claim = Claim(job, bench)
        self._bill = Bill(job, runnable.model)
        self._reporter = Reporter(self._claim, runnable, bench)
        self._invocations = _invocations(self._claim, runnable, bench, self._reporter, self._bill)
        self._put_keys: list[str] = []
        self._is_revoked = False
        self._is_settling = False
        self._must_look = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def job(self) -> Job:
        """The job as it was last seen."""
        return self._claim.job

    @property
    def can_be_left(self) -> bool:
        """Whether another worker can go on without any loss, right now."""
        return self._invocations.can_be_left

    async def see_through(self) -> None:
        """Work until the row says how the claim ended. When cancelled, give the job back."""
        self._task = asyncio.current_task()
        job = self.job
        log_context.bind(job_id=job.id, caller_id=job.caller_id, attempt=job.attempt, model=job.model_name)
        with tracing.span("run job", parent=job.trace, job_id=job.id, attempt=job.attempt, model=job.model_name):
            await self._see_through()

    async def _see_through(self) -> None:
        renewing = asyncio.create_task(self._keep_claim())
        try:
            async with self._bench.broker.subscribe(job_topic(self.job.id), self._on_notice):
                # It may have been canceled between the claim and the subscription.
                if not await self._claim.look():
                    return
                change = await self._outcome()
            # From here on the row decides who has won: a revocation would only hide the outcome, and nothing is given
            # back while nobody knows whether the last write has come through.
            self._is_settling = True
            await to_the_end(self._settle(lambda row: self._bill.on(change(row))))
        except ClaimLost:
            await self._discard_files()
        except asyncio.CancelledError:
            if not self._is_settling:
                await self._give_back()
            if not self._is_revoked:
                raise
        finally:
            renewing.cancel()

    async def _outcome(self) -> Change:
        """How this run moves the job. The one place where any fault becomes a failed job."""
        answered_at = None
        try:
            outcomes = await self._invocations.outcomes()
            answered_at = self._bench.clock()
            await self._reporter.generated()
            images, batch = await self._store(outcomes)
            withheld = tuple(batch.withheld[index] for index in sorted(batch.withheld))
            at = self._bench.clock()
            return lambda row: row.succeeded(images, answered_at=answered_at, at=at, withheld=withheld)
        except ClaimLost:
            raise
        except GenerationFailed as error:
            failure = error
        except Exception as error:
            failure = GenerationFailed("The server met an unexpected fault.")
            failure.__cause__ = error
        logger.warning("job %s failed: %s", self.job.id, failure.code, exc_info=failure.__cause__ or failure)
        failed_at = self._bench.clock()
        return lambda row: row.failed(failure, at=failed_at, answered_at=answered_at)

    async def _store(self, outcomes: Outcomes) -> tuple[tuple[StoredImage, ...], Batch]:
        """Turn the answers into stored images. An image store that is away for a while is waited for: the answers are
        in hand, and were paid for."""
        with tracing.span("decode images"):
            batch = await finish_batch(
                self.job,
                self.runnable,
                outcomes,
                executor=self._bench.executor,
                embed_parameters=self._bench.options.embed_parameters,
            )
        try:
            async with asyncio.timeout(self._bench.options.store_seconds):
                images = [await self._store_picture(index, batch.pictures[index]) for index in sorted(batch.pictures)]
        except TimeoutError as error:
            raise ImageNotStored from error
        return tuple(images), batch

    async def _store_picture(self, index: int, picture: FinishedPicture) -> StoredImage:
        key = image_key(self.job.id, index, picture.sha256, picture.format)
        small_key = thumbnail_key(self.job.id, index, picture.sha256)
        self._put_keys += [key, small_key]
        with tracing.span("store image", index=index):
            results = await asyncio.gather(
                self._put(key, picture.body, picture.format.media_type),
                self._put(small_key, picture.thumbnail, "image/webp"),
                return_exceptions=True,
            )
            for error in results:
                if isinstance(error, BaseException):
                    raise error
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
        put = self._bench.images.put
        await self._bench.insist(lambda: to_the_end(put(key, body, media_type)), what_for=f"job {self.job.id}")

    async def _settle(self, change: Change) -> None:
        """Write how the job ended, if the claim still holds, and tell the watchers."""
        try:
            with tracing.span("write end"):
                saved = await self._claim.write(change)
        except ClaimLost:
            await self._discard_files()
            return
        if not saved.images or self._may_have_strays:
            await self._discard_files()

    async def _give_back(self) -> None:
        """Let another worker go on. What was sent and cannot be stopped may be paid for in vain."""
        # While the job is ours: whoever claims it next may store the same files under the same keys.
        await self._discard_files()
        if self._is_revoked:
            return
        is_loss = self._invocations.is_paid and not self.runnable.can_stop
        max_losses, at = self.runnable.policy.max_attempts, self._bench.clock()
        await self._claim.write_at_once(
            lambda row: self._paid(row.lost(max_losses=max_losses, at=at) if is_loss else row.released())
        )

    def _paid(self, row: Job) -> Job:
        """The row that is given back, with what ran for it here. An answer that is out there is paid for by whoever
        takes it."""
        return row if row.deferred else self._bill.on(row)

    @property
    def _may_have_strays(self) -> bool:
        """Whether an earlier claim may have died between storing its files and writing the row."""
        return self.job.attempt > 1

    async def _discard_files(self) -> None:
        """Delete the files of this claim, and of earlier ones, that the row does not name. Where somebody else holds
        the job, that is left to them. Files that cannot be deleted now are left to the janitor."""
        if not self._put_keys and not self._may_have_strays:
            return
        try:
            await self._delete_unnamed()
        except ServiceUnavailable as error:
            logger.warning("files of job %s may be left behind: %s", self.job.id, error, exc_info=error)

    async def _delete_unnamed(self) -> None:
        row = await self._bench.store.find(self.job.id)
        if isinstance(row, Job) and not row.is_final and not self._claim.adopt(row):
            return
        stored = await self._bench.images.keys_of(self.job.id) if self._may_have_strays else self._put_keys
        named = row.file_keys if isinstance(row, Job) else frozenset()
        await self._bench.images.delete([key for key in stored if key not in named])

    async def _keep_claim(self) -> None:
        """Renew the lease, and look at the row when it may have moved unseen. However often that is, renewals are not
        put off by it; one that failed is made again soon."""
        loop, interval = asyncio.get_running_loop(), self._bench.options.lease_seconds / 3
        due = loop.time() + interval
        while True:
            try:
                async with asyncio.timeout_at(due):
                    await self._must_look.wait()
            except TimeoutError:
                holds = await self._claim.renew()
                due = loop.time() + (min(RENEW_AGAIN_SECONDS, interval / 4) if holds is None else interval)
            else:
                self._must_look.clear()
                holds = await self._claim.look()
            if holds is False:
                self._revoke()
                return

    def _on_notice(self, notice: Notice) -> None:
        match notice:
            case JobMoved(revision=revision) if revision <= self.job.revision:
                return
            case Reread() | JobMoved(job=None, is_deleted=False):
                self._must_look.set()
            case JobMoved(job=row) if not self._claim.adopt(row):
                self._revoke()

    def _revoke(self) -> None:
        if self._is_settling:
            return
        if not self._is_revoked:
            metrics.CLAIMS_REVOKED.inc()
        self._is_revoked = self._claim.is_over = True
        if self._task is not None:
            self._task.cancel()


def _invocations(
    claim: Claim, runnable: RunnableModel, bench: Bench, reporter: Reporter, bill: Bill
) -> DirectInvocations | DeferredInvocations:
    if isinstance(runnable.endpoint, DeferredEndpoint):
        return DeferredInvocations(claim, runnable, runnable.endpoint, bench, reporter, bill)
    return DirectInvocations(claim, runnable, runnable.endpoint, bench, reporter, bill)
