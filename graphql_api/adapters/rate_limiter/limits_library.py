"""Rate limiters on the library `limits`, by its sliding window counter.

The counter knows how much was taken in the current window and in the one before, and weighs the latter by the part of
it that the last `seconds` still reach into. So a caller never gets twice the limit around the end of a window, and a
key takes two numbers, however high its limit is.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage

from graphql_api.adapters.valkey_url import ValkeyUrl
from graphql_api.ports import Window, WindowUse

if TYPE_CHECKING:
    from limits.aio.storage import RedisStorage

logger = logging.getLogger(__name__)

LEAST_WAIT_SECONDS = 0.1
SWEEP_SECONDS = 10.0
ANSWER_SECONDS = 0.25
"""How long a request waits for Valkey at most."""
AWAY_SECONDS = 1.0
"""How long Valkey is left alone when it has not answered."""
REFUSAL_SECONDS = 1.0
"""For how long a refusal is repeated without asking Valkey again."""
CALLS_AT_A_TIME = 32
CHUNKS = 100

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.@:|-]{1,100}")

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

Counts = tuple[int, float, int, float]
"""Units of the window before this one, seconds until they count no more, units of this one, seconds until it counts no
more after having become the one before."""


class _Counters(MemoryStorage):
    """The library's counters without its threads: it starts one for each burst of hits, which looks at every key."""

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        count = self.get(key) + amount
        self.storage[key] = count
        self.expirations.setdefault(key, time.time() + expiry)
        return count

    def give_back(self, key: str, expiry: int, amount: int) -> None:
        """Count so much less, in this window first."""
        for name in reversed(self.sliding_window_keys(key, expiry, time.time())):
            count = self.get(name)
            given = min(count, amount)
            if given:
                self.storage[name] = count - given
                amount -= given

    def sweep(self) -> None:
        """Forget what counts no more."""
        now = time.time()
        for key in [key for key, expires_at in self.expirations.items() if expires_at <= now]:
            self.get(key)


@dataclass(slots=True)
class _Advance:
    """What this process has of one key's window: `left` units that were taken in advance, or a refusal that still
    holds."""

    left: int = 0
    left_until: float = 0.0
    refused_amount: int = 0
    refused_until: float = 0.0
    ask_again_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def spend(self, amount: int, now: float) -> bool:
        """Whether what was taken in advance is enough."""
        if now >= self.left_until:
            self.left = 0
        if amount > self.left:
            return False
        self.left -= amount
        return True

    def put_back(self, amount: int, most: int, now: float) -> int:
        """Keep what was taken in advance, up to `most` in all. Returns what is not kept."""
        # What was refused may find room now.
        self.refused_until = 0.0
        kept = min(amount, max(most - self.left, 0)) if now < self.left_until else 0
        self.left += kept
        return amount - kept

    def refusal(self, amount: int, now: float) -> float | None:
        """In how many seconds to try again, where that is known."""
        is_known = amount >= self.refused_amount and now < min(self.refused_until, self.ask_again_at)
        return max(self.refused_until - now, LEAST_WAIT_SECONDS) if is_known else None

    def is_idle(self, now: float) -> bool:
        """Whether it says nothing more."""
        return now >= max(self.left_until, self.refused_until) and not self.lock.locked()


