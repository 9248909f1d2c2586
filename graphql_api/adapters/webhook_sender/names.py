"""Looking up the addresses of a name that a stranger has chosen."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from weakref import WeakValueDictionary

AT_A_TIME = 128
PER_LANE = 8

# Also a name server that refuses, or answers what the resolver cannot read.
_NO_VERDICT = frozenset({socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_MEMORY})


class NameLookup:
    """Asks the resolver of the system, in threads of its own.

    A name server may be as slow as its owner likes, and a lookup cannot be broken off. The threads of the event loop
    would all be waiting for it, and nobody could write a file or connect to the database. These are daemons, so that
    the process can end while they wait, and there are at most `at_a_time` of them, `per_lane` in one lane. A thread
    counts until it has ended, also when nobody waits for its answer any more.
    """

    def __init__(self, *, at_a_time: int = AT_A_TIME, per_lane: int = AT_A_TIME) -> None:
        self._free = asyncio.Semaphore(at_a_time)
        self._per_lane = per_lane
        self._lanes: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def __call__(self, host: str, *, lane: str = "") -> Sequence[str]:
        """The addresses of a host, best first; none when it has none, or is no name. Waits for a thread that is free.
        Raises OSError when the host could not be looked up for the moment."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Sequence[str]] = loop.create_future()
        with ExitStack() as waiting:
            for slots in (self._lane(lane), self._free):
                await slots.acquire()
                waiting.callback(slots.release)
            held = waiting.pop_all()

        def finish(answer: Sequence[str] | OSError) -> None:
            held.close()
            if found.done():
                return
            if isinstance(answer, OSError):
                found.set_exception(answer)
            else:
                found.set_result(answer)

        def work() -> None:
            answer = _addresses(host)
            # The loop may have ended meanwhile, and everybody who asked with it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, answer)

        try:
            threading.Thread(target=work, name="webhook name lookup", daemon=True).start()
        except RuntimeError as error:
            held.close()
            raise OSError(errno.EAGAIN, "There is no thread for a lookup.") from error
        return await found

    def _lane(self, key: str) -> asyncio.Semaphore:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = asyncio.Semaphore(self._per_lane)
        return lane


def _addresses(host: str) -> Sequence[str] | OSError:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return error if error.errno in _NO_VERDICT else ()
    except OSError as error:
        return error
    except UnicodeError:
        # Labels that are empty or too long.
        return ()
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
