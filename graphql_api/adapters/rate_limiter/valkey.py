"""A rate limiter in Valkey or Redis, for all processes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from limits import RateLimitItemPerSecond

from graphql_api.adapters.rate_limiter.memory import MemoryRateLimiter
from graphql_api.adapters.rate_limiter.windows import (
    CHUNKS,
    SWEEP_SECONDS,
    Advance,
    Counts,
    item_of,
    safe_key,
    seconds_until_free,
    unspent,
    use_of,
)
from graphql_api.adapters.valkey_url import ValkeyUrl
from graphql_api.ports import Window, WindowUse

if TYPE_CHECKING:
    from limits.aio.storage import RedisStorage

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 0.25
"""How long a request waits for Valkey at most."""
AWAY_SECONDS = 1.0
"""How long Valkey is left alone when it has not answered."""
REFUSAL_SECONDS = 1.0
"""For how long a refusal is repeated without asking Valkey again."""
CALLS_AT_A_TIME = 32

_GIVE_BACK = """
local amount = tonumber(ARGV[1])
for _, key in ipairs(KEYS) do
    local given = math.min(tonumber(redis.call('get', key)) or 0, amount)
    if given > 0 then
        redis.call('decrby', key, given)
        amount = amount - given
    end
end
"""
"""Counts so much less, in this window first."""


class ValkeyRateLimiter:
    """Counts in Valkey, for all processes.

    So as not to ask for every unit, a process takes a hundredth of a limit in advance, where that is more than what is
    asked for, and spends it by itself for as long as the window is. So a caller may get 1 % of a limit less for each
    process that they have left, and 1 % more in a window that begins while a process still has something. A refusal is
    repeated for a second without asking. While Valkey does not answer, this process counts by itself, and knows nothing
    of what was taken before; what it cannot do because of the call alone is counted here for that call alone.
    """

    def __init__(self, storage: RedisStorage) -> None:
        from limits.aio.strategies import SlidingWindowCounterRateLimiter as SharedLimiter

        self._storage = storage
        self._shared = SharedLimiter(storage)
        self._own = MemoryRateLimiter()
        self._advances: dict[str, Advance] = {}
        self._calls = asyncio.Semaphore(CALLS_AT_A_TIME)
        self._swept_at = self._ask_at = time.monotonic()
        self._is_away = self._has_warned = False
        client: Any = storage.bridge.get_connection()  # type: ignore[attr-defined]
        self._undo = client.register_script(_GIVE_BACK)

    async def take(self, window: Window, key: str, amount: int = 1) -> float | None:
        """See RateLimiter."""
        if amount > window.limit:
            return float(window.seconds)
        item, name = item_of(window), safe_key(key)
        advance = self._advance(item.key_for(name))
        async with advance.lock:
            now = time.monotonic()
            if advance.spend(amount, now):
                return None
            wait_seconds = advance.refusal(amount, now)
            if wait_seconds is not None:
                return wait_seconds
            if self._may_ask(now):
                try:
                    return await self._take_shared(window, item, name, amount, advance)
                except _errors() as error:
                    self._failed(error)
        return await self._own.take(window, key, amount)

    async def give_back(self, window: Window, key: str, amount: int) -> None:
        """See RateLimiter."""
        item = item_of(window)
        name, now = item.key_for(safe_key(key)), time.monotonic()
        left_over = self._advance(name).put_back(amount, window.limit // CHUNKS, now)
        if not left_over:
            return
        if self._may_ask(now):
            try:
                await self._give_back_shared(name, left_over)
            except _errors() as error:
                self._failed(error)
        else:
            await self._own.give_back(window, key, left_over)

    async def use(self, window: Window, key: str) -> WindowUse:
        """See RateLimiter."""
        item, name = item_of(window), safe_key(key)
        if not self._may_ask(time.monotonic()):
            return await self._own.use(window, key)
        try:
            counts = await self._counts(item, name)
        except _errors() as error:
            self._failed(error)
            return await self._own.use(window, key)
        return use_of(window, counts, unspent=unspent(self._advances.get(item.key_for(name))))

    async def close(self) -> None:
        """Disconnect."""
        client: Any = self._storage.bridge.get_connection()  # type: ignore[attr-defined]
        await client.aclose()

    async def _take_shared(
        self, window: Window, item: RateLimitItemPerSecond, name: str, amount: int, advance: Advance
    ) -> float | None:
        missing = amount - advance.left
        # The whole chunk first; what is just needed when there is no more.
        for taken in sorted({max(missing, window.limit // CHUNKS), missing}, reverse=True):
            if await self._hit(item, name, taken):
                if taken > missing:
                    advance.left_until = time.monotonic() + window.seconds
                advance.left += taken - amount
                return None
        wait_seconds = seconds_until_free(window, missing, await self._counts(item, name))
        now = time.monotonic()
        advance.refused_amount, advance.refused_until = amount, now + wait_seconds
        advance.ask_again_at = now + REFUSAL_SECONDS
        return wait_seconds

    async def _hit(self, item: RateLimitItemPerSecond, name: str, amount: int) -> bool:
        async with asyncio.timeout(ANSWER_SECONDS), self._calls:
            is_taken = await self._shared.hit(item, name, cost=amount)
        self._found()
        return is_taken

    async def _give_back_shared(self, name: str, amount: int) -> None:
        # The library's names of this window and the one before.
        keys = [self._storage.bridge.prefixed_key(each) for each in (f"{{{name}}}", f"{{{name}}}/-1")]
        async with asyncio.timeout(ANSWER_SECONDS), self._calls:
            await self._undo(keys, [amount])
        self._found()

    async def _counts(self, item: RateLimitItemPerSecond, name: str) -> Counts:
        async with asyncio.timeout(ANSWER_SECONDS), self._calls:
            counts = await self._storage.get_sliding_window(item.key_for(name), item.get_expiry())
        self._found()
        return counts

    def _may_ask(self, now: float) -> bool:
        if now < self._ask_at:
            return False
        if self._is_away:
            # One tries whether it is back; the others do not wait for that.
            self._ask_at = now + AWAY_SECONDS
        return True

    def _failed(self, error: BaseException) -> None:
        if not _is_of_the_call(error):
            self._lost(error)
        elif not self._has_warned:
            self._has_warned = True
            logger.warning(
                "the rate limiter's Valkey refuses a call, which is counted by this process alone: %r", error
            )

    def _lost(self, error: BaseException) -> None:
        self._ask_at = time.monotonic() + AWAY_SECONDS
        if not self._is_away:
            self._is_away = True
            logger.warning("the rate limiter's Valkey is away, and each process counts by itself: %r", error)

    def _found(self) -> None:
        if self._is_away:
            self._is_away, self._ask_at = False, 0.0
            logger.warning("the rate limiter's Valkey is back")

    def _advance(self, key: str) -> Advance:
        now = time.monotonic()
        if now - self._swept_at > SWEEP_SECONDS:
            self._swept_at = now
            self._advances = {key: each for key, each in self._advances.items() if not each.is_idle(now)}
        return self._advances.setdefault(key, Advance())


@asynccontextmanager
async def open_valkey_rate_limiter(url: ValkeyUrl) -> AsyncIterator[ValkeyRateLimiter]:
    """Count in the Valkey of a URL, which need not be there yet."""
    limiter = ValkeyRateLimiter(_storage(url))
    try:
        yield limiter
    finally:
        await limiter.close()


def _storage(url: ValkeyUrl) -> RedisStorage:
    from limits.aio.storage import RedisClusterStorage, RedisStorage
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    # A connection that broke since it was used last is made again at once; all else is left to the time limit.
    options: dict[str, Any] = {"protocol": 2, "socket_keepalive": True, "retry": Retry(NoBackoff(), 1)}
    if url.username is not None:
        options["username"] = url.username
    if url.password is not None:
        options["password"] = url.password
    if url.ca_file is not None:
        options["ssl_ca_certs"] = str(url.ca_file)
    kind, prefix = "redis", f"{url.prefix}limits"
    if url.is_cluster:
        if url.is_tls:
            options["ssl"] = True
        return RedisClusterStorage(
            f"redis+cluster://{url.node}", implementation="redispy", key_prefix=prefix, **options
        )
    kind = "rediss" if url.is_tls else "redis"
    return RedisStorage(f"{kind}://{url.node}/{url.db}", implementation="redispy", key_prefix=prefix, **options)


def _errors() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisClusterException, RedisError

    return RedisError, RedisClusterException, OSError, TimeoutError


def _is_of_the_call(error: BaseException) -> bool:
    """Whether the server answers, and only this call makes no sense to it. What says that the server is out of memory,
    read-only or closed to us has a class of its own."""
    from redis.exceptions import ResponseError

    return type(error) is ResponseError
