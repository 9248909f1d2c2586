"""What rate limiters on the library `limits` have in common: its sliding window counter, and units taken in advance.

The counter knows how much was taken in the current window and in the one before, and weighs the latter by the part of
it that the last `seconds` still reach into. So a caller never gets twice the limit around the end of a window, and a
key takes two numbers, however high its limit is.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from limits import RateLimitItemPerSecond

from graphql_api.ports import Window, WindowUse

LEAST_WAIT_SECONDS = 0.1
SWEEP_SECONDS = 10.0
CHUNKS = 100
"""Into how many parts a limit is cut for taking in advance."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.@:|-]{1,100}")

Counts = tuple[int, float, int, float]
"""Units of the window before this one, seconds until they count no more, units of this one, seconds until it counts no
more after having become the one before."""


@dataclass(slots=True)
class Advance:
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


def unspent(advance: Advance | None) -> int:
    """What was taken in advance, and may still be spent."""
    return advance.left if advance is not None and time.monotonic() < advance.left_until else 0


@lru_cache(maxsize=1_000)
def item_of(window: Window) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(window.limit, window.seconds, namespace=window.name)


@lru_cache(maxsize=10_000)
def counter_name(window: Window, key: str) -> str:
    """The name of the counter of a key's window."""
    return item_of(window).key_for(safe_key(key))


def safe_key(key: str) -> str:
    """The key, or a hash of it where it is long or holds what could mean something to a server."""
    return key if _PLAIN_KEY.fullmatch(key) else "#" + hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def seconds_until_free(window: Window, amount: int, counts: Counts) -> float:
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


def use_of(window: Window, counts: Counts, *, unspent: int = 0) -> WindowUse:
    earlier, earlier_seconds, current, current_seconds = counts
    used = math.floor(earlier * earlier_seconds / window.seconds) + current
    seconds = current_seconds if current else earlier_seconds if earlier else 0.0
    return WindowUse(used=max(used - unspent, 0), resets_at=datetime.now(UTC) + timedelta(seconds=seconds))
