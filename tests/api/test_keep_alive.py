"""How long connections are kept between requests. A load balancer sends the next one over a connection that it takes
for open, and answers 502 where it is not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from graphql_api.commands import connections
from graphql_api.commands.connections import HttpProtocol, ServerState
from graphql_api.commands.process import listen
from graphql_api.http.addresses import TrustedProxies
from tests.clients.server_process import StartServer
from tests.clients.waiting import PATIENCE_SECONDS

HOST = b"Host: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\n"
SHORT_SECONDS = 0.3
"""In place of HEADER_SECONDS."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Streams]:
    """A connection, broken off at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer_to(streams: Streams, request: bytes) -> int:
    """The status of the answer, which is read to its end."""
    reader, writer = streams
    writer.write(request)
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
    return int(head.split()[1])


async def until_closed(streams: Streams) -> bytes:
    """What the server says until it hangs up."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await streams[0].read()


async def test_idle_connection_is_kept_as_long_as_the_setting_says(start_server: StartServer, tmp_path: Path) -> None:
    patient, hasty = start_server(data_dir=str(tmp_path / "patient"), keep_alive="60"), start_server(keep_alive="1")
    async with connected(patient.port) as long, connected(hasty.port) as short:
        for streams in (long, short):
            assert await answer_to(streams, GET) == 200
        assert await until_closed(short) == b""
        # It has been idle for longer.
        assert await answer_to(long, GET) == 200


async def _answer(_: Request) -> PlainTextResponse:
    """Reads no body."""
    return PlainTextResponse("ok")


@contextmanager
def serving(keep_alive_seconds: int) -> Iterator[int]:
    """The port of a server with our protocol."""
    config = uvicorn.Config(
        Starlette(routes=[Route("/healthz", _answer, methods=["GET", "POST"])]),
        http=HttpProtocol,
        timeout_keep_alive=keep_alive_seconds,
        lifespan="off",
        log_level="critical",
    )
    server = uvicorn.Server(config)
    server.server_state = ServerState(
        max_sockets_per_address=10, max_messages_per_second=100, proxies=TrustedProxies(())
    )
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)


@pytest.mark.parametrize("is_answered_early", [False, True], ids=["as a whole", "answered before its body had come"])
async def test_idle_connection_outlives_the_patience_with_silent_ones(
    monkeypatch: pytest.MonkeyPatch, is_answered_early: bool
) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", SHORT_SECONDS)
    with serving(keep_alive_seconds=60) as port:
        async with connected(port) as idle, connected(port) as silent:
            if is_answered_early:
                assert await answer_to(idle, POST) == 200
                idle[1].write(b"body")
            else:
                assert await answer_to(idle, GET) == 200
            # Cut off before the one that has asked would be, had it the same patience to hope for.
            await until_closed(silent)
            async with connected(port) as later:
                await until_closed(later)
            assert await answer_to(idle, GET) == 200


async def test_body_that_comes_late_does_not_keep_a_connection_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 60)
    with serving(keep_alive_seconds=1) as port:
        async with connected(port) as streams:
            assert await answer_to(streams, POST) == 200
            streams[1].write(b"body")
            assert await until_closed(streams) == b""


async def test_next_request_has_its_own_time_for_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", SHORT_SECONDS)
    with serving(keep_alive_seconds=60) as port:
        async with connected(port) as streams:
            assert await answer_to(streams, POST) == 200
            streams[1].write(b"body")
            streams[1].write(GET[:10])
            # Long before an idle one would be.
            said = await until_closed(streams)
            assert said == b"" or said.startswith(b"HTTP/1.1 408 ")
