"""Looking up the addresses of a name that a stranger has chosen."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence

AT_A_TIME = 128


class NameLookup:
    """Asks the resolver of the system, in threads of its own.

    A name server may be as slow as its owner likes, and a lookup cannot be broken off. The threads of the event loop
    would all be waiting for it, and nobody could write a file or connect to the database. These are daemons, so that
    the process can end while they wait, and there are at most AT_A_TIME of them.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_A_TIME)

    async def __call__(self, host: str) -> Sequence[str]:
        """The addresses of a host, best first. Raises OSError when it has none, or is no name."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Sequence[str]] = loop.create_future()

        def finish(answer: Sequence[str] | OSError) -> None:
            self._free.release()
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

        threading.Thread(target=work, name="webhook name lookup", daemon=True).start()
        return await found


def _addresses(host: str) -> Sequence[str] | OSError:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return error
    except UnicodeError:
        # Labels that are empty or too long.
        return OSError("This is not the name of a host.")
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
