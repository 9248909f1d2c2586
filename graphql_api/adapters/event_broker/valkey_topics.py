"""Who wants to hear of which topic, in this process."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from graphql_api.ports import Deliver, Notice, Reread

logger = logging.getLogger(__name__)

ENTRY_SECONDS = 2.0
"""How long a subscriber waits for the server at the door; after that it comes in, and gets a Reread later."""
SPREAD_SECONDS = 1.0
"""Over how long Rereads are spread when there are many, so that not everybody reads the database at once."""
TICK_SECONDS = 0.05
REREADS_AT_ONCE = 25


class Hearer(Protocol):
    """Who keeps the server informed of what is wanted; see Listener."""

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""
        ...

    def touch(self, topic: Topic) -> None:
        """Somebody came first or left last."""
        ...

    def disown(self, topic: Topic) -> None:
        """The topic is published elsewhere from now on."""
        ...


class Topic:
    """A channel and its subscribers. Tens of thousands exist at a time, so it is small.

    `is_wanted_there` is what the server was told last, `outstanding` how many of its confirmations are not here yet:
    once there are none, what it was told holds. `is_behind` tells that notices may have been missed.
    """

    __slots__ = (
        "_entry",
        "channel",
        "hearer",
        "is_behind",
        "is_wanted_there",
        "outstanding",
        "slot",
        "subscribers",
    )

    def __init__(self, channel: bytes, slot: int, hearer: Hearer) -> None:
        self.channel = channel
        self.slot = slot
        self.hearer = hearer
        self.subscribers: dict[object, Deliver] = {}
        self.is_wanted_there = False
        self.outstanding = 0
        self.is_behind = False
        self._entry: asyncio.Future[None] | None = None

    @property
    def is_live(self) -> bool:
        """Whether the server has confirmed that it sends what is published."""
        return self.is_wanted_there and not self.outstanding

    async def entered(self) -> None:
        """Return when the server has confirmed the subscription, or when it will not for now."""
        if self.is_live:
            return
        if not self.hearer.is_up:
            self.is_behind = True
            return
        if self._entry is None:
            self._entry = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ENTRY_SECONDS):
                await asyncio.shield(self._entry)
        except TimeoutError:
            self.is_behind = True

    def confirmed(self) -> bool:
        """The topic is live from now on. Whether its subscribers must read again."""
        self._open()
        was_behind, self.is_behind = self.is_behind, False
        return was_behind

    def cut_off(self) -> None:
        """The server sends nothing any more."""
        self.is_wanted_there = False
        self.outstanding = 0
        self.is_behind = True
        self._open()

    def deliver(self, notice: Notice) -> None:
        """Hand a notice to every subscriber."""
        for deliver in tuple(self.subscribers.values()):
            try:
                deliver(notice)
            except Exception:
                logger.exception("a subscriber did not take a notice")

    def _open(self) -> None:
        if self._entry is not None:
            if not self._entry.done():
                self._entry.set_result(None)
            self._entry = None


class Topics:
    """All topics that have subscribers, by channel."""

    def __init__(self, place: Callable[[bytes], Topic]) -> None:
        self._place = place
        self._by_channel: dict[bytes, Topic] = {}
        self._rereads: dict[Topic, None] = {}
        self._ticks_left = 0
        self._timer: asyncio.TimerHandle | None = None

    def __iter__(self) -> Iterator[Topic]:
        return iter(tuple(self._by_channel.values()))

    def find(self, channel: bytes) -> Topic | None:
        """The topic of a channel that somebody listens to."""
        return self._by_channel.get(channel)

    def subscription(self, channel: bytes, deliver: Deliver) -> AbstractAsyncContextManager[None]:
        """A subscriber, for as long as the context is open."""
        return _Subscription(self, channel, deliver)

    def forget(self, topic: Topic) -> None:
        """Nobody listens any more, and the server knows."""
        if self._by_channel.get(topic.channel) is topic:
            del self._by_channel[topic.channel]
        self._rereads.pop(topic, None)

    def reread(self, topics: Iterable[Topic]) -> None:
        """Tell the subscribers of topics that they may have missed something: at once, or over a while when they are
        many."""
        self._rereads.update(dict.fromkeys(topics))
        if self._timer is None and self._rereads:
            self._ticks_left = math.ceil(SPREAD_SECONDS / TICK_SECONDS)
            self._timer = asyncio.get_running_loop().call_later(0, self._tick)

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        due = max(REREADS_AT_ONCE, math.ceil(len(self._rereads) / max(1, self._ticks_left)))
        self._ticks_left -= 1
        for topic in list(self._rereads)[:due]:
            self._rereads.pop(topic, None)
            topic.deliver(Reread())
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TICK_SECONDS, self._tick) if self._rereads else None

    def enter(self, subscription: object, channel: bytes, deliver: Deliver) -> Topic:
        """Add a subscriber, without waiting for the server."""
        topic = self._by_channel.get(channel)
        if topic is None:
            topic = self._by_channel[channel] = self._place(channel)
        topic.subscribers[subscription] = deliver
        if len(topic.subscribers) == 1:
            topic.hearer.touch(topic)
        return topic

    @staticmethod
    def leave(subscription: object, topic: Topic) -> None:
        """Remove a subscriber."""
        topic.subscribers.pop(subscription, None)
        if not topic.subscribers:
            topic.hearer.touch(topic)


class _Subscription:
    __slots__ = ("_channel", "_deliver", "_topic", "_topics")

    def __init__(self, topics: Topics, channel: bytes, deliver: Deliver) -> None:
        self._topics = topics
        self._channel = channel
        self._deliver = deliver
        self._topic: Topic | None = None

    async def __aenter__(self) -> None:
        topic = self._topic = self._topics.enter(self, self._channel, self._deliver)
        try:
            await topic.entered()
        except BaseException:
            self._topics.leave(self, topic)
            raise

    async def __aexit__(self, *error: object) -> None:
        if self._topic is not None:
            self._topics.leave(self, self._topic)
