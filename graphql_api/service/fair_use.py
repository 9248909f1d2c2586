"""What each caller may use, and what they have used (docs/decisions/0016-fair-use-and-budgets.md).

Rates and pixels are counted by the rate limiter, jobs in flight and money by the job store, sockets and streams by this
process. A limit that a caller does not have costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache, partial
from types import TracebackType

from graphql_api.domain.caller import UNLIMITED, Caller, CallerLimits
from graphql_api.domain.errors import BudgetExceeded, RateLimited
from graphql_api.domain.ids import CallerId
from graphql_api.ports import JobRecords, RateLimiter, Window
from graphql_api.service.clock import Clock, utc_now
from graphql_api.service.costs import MICRO_DOLLARS

MINUTE_SECONDS = 60
DAY_SECONDS = 86_400
FRESH_SECONDS = 1.0
"""How long a figure of the job store is good for, as long as there is room."""
RETRY_SECONDS = 5.0
"""When to try again where that depends on when something ends."""
MAX_MERGED = 1_000
"""How many different sets of limits are remembered with the server's own put in."""
COUNTED_JOBS = 10_000
"""How far the jobs in flight are counted for a caller who may have any number of them."""


class LimitKind(StrEnum):
    """What is limited."""

    REQUESTS_PER_MINUTE = "REQUESTS_PER_MINUTE"
    JOBS_PER_MINUTE = "JOBS_PER_MINUTE"
    JOBS_IN_FLIGHT = "JOBS_IN_FLIGHT"
    PIXELS_PER_DAY = "PIXELS_PER_DAY"
    SOCKETS = "SOCKETS"
    STREAMS = "STREAMS"
    DOLLARS_PER_MONTH = "DOLLARS_PER_MONTH"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """How much of something a caller may use (None is any number), and has used.

    `resets_at` is when all of it will be free again if nothing more is used; None where nothing is used, or where that
    depends on when jobs, sockets or streams end. Rates and pixels are counted only for callers who have a limit of
    them; for others `used` is 0. Sockets and streams are those of this process.
    """

    kind: LimitKind
    limit: float | None
    used: float
    resets_at: datetime | None = None


