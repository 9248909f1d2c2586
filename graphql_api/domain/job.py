"""A job: one request for images and its life.

    QUEUED  -> RUNNING                        a worker claims it
    RUNNING -> SUCCEEDED | FAILED             it ends
    RUNNING -> QUEUED                         its worker was lost, and attempts are left
    QUEUED | RUNNING -> CANCELED              its caller cancels it
    QUEUED  -> FAILED                         it can never run, such as when its model was removed

Every other move is refused. A job is a value: each move returns a new one. The store numbers the moves with the
caller's revision, and takes a move only if the row is still at the revision that the move started from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from graphql_api.domain.errors import GenerationFailed, IllegalTransition, JobFailureCode, WorkerLost
from graphql_api.domain.generation import GenerationParameters, ImageFormat
from graphql_api.domain.ids import CallerId, JobId
from graphql_api.domain.webhook import Webhook, WebhookEvent


class JobStatus(StrEnum):
    """Lifecycle of a job."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return not TRANSITIONS[self]


TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.CANCELED, JobStatus.FAILED}),
    JobStatus.RUNNING: frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.QUEUED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELED: frozenset(),
}

MAX_PICKUPS = 10
"""How many workers may be lost while an answer is out there: fetching it costs nothing, but by then it must be the
answer that kills them."""

ACTIVE = frozenset(status for status in JobStatus if not status.is_final)


class CancelOutcome(StrEnum):
    """How a cancellation took effect."""

    DETACHED = "DETACHED"
    NOT_STARTED = "NOT_STARTED"
    STOPPED = "STOPPED"


class JobPhase(StrEnum):
    """What is happening to a job."""

    WAITING = "WAITING"
    STARTING = "STARTING"
    GENERATING = "GENERATING"
    STORING = "STORING"
    DONE = "DONE"


class ProgressBasis(StrEnum):
    """Where the figures of a progress report come from."""

    ESTIMATED = "ESTIMATED"
    MEASURED = "MEASURED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is. `fraction` is between 0 and 1, never goes back, and is 1 only once the images are stored."""

    phase: JobPhase = JobPhase.WAITING
    fraction: float = 0.0
    step: int = 0
    total_steps: int
    eta_seconds: float | None = None
    basis: ProgressBasis = ProgressBasis.ESTIMATED
    preview_key: str | None = None

    def not_behind(self, earlier: Progress) -> Progress:
        """This report, raised to an earlier one where it would go back."""
        if self.fraction >= earlier.fraction and self.step >= earlier.step:
            return self
        return replace(self, fraction=max(self.fraction, earlier.fraction), step=max(self.step, earlier.step))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailure:
    """Why a job failed, for programs and for people."""

    code: JobFailureCode
    message: str
    retryable: bool

    @classmethod
    def of(cls, error: GenerationFailed) -> JobFailure:
        """The data that an error becomes."""
        return cls(code=error.code, message=error.message, retryable=error.retryable)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """A finished image. Sizes are in pixels and bytes; the keys name its files in the image store."""

    index: int
    key: str
    thumbnail_key: str
    format: ImageFormat
    width: int
    height: int
    size_bytes: int
    sha256: str
    blur_hash: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WithheldImage:
    """An image of the batch that is not handed out."""

    index: int
    code: JobFailureCode
    message: str


_RESENT = ".r"


class InvocationEnd(StrEnum):
    """How a deferred invocation ended, as far as its endpoint has told."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the answer of a deferred invocation will be, and where the report of its failure, as far as it is known."""

    output_url: str | None = None
    failure_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferredInvocation:
    """A deferred invocation that was or may have been handed over; written before the call, so that no crash forgets
    it. `placement` and `ended` are None until they are known; `resends` counts how often it was sent again."""

    id: str
    sent_at: datetime
    resends: int = 0
    placement: Placement | None = None
    ended: InvocationEnd | None = None

    def located(self, placement: Placement) -> DeferredInvocation:
        """The record with places added to what is known already."""
        known = self.placement or Placement()
        output_url, failure_url = known.output_url or placement.output_url, known.failure_url or placement.failure_url
        return replace(self, placement=Placement(output_url=output_url, failure_url=failure_url))

    @property
    def sent_as(self) -> str:
        """What the endpoint knows the latest sending by: each has a name of its own, so that notices can be told
        apart."""
        return f"{self.id}{_RESENT}{self.resends}" if self.resends else self.id

    @property
    def is_known(self) -> bool:
        """Whether anything is known of what became of it."""
        return self.placement is not None or self.ended is not None

    def sent_again(self, *, at: datetime) -> DeferredInvocation:
        """It is about to be sent once more, since nothing was heard of it."""
        return DeferredInvocation(id=self.id, sent_at=at, resends=self.resends + 1)

    def told(self, sent_as: str, end: InvocationEnd, placement: Placement | None) -> DeferredInvocation:
        """The record with what a notice says of one of its sendings. An earlier one that was given up matters only when
        it has an answer after all."""
        if sent_as == self.sent_as:
            located = self if placement is None else self.located(placement)
            return replace(located, ended=self.ended or end)
        if end is InvocationEnd.COMPLETED and placement is not None and self.ended is not end:
            return replace(self, placement=placement, ended=end)
        return self


