"""The streams that are open, and how they end when the process does.

First the process drains: it serves what it has, takes nothing new, and streams go on as long as something can still
happen that they would tell of. Then they end, all of them, so that their clients go elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Listener = Callable[[], None]


class Streams:
    """What must hear that the process drains, and that streams end."""

    def __init__(self) -> None:
        self.is_draining = False
        self.is_ending = False
        self._listeners: dict[Listener, None] = {}

    def drain(self) -> None:
        """Let whoever does nothing leave, and nobody in."""
        self.is_draining = True
        self._tell()

    def end(self) -> None:
        """End the others."""
        self.is_draining = self.is_ending = True
        self._tell()

    def add(self, listener: Listener) -> None:
        """Have `listener` called when one of the two begins; at once, if one has."""
        self._listeners[listener] = None
        if self.is_draining:
            listener()

    def remove(self, listener: Listener) -> None:
        """The stream is over."""
        self._listeners.pop(listener, None)

    @asynccontextmanager
    async def waiting(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Raise TimeoutError after so many seconds, and when streams end."""
        async with asyncio.timeout(seconds) as limit:

            def hurry() -> None:
                if self.is_ending and not limit.expired():
                    limit.reschedule(asyncio.get_running_loop().time())

            self.add(hurry)
            try:
                yield
            finally:
                self.remove(hurry)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()
