"""The broadcaster of the tutorials: one asyncio.Queue for each subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Broker:
    def __init__(self) -> None:
        self._queues: dict[str, set[asyncio.Queue[Any]]] = {}

    @asynccontextmanager
    async def subscribe(self, topic: str) -> AsyncIterator[asyncio.Queue[Any]]:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._queues.setdefault(topic, set()).add(queue)
        try:
            yield queue
        finally:
            self._queues[topic].discard(queue)

    async def publish(self, topic: str, event: object) -> None:
        for queue in self._queues.get(topic, ()):
            await queue.put(event)

    def count(self) -> int:
        return sum(map(len, self._queues.values()))


broker = Broker()
