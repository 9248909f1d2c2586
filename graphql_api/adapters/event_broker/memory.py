"""Events inside one process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager

from graphql_api.domain.ids import JobId
from graphql_api.domain.job import JobStatus
from graphql_api.ports import (
    PREVIEW_OUTLIVES_SECONDS,
    QUEUE_TOPIC,
    Deliver,
    JobMoved,
    JobProgressed,
    Preview,
    caller_topic,
    job_topic,
)

KEPT_PREVIEWS = 8
"""Previews kept per job, so that the URL of an earlier one still answers while it travels."""


class MemoryEventBroker:
    """Calls the subscribers of a topic directly, in the order of publication."""

    def __init__(self) -> None:
        self._subscribers: dict[str, dict[Deliver, None]] = {}
        self._progress: dict[JobId, JobProgressed] = {}
        self._previews: dict[JobId, OrderedDict[str, bytes]] = {}
        self._late_previews: dict[JobId, OrderedDict[str, bytes]] = {}

    async def publish(self, notice: JobMoved | JobProgressed) -> None:
        """See EventBroker."""
        if isinstance(notice, JobProgressed):
            self._progress[notice.job_id] = notice
        else:
            self._forget_live_state(notice)
        self._deliver(job_topic(notice.job_id), notice)
        self._deliver(caller_topic(notice.caller_id), notice)
        if isinstance(notice, JobMoved) and notice.job is not None and notice.job.status is JobStatus.QUEUED:
            self._deliver(QUEUE_TOPIC, notice)

    def subscribe(self, topic: str, deliver: Deliver) -> AbstractAsyncContextManager[None]:
        """See EventBroker."""
        return _Subscription(self._subscribers, topic, deliver)

    async def latest_progress(self, job_id: JobId) -> JobProgressed | None:
        """See EventBroker."""
        return self._progress.get(job_id)

    async def keep_preview(self, job_id: JobId, preview: Preview) -> None:
        """See EventBroker."""
        kept = self._previews.setdefault(job_id, OrderedDict())
        kept[preview.key] = preview.body
        while len(kept) > KEPT_PREVIEWS:
            kept.popitem(last=False)

    async def preview(self, key: str) -> bytes | None:
        """See EventBroker."""
        job_id = JobId(key.partition("/")[0])
        kept = (previews.get(job_id) for previews in (self._previews, self._late_previews))
        return next((previews[key] for previews in kept if previews is not None and key in previews), None)

    async def check(self) -> None:
        """See EventBroker."""

    def _forget_live_state(self, notice: JobMoved) -> None:
        if notice.job is not None and notice.job.status is JobStatus.RUNNING:
            return
        job_id = notice.job_id
        self._progress.pop(job_id, None)
        previews = self._previews.pop(job_id, None)
        if notice.is_deleted:
            self._late_previews.pop(job_id, None)
        elif previews is not None:
            self._late_previews[job_id] = previews
            asyncio.get_running_loop().call_later(PREVIEW_OUTLIVES_SECONDS, self._forget_previews, job_id, previews)

    def _forget_previews(self, job_id: JobId, previews: OrderedDict[str, bytes]) -> None:
        # Those of a later attempt have a time of their own.
        if self._late_previews.get(job_id) is previews:
            del self._late_previews[job_id]

    def _deliver(self, topic: str, notice: JobMoved | JobProgressed) -> None:
        for deliver in tuple(self._subscribers.get(topic, ())):
            deliver(notice)


class _Subscription:
    """A subscriber for as long as the context is open. Thousands are open at a time, so it is small."""

    __slots__ = ("_deliver", "_subscribers", "_topic")

    def __init__(self, subscribers: dict[str, dict[Deliver, None]], topic: str, deliver: Deliver) -> None:
        self._subscribers = subscribers
        self._topic = topic
        self._deliver = deliver

    async def __aenter__(self) -> None:
        self._subscribers.setdefault(self._topic, {})[self._deliver] = None

    async def __aexit__(self, *error: object) -> None:
        subscribers = self._subscribers[self._topic]
        del subscribers[self._deliver]
        if not subscribers:
            del self._subscribers[self._topic]
