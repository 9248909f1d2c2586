"""A proxy in front of a real server that makes chosen requests fail, wait, or lose their answer.

    async with FaultyProxy(moto.origin) as proxy:
        proxy.faults.append(Fault(method="PUT", times=3, status=503, body=s3_error("SlowDown")))
        ...                                # clients use proxy.origin
        assert len(proxy.passed) == 1

Every connection carries one request, and a request is read as a whole before it goes on; answers are passed on as they
come, so that streams stay streams.
"""

from __future__ import annotations

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from urllib.parse import urlsplit

_MOST_HEAD_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024


class Cut(Enum):
    """Where a connection is cut."""

    BEFORE = "the server never sees the request"
    AFTER = "the server has answered; the client never sees the answer"


class Gate:
    """Holds requests until it is opened; then it lets all of them through."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        """Set as soon as a request waits here."""
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let the requests go on."""
        self._opened.set()

    async def pass_through(self) -> None:
        """Wait here."""
        self.reached.set()
        await self._opened.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as the client sent it. Names of headers are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to the next `times` requests (None: to all) that match.

    It waits for the gate, then for the delay. Then it is cut, or answered with `status`, or goes on to the server as if
    nothing had been.
    """

    method: str | None = None
    path: re.Pattern[str] | None = None
    """Searched for in the path and the query."""
    times: int | None = 1
    gate: Gate | None = None
    delay_seconds: float = 0.0
    cut: Cut | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def takes(self, request: Request) -> bool:
        """Whether this is one of the requests; it counts then."""
        if (
            self.times == 0
            or self.method not in (None, request.method)
            or (self.path is not None and self.path.search(request.target) is None)
        ):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultyProxy:
    """The proxy. The first fault that takes a request decides about it; without one it goes on to the server."""

    def __init__(self, server_origin: str) -> None:
        parts = urlsplit(server_origin)
        assert parts.hostname is not None and parts.port is not None
        self._server_address = (parts.hostname, parts.port)
        self.faults: list[Fault] = []
        self.received: list[Request] = []
        """All requests."""
        self.passed: list[Request] = []
        """Those that went on to the server."""
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def origin(self) -> str:
        """Such as http://127.0.0.1:40001."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    async def __aenter__(self) -> FaultyProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_MOST_HEAD_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            request = await _read_request(reader, writer)
            self.received.append(request)
            await self._answer(request, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            # One of the two hung up; the other learns it by the end of its connection.
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request, writer: StreamWriter) -> None:
        fault = next((fault for fault in self.faults if fault.takes(request)), Fault())
        if fault.gate is not None:
            await fault.gate.pass_through()
        await asyncio.sleep(fault.delay_seconds)
        if fault.cut is Cut.BEFORE:
            writer.transport.abort()
        elif fault.status is not None:
            writer.write(_answer_of(fault, fault.status))
        else:
            self.passed.append(request)
            await self._pass_on(request, writer, is_lost=fault.cut is Cut.AFTER)

    async def _pass_on(self, request: Request, writer: StreamWriter, *, is_lost: bool) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._server_address)
        try:
            server_writer.write(_spelled(request))
            while chunk := await server_reader.read(_CHUNK_BYTES):
                if not is_lost:
                    writer.write(chunk)
                    await writer.drain()
            if is_lost:
                writer.transport.abort()
        finally:
            server_writer.close()


def s3_error(code: str, message: str = "This is a test.") -> bytes:
    """An error as S3 spells it."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message>'
        "<RequestId>4442587FB7D0A2F9</RequestId></Error>"
    ).encode()


async def _read_request(reader: StreamReader, writer: StreamWriter) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *lines = head.split("\r\n")[:-2]
    method, target, _ = request_line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.pop("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.pop("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method=method, target=target, headers=headers, body=body)


async def _read_chunks(reader: StreamReader) -> bytes:
    chunks = []
    while size := int((await reader.readline()).partition(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readline()
    while (await reader.readline()).strip():
        pass
    return b"".join(chunks)


def _spelled(request: Request) -> bytes:
    headers = {**request.headers, "content-length": str(len(request.body)), "connection": "close"}
    return _head(f"{request.method} {request.target} HTTP/1.1", headers) + request.body


def _answer_of(fault: Fault, status: int) -> bytes:
    headers = {
        "content-type": "application/xml",
        **{name.lower(): value for name, value in fault.headers.items()},
        "content-length": str(len(fault.body)),
        "connection": "close",
    }
    return _head(f"HTTP/1.1 {status} Fault", headers) + fault.body


def _head(first_line: str, headers: Mapping[str, str]) -> bytes:
    lines = [first_line, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")
