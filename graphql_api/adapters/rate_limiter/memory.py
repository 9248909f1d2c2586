"""A rate limiter in memory, for one process."""

from __future__ import annotations

import time

from limits.storage import MemoryStorage

from graphql_api.adapters.rate_limiter.windows import (
    CHUNKS,
    SWEEP_SECONDS,
    Advance,
    Counts,
    counter_name,
    seconds_until_free,
    unspent,
    use_of,
)
from graphql_api.ports import Window, WindowUse


class MemoryRateLimiter:
    """Counts in this process. Nothing waits.

    As in Valkey, a hundredth of a limit is taken in advance where that is more than what is asked for: the library
    takes six times as long as spending it. So a caller may get 1 % more in a window that begins while something is
    left.
    """

    def __init__(self) -> None:
        self._counters = _Counters()
        self._advances: dict[str, Advance] = {}
        self._swept_at = time.monotonic()

    async def take(self, window: Window, key: str, amount: int = 1) -> float | None:
        """See RateLimiter."""
        name, now = counter_name(window, key), time.monotonic()
        advance = self._advances.get(name)
        if advance is not None and advance.spend(amount, now):
            return None
        if now - self._swept_at > SWEEP_SECONDS:
            self._sweep(now)
        return self._take(window, name, amount, now)

    async def give_back(self, window: Window, key: str, amount: int) -> None:
        """See RateLimiter."""
        self._counters.give_back(counter_name(window, key), window.seconds, amount)

    async def use(self, window: Window, key: str) -> WindowUse:
        """See RateLimiter."""
        name = counter_name(window, key)
        return use_of(window, self._counts(window, name), unspent=unspent(self._advances.get(name)))

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
                    advance = self._advances.setdefault(name, Advance())
                    advance.left_until = now + window.seconds
                if advance is not None:
                    advance.left = taken - missing
                return None
        return seconds_until_free(window, missing, self._counts(window, name))

    def _counts(self, window: Window, name: str) -> Counts:
        return self._counters.get_sliding_window(name, window.seconds)

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        self._counters.sweep()
        self._advances = {name: each for name, each in self._advances.items() if not each.is_idle(now)}


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
