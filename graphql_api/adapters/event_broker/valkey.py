"""Events between processes, through Valkey or Redis."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from graphql_api.adapters.event_broker.notice_codec import decode_notice, encode_notice
from graphql_api.adapters.event_broker.valkey_outbox import Parcel, Rank
from graphql_api.adapters.event_broker.valkey_shards import Shards
from graphql_api.adapters.valkey_url import ValkeyUrl
from graphql_api.domain.errors import ServiceUnavailable
from graphql_api.domain.ids import JobId
from graphql_api.domain.job import JobStatus
from graphql_api.metrics import BROKER_NOTICES_DROPPED
from graphql_api.ports import (
    PREVIEW_OUTLIVES_SECONDS,
    QUEUE_TOPIC,
    Deliver,
    JobMoved,
    JobProgressed,
    Notice,
    Preview,
    Reread,
    caller_topic,
    job_topic,
)

logger = logging.getLogger(__name__)

OPEN_SECONDS = 2.0
CHECK_SECONDS = 2.0
READ_SECONDS = 1.0
FLUSH_SECONDS = 1.5
PROGRESS_SECONDS = 3600
"""How long the latest progress is kept. A job that is silent for longer shows what its row says."""
PREVIEW_SECONDS = 300
KEPT_PREVIEWS = 8
"""Previews kept per job, so that the URL of an earlier one still answers while it travels."""
MAX_PREVIEW_BYTES = 256 * 1024
"""A larger preview is not kept."""
PREVIEWED_JOBS = 1000
"""Of how many jobs this process remembers the previews that it kept, to forget the earliest."""
EVERYONE_TOPIC = "everyone"
"""Where a publisher that had to drop notices tells all processes to read again."""


class ValkeyEventBroker:
    """Notices go through sharded channels; what is kept while a job runs has keys that expire.

    Nothing here waits for the network but the reads, which give up soon.
    """

    def __init__(self, url: ValkeyUrl) -> None:
        self._prefix = url.prefix
        self._shards = Shards(url, on_dropped=self._dropped)
        self._topics = self._shards.topics
        self._previews: OrderedDict[JobId, deque[str]] = OrderedDict()
        self._is_closed = False

    async def publish(self, notice: JobMoved | JobProgressed) -> None:
        """See EventBroker."""
        body = encode_notice(notice)
        if isinstance(notice, JobProgressed):
            self._keep_progress(notice.job_id, body)
            self._send(job_topic(notice.job_id), body, progress_of=notice.job_id)
            self._send(caller_topic(notice.caller_id), body, progress_of=notice.job_id)
            return
        if notice.job is None or notice.job.status is not JobStatus.RUNNING:
            self._forget_live_state(notice)
        self._send(job_topic(notice.job_id), body)
        self._send(caller_topic(notice.caller_id), body)
        if notice.job is not None and notice.job.status is JobStatus.QUEUED:
            self._send(QUEUE_TOPIC, body)

    def subscribe(self, topic: str, deliver: Deliver) -> AbstractAsyncContextManager[None]:
        """See EventBroker."""
        return self._topics.subscription(self._channel(topic).encode(), deliver)

    async def latest_progress(self, job_id: JobId) -> JobProgressed | None:
        """See EventBroker."""
        body = await self._ask("GET", self._progress_key(job_id))
        notice = None if body is None else decode_notice(body)
        return notice if isinstance(notice, JobProgressed) else None

    async def keep_preview(self, job_id: JobId, preview: Preview) -> None:
        """See EventBroker."""
        if len(preview.body) > MAX_PREVIEW_BYTES:
            return
        kept = self._previews.setdefault(job_id, deque())
        self._previews.move_to_end(job_id)
        if len(self._previews) > PREVIEWED_JOBS:
            self._previews.popitem(last=False)
        kept.append(preview.key)
        key = self._previews_key(job_id)
        commands: list[tuple[str | bytes | int, ...]] = [
            ("HSET", key, preview.key, preview.body),
            ("EXPIRE", key, PREVIEW_SECONDS),
        ]
        if len(kept) > KEPT_PREVIEWS:
            commands.append(("HDEL", key, kept.popleft()))
        self._put(key, Rank.PREVIEW, commands, size=len(preview.body), merge_key=key)

    async def preview(self, key: str) -> bytes | None:
        """See EventBroker."""
        return await self._ask("HGET", self._previews_key(JobId(key.partition("/")[0])), key)

    async def check(self) -> None:
        """See EventBroker."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                senders = await self._shards.up()
                answers = await asyncio.gather(*(sender.ask(("PING",), within=CHECK_SECONDS) for sender in senders))
        except TimeoutError:
            answers = [None]
        if None in answers:
            raise ServiceUnavailable("The event broker does not answer.")

    async def open(self) -> None:
        """Connect, or log that it did not work yet: it is tried until it does."""
        self._shards.start()
        # For as long as the broker is open.
        self._topics.enter(self, self._channel(EVERYONE_TOPIC).encode(), self._heard_of_loss)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._shards.up()
        except TimeoutError:
            logger.warning("the event broker is away; watchers see changes late until it is back")

    async def close(self) -> None:
        """Send what waits, unless that takes long, and disconnect."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._shards.flushed()
        except TimeoutError:
            logger.warning("the event broker is away; the last notices were not sent")
        self._is_closed = True
        await self._shards.stop()

    # --- notices -----------------------------------------------------------------------------------------------------

    def _send(self, topic: str, body: bytes, *, progress_of: JobId | None = None) -> None:
        channel = self._channel(topic)
        merge_key = None if progress_of is None else f"{channel} {progress_of}"
        rank = Rank.MOVE if progress_of is None else Rank.PROGRESS
        self._put(channel, rank, [("SPUBLISH", channel, body)], size=len(body), is_notice=True, merge_key=merge_key)

    def _dropped(self, parcel: Parcel) -> None:
        """Whoever listens may have missed something, though its own connection is whole: it is told to read again."""
        if parcel.is_notice:
            BROKER_NOTICES_DROPPED.inc()
            channel = self._channel(EVERYONE_TOPIC)
            body = encode_notice(Reread())
            self._put(channel, Rank.LOSS, [("SPUBLISH", channel, body)], size=len(body), merge_key=channel)

    def _heard_of_loss(self, _: Notice) -> None:
        # Who is not live is behind anyway, and reads again as soon as it is.
        self._topics.reread(topic for topic in self._topics if topic.is_live and self not in topic.subscribers)

    # --- what is kept while a job runs -------------------------------------------------------------------------------

    def _keep_progress(self, job_id: JobId, body: bytes) -> None:
        key = self._progress_key(job_id)
        command = ("SET", key, body, "EX", PROGRESS_SECONDS)
        self._put(key, Rank.PROGRESS, [command], size=len(body), merge_key=key)

    def _forget_live_state(self, notice: JobMoved) -> None:
        self._previews.pop(notice.job_id, None)
        key, previews = self._progress_key(notice.job_id), self._previews_key(notice.job_id)
        commands: list[tuple[str | bytes | int, ...]] = [
            ("DEL", key),
            ("DEL", previews) if notice.is_deleted else ("EXPIRE", previews, PREVIEW_OUTLIVES_SECONDS),
        ]
        self._put(key, Rank.MOVE, commands, size=0, merge_key=key)

    async def _ask(self, *command: str) -> bytes | None:
        sender = self._shards.sender_of(self._shards.slot_of(command[1]))
        answer = await sender.ask(command, within=READ_SECONDS)
        return answer if isinstance(answer, bytes) else None

    def _put(
        self,
        key: str,
        rank: Rank,
        commands: list[tuple[str | bytes | int, ...]],
        *,
        size: int,
        is_notice: bool = False,
        merge_key: str | None = None,
    ) -> None:
        if not self._is_closed:
            slot = self._shards.slot_of(key)
            self._shards.put(Parcel(slot, rank, commands, size, is_notice, merge_key))

    # --- names: what belongs to a job is in one slot -----------------------------------------------------------------

    def _channel(self, topic: str) -> str:
        kind, separator, name = topic.partition(":")
        return f"{self._prefix}{kind}:{{{name}}}" if separator else f"{self._prefix}{kind}"

    def _progress_key(self, job_id: JobId) -> str:
        return f"{self._prefix}progress:{{{job_id}}}"

    def _previews_key(self, job_id: JobId) -> str:
        return f"{self._prefix}previews:{{{job_id}}}"


@asynccontextmanager
async def open_valkey_event_broker(url: ValkeyUrl) -> AsyncIterator[ValkeyEventBroker]:
    """Open the broker behind a URL. It need not be there yet."""
    broker = ValkeyEventBroker(url)
    try:
        await broker.open()
        yield broker
    finally:
        await broker.close()
