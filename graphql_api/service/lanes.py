"""Sharing out a limited number of slots, so that who is slow waits for themselves and for nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

_WAITING_PER_SLOT = 4
_PUT_OFF_SECONDS = (1.0, 60.0)
_GUESSED_SECONDS = 0.1


class Lane:
    """What goes the same way, such as to one host: some at a time, and some more that wait."""

    def __init__(self, at_a_time: int) -> None:
        self.slots = asyncio.Semaphore(at_a_time)
        self._at_a_time = at_a_time
        self._entered = 0
        self._seconds = _GUESSED_SECONDS
        self._free_at = 0.0

    @property
    def is_full(self) -> bool:
        """Whether so many wait already that another one had better come again later."""
        return self._entered >= self._at_a_time * (1 + _WAITING_PER_SLOT)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Wait in the lane, or have a slot of it."""
        self._entered += 1
        try:
            yield
        finally:
            self._entered -= 1

    def took(self, seconds: float) -> None:
        """Somebody had a slot for so long."""
        self._seconds += (seconds - self._seconds) / 4

    def put_off(self) -> float:
        """In how many seconds to come again. Whoever asks next is told a later time, as if they stood in line."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + self._seconds / self._at_a_time
        soonest, latest = _PUT_OFF_SECONDS
        return min(max(self._free_at - now, soonest), latest)


class Lanes:
    """Lanes by key, each as long as somebody is in it."""

    def __init__(self, at_a_time: int) -> None:
        self._at_a_time = at_a_time
        self._lanes: WeakValueDictionary[Hashable, Lane] = WeakValueDictionary()

    def of(self, key: Hashable) -> Lane:
        """The lane of a key."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(self._at_a_time)
        return lane