class MemoryRateLimiter:
    """Counts in this process. Nothing waits.

    As in Valkey, a hundredth of a limit is taken in advance where that is more than what is asked for: the library
    takes six times as long as spending it. So a caller may get 1 % more in a window that begins while something is
    left.
    """

    def __init__(self) -> None:
        self._counters = _Counters()
        self._advances: dict[str, _Advance] = {}
        self._swept_at = time.monotonic()

    async def take(self, window: Window, key: str, amount: int = 1) -> float | None:
        """See RateLimiter."""
        name, now = _counter(window, key), time.monotonic()
        advance = self._advances.get(name)
        if advance is not None and advance.spend(amount, now):
            return None
        if now - self._swept_at > SWEEP_SECONDS:
            self._sweep(now)
        return self._take(window, name, amount, now)

    async def give_back(self, window: Window, key: str, amount: int) -> None:
        """See RateLimiter."""
        self._counters.give_back(_counter(window, key), window.seconds, amount)

    async def use(self, window: Window, key: str) -> WindowUse:
        """See RateLimiter."""
        name = _counter(window, key)
        return _use(window, self._counts(window, name), unspent=_unspent(self._advances.get(name)))

    @property
    def size(self) -> int:
        """How many numbers are kept."""
        return len(self._counters.storage) + len(self._advances)

    def _take(self, window: Window, name: str, amount: int, now: float) -> float | None:
        advance = self._advances.get(name)
        left = 0 if advance is None else advance.left
        missing = amount - left
        # The whole chunk first; what is just needed when there is no more.
        for taken in sorted({max(missing, window.limit // CHUNKS), missing}, reverse=True):
            if self._counters.acquire_sliding_window_entry(name, window.limit, window.seconds, taken):
                if taken > missing:
                    advance = self._advances.setdefault(name, _Advance())
                    advance.left_until = now + window.seconds
                if advance is not None:
                    advance.left = taken - missing
                return None
        return _seconds_until_free(window, missing, self._counts(window, name))

    def _counts(self, window: Window, name: str) -> Counts:
        return self._counters.get_sliding_window(name, window.seconds)

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        self._counters.sweep()
        self._advances = {name: each for name, each in self._advances.items() if not each.is_idle(now)}


def _unspent(advance: _Advance | None) -> int:
    """What was taken in advance, and may still be spent."""
    return advance.left if advance is not None and time.monotonic() < advance.left_until else 0


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
        self._advances: dict[str, _Advance] = {}
        self._calls = asyncio.Semaphore(CALLS_AT_A_TIME)
        self._swept_at = self._ask_at = time.monotonic()
        self._is_away = self._has_warned = False
        client: Any = storage.bridge.get_connection()  # type: ignore[attr-defined]
        self._undo = client.register_script(_GIVE_BACK)

    async def take(self, window: Window, key: str, amount: int = 1) -> float | None:
        """See RateLimiter."""
        if amount > window.limit:
            return float(window.seconds)
        item, name = _item(window), _safe(key)
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
        item = _item(window)
        name, now = item.key_for(_safe(key)), time.monotonic()
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
        item, name = _item(window), _safe(key)
        if not self._may_ask(time.monotonic()):
            return await self._own.use(window, key)
        try:
            counts = await self._counts(item, name)
        except _errors() as error:
            self._failed(error)
            return await self._own.use(window, key)
        return _use(window, counts, unspent=_unspent(self._advances.get(item.key_for(name))))

    async def close(self) -> None:
        """Disconnect."""
        client: Any = self._storage.bridge.get_connection()  # type: ignore[attr-defined]
        await client.aclose()

    async def _take_shared(
        self, window: Window, item: RateLimitItemPerSecond, name: str, amount: int, advance: _Advance
    ) -> float | None:
        missing = amount - advance.left
        # The whole chunk first; what is just needed when there is no more.
        for taken in sorted({max(missing, window.limit // CHUNKS), missing}, reverse=True):
            if await self._hit(item, name, taken):
                if taken > missing:
                    advance.left_until = time.monotonic() + window.seconds
                advance.left += taken - amount
                return None
        wait_seconds = _seconds_until_free(window, missing, await self._counts(item, name))
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

    def _advance(self, key: str) -> _Advance:
        now = time.monotonic()
        if now - self._swept_at > SWEEP_SECONDS:
            self._swept_at = now
            self._advances = {key: each for key, each in self._advances.items() if not each.is_idle(now)}
        return self._advances.setdefault(key, _Advance())


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


@lru_cache(maxsize=1_000)
def _item(window: Window) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(window.limit, window.seconds, namespace=window.name)


@lru_cache(maxsize=10_000)
def _counter(window: Window, key: str) -> str:
    """The name of the counter of a key's window."""
    return _item(window).key_for(_safe(key))


def _safe(key: str) -> str:
    """The key, or a hash of it where it is long or holds what could mean something to a server."""
    return key if _PLAIN_KEY.fullmatch(key) else "#" + hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def _seconds_until_free(window: Window, amount: int, counts: Counts) -> float:
    """When there is room for an amount, if nothing else is taken until then."""
    if amount > window.limit:
        return float(window.seconds)
    earlier, earlier_seconds, current, current_seconds = counts
    # Taken is what stays below this.
    room = window.limit - amount + 1
    end = max(current_seconds - window.seconds, 0.0)
    seconds = 0.0
    if current >= room:
        seconds = end + window.seconds * (1 - room / current)
    elif earlier * earlier_seconds / window.seconds + current >= room:
        seconds = earlier_seconds - (room - current) * window.seconds / earlier
    return max(math.ceil(1000 * seconds + 1) / 1000, LEAST_WAIT_SECONDS)


def _use(window: Window, counts: Counts, *, unspent: int = 0) -> WindowUse:
    earlier, earlier_seconds, current, current_seconds = counts
    used = math.floor(earlier * earlier_seconds / window.seconds) + current
    seconds = current_seconds if current else earlier_seconds if earlier else 0.0
    return WindowUse(used=max(used - unspent, 0), resets_at=datetime.now(UTC) + timedelta(seconds=seconds))
