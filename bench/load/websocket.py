"""WebSocket clients of graphql-transport-ws, made by hand so that thousands fit into one process."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
import zlib
from collections.abc import Callable
from typing import cast

OnMessage = Callable[[int, bytes, int], None]
"""Called with the subscriber's number, a message, and when it came (time.monotonic_ns)."""

DEFLATE_OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
"""What every browser sends."""

FIN_TEXT, FIN_CLOSE, FIN_PING, FIN_PONG, COMPRESSED = 0x81, 0x88, 0x89, 0x8A, 0x40


def masked_frame(first_byte: int, payload: bytes) -> bytes:
    """A frame as a client sends it. The mask is zero, which is legal and costs nothing."""
    size = len(payload)
    if size < 126:
        return bytes((first_byte, 0x80 | size, 0, 0, 0, 0)) + payload
    return bytes((first_byte, 0xFE, size >> 8, size & 0xFF, 0, 0, 0, 0)) + payload


class Subscriber(asyncio.Protocol):
    """One socket with one subscription."""

    __slots__ = (
        "_buffer",
        "_inflate",
        "_is_open",
        "_number",
        "_offer",
        "_on_message",
        "_subscribe",
        "_transport",
        "closed",
        "is_closing",
    )

    def __init__(self, number: int, query: str, variables: object, on_message: OnMessage, *, deflate: bool) -> None:
        message = {"id": "1", "type": "subscribe", "payload": {"query": query, "variables": variables}}
        self._number = number
        self._subscribe = masked_frame(FIN_TEXT, json.dumps(message).encode())
        self._on_message = on_message
        self._offer = DEFLATE_OFFER if deflate else ""
        self._inflate = zlib.decompressobj(-15) if deflate else None
        self._buffer = b""
        self._is_open = False
        self._transport: asyncio.Transport | None = None
        self.closed = False
        self.is_closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{self._offer}"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        buffer = self._buffer + data if self._buffer else data
        if not self._is_open:
            head, separator, buffer = buffer.partition(b"\r\n\r\n")
            if not separator:
                self._buffer = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(head.decode(errors="replace"))
            self._is_open = True
            self._write(masked_frame(FIN_TEXT, b'{"type":"connection_init"}'))
        start = 0
        while len(buffer) - start >= 2:
            size, body = buffer[start + 1], start + 2
            if size == 126:
                size, body = int.from_bytes(buffer[start + 2 : start + 4], "big"), start + 4
            elif size == 127:
                size, body = int.from_bytes(buffer[start + 2 : start + 10], "big"), start + 10
            if len(buffer) < body + size:
                break
            self._frame(buffer[start], buffer[body : body + size], now)
            start = body + size
        self._buffer = buffer[start:]

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True

    def close(self) -> None:
        """Leave without a farewell."""
        self.is_closing = True
        if self._transport is not None:
            self._transport.close()

    def _frame(self, first_byte: int, payload: bytes, now: int) -> None:
        if first_byte & COMPRESSED and self._inflate is not None:
            payload = self._inflate.decompress(payload + b"\0\0\xff\xff")
        match first_byte & ~COMPRESSED:
            case 0x81 | 0x82 if b'"connection_ack"' in payload:
                self._write(self._subscribe)
                self._subscribe = b""
            case 0x81 | 0x82:
                self._on_message(self._number, payload, now)
            case 0x89:
                self._write(masked_frame(FIN_PONG, payload))
            case _:
                pass

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)


async def subscribe_all(
    port: int, query: str, job_ids: list[str], on_message: OnMessage, *, deflate: bool = False, at_a_time: int = 100
) -> list[Subscriber]:
    """Open a socket with a subscription for each job."""
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(at_a_time)

    async def open_one(number: int, job_id: str) -> Subscriber:
        subscriber = Subscriber(number, query, {"id": job_id}, on_message, deflate=deflate)
        async with gate:
            await loop.create_connection(lambda: subscriber, "127.0.0.1", port)
        return subscriber

    return list(await asyncio.gather(*(open_one(number, job_id) for number, job_id in enumerate(job_ids))))
