"""The servers behind one URL: one, or those of a cluster, each with the slots that it has at the moment.

Sharded publish and subscribe are used with both kinds of server: in a cluster a notice then goes to the one node that
has the channel's slot, and whoever listens there hears it or sees the connection break.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError, ResponseError

from graphql_api.adapters.event_broker.valkey_link import (
    ANSWER_SECONDS,
    Condition,
    WrongMode,
    connect,
    disconnect,
    send,
)
from graphql_api.adapters.event_broker.valkey_listener import Listener
from graphql_api.adapters.event_broker.valkey_outbox import Parcel
from graphql_api.adapters.event_broker.valkey_sender import Sender
from graphql_api.adapters.event_broker.valkey_topics import Topic, Topics
from graphql_api.adapters.valkey_url import Node, ValkeyUrl

logger = logging.getLogger(__name__)

MAP_SECONDS = 60.0
"""How often the map of a cluster is read without a reason."""
MAP_PAUSE_SECONDS = 0.25
LONGEST_MAP_PAUSE_SECONDS = 3.0

SlotMap = Mapping[int, Node]
"""Slot -> the node that has it."""


@dataclass(slots=True, eq=False)
class Shard:
    """A server and the two connections to it."""

    node: Node
    sender: Sender
    listener: Listener

    def start(self) -> None:
        """Connect."""
        self.sender.start()
        self.listener.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self.sender.stop()
        await self.listener.stop()


class Shards:
    """Finds the shard of each slot, and follows the slots when they move."""

    def __init__(self, url: ValkeyUrl, *, on_dropped: Callable[[Parcel], None]) -> None:
        self.topics = Topics(self._new_topic)
        self._url = url
        self._on_dropped = on_dropped
        self._condition = Condition()
        # Until the map of a cluster is there, what is wanted of it waits here, without a connection.
        first = self._new_shard(url.node)
        self._by_node = {first.node: first}
        self._by_slot = [first] * (REDIS_CLUSTER_HASH_SLOTS if url.is_cluster else 1)
        self._is_mapped = asyncio.Event()
        self._map_is_doubtful = asyncio.Event()
        self._informant: Node | None = None
        self._mapping: asyncio.Task[None] | None = None
        self._stopping: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Connect to the server; of a cluster, find the servers first."""
        if self._url.is_cluster:
            self._map_is_doubtful.set()
            self._mapping = asyncio.create_task(self._follow_slots())
        else:
            self._is_mapped.set()
            self._by_slot[0].start()

    async def stop(self) -> None:
        """Disconnect from all."""
        self.topics.close()
        if self._mapping is not None:
            self._mapping.cancel()
            await asyncio.wait((self._mapping,))
        await asyncio.gather(*(shard.stop() for shard in self._by_node.values()), *self._stopping)

    def slot_of(self, key: str | bytes) -> int:
        """The slot of a key or channel; one server has only one."""
        return key_slot(key.encode() if isinstance(key, str) else key) if self._url.is_cluster else 0

    def put(self, parcel: Parcel) -> None:
        """Send a parcel to whoever has its slot."""
        self._by_slot[parcel.slot].sender.put(parcel)

    def sender_of(self, slot: int) -> Sender:
        """The connection for the keys of a slot."""
        return self._by_slot[slot].sender

    async def up(self) -> Sequence[Sender]:
        """Return when all servers are connected: what commands go through."""
        await self._is_mapped.wait()
        shards = tuple(self._by_node.values())
        for shard in shards:
            await shard.sender.up.wait()
            await shard.listener.up.wait()
        return [shard.sender for shard in shards]

    async def flushed(self) -> None:
        """Return when nothing waits to be sent."""
        # What waits may move from one to another meanwhile.
        while busy := [shard.sender for shard in set(self._by_slot) if not shard.sender.is_idle]:
            for sender in busy:
                await sender.flushed()

    def _new_topic(self, channel: bytes) -> Topic:
        slot = self.slot_of(channel)
        listener = self._by_slot[slot].listener
        topic = Topic(channel, slot, listener)
        listener.adopt(topic)
        return topic

    def _new_shard(self, node: Node) -> Shard:
        return Shard(
            node,
            Sender(
                self._url,
                node,
                condition=self._condition,
                on_dropped=self._on_dropped,
                on_doubt=self._doubt_map,
            ),
            Listener(self._url, node, topics=self.topics, condition=self._condition, on_doubt=self._doubt_map),
        )

    # --- the map of a cluster ----------------------------------------------------------------------------------------

    def _doubt_map(self, informant: Node | None) -> None:
        self._informant = informant or self._informant
        self._map_is_doubtful.set()

    async def _follow_slots(self) -> None:
        pause = MAP_PAUSE_SECONDS
        while True:
            try:
                async with asyncio.timeout(MAP_SECONDS):
                    await self._map_is_doubtful.wait()
            except TimeoutError:
                pass
            self._map_is_doubtful.clear()
            try:
                self._follow(await self._read_map())
                pause = MAP_PAUSE_SECONDS
            except Exception as error:
                if not isinstance(error, (RedisError, OSError)):
                    logger.exception("the map of the cluster met an unexpected fault")
                self._condition.lost(self._url.node, self, error)
                self._map_is_doubtful.set()
                pause = min(pause * 2, LONGEST_MAP_PAUSE_SECONDS)
            else:
                self._condition.found(self._url.node, self)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def _read_map(self) -> SlotMap:
        """What a node says; raises the last error when none answers. The one that knows of a change is asked first: the
        others may not have heard of it."""
        nodes = [*self._by_node]
        random.shuffle(nodes)
        if self._informant is not None:
            nodes.insert(0, self._informant)
            self._informant = None
        # The address in the URL may lead to a node that is new.
        nodes.append(self._url.node)
        failure: Exception = OSError("there is no node")
        for node in dict.fromkeys(nodes):
            try:
                if slots := await _slots(self._url, node):
                    return slots
                failure = OSError("no node has any slots")
            except (RedisError, OSError) as error:
                failure = error
        raise failure

    def _follow(self, slots: SlotMap) -> None:
        """Give every slot, and what is waiting for it, to the shard that has it now. Slots that nobody has stay."""
        shards = {node: self._by_node.get(node) or self._new_shard(node) for node in set(slots.values())}
        for slot, node in slots.items():
            self._by_slot[slot] = shards[node]
        for shard in self._by_node.values():
            self._send_on(shard)
        for topic in self.topics:
            listener = self._by_slot[topic.slot].listener
            if topic.hearer is not listener:
                topic.hearer.disown(topic)
                listener.adopt(topic)
            elif not topic.is_wanted_there:
                listener.touch(topic)
        in_use = {shard.node: shard for shard in self._by_slot}
        for node in self._by_node.keys() - in_use.keys():
            self._retire(self._by_node[node])
        self._by_node = in_use
        for shard in in_use.values():
            shard.start()
        self._is_mapped.set()

    def _send_on(self, shard: Shard) -> None:
        for parcel in shard.sender.take_all():
            self.put(parcel)

    def _retire(self, shard: Shard) -> None:
        async def retire() -> None:
            await shard.stop()
            self._condition.forget(shard.node)
            # What was on its way, and was not acknowledged.
            self._send_on(shard)

        task = asyncio.create_task(retire())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)


async def _slots(url: ValkeyUrl, node: Node) -> SlotMap:
    """The map of the cluster, as one of its nodes sees it."""
    connection = await connect(url, node)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await send(connection, [("CLUSTER", "SLOTS")])
            try:
                ranges = await connection.read_response(disable_decoding=True, timeout=math.inf)
            except ResponseError as error:
                if "cluster support disabled" in str(error):
                    raise WrongMode("it is no cluster; take ?cluster=true out of the URL") from error
                raise
    finally:
        await disconnect(connection)
    slots: dict[int, Node] = {}
    for first, last, primary, *_ in ranges:
        # A node that does not know its own name has the one that it was reached by.
        host = (primary[0] or b"").decode()
        owner = Node(node.host if host in ("", "?") else host, int(primary[1]))
        slots.update(dict.fromkeys(range(int(first), int(last) + 1), owner))
    return slots
