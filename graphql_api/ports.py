"""Every port: what the service needs from the world, as Protocols.

Adapters implement them without inheriting. The docstring of a method is its contract: what is atomic, what may be
repeated, which error of `domain/errors.py` is raised. One suite per port in `tests/contract/` runs over its adapters.

All methods may raise ServiceUnavailable when the technology behind them does not answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from graphql_api.domain.api_key import ApiKey
from graphql_api.domain.caller import Caller
from graphql_api.domain.generation import Choice, Dimensions, GenerationParameters, ModelAvailability
from graphql_api.domain.ids import CallerId, JobId
from graphql_api.domain.job import InvocationEnd, Job, JobStatus, Placement, Progress, Tombstone
from graphql_api.domain.webhook import Delivery

# --- jobs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """A caller's key and the digest of the request that it stands for. Keys count for `valid_seconds`."""

    key: str
    digest: str
    valid_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job that the store holds; `is_new` is False when the key led to an earlier one."""

    job: Job
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Which jobs. Empty collections and None do not narrow. `search` ignores case. Instants are half open."""

    statuses: frozenset[JobStatus] = frozenset()
    model_names: frozenset[str] = frozenset()
    search: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def matches(self, job: Job) -> bool:
        """Whether a job is one of these."""
        return (
            (not self.statuses or job.status in self.statuses)
            and (not self.model_names or job.model_name in self.model_names)
            and (self.search is None or self.search.casefold() in job.parameters.prompt.casefold())
            and (self.created_after is None or job.created_at >= self.created_after)
            and (self.created_before is None or job.created_at < self.created_before)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPosition:
    """Where a job stands in the list: by time of creation, then by ID."""

    created_at: datetime
    job_id: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """A part of the list, newest first: the `limit` jobs next to one of its ends.

    The list is first cut to what is strictly behind `after` and strictly before `before`; then `limit` jobs are taken
    from its start, or from its end when `from_end` is set. They always come newest first.
    """

    limit: int
    after: JobPosition | None = None
    before: JobPosition | None = None
    from_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """A page. `has_next` and `has_previous` tell whether matching jobs lie behind its end and before its start."""

    jobs: tuple[Job, ...]
    has_next: bool
    has_previous: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How long a finished job took: `amount` is GenerationParameters.work, times are in seconds."""

    amount: int
    inference_seconds: float
    store_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """How many jobs of a model wait, and since when the one that has waited longest does."""

    model_name: str
    jobs: int
    oldest_created_at: datetime


class JobRecords(Protocol):
    """Jobs as records. Every write that moves a job takes its caller's next revision in the same transaction, and
    revisions of a caller become visible in order and without gaps.

    The same transaction charges the job's account, in the month of its submission, with what the write changes of
    `Job.charged`, and queues a delivery when the move has a `Job.webhook_event`. Deleting a job that was never claimed
    gives back what it had reserved; deleting any other leaves the account as it is.
    """

    async def add(self, job: Job, *, key: IdempotencyKey | None = None, max_queued: int | None = None) -> Submitted:
        """Write a new job durably; when this returns, a crash does not lose it.

        With a key that the caller used within its validity, the earlier job is returned and nothing is written;
        any number of concurrent calls with one key make one job. Raises IdempotencyConflict when the key stands for
        another digest or its job was deleted since, QueueFull when `max_queued` jobs are queued already.
        """
        ...

    async def find(self, job_id: JobId, *, caller_id: CallerId | None = None) -> Job | Tombstone | None:
        """The job, what is left of it, or None. With `caller_id`, None also for a job of anybody else, and in the same
        time as for one that never was: its row is not read."""
        ...

    async def find_by_key(self, caller_id: CallerId, key: IdempotencyKey) -> Job | None:
        """The job that the caller's key stands for, or None when it stands for none (any more). Raises
        IdempotencyConflict like `add`."""
        ...

    async def count_active(self, caller_id: CallerId, limit: int) -> int:
        """How many of the caller's jobs are queued or running, counted as far as `limit`."""
        ...

    async def charged(self, account: str, month: str) -> int:
        """What an account is charged with for the jobs that were submitted in a month (`Job.month`), in millionths of a
        US dollar."""
        ...

    async def page(self, caller_id: CallerId, query: JobQuery, page: PageRequest) -> JobPage:
        """Part of the caller's list of matching jobs, newest first."""
        ...

    async def count(self, caller_id: CallerId, query: JobQuery) -> int:
        """How many of the caller's jobs match."""
        ...

    async def update(self, job: Job, *, if_lease_lost: bool = False) -> Job | None:
        """Write a moved job if the row is still at `job.revision`; return it with its new revision, else None.

        One of any number of concurrent updates from the same revision wins. With `if_lease_lost`, only when its lease
        has run out by now: renewals take no revision.
        """
        ...

    async def delete(self, job_id: JobId, *, at: datetime) -> Tombstone | None:
        """Replace the job, whatever its status, by a tombstone with a revision of its own; None when there is no job.

        The tombstone is listed by `unpurged` until `purged` is called for it.
        """
        ...


class JobChanges(Protocol):
    """Jobs as a log of changes, for watchers."""

    async def changes(
        self, caller_id: CallerId, *, after: int, limit: int, active_only: bool = False
    ) -> Sequence[Job | Tombstone]:
        """The caller's jobs and tombstones with a revision above `after`, each at its latest state, by rising revision.

        With `active_only`, only jobs that are queued or running.
        """
        ...

    async def caller_revision(self, caller_id: CallerId) -> int:
        """The caller's latest revision; 0 before the first job."""
        ...

    async def caller_revisions(self, caller_ids: Sequence[CallerId]) -> Mapping[CallerId, int]:
        """The latest revision of each of these callers; those without a job may be left out."""
        ...

    async def revisions(self, job_ids: Sequence[JobId]) -> Mapping[JobId, int]:
        """The latest revision of each of these jobs or of its tombstone; unknown ones are left out."""
        ...


class JobQueue(Protocol):
    """Jobs as a queue, for workers."""

    async def claim(
        self, worker_id: str, *, model_name: str, limit: int, lease_seconds: float, at: datetime
    ) -> Sequence[Job]:
        """Take up to `limit` queued jobs of a model: each is RUNNING from now on, leased to this worker for
        `lease_seconds`. No job is ever claimed by two workers at a time.

        Callers are served in turn: of each the job that was added first, then of each the next. Within a turn the job
        that was made first comes first.
        """
        ...

    async def renew(self, job: Job, worker_id: str, *, lease_seconds: float, progress: Progress) -> bool:
        """Extend the lease of a claimed job and save its progress, without a new revision.

        False when the claim does not hold any more: the job ended, was deleted, or was claimed again.
        """
        ...

    async def lost_leases(self, limit: int) -> Sequence[Job]:
        """Running jobs whose lease has run out."""
        ...

    async def jobs_ahead(self, jobs: Sequence[Job]) -> Mapping[JobId, int]:
        """How many queued jobs of the same model will be claimed before each of these queued ones, which are of one
        model. Those that are not queued any more may be left out."""
        ...

    async def orphans(self, model_names: Sequence[str], limit: int, *, created_before: datetime) -> Sequence[Job]:
        """Queued jobs of models other than these, made before an instant."""
        ...

    async def recent_work(self, model_name: str, limit: int) -> Sequence[Work]:
        """What the latest jobs that succeeded on a model took, latest first."""
        ...

    async def depths(self) -> Sequence[QueueDepth]:
        """Of each model that has queued jobs, how many."""
        ...


class JobUpkeep(Protocol):
    """What is left over and must go, for the janitor. Lists come in the order in which things fell due."""

    async def unpurged(self, limit: int, *, deleted_before: datetime) -> Sequence[Tombstone]:
        """Jobs that were deleted before an instant and whose files may still be there."""
        ...

    async def purged(self, job_id: JobId) -> None:
        """The files of a deleted job are gone for good: nobody is left who could store another."""
        ...

    async def unswept(self, limit: int, *, finished_before: datetime) -> Sequence[Job]:
        """Jobs that ended before an instant and may have left files that they do not name: those that did not succeed
        with their first claim."""
        ...

    async def swept(self, job_id: JobId) -> None:
        """The job has no file that it does not name."""
        ...

    async def expired(self, limit: int, *, at: datetime) -> Sequence[Job]:
        """Jobs whose `expires_at` has come."""
        ...

    async def forget(self, limit: int, *, deleted_before: datetime, key_seconds: float) -> int:
        """Drop up to `limit` tombstones whose files are gone and whose jobs were deleted before an instant, and up to
        `limit` idempotency keys that were used longer ago than `key_seconds`. Returns how many were dropped."""
        ...

    async def hold_duty(self, duty: str, holder: str, *, lease_seconds: float) -> bool:
        """Take or keep a duty that one process at a time has, for `lease_seconds`. False while another holds it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDelivery:
    """A delivery to be attempted now, with its job as it was at that revision. `claim` tells this claim from others."""

    delivery: Delivery
    job: Job
    claim: int


class JobDeliveries(Protocol):
    """What webhooks are to be told of jobs. Deliveries go when their job is deleted."""

    async def claim_deliveries(self, limit: int, *, lease_seconds: float) -> Sequence[DueDelivery]:
        """Take up to `limit` pending deliveries that are due, those due longest first; nobody else gets them for
        `lease_seconds`. Of one job only that with the lowest revision among those that are pending. Those that this
        version of the program cannot read are logged and left out, and do not hold up others."""
        ...

    async def save_delivery(self, delivery: Delivery, *, claim: int | None = None) -> bool:
        """Write what became of a delivery and end its claim. False when `claim` is given and holds no more, or the
        delivery is gone. Without it, whoever holds a claim loses it, and the attempts stay as they are stored: they may
        have become more since the delivery was read."""
        ...

    async def deliveries(self, job_id: JobId) -> Sequence[Delivery]:
        """The deliveries of a job, by rising revision."""
        ...


class JobStore(JobRecords, JobChanges, JobQueue, JobDeliveries, JobUpkeep, Protocol):
    """Where jobs live."""

    async def check(self) -> None:
        """Return when the store answers; raises ServiceUnavailable, within a few seconds."""
        ...


# --- callers ---------------------------------------------------------------------------------------------------------


class KeyStore(Protocol):
    """Where API keys are kept. Other processes may change them at any time."""

    async def add(self, key: ApiKey) -> None:
        """Keep a new key, durably. Raises ValueError when its ID is in use."""
        ...

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of this ID, also one that has expired or was revoked."""
        ...

    async def all(self) -> Sequence[ApiKey]:
        """Every key, by the time of its creation."""
        ...

    async def update(self, key: ApiKey) -> bool:
        """Replace the key of the same ID, durably, but keep the time when it was revoked, if it was. False when there
        is none."""
        ...


class Authenticator(Protocol):
    """Tells who shows a credential."""

    async def authenticate(self, token: str | None) -> Caller:
        """Who shows this token; None is no token at all. Raises NotAuthenticated.

        Called for each request, and every few seconds for what is open, so it answers at once for a token that it
        was asked about lately.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """At most `limit` units in any stretch of `seconds`; `name` keeps windows apart."""

    name: str
    limit: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowUse:
    """How much of a window is used, and when it will be free again."""

    used: int
    resets_at: datetime


MAX_LIMIT = 2**53
"""The greatest limit of anything that is counted: what the numbers of JSON and of Valkey's scripts hold exactly."""
MAX_BUDGET = 1e9
"""The greatest budget, in US dollars: in millionths it is below MAX_LIMIT."""


class RateLimiter(Protocol):
    """Counts what callers use in windows of time."""

    async def take(self, window: Window, key: str, amount: int = 1) -> float | None:
        """Take units for a key. None when they were taken; else in how many seconds to try again, and nothing was.

        Does not raise: while the counters cannot be reached, each process counts by itself.
        """
        ...

    async def give_back(self, window: Window, key: str, amount: int) -> None:
        """Undo `take`, as far as the units still count; no key ever has less than nothing taken.

        Does not raise: while the counters cannot be reached, units that were taken there stay taken.
        """
        ...

    async def use(self, window: Window, key: str) -> WindowUse:
        """What a key has used. Does not raise."""
        ...


class WebhookSender(Protocol):
    """Sends what webhooks are told, to public addresses only."""

    def check_form(self, url: str) -> str | None:
        """What is wrong with a URL as it is written, as a sentence for the caller; None when it may be checked."""
        ...

    async def check(self, url: str, *, lane: str) -> str | None:
        """Why nothing may be sent to a URL, as a sentence for the caller; None when it may be tried.

        This looks names up. `lane` says for whom: who has a slow name server waits for themselves. Raises
        ServiceUnavailable when the name cannot be looked up for the moment, which says nothing of the URL.
        """
        ...

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """POST once, follow nothing, and return the status code. Raises NotDelivered when there is no answer."""
        ...


# --- images ----------------------------------------------------------------------------------------------------------


class ImageStore(Protocol):
    """Where finished images live. Keys are relative paths with forward slashes, `images/<job id>/<file name>`."""

    async def put(self, key: str, body: bytes, media_type: str) -> None:
        """Store a file so that a crash right after the return does not lose it. The same key with the same bytes may
        be put again. Raises ImageNotStored."""
        ...

    async def delete_job(self, job_id: JobId) -> None:
        """Delete every file of a job; nothing happens when there is none."""
        ...

    async def keys_of(self, job_id: JobId) -> Sequence[str]:
        """The keys of the files of a job."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete files; those that are not there are passed over."""
        ...

    async def url_for(self, key: str) -> str:
        """Where a client fetches the file: an absolute URL, or one relative to the origin of the API.

        Called for every event that shows an image, so it answers at once for a key that it was asked for lately.
        """
        ...


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMoved:
    """A job took a revision. `job` is the row at that revision where the publisher had it at hand; None when it was
    deleted (`is_deleted`) or must be read."""

    job_id: JobId
    caller_id: CallerId
    revision: int
    job: Job | None
    is_deleted: bool = False

    @classmethod
    def of(cls, job: Job) -> JobMoved:
        """The announcement of a job that was just written."""
        return cls(job_id=job.id, caller_id=job.caller_id, revision=job.revision, job=job)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgressed:
    """A running job got on. `attempt` is the claim that the report belongs to."""

    job_id: JobId
    caller_id: CallerId
    attempt: int
    progress: Progress


@dataclass(frozen=True, slots=True)
class Reread:
    """Notices may have been lost; what matters must be read again."""


Notice = JobMoved | JobProgressed | Reread
Deliver = Callable[[Notice], None]

QUEUE_TOPIC = "queue"
"""Where a JobMoved with a queued job is announced to workers."""


def job_topic(job_id: JobId) -> str:
    """Where the changes of one job are announced."""
    return f"job:{job_id}"


def caller_topic(caller_id: CallerId) -> str:
    """Where the changes of all jobs of a caller are announced."""
    return f"caller:{caller_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A small WebP of an unfinished image. `key` names it, changes with its content, and cannot be guessed."""

    key: str
    body: bytes


PREVIEW_OUTLIVES_SECONDS = 10
"""How long the previews of a job are kept when it runs no more: somebody who was told of one may just ask for it."""


class EventBroker(Protocol):
    """Tells watchers that something moved. The row in the store is the truth; a notice that is lost only delays."""

    async def publish(self, notice: JobMoved | JobProgressed) -> None:
        """Announce a change to every subscriber of the job's topic, of the caller's topic, and of the queue's topic
        when the job is queued. Never waits for a subscriber and never raises: a notice that cannot be sent is lost.
        The latest progress of a job is kept until the job is not running any more."""
        ...

    def subscribe(self, topic: str, deliver: Deliver) -> AbstractAsyncContextManager[None]:
        """Call `deliver` with every notice of the topic while the context is open; every notice that is published after
        the context was entered arrives, or a Reread does. `deliver` must not block and must not raise."""
        ...

    async def latest_progress(self, job_id: JobId) -> JobProgressed | None:
        """The latest progress of a job that runs, or None. Does not raise."""
        ...

    async def keep_preview(self, job_id: JobId, preview: Preview) -> None:
        """Keep the latest preview of a job while it runs, and PREVIEW_OUTLIVES_SECONDS longer unless it is deleted."""
        ...

    async def preview(self, key: str) -> bytes | None:
        """The body of a preview that is still kept, or None."""
        ...

    async def check(self) -> None:
        """Return when the broker answers; raises ServiceUnavailable, within a few seconds."""
        ...


# --- models ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One invocation's body, spelled as the model wants it.

    It asks for `count` images, the first of which stands at `first_index` of the batch.
    """

    body: bytes
    content_type: str
    accept: str
    first_index: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One call of an endpoint, on behalf of a job's attempt."""

    id: str
    """The ID of the job, or `<job id>.<number>` where a job needs several invocations; 1 to 64 printable characters."""

    job_id: JobId
    request: ModelRequest
    timeout_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """The model finished a denoising step, counted from 1. `preview` is a small WebP, where the model sends one."""

    step: int
    total_steps: int
    preview: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The model's answer."""

    body: bytes
    content_type: str


class ModelEndpoint(Protocol):
    """Where a model runs. Speaks bytes; a codec gives them meaning."""

    @property
    def can_stop(self) -> bool:
        """Whether closing the iterator of `invoke` stops the model."""
        ...

    @property
    def reports_steps(self) -> bool:
        """Whether `invoke` yields StepDone."""
        ...

    def invoke(self, invocation: Invocation) -> AsyncIterator[StepDone | Answer]:
        """Run the model once. Yields any number of StepDone, then one Answer, and ends.

        Raises ModelNotReady or ModelUnavailable when the model has certainly not run; the first when it may run later.
        Raises ModelFailed, AnswerLost, OutOfMemory, ContentBlocked or InvocationTimedOut when it has or may have,
        `retryable` where another invocation may succeed.
        """
        ...

    async def availability(self) -> ModelAvailability:
        """Whether a job would start now. Does not raise."""
        ...


@runtime_checkable
class DeferredEndpoint(Protocol):
    """Where a model runs whose answers come later, to a place that is known from the start. Speaks bytes."""

    async def submit(self, invocation: Invocation) -> Placement:
        """Hand an invocation over. It is not idempotent: each call that is taken runs the model.

        Raises ModelNotReady, ModelUnavailable or ModelFailed when it was certainly not taken; the first when it may be
        later. Raises AnswerLost or InvocationTimedOut when nobody knows.
        """
        ...

    async def collect(self, placement: Placement) -> Answer | None:
        """The answer, or None as long as there is none. May be called any number of times.

        Raises ModelFailed, OutOfMemory, ContentBlocked or InvocationTimedOut when the invocation has failed,
        ServiceUnavailable when the place cannot be looked at.
        """
        ...

    @property
    def longest_seconds(self) -> float:
        """How long after it was handed over an invocation may still be answered."""
        ...

    @property
    def unheard_seconds(self) -> float:
        """How long to wait for word of an invocation of which nobody knows whether it was taken."""
        ...

    async def availability(self) -> ModelAvailability:
        """Whether a job would start now. Does not raise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionNotice:
    """What an endpoint tells of an invocation that is over. `receipt` names the message, for `forget`.

    `invocation_id` is None when the message is not such a notice; `shape` then says what it looked like.
    """

    receipt: str
    invocation_id: str | None
    ended: InvocationEnd | None = None
    placement: Placement | None = None
    shape: str = ""


class CompletionQueue(Protocol):
    """Where deferred endpoints tell of their answers: at least once, in any order, and sometimes not at all."""

    async def receive(self) -> Sequence[CompletionNotice]:
        """The notices that are there, waiting some seconds for the first. What is not forgotten comes again later."""
        ...

    async def forget(self, receipts: Sequence[str]) -> None:
        """These notices were dealt with."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPicture:
    """An image as the model sent it: a file in some format, not checked."""

    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPicture:
    """An image as the model sent it: `rgb` holds height * width * 3 bytes, row by row."""

    width: int
    height: int
    rgb: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedPicture:
    """An image that the model's safety filter withheld."""

    message: str


Picture = EncodedPicture | RawPicture | BlockedPicture


class ModelCodec(Protocol):
    """How a model family spells requests and answers. Pure: no waiting, no clock, no randomness."""

    @property
    def name(self) -> str:
        """What model files call it."""
        ...

    @property
    def sizes(self) -> Sequence[Dimensions]:
        """The only sizes that the family makes; empty when it makes any that the model's limits allow."""
        ...

    @property
    def without(self) -> Set[Choice]:
        """What its requests cannot say."""
        ...

    def encode(self, parameters: GenerationParameters) -> Sequence[ModelRequest]:
        """The invocations that make these images: one, or several where the family makes one image a call."""
        ...

    def decode(self, request: ModelRequest, answer: Answer) -> Sequence[Picture]:
        """The pictures in an answer, in the order of the batch.

        Raises AnswerNotUnderstood, ContentBlocked or ModelFailed.
        """
        ...