def invocation_sent_as(sent_as: str) -> str:
    """The ID of the invocation that a sending is of."""
    return sent_as.partition(_RESENT)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What is left of a deleted job, so that watchers who were away learn of the deletion."""

    job_id: JobId
    caller_id: CallerId
    revision: int
    deleted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request for images and its life. Instants are aware and in UTC.

    `revision` is the caller's revision at the latest move; 0 before the store has seen the job.
    `attempt` counts the claims, so that a worker can tell its own claim from a later one; `losses` counts the claims
    and invocations that may have been paid for in vain; `pickups` counts the workers that were lost while the answer
    of a deferred invocation was out there.
    """

    id: JobId
    caller_id: CallerId
    model_name: str
    parameters: GenerationParameters
    created_at: datetime
    progress: Progress
    status: JobStatus = JobStatus.QUEUED
    revision: int = 0
    attempt: int = 0
    losses: int = 0
    pickups: int = 0
    reference: str | None = None
    started_at: datetime | None = None
    answered_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    failure: JobFailure | None = None
    cancel_outcome: CancelOutcome | None = None
    images: tuple[StoredImage, ...] = ()
    withheld: tuple[WithheldImage, ...] = ()
    deferred: tuple[DeferredInvocation, ...] = ()
    is_held_up: bool = False
    """Whether it runs and its endpoint has not taken it so far."""
    trace: str | None = None
    """The W3C traceparent of its submission, where that was traced: whoever runs it goes on with the same trace."""
    webhook: Webhook | None = None
    account: str = ""
    """What it is charged to; empty when nobody keeps accounts."""
    reserved: int = 0
    """What it is expected to cost, in millionths of a US dollar; held back from the budget until its end."""
    cost: int | None = None
    """What its invocations have cost so far, in millionths of a US dollar; None when nothing was paid for, or when its
    model has no price."""

    @property
    def is_final(self) -> bool:
        """Whether the job is over."""
        return self.status.is_final

    @property
    def month(self) -> str:
        """The month that it is charged in, such as 2026-11."""
        return f"{self.created_at:%Y-%m}"

    @property
    def charged(self) -> int:
        """What its account is charged with by now, in millionths of a US dollar."""
        return (self.cost or 0) if self.is_final else max(self.reserved, self.cost or 0)

    @property
    def webhook_event(self) -> WebhookEvent | None:
        """What its webhook is told of its latest move, or None."""
        return None if self.webhook is None else self.webhook.event_of(self.status)

    @property
    def may_have_strays(self) -> bool:
        """Whether it has ended otherwise than with its first claim, so that somebody who has lost it may have left, or
        may still be storing, files that it does not name."""
        return self.is_final and self.attempt > 0 and (self.attempt > 1 or self.status is not JobStatus.SUCCEEDED)

    @property
    def file_keys(self) -> frozenset[str]:
        """The keys of all its files in the image store."""
        return frozenset(key for image in self.images for key in (image.key, image.thumbnail_key))

    @property
    def changed_at(self) -> datetime:
        """When its latest move happened."""
        return self.finished_at or self.started_at or self.created_at

    def claimed(self, *, at: datetime) -> Job:
        """A worker takes it."""
        job = self._moved(JobStatus.RUNNING)
        progress = replace(job.progress, phase=JobPhase.GENERATING, eta_seconds=None)
        return replace(
            job, attempt=job.attempt + 1, started_at=at, answered_at=None, is_held_up=False, progress=progress
        )

    def held_up(self, phase: JobPhase) -> Job:
        """The running job, whose endpoint does not take it yet."""
        return replace(self, is_held_up=True, progress=replace(self.progress, phase=phase, eta_seconds=None))

    def sent(self) -> Job:
        """The running job, about to be sent to its endpoint. Written before it is sent."""
        return replace(self, is_held_up=False, progress=replace(self.progress, phase=JobPhase.GENERATING))

    def with_losses(self, losses: int) -> Job:
        """At least so many invocations may have been paid for and gave nothing."""
        return replace(self, losses=max(self.losses, losses))

    def deferred_invocation(self, invocation_id: str) -> DeferredInvocation | None:
        """The record of a deferred invocation, or None when it was never handed over."""
        return next((each for each in self.deferred if each.id == invocation_id), None)

    def with_deferred(self, invocation: DeferredInvocation) -> Job:
        """The job with the record of an invocation, in the place of an earlier one of the same ID."""
        others = tuple(each for each in self.deferred if each.id != invocation.id)
        return replace(self, deferred=(*others, invocation))

    def without_deferred(self, invocation_id: str) -> Job:
        """The job without the record of an invocation that was not taken."""
        return replace(self, deferred=tuple(each for each in self.deferred if each.id != invocation_id))

    def released(self) -> Job:
        """Its worker gave it back; it waits for another one."""
        job = self._moved(JobStatus.QUEUED)
        progress = replace(job.progress, phase=JobPhase.WAITING, eta_seconds=None, preview_key=None)
        return replace(job, started_at=None, is_held_up=False, progress=progress)

    def lost(self, *, max_losses: int, at: datetime) -> Job:
        """Its worker was lost; it waits for another one, or fails when that has happened `max_losses` times.

        While a deferred invocation is out there, nothing is lost with a worker but its time: that counts separately.
        """
        if self.deferred:
            job = replace(self, pickups=self.pickups + 1)
            return job.failed(WorkerLost(), at=at) if job.pickups >= MAX_PICKUPS else job.released()
        job = self.with_losses(self.losses + 1)
        return job.failed(WorkerLost(), at=at) if job.losses >= max_losses else job.released()

    def succeeded(
        self,
        images: tuple[StoredImage, ...],
        *,
        answered_at: datetime,
        at: datetime,
        withheld: tuple[WithheldImage, ...] = (),
    ) -> Job:
        """Its images are stored."""
        job = self._ended(JobStatus.SUCCEEDED, at=at)
        done = replace(job.progress, fraction=1.0, step=job.progress.total_steps)
        return replace(job, images=images, withheld=withheld, answered_at=answered_at, progress=done)

    def failed(self, error: GenerationFailed, *, at: datetime, answered_at: datetime | None = None) -> Job:
        """It ends with an error."""
        job = self._ended(JobStatus.FAILED, at=at)
        return replace(job, failure=JobFailure.of(error), answered_at=answered_at)

    def canceled(self, outcome: CancelOutcome, *, at: datetime) -> Job:
        """Its caller cancels it."""
        return replace(self._ended(JobStatus.CANCELED, at=at), cancel_outcome=outcome)

    def paid(self, amount: int | None) -> Job:
        """Something more was paid for it, in millionths of a US dollar; None where its model has no price."""
        return self if amount is None else replace(self, cost=(self.cost or 0) + amount)

    def with_progress(self, progress: Progress) -> Job:
        """The job with a later progress report."""
        return replace(self, progress=progress.not_behind(self.progress))

    def not_behind(self, earlier: Job) -> Job:
        """This state of the job, with its progress raised to what an earlier state had reached."""
        return replace(self, progress=self.progress.not_behind(earlier.progress))

    def _ended(self, status: JobStatus, *, at: datetime) -> Job:
        job = self._moved(status)
        progress = replace(job.progress, phase=JobPhase.DONE, eta_seconds=0.0, preview_key=None)
        return replace(job, finished_at=at, is_held_up=False, progress=progress)

    def _moved(self, status: JobStatus) -> Job:
        if status not in TRANSITIONS[self.status]:
            raise IllegalTransition(f"A job cannot move from {self.status} to {status}.")
        return replace(self, status=status)