class FairUse:
    """Lets callers use what is theirs, and refuses the rest with words and a time."""

    def __init__(
        self,
        limiter: RateLimiter,
        store: JobRecords,
        defaults: CallerLimits = UNLIMITED,
        *,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limiter = limiter
        self._store = store
        self._defaults = defaults
        self._merged: dict[CallerLimits, CallerLimits] = {}
        self._clock = clock
        self._in_flight = _Tallies(monotonic)
        self._charged = _Tallies(monotonic)
        self._sockets = _Open("You have as many connections open as you may; close one.")
        self._streams = _Open("You have as many streams open as you may; end one.")

    @property
    def size(self) -> int:
        """How many figures are kept of callers."""
        return len(self._in_flight) + len(self._charged) + len(self._sockets) + len(self._streams)

    def limits_of(self, caller: Caller) -> CallerLimits:
        """What a caller may use: their own limits, and the server's where they have none."""
        known = self._merged.get(caller.limits)
        if known is None:
            if len(self._merged) >= MAX_MERGED:
                self._merged.clear()
            known = self._merged[caller.limits] = caller.limits.or_else(self._defaults)
        return known

    async def admit_request(self, caller: Caller) -> None:
        """Count a request. Raises RateLimited."""
        limit = caller.limits.requests_per_minute
        if limit is None:
            limit = self._defaults.requests_per_minute
        if limit is not None:
            await self.take(_requests(limit), caller, 1, "You send more requests a minute than you may.")

    def admitting(self, caller: Caller, *, pixels: int, reserved: int | None) -> Admission:
        """Count a job that is added to the store while the context is open. Raises RateLimited or BudgetExceeded,
        before that.

        `pixels` are those of all its images. `reserved` is what it is expected to cost, in millionths of a US dollar: 0
        where nobody knows, None where its model has no price, so that it needs no budget. What was not added in the end
        counts towards the jobs a minute, but not towards anything else: whoever leaves the context without an error and
        has added nothing says so by `Admission.undo`.
        """
        return Admission(self, caller, pixels, reserved)

    @contextmanager
    def socket(self, caller: Caller) -> Iterator[None]:
        """While a caller has a WebSocket open. Raises RateLimited."""
        with self._sockets.one_more(caller.id, self.limits_of(caller).sockets):
            yield

    @contextmanager
    def stream(self, caller: Caller) -> Iterator[None]:
        """While a caller has a stream of events open. Raises RateLimited."""
        with self._streams.one_more(caller.id, self.limits_of(caller).streams):
            yield

    async def usage(self, caller: Caller) -> Sequence[LimitUse]:
        """An entry of each kind. Raises ServiceUnavailable while the job store is away."""
        limits = self.limits_of(caller)
        requests, jobs, pixels, in_flight, dollars = await asyncio.gather(
            self._use(LimitKind.REQUESTS_PER_MINUTE, limits.requests_per_minute, _requests, caller),
            self._use(LimitKind.JOBS_PER_MINUTE, limits.jobs_per_minute, _jobs, caller),
            self._use(LimitKind.PIXELS_PER_DAY, limits.pixels_per_day, _pixels, caller),
            self._store.count_active(caller.id, COUNTED_JOBS),
            self._dollars(caller, limits),
        )
        return [
            requests,
            jobs,
            LimitUse(kind=LimitKind.JOBS_IN_FLIGHT, limit=limits.jobs_in_flight, used=in_flight),
            pixels,
            LimitUse(kind=LimitKind.SOCKETS, limit=limits.sockets, used=self._sockets.count(caller.id)),
            LimitUse(kind=LimitKind.STREAMS, limit=limits.streams, used=self._streams.count(caller.id)),
            dollars,
        ]

    async def take(self, window: Window, caller: Caller, amount: int, message: str) -> None:
        """Take units of a window. Raises RateLimited."""
        wait_seconds = await self._limiter.take(window, caller.id, amount)
        if wait_seconds is not None:
            raise RateLimited(retry_after_seconds=wait_seconds, message=message)

    async def give_back(self, window: Window, caller: Caller, amount: int) -> None:
        """Give back units that were taken for nothing."""
        await self._limiter.give_back(window, caller.id, amount)

    async def place_in_flight(self, caller_id: CallerId, limit: int) -> Place:
        """Room for one more job in flight. Raises RateLimited."""
        count = partial(self._store.count_active, caller_id, limit)
        place = await self._in_flight.place(caller_id, count, amount=1, limit=limit)
        if place is None:
            raise RateLimited(
                retry_after_seconds=RETRY_SECONDS,
                message="You have as many jobs in flight as you may; wait until one ends.",
            )
        return place

    async def place_in_budget(self, account: str, budget: int, reserved: int) -> Place:
        """Room for what a job may cost. Raises BudgetExceeded."""
        now = self._clock()
        month = _month(now)
        read = partial(self._store.charged, account, month)
        place = await self._charged.place(f"{month} {account}", read, amount=reserved, limit=budget)
        if place is None:
            raise BudgetExceeded(retry_after_seconds=(_next_month(now) - now).total_seconds())
        return place

    async def _use(
        self, kind: LimitKind, limit: int | None, window_of: Callable[[int], Window], caller: Caller
    ) -> LimitUse:
        if limit is None:
            return LimitUse(kind=kind, limit=None, used=0)
        found = await self._limiter.use(window_of(limit), caller.id)
        return LimitUse(kind=kind, limit=limit, used=found.used, resets_at=found.resets_at if found.used else None)

    async def _dollars(self, caller: Caller, limits: CallerLimits) -> LimitUse:
        now = self._clock()
        charged = await self._store.charged(caller.account, _month(now))
        return LimitUse(
            kind=LimitKind.DOLLARS_PER_MONTH,
            limit=limits.dollars_per_month,
            used=charged / MICRO_DOLLARS,
            resets_at=_next_month(now) if charged else None,
        )


class Admission:
    """The context of `FairUse.admitting`. A class, since it is entered for each job."""

    __slots__ = ("_caller", "_fair_use", "_is_undone", "_pixels", "_places", "_reserved", "_window")

    def __init__(self, fair_use: FairUse, caller: Caller, pixels: int, reserved: int | None) -> None:
        self._fair_use = fair_use
        self._caller = caller
        self._pixels = pixels
        self._reserved = reserved
        self._places: list[Place] = []
        self._window: Window | None = None
        """Where the pixels were taken."""
        self._is_undone = False

    async def __aenter__(self) -> Admission:
        try:
            await self._enter(self._fair_use.limits_of(self._caller))
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()
        # Whoever is canceled may have added the job all the same: hanging up must not be a way to free pixels.
        if self._window is not None and (self._is_undone or isinstance(error, Exception)):
            await self._fair_use.give_back(self._window, self._caller, self._pixels)

    def undo(self) -> None:
        """Nothing was added."""
        self._is_undone = True

    async def _enter(self, limits: CallerLimits) -> None:
        fair_use, caller = self._fair_use, self._caller
        if limits.jobs_per_minute is not None:
            message = "You submit more jobs a minute than you may."
            await fair_use.take(_jobs(limits.jobs_per_minute), caller, 1, message)
        if limits.jobs_in_flight is not None:
            self._places.append(await fair_use.place_in_flight(caller.id, limits.jobs_in_flight))
        if limits.dollars_per_month is not None and self._reserved is not None:
            budget = int(limits.dollars_per_month * MICRO_DOLLARS)
            self._places.append(await fair_use.place_in_budget(caller.account, budget, self._reserved))
        if limits.pixels_per_day is not None:
            message = "You ask for more pixels a day than you may."
            window = _pixels(limits.pixels_per_day)
            await fair_use.take(window, caller, self._pixels, message)
            self._window = window

    def _leave(self) -> None:
        for place in self._places:
            place.leave()


class _Open:
    """What callers have open. Who has nothing open is not known here."""

    def __init__(self, refusal: str) -> None:
        self._refusal = refusal
        self._counts: dict[CallerId, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, caller_id: CallerId) -> int:
        """How much a caller has open."""
        return self._counts.get(caller_id, 0)

    @contextmanager
    def one_more(self, caller_id: CallerId, limit: int | None) -> Iterator[None]:
        """While one more is open. Raises RateLimited."""
        count = self.count(caller_id)
        if limit is not None and count >= limit:
            raise RateLimited(retry_after_seconds=RETRY_SECONDS, message=self._refusal)
        self._counts[caller_id] = count + 1
        try:
            yield
        finally:
            self._counts[caller_id] -= 1
            if not self._counts[caller_id]:
                del self._counts[caller_id]


class _Tally:
    """A figure of the store, with what has been added since it was read."""

    __slots__ = ("added", "adding", "good_until", "known", "reading", "waiting")

    def __init__(self) -> None:
        self.known = 0
        self.good_until = 0.0
        self.adding = 0
        """What is being added, and may not be in a figure that is read now."""
        self.added = 0
        """What was ever added."""
        self.waiting = 0
        """How many look at it or add to it."""
        self.reading = asyncio.Lock()

    def has_room(self, amount: int, limit: int) -> bool:
        """Whether the limit is neither reached nor would be exceeded."""
        return self.known < limit and self.known + amount <= limit


class Place:
    """Room that was found for an amount, and is held until it is left."""

    __slots__ = ("_amount", "_tally")

    def __init__(self, tally: _Tally, amount: int) -> None:
        self._tally = tally
        self._amount = amount

    def leave(self) -> None:
        """What was to be added is in the store, or never will be."""
        self._tally.adding -= self._amount
        self._tally.waiting -= 1


class _Tallies:
    """Figures of the store by key, read anew when they are old or when there is no room."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._tallies: dict[str, _Tally] = {}
        self._sweep_at = 0.0

    def __len__(self) -> int:
        return len(self._tallies)

    async def place(self, key: str, read: Callable[[], Awaitable[int]], *, amount: int, limit: int) -> Place | None:
        """Room for an amount, which is added until the place is left. None when there is none."""
        self._sweep()
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.waiting += 1
        try:
            if not await self._has_room(tally, read, amount, limit):
                return None
            tally.known += amount
            tally.adding += amount
            tally.added += amount
            tally.waiting += 1
            return Place(tally, amount)
        finally:
            tally.waiting -= 1

    async def _has_room(self, tally: _Tally, read: Callable[[], Awaitable[int]], amount: int, limit: int) -> bool:
        if self._is_fresh(tally) and tally.has_room(amount, limit):
            return True
        async with tally.reading:
            if not (self._is_fresh(tally) and tally.has_room(amount, limit)):
                # Smaller amounts may find room while this reads.
                unseen = tally.adding - tally.added
                found = await read()
                tally.known = found + unseen + tally.added
                tally.good_until = self._monotonic() + FRESH_SECONDS
        return tally.has_room(amount, limit)

    def _is_fresh(self, tally: _Tally) -> bool:
        return self._monotonic() < tally.good_until

    def _sweep(self) -> None:
        """Forget the figures that are old, now and then."""
        now = self._monotonic()
        if now >= self._sweep_at:
            self._sweep_at = now + FRESH_SECONDS
            kept = {key: each for key, each in self._tallies.items() if each.waiting or self._is_fresh(each)}
            self._tallies = kept


@lru_cache(maxsize=1_000)
def _requests(limit: int) -> Window:
    return Window(name="requests", limit=limit, seconds=MINUTE_SECONDS)


@lru_cache(maxsize=1_000)
def _jobs(limit: int) -> Window:
    return Window(name="jobs", limit=limit, seconds=MINUTE_SECONDS)


@lru_cache(maxsize=1_000)
def _pixels(limit: int) -> Window:
    return Window(name="pixels", limit=limit, seconds=DAY_SECONDS)


def _month(at: datetime) -> str:
    """As in Job.month."""
    return f"{at:%Y-%m}"


def _next_month(at: datetime) -> datetime:
    """The first instant of the month that follows."""
    year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
    return at.replace(year=year, month=month, day=1, hour=0, minute=0, second=0, microsecond=0)
