"""Hears what is published on one server."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable

from redis.asyncio.connection import Connection
from redis.exceptions import ClusterCrossSlotError, MovedError, PubSubError, ResponseError

from graphql_api.adapters.event_broker.notice_codec import decode_notice
from graphql_api.adapters.event_broker.valkey_link import (
    ANSWER_SECONDS,
    PING_SECONDS,
    Command,
    Condition,
    Link,
    WrongMode,
    send,
)
from graphql_api.adapters.event_broker.valkey_topics import Topic, Topics
from graphql_api.adapters.valkey_url import Node, ValkeyUrl

CHANNELS_AT_A_TIME = 1000
"""Servers take a few thousand arguments in one command."""
GRACE_SECONDS = 0.2
MESSAGES_AT_A_TIME = 200


class Listener(Link):
    """The connection that notices come through. It keeps the server told of the topics that are its own here, and does
    not believe in silence: a PING that is not answered means that the connection is lost."""

    def __init__(
        self,
        url: ValkeyUrl,
        node: Node,
        *,
        topics: Topics,
        condition: Condition,
        on_doubt: Callable[[Node | None], None],
    ) -> None:
        super().__init__(url, node, condition=condition, on_doubt=on_doubt)
        self._topics = topics
        self._mine: dict[int, dict[Topic, None]] = {}
        self._touched: dict[Topic, None] = {}
        self._wake = asyncio.Event()
        self._asked_at: float | None = None

    @property
    def is_up(self) -> bool:
        """See Hearer."""
        return self.up.is_set()

    def adopt(self, topic: Topic) -> None:
        """A topic is published here from now on."""
        self._mine.setdefault(topic.slot, {})[topic] = None
        topic.hearer = self
        if topic.subscribers:
            self.touch(topic)

    def disown(self, topic: Topic) -> None:
        """A topic is published elsewhere from now on."""
        self._let_go(topic)
        topic.cut_off()

    def touch(self, topic: Topic) -> None:
        """See Hearer."""
        if not self.is_up and not topic.subscribers:
            self._forget(topic)
        elif self.is_up:
            self._touched[topic] = None
            self._wake.set()

    async def serve(self, connection: Connection) -> None:
        """Subscribe to everything, then listen, and tell of every change."""
        self._asked_at = None
        self._touched = dict.fromkeys(self._all())
        self._wake.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(connection))
            group.create_task(self._tell(connection))

    def lost(self) -> None:
        """Whatever is published now is missed."""
        self._touched.clear()
        for topic in self._all():
            topic.cut_off()
            if not topic.subscribers:
                self._forget(topic)

    def _all(self) -> list[Topic]:
        return [topic for topics in self._mine.values() for topic in topics]

    def _forget(self, topic: Topic) -> None:
        self._let_go(topic)
        self._topics.forget(topic)

    def _let_go(self, topic: Topic) -> None:
        self._touched.pop(topic, None)
        if topics := self._mine.get(topic.slot):
            topics.pop(topic, None)
            if not topics:
                del self._mine[topic.slot]

    # --- what is heard -----------------------------------------------------------------------------------------------

    async def _listen(self, connection: Connection) -> None:
        heard = 0
        while True:
            try:
                reply = await connection.read_response(disable_decoding=True, timeout=math.inf)
            except ResponseError as error:
                reply = self._moved_slot(error)
            self._asked_at = None
            if isinstance(reply, list):
                self._hear(reply)
            elif isinstance(reply, int):
                self._lose_slot(reply)
            heard += 1
            if heard % MESSAGES_AT_A_TIME == 0:
                # What is buffered is read without waiting; others have a turn too.
                await asyncio.sleep(0)

    def _hear(self, reply: list[bytes]) -> None:
        match reply:
            case [b"smessage", channel, body]:
                topic = self._topics.find(channel)
                if topic is not None:
                    topic.deliver(decode_notice(body))
            case [b"ssubscribe" | b"sunsubscribe" as kind, channel, *_]:
                topic = self._topics.find(channel)
                if topic is not None and topic.hearer is self:
                    self._confirm(topic, is_end=kind == b"sunsubscribe")

    def _confirm(self, topic: Topic, *, is_end: bool) -> None:
        if topic.outstanding:
            topic.outstanding -= 1
        elif is_end:
            if not self.url.is_cluster:
                raise PubSubError("it ended a subscription by itself")
            # The slot of the channel has moved to another node, if only for a moment.
            self._lose_slot(topic.slot)
            return
        if topic.is_live:
            if topic.confirmed():
                self._topics.reread((topic,))
        elif not topic.outstanding and not topic.subscribers:
            self._forget(topic)

    def _lose_slot(self, slot: int) -> None:
        """The channels of a slot are published by another node, which is found out now."""
        for topic in tuple(self._mine.get(slot, ())):
            topic.cut_off()
        self._on_doubt(self.node)

    def _moved_slot(self, error: ResponseError) -> int:
        """The slot that is not here, if that is what the error says; raises what it says otherwise."""
        if isinstance(error, (MovedError, ClusterCrossSlotError)) and not self.url.is_cluster:
            raise WrongMode("it is a node of a cluster; add ?cluster=true to the URL") from error
        if isinstance(error, MovedError):
            return error.slot_id
        raise error

    # --- what is told ------------------------------------------------------------------------------------------------

    async def _tell(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        ping_at = loop.time() + PING_SECONDS
        while True:
            commands = list(self._changes())
            now = loop.time()
            if now >= ping_at:
                commands.append(("PING",))
                ping_at = now + PING_SECONDS
            if commands:
                if self._asked_at is None:
                    self._asked_at = now
                async with asyncio.timeout(ANSWER_SECONDS):
                    await send(connection, commands)
            self._wake.clear()
            if not self._touched:
                due = math.inf if self._asked_at is None else self._asked_at + ANSWER_SECONDS
                await self._wait(min(ping_at, due))
            await self._expect_answer()

    async def _wait(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _expect_answer(self) -> None:
        """Raise TimeoutError when the server owes an answer for too long."""
        loop = asyncio.get_running_loop()
        if self._asked_at is not None and loop.time() - self._asked_at > ANSWER_SECONDS:
            # Perhaps it was this process that stood still, and the answer is waiting.
            await asyncio.sleep(GRACE_SECONDS)
            if self._asked_at is not None and loop.time() - self._asked_at > ANSWER_SECONDS:
                raise TimeoutError("it does not answer on an open connection")

    def _changes(self) -> Iterable[Command]:
        """The commands that bring the server up to date."""
        touched, self._touched = self._touched, {}
        wanted: dict[int, list[bytes]] = {}
        unwanted: dict[int, list[bytes]] = {}
        for topic in touched:
            is_wanted = bool(topic.subscribers)
            if is_wanted == topic.is_wanted_there:
                if not is_wanted and not topic.outstanding:
                    self._forget(topic)
                continue
            topic.is_wanted_there = is_wanted
            topic.outstanding += 1
            (wanted if is_wanted else unwanted).setdefault(topic.slot, []).append(topic.channel)
        for name, slots in (("SSUBSCRIBE", wanted), ("SUNSUBSCRIBE", unwanted)):
            # All channels of one command must be in one slot.
            for channels in slots.values():
                for start in range(0, len(channels), CHANNELS_AT_A_TIME):
                    yield (name, *channels[start : start + CHANNELS_AT_A_TIME])
