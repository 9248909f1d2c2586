"""A closed loop of HTTP/1.1 requests: each connection sends its next request when its last one was answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

PREFIX = b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n"


def post(body: bytes, headers: bytes = b"") -> bytes:
    """A request to /graphql as bytes; `headers` are lines of more of them."""
    return b"%s%sContent-Length: %d\r\n\r\n%s" % (PREFIX, headers, len(body), body)


@dataclass(slots=True)
class Loop:
    """What the connections have in common. `is_good` looks at the body of an answer."""

    next_request: Callable[[], bytes]
    is_good: Callable[[bytes], bool]
    is_running: bool = True
    latencies: list[float] = field(default_factory=list)
    bad: list[bytes] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent_at = 0.0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < _content_length(head):
            return
        self._received = b""
        self._loop.latencies.append(time.perf_counter() - self._sent_at)
        if not (head.startswith(b"HTTP/1.1 200") and self._loop.is_good(body)):
            self._loop.bad.append(head + separator + body)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if self._loop.is_running:
            self._loop.bad.append(b"connection lost")
        if not self.closed.done():
            self.closed.set_result(None)

    def _send(self) -> None:
        assert self._transport is not None
        if not self._loop.is_running:
            self._transport.close()
            return
        request = self._loop.next_request()
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def _content_length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0])


async def closed_loop(
    port: int, *, connections: int, seconds: float, next_request: Callable[[], bytes], is_good: Callable[[bytes], bool]
) -> Loop:
    """Keep `connections` busy for so long."""
    loop = Loop(next_request=next_request, is_good=is_good)
    running = asyncio.get_running_loop()
    opened = [await running.create_connection(lambda: Connection(loop), "127.0.0.1", port) for _ in range(connections)]
    await asyncio.sleep(seconds)
    loop.is_running = False
    await asyncio.wait_for(asyncio.gather(*(connection.closed for _, connection in opened)), timeout=30)
    return loop
