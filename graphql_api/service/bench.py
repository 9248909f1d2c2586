"""What a worker works with, and how it insists."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

from graphql_api.domain.errors import ServiceUnavailable
from graphql_api.ports import EventBroker, ImageStore, JobStore
from graphql_api.service.clock import Clock, utc_now
from graphql_api.service.estimates import Estimates

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_RETRY_SECONDS = 5.0

LINGER_SECONDS = 5.0
"""How long a run that was cancelled waits for a call whose effect it must know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker works. All times are in seconds.

    `hears_notices` tells whether deferred endpoints can tell of their answers; where they cannot, answers are looked
    for more often. `store_seconds` is how long an answer is kept in hand while the image store is away.
    """

    lease_seconds: float = 30.0
    poll_seconds: float = 2.0
    drain_seconds: float = 5.0
    estimate_seconds: float = 0.5
    retry_seconds: float = 0.2
    store_seconds: float = 3600.0
    hears_notices: bool = False
    embed_parameters: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a run works with."""

    worker_id: str
    store: JobStore
    images: ImageStore
    broker: EventBroker
    estimates: Estimates
    executor: Executor
    options: WorkerOptions
    clock: Clock = utc_now

    async def insist(self, action: Callable[[], Awaitable[T]], *, what_for: str) -> T:
        """Do something until the store behind it answers."""
        backoff = Backoff(self.options.retry_seconds, most_seconds=MAX_RETRY_SECONDS)
        while True:
            try:
                return await action()
            except ServiceUnavailable as error:
                logger.warning("%s waits for a store: %s", what_for, error, exc_info=error)
            await backoff.pause()


async def to_the_end(action: Coroutine[Any, Any, T]) -> T:
    """Wait for an action, also for a while when cancelled in the meantime: what it has done is known then."""
    task = asyncio.ensure_future(action)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=LINGER_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


class Backoff:
    """Pauses that double up to a limit, each shortened by up to a half at random, so that many who wait for one thing
    do not all come back at once."""

    def __init__(self, first_seconds: float, *, most_seconds: float) -> None:
        self._next_seconds = first_seconds
        self._most_seconds = most_seconds

    async def pause(self) -> None:
        """Wait, and longer the next time."""
        seconds = self._next_seconds
        self._next_seconds = min(2 * seconds, self._most_seconds)
        await asyncio.sleep(seconds * random.uniform(0.5, 1.0))
