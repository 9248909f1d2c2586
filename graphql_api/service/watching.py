"""Following jobs: first what is or was missed, then every change, without a gap and without going back.

The order is always: subscribe to the broker, read the rows, drop what is not newer than the rows. So a change between
the two is seen at least once, and shown once.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from graphql_api.domain.errors import JobNotFound
from graphql_api.domain.events import JobEvent, JobEventKind
from graphql_api.domain.ids import CallerId, JobId
from graphql_api.domain.job import Job, JobStatus, Tombstone
from graphql_api.ports import (
    Deliver,
    EventBroker,
    JobChanges,
    JobMoved,
    JobProgressed,
    JobQuery,
    JobStore,
    Notice,
    Reread,
    caller_topic,
    job_topic,
)
from graphql_api.service.clock import Clock, utc_now
from graphql_api.service.jobs import JobService
from graphql_api.service.mailbox import Mailbox

logger = logging.getLogger(__name__)

Events = AsyncGenerator[JobEvent, None]
_Key = TypeVar("_Key")
Watchers = dict[_Key, dict[Mailbox, None]]
"""The mailboxes of those who watch a job or a caller."""

CHANGES_AT_A_TIME = 100
REVISIONS_AT_A_TIME = 500
EVERYTHING = JobQuery()


class WatchService:
    """Streams of job events for callers."""

    def __init__(self, *, jobs: JobService, store: JobStore, broker: EventBroker, clock: Clock = utc_now) -> None:
        self._jobs = jobs
        self._store = store
        self._broker = broker
        self._clock = clock
        self._missed = MissedNotices(store)

    async def watch_job(self, caller_id: CallerId, job_id: JobId, *, after: int | None = None) -> Events:
        """Follow one job to its end. Raises JobNotFound, before the stream begins.

        `after` is the revision of the last event seen; without it the first event is the state now.
        """
        found = await self._store.find(job_id, caller_id=caller_id)
        if found is None or (isinstance(found, Tombstone) and after is None):
            raise JobNotFound(path=("id",))
        return self._follow_job(caller_id, job_id, after=after)

    async def watch_caller(
        self, caller_id: CallerId, *, after: int | None = None, query: JobQuery = EVERYTHING
    ) -> Events:
        """Follow all jobs of a caller, for ever.

        With `after`: first every job that changed since, at its latest state. Without it, or when it is not a revision
        that this server has given out: first every job that is queued or running.
        """
        return self._follow_caller(caller_id, after=after, query=query)

    @property
    def follows_a_job(self) -> bool:
        """Whether somebody follows a job to its end."""
        return bool(self._missed.by_job)

    async def check_for_missed_notices(self) -> None:
        """Wake the watchers whose rows have moved on without them. To be called every few seconds."""
        await self._missed.check()

    async def _follow_job(self, caller_id: CallerId, job_id: JobId, *, after: int | None) -> Events:
        async with _Watch(self._broker.subscribe, job_topic(job_id), self._missed.by_job, job_id) as mailbox:
            job = await self._store.find(job_id)
            if job is None:
                return
            if after is None or job.revision > after or after > await self._store.caller_revision(caller_id):
                yield await self._snapshot(job)
            mailbox.seen_revision = job.revision
            while isinstance(job, Job) and not job.is_final:
                event, job = await self._next_of_job(job, mailbox)
                if event is not None:
                    yield event
                del event

    async def _next_of_job(self, job: Job, mailbox: Mailbox) -> tuple[JobEvent | None, Job | Tombstone]:
        """The next event, if the next notice is worth one, and the job behind it."""
        notice = await mailbox.take()
        match notice:
            case JobProgressed():
                if not _is_current(notice, job):
                    return None, job
                job = job.with_progress(notice.progress)
                return self._progress_event(job, mailbox.seen_revision), job
            case JobMoved(job=Job() as moved) if moved.revision > mailbox.seen_revision:
                mailbox.seen_revision = moved.revision
                moved = moved.not_behind(job)
                return _event(JobEventKind.STATUS, moved), moved
            case JobMoved() if notice.revision <= mailbox.seen_revision:
                return None, job
            case _:
                return await self._reread(job, mailbox)

    async def _reread(self, job: Job, mailbox: Mailbox) -> tuple[JobEvent | None, Job | Tombstone]:
        found = await self._store.find(job.id)
        if found is None or found.revision <= mailbox.seen_revision:
            return None, job
        mailbox.seen_revision = found.revision
        return await self._snapshot(found), found

    async def _follow_caller(self, caller_id: CallerId, *, after: int | None, query: JobQuery) -> Events:
        topic = caller_topic(caller_id)
        async with _Watch(self._broker.subscribe, topic, self._missed.by_caller, caller_id) as mailbox:
            view = _CallerView(caller_id=caller_id, query=query, mailbox=mailbox)
            latest = await self._store.caller_revision(caller_id)
            if after is None or after > latest:
                async with aclosing(self._active_jobs(view, latest)) as events:
                    async for event in events:
                        yield event
                mailbox.seen_revision = latest
            else:
                mailbox.seen_revision = after
                mailbox.deliver(Reread())
            while True:
                for event in await self._next_of_caller(view):
                    yield event

    async def _active_jobs(self, view: _CallerView, latest: int) -> Events:
        """A snapshot of each job that is queued or running at the revision `latest`.

        What moves while this reads has a higher revision, is passed over, and arrives as a notice.
        """
        read_to = 0
        while changes := await self._store.changes(
            view.caller_id, after=read_to, limit=CHANGES_AT_A_TIME, active_only=True
        ):
            for found in changes:
                if found.revision > latest:
                    return
                read_to = found.revision
                if view.shows(found):
                    yield await self._snapshot(found)

    async def _next_of_caller(self, view: _CallerView) -> list[JobEvent]:
        """The events that the next notice is worth."""
        notice = await view.mailbox.take()
        if isinstance(notice, JobProgressed):
            return self._progress_of_caller(notice, view)
        if isinstance(notice, Reread) or _leaves_a_gap(notice, view.mailbox.seen_revision):
            return await self._changes_of_caller(view)
        if notice.revision <= view.mailbox.seen_revision:
            return []
        view.mailbox.seen_revision = notice.revision
        if notice.job is None:
            view.running.pop(notice.job_id, None)
            return [self._deleted_event(notice.job_id, notice.revision, self._clock())]
        return [_event(JobEventKind.STATUS, notice.job)] if view.shows(notice.job) else []

    async def _changes_of_caller(self, view: _CallerView) -> list[JobEvent]:
        """What the store has behind the last revision seen, a part at a time."""
        mailbox = view.mailbox
        changes = await self._store.changes(view.caller_id, after=mailbox.seen_revision, limit=CHANGES_AT_A_TIME)
        if len(changes) == CHANGES_AT_A_TIME:
            mailbox.deliver(Reread())
        if changes:
            mailbox.seen_revision = changes[-1].revision
        return [await self._snapshot(found) for found in changes if view.shows(found)]

    def _progress_of_caller(self, notice: JobProgressed, view: _CallerView) -> list[JobEvent]:
        job = view.running.get(notice.job_id)
        if job is None or not _is_current(notice, job):
            return []
        job = view.running[notice.job_id] = job.with_progress(notice.progress)
        return [self._progress_event(job, view.mailbox.seen_revision)] if view.query.matches(job) else []

    async def _snapshot(self, found: Job | Tombstone) -> JobEvent:
        if isinstance(found, Tombstone):
            return self._deleted_event(found.job_id, found.revision, found.deleted_at)
        return _event(JobEventKind.SNAPSHOT, await self._jobs.with_live_progress(found))

    def _progress_event(self, job: Job, revision: int) -> JobEvent:
        return JobEvent(
            kind=JobEventKind.PROGRESS, job_id=job.id, job=job, revision=revision, occurred_at=self._clock()
        )

    @staticmethod
    def _deleted_event(job_id: JobId, revision: int, at: datetime) -> JobEvent:
        return JobEvent(kind=JobEventKind.DELETED, job_id=job_id, job=None, revision=revision, occurred_at=at)


class _Watch(Generic[_Key]):
    """A mailbox that hears of a topic, and is looked after, while the context is open."""

    __slots__ = ("_key", "_mailbox", "_registry", "_subscription")

    def __init__(
        self,
        subscribe: Callable[[str, Deliver], AbstractAsyncContextManager[None]],
        topic: str,
        registry: Watchers[_Key],
        key: _Key,
    ) -> None:
        self._mailbox = Mailbox()
        self._subscription = subscribe(topic, self._mailbox.deliver)
        self._registry = registry
        self._key = key

    async def __aenter__(self) -> Mailbox:
        await self._subscription.__aenter__()
        self._registry.setdefault(self._key, {})[self._mailbox] = None
        return self._mailbox

    async def __aexit__(self, *error: object) -> None:
        mailboxes = self._registry[self._key]
        del mailboxes[self._mailbox]
        if not mailboxes:
            del self._registry[self._key]
        self._mailbox.close()
        await self._subscription.__aexit__(None, None, None)


@dataclass(slots=True, kw_only=True)
class _CallerView:
    """What one watcher of a caller knows."""

    caller_id: CallerId
    query: JobQuery
    mailbox: Mailbox
    running: dict[JobId, Job] = field(default_factory=dict)

    def shows(self, found: Job | Tombstone) -> bool:
        """Remember a job while it runs, so that its progress can be told, and say whether the watcher wants it."""
        if isinstance(found, Tombstone):
            self.running.pop(found.job_id, None)
            return True
        if found.status is JobStatus.RUNNING:
            self.running[found.id] = found
        else:
            self.running.pop(found.id, None)
        return self.query.matches(found)


class MissedNotices:
    """Finds watchers that a lost notice left behind, for all watchers of the process with few reads."""

    def __init__(self, store: JobChanges) -> None:
        self._store = store
        self.by_job: Watchers[JobId] = {}
        self.by_caller: Watchers[CallerId] = {}
        self._behind: dict[Mailbox, int] = {}

    async def check(self) -> None:
        """Have each watcher read again that was behind the store at the last check and has not moved since.

        One check alone proves nothing: the notice may be on its way.
        """
        behind: dict[Mailbox, int] = {}
        try:
            async for mailbox, revision in self._latest_revisions():
                if revision > mailbox.seen_revision:
                    behind[mailbox] = mailbox.seen_revision
        except Exception as error:
            logger.warning("watchers were not checked: %s", error, exc_info=error)
        for mailbox, seen_revision in behind.items():
            if self._behind.get(mailbox) == seen_revision:
                mailbox.deliver(Reread())
        self._behind = behind

    async def _latest_revisions(self) -> AsyncIterator[tuple[Mailbox, int]]:
        async for found in _revisions_of(self.by_job, self._store.revisions):
            yield found
        async for found in _revisions_of(self.by_caller, self._store.caller_revisions):
            yield found


async def _revisions_of(
    watchers: Watchers[_Key], read: Callable[[Sequence[_Key]], Awaitable[Mapping[_Key, int]]]
) -> AsyncIterator[tuple[Mailbox, int]]:
    """Each mailbox with the latest revision of what it watches, read in few pieces."""
    keys = list(watchers)
    for start in range(0, len(keys), REVISIONS_AT_A_TIME):
        for key, revision in (await read(keys[start : start + REVISIONS_AT_A_TIME])).items():
            for mailbox in tuple(watchers.get(key, ())):
                yield mailbox, revision


def _event(kind: JobEventKind, job: Job) -> JobEvent:
    return JobEvent(kind=kind, job_id=job.id, job=job, revision=job.revision, occurred_at=job.changed_at)


def _is_current(notice: JobProgressed, job: Job) -> bool:
    return job.status is JobStatus.RUNNING and notice.attempt == job.attempt


def _leaves_a_gap(notice: Notice, seen_revision: int) -> bool:
    """Whether revisions before this move have not been seen, or the move must be read."""
    if not isinstance(notice, JobMoved) or notice.revision <= seen_revision:
        return False
    return notice.revision > seen_revision + 1 or (notice.job is None and not notice.is_deleted)
