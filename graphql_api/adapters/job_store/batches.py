"""Batches: whatever is asked for while one is under way goes with the next, in one round trip and one commit."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from graphql_api.domain.errors import ServiceUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_ITEMS = 256


class Batches(Generic[Item, Result]):
    """Runs items in batches, one batch at a time. No two items of a batch have the same key.

    `run` gets the items of a batch and returns a result for each, or raises and has done nothing. It is called again
    for each of them alone, when one of several spoils it for all.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        key: Callable[[Item], Hashable],
    ) -> None:
        self._run = run
        self._key = key
        self._waiting: list[_Asked[Item, Result]] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Result:
        """The result of an item. Leaving does not undo what is under way."""
        asked = _Asked[Item, Result](item, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._running is None:
            # Not in the name of whoever happens to be the first.
            self._running = asyncio.create_task(self._run_all(), context=contextvars.Context())
        return await asked.future

    async def close(self) -> None:
        """Wait for what is under way or waits."""
        if self._running is not None:
            await asyncio.wait([self._running])

    async def _run_all(self) -> None:
        try:
            while self._waiting:
                await self._settle(self._next_batch())
        finally:
            self._running = None

    def _next_batch(self) -> Sequence[_Asked[Item, Result]]:
        batch: dict[Hashable, _Asked[Item, Result]] = {}
        later = []
        for asked in self._waiting:
            if asked.future.cancelled():
                continue
            if len(batch) < MOST_ITEMS and self._key(asked.item) not in batch:
                batch[self._key(asked.item)] = asked
            else:
                later.append(asked)
        self._waiting = later
        return list(batch.values())

    async def _settle(self, batch: Sequence[_Asked[Item, Result]]) -> None:
        try:
            results = await self._run([asked.item for asked in batch])
        except ServiceUnavailable as error:
            for asked in batch:
                asked.fail(error)
        except Exception as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
            for asked in batch:
                await self._settle([asked])
        else:
            for asked, result in zip(batch, results, strict=True):
                asked.answer(result)


class _Asked(Generic[Item, Result]):
    """An item and who waits for it."""

    __slots__ = ("future", "item")

    def __init__(self, item: Item, future: asyncio.Future[Result]) -> None:
        self.item = item
        self.future = future

    def answer(self, result: Result) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
