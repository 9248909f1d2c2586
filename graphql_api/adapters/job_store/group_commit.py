"""One thread that owns a SQLite connection and commits together what waits.

A commit that reaches the disk costs the same for one write and for a hundred. So while one transaction is written,
callers line up, and the next transaction takes all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

from graphql_api.adapters.job_store.sqlite_file import translated
from graphql_api.domain.errors import ServiceUnavailable, Text2ImageError

T = TypeVar("T")

Operation = Callable[[sqlite3.Connection], T]
"""Reads and writes, inside of a transaction that others use too. It may run twice, the first time without effect.
It raises an error of the domain only before it has written anything."""


class GroupCommit:
    """Runs operations on a connection, on a thread of its own. Belongs to the event loop that it is made on."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        begin: str = "BEGIN IMMEDIATE",
        on_end: Callable[[], object] | None = None,
    ) -> None:
        """Start the thread. The connection is its own from now on: it closes it at its end, then calls `on_end`."""
        self._connection = connection
        self._begin = begin
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Pending] = []
        self._handed_over: SimpleQueue[Sequence[_Pending] | None] = SimpleQueue()
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="job-store", daemon=True)
        self._thread.start()

    async def run(self, operation: Operation[T]) -> T:
        """The result of an operation, once what it wrote is durable. Raises what it raises, translated."""
        if self._is_closed:
            raise ServiceUnavailable
        pending = _Pending(operation, self._loop.create_future())
        if not self._waiting:
            # What else comes up in this turn of the loop goes with it: one wake-up of the thread for all of it.
            self._loop.call_soon(self._hand_over)
        self._waiting.append(pending)
        result: T = await pending.future
        return result

    async def close(self) -> None:
        """Finish what waits, then end the thread."""
        self._is_closed = True
        self._hand_over()
        self._handed_over.put(None)
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        if self._waiting:
            self._handed_over.put(self._waiting)
            self._waiting = []

    # --- on the thread ---

    def _serve(self) -> None:
        try:
            while batch := self._next_batch():
                self._settle(batch)
                self._loop.call_soon_threadsafe(_answer, batch)
        finally:
            self._connection.close()
            if self._on_end is not None:
                self._on_end()

    def _next_batch(self) -> Sequence[_Pending]:
        """Everything that waits, at least one; nothing at the end."""
        batch: list[_Pending] = []
        while not batch or not self._handed_over.empty():
            more = self._handed_over.get()
            if more is None:
                # Nothing comes behind it. It stays for the next turn when this one has work.
                if batch:
                    self._handed_over.put(None)
                break
            batch.extend(more)
        return batch

    def _settle(self, batch: Sequence[_Pending]) -> None:
        """Run a batch in one transaction, or each operation in its own where one of them spoils it for all."""
        try:
            self._connection.execute(self._begin)
        except sqlite3.Error as error:
            for pending in batch:
                pending.error = translated(error)
            return
        try:
            for pending in batch:
                pending.run(self._connection)
            self._connection.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            if len(batch) == 1:
                batch[0].error = translated(error)
                return
            for pending in batch:
                self._settle([pending])

    def _roll_back(self) -> None:
        # SQLite has done it already after some errors. Where it cannot, the next BEGIN fails and says so.
        with contextlib.suppress(sqlite3.Error):
            self._connection.rollback()


class _Pending:
    """An operation and who waits for it."""

    __slots__ = ("error", "future", "operation", "result")

    def __init__(self, operation: Operation[Any], future: asyncio.Future[Any]) -> None:
        self.operation = operation
        self.future = future
        self.result: Any = None
        self.error: Exception | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        """Run it, unless its caller has left. Remembers an error of the domain, raises any other."""
        self.error = None
        if self.future.cancelled():
            return
        try:
            self.result = self.operation(connection)
        except Text2ImageError as error:
            self.error = error


def _answer(batch: Sequence[_Pending]) -> None:
    for pending in batch:
        if pending.future.done():
            continue
        if pending.error is None:
            pending.future.set_result(pending.result)
        else:
            pending.future.set_exception(pending.error)
