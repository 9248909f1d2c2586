"""Subscribers with one job each, and what reaches them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.documents import WATCH
from bench.harness import Control, Server
from bench.load.websocket import subscribe_all

ARRIVE_SECONDS = 120.0
POLL_SECONDS = 0.02


class Arrivals:
    """Counts events, and keeps when each came if asked to. Snapshots are not events."""

    def __init__(self) -> None:
        self.subscribed = 0
        self.events = 0
        self.bytes = 0
        self.open_at = 0.0
        self.kept: list[tuple[int, int, int]] | None = None
        self._wanted = 0
        self._arrived = asyncio.Event()

    def on_message(self, number: int, message: bytes, now: int) -> None:
        """Take note of a message."""
        if b'"type":"next"' not in message and b'"type": "next"' not in message:
            raise RuntimeError(f"Not an event: {message!r}")
        if b'"errors"' in message:
            raise RuntimeError(f"An event with errors: {message!r}")
        if b"SNAPSHOT" in message:
            self.subscribed += 1
        else:
            self.events += 1
            self.bytes += len(message)
            if self.kept is not None:
                self.kept.append((number, _step(message), now))
        if self.events >= self._wanted > 0:
            self._arrived.set()

    async def wait_for(self, events: int) -> None:
        """Wait until so many events have come in all."""
        self._wanted = events
        if self.events < events:
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), ARRIVE_SECONDS)


def _step(message: bytes) -> int:
    _, _, rest = message.partition(b'"step":')
    return int(rest.split(b",", 1)[0].strip(b" }"))


@asynccontextmanager
async def open_watchers(
    server: Server, control: Control, *, count: int, job_ids: list[str] | None = None, deflate: bool = False
) -> AsyncIterator[Arrivals]:
    """Subscribe to so many jobs, new ones if none are given, and know that every subscription is live."""
    arrivals = Arrivals()
    if job_ids is None:
        job_ids = await control.ask("create_jobs", count=count)
    subscribers = await subscribe_all(server.port, WATCH, job_ids, arrivals.on_message, deflate=deflate)
    try:
        await _until_live(control, arrivals, count)
        yield arrivals
    finally:
        for subscriber in subscribers:
            subscriber.close()
        control.close()


async def _until_live(control: Control, arrivals: Arrivals, count: int) -> None:
    """Wait for everybody's snapshot, or, as the stock server sends none, for its word that it has the subscription."""
    deadline = time.monotonic() + ARRIVE_SECONDS
    while (live := max(arrivals.subscribed, await control.ask("live"))) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"Only {live} of {count} subscriptions are live.")
        await asyncio.sleep(POLL_SECONDS)
    arrivals.open_at = time.perf_counter()
