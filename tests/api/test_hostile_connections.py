"""What clients that mean no good try below GraphQL, through a real server process, and how an honest one fares.

The honest one asks all the while from another address of the loopback interface, as another machine would.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import uvicorn

from graphql_api.commands.connections import HttpProtocol, ServerState, SocketProtocol
from graphql_api.commands.process import UNREAD_SECONDS, listen
from graphql_api.http.addresses import TrustedProxies
from tests.clients.server_process import ServerProcess, StartServer, clean_environment
from tests.clients.waiting import PATIENCE_SECONDS, eventually

HOSTILE, HONEST = "127.0.0.1", "127.0.0.2"
MANY_SOCKETS = 5_000
STORM = 2_000
AT_ONCE = 100
TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
MIB = 1024 * 1024

INIT = b'{"type":"connection_init"}'
HOST = b"Host: localhost\r\n"
UPGRADE = (
    HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
)
HANDSHAKE = b"GET /graphql HTTP/1.1\r\n" + UPGRADE + b"\r\n"
POST = b"POST /graphql HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
STREAM = b"GET /graphql?query=subscription%7BjobsUpdated%7Bkind%7D%7D HTTP/1.1\r\n" + HOST
STREAM += b"Accept: text/event-stream\r\nGraphQL-Require-Preflight: 1\r\n\r\n"
WHOLE_SCHEMA = "{ __schema { types { name description fields { name description args { name } } } } }"


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A frame of a client, with a mask that changes nothing."""
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes([fin << 7 | opcode, length[0] | 0x80]) + length[1:] + bytes(4) + payload


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *parts: bytes) -> None:
        """Send; that the server has hung up is no matter."""
        with contextlib.suppress(ConnectionError):
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()

    async def head(self, *, within: float = PATIENCE_SECONDS) -> bytes:
        """An answer as far as its first empty line."""
        async with asyncio.timeout(within):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def status(self) -> int:
        """The status of an answer."""
        return int((await self.head()).split()[1])

    async def rest(self, *, within: float = PATIENCE_SECONDS) -> bytes:
        """Everything until the server hangs up."""
        received = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(within):
                while piece := await self.reader.read(65536):
                    received += piece
        return received


@asynccontextmanager
async def wire(port: int, *, source: str = HOSTILE, receive_buffer: int = 0) -> AsyncIterator[Wire]:
    """A connection, broken off without a word at the end."""
    plain = socket.socket()
    try:
        plain.setblocking(False)
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source != HOSTILE:
            plain.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=plain)
    except BaseException:
        plain.close()
        raise
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def opened(stack: AsyncExitStack, port: int, *, source: str = HOSTILE) -> Wire:
    """A WebSocket that has not said hello."""
    connection = await stack.enter_async_context(wire(port, source=source))
    await connection.send(HANDSHAKE)
    assert await connection.status() == 101
    return connection


async def status_of_handshake(port: int, *, source: str = HOSTILE, headers: bytes = b"") -> int:
    async with wire(port, source=source) as connection:
        await connection.send(HANDSHAKE[:-2] + headers + b"\r\n")
        return await connection.status()


def close_code(received: bytes) -> int | None:
    """The code of the close frame that is the last of the server's frames; None when it got lost."""
    while received:
        opcode, length, start = received[0] & 0x0F, received[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(received[2:start], "big")
        payload, received = received[start : start + length], received[start + length :]
        if opcode == CLOSE:
            return int.from_bytes(payload[:2], "big")
    return None


@asynccontextmanager
async def honest_client(server: ServerProcess) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Has a client at another address ask all the time. It must be answered, each time, and is let go at the end."""
    answered, is_over = 0, False
    transport = httpx.AsyncHTTPTransport(local_address=HONEST, retries=0, verify=False)

    async with httpx.AsyncClient(base_url=server.origin, transport=transport, timeout=PATIENCE_SECONDS) as client:

        async def ask() -> None:
            nonlocal answered
            while not is_over:
                answer = await client.post("/graphql", json={"query": "{ jobs(first: 1) { totalCount } }"})
                assert answer.json() == {"data": {"jobs": {"totalCount": 0}}}
                assert await status_of_handshake(server.port, source=HONEST) == 101
                answered += 1
                await asyncio.sleep(0.02)

        async def has_been_answered() -> None:
            before = answered
            await eventually(lambda: asking.done() or answered > before + 1)

        asking = asyncio.create_task(ask())
        await has_been_answered()
        yield has_been_answered
        await has_been_answered()
        is_over = True
        await asking
    assert answered > 3


def open_files(server: ServerProcess) -> int:
    return server.process.num_fds()


def memory(server: ServerProcess) -> int:
    found: int = server.process.memory_full_info().uss
    return found


def check_log(server: ServerProcess, *, connections: int) -> None:
    """At most 1 kB for each connection, and no traceback."""
    assert "Traceback" not in server.log
    assert len(server.log) < 1000 * connections


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may have as many files open as the system lets it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    assert before[1] > MANY_SOCKETS + 500, "the system must allow more open files than that: ulimit -Hn"
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def in_groups(count: int, act: Callable[[], Awaitable[object]]) -> None:
    """Do something many times, so many at once."""
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*(act() for _ in range(min(AT_ONCE, count - start))))


# --- many sockets ---


def open_sockets(port: int, into: list[socket.socket]) -> None:
    """Make many WebSockets that do not say hello, in a thread, as bare as can be."""
    for start in range(0, MANY_SOCKETS, AT_ONCE):
        group = [socket.create_connection((HOSTILE, port), PATIENCE_SECONDS) for _ in range(start, start + AT_ONCE)]
        into.extend(group)
        for each in group:
            each.sendall(HANDSHAKE)
        for each in group:
            assert each.recv(4096).startswith(b"HTTP/1.1 101 ")


@contextmanager
def closing_all() -> Iterator[list[socket.socket]]:
    connections: list[socket.socket] = []
    try:
        yield connections
    finally:
        for each in connections:
            each.close()


@pytest.mark.usefixtures("many_files")
async def test_thousands_of_sockets_that_never_say_hello_are_closed_in_time(start_server: StartServer) -> None:
    server = start_server(max_sockets_per_address=str(MANY_SOCKETS))
    async with honest_client(server) as still_answered:
        files, memory_at_first = open_files(server), memory(server)
        with closing_all() as first:
            await asyncio.to_thread(open_sockets, server.port, first)
            await still_answered()
            memory_open = memory(server)
        await eventually(lambda: open_files(server) <= files + 5)

        with closing_all() as second:
            await asyncio.to_thread(open_sockets, server.port, second)
            await still_answered()
            assert await status_of_handshake(server.port) == 429
            codes = await asyncio.to_thread(lambda: {close_code(each.recv(4096)) for each in second})
            await still_answered()
            assert codes == {4408}
        await eventually(lambda: open_files(server) <= files + 5)
        assert await status_of_handshake(server.port) == 101

        # Python keeps pages that it has emptied, but those who come next get them.
        assert memory_open - memory_at_first < MANY_SOCKETS * 40_000
        assert memory(server) - memory_open < 10 * MIB
    check_log(server, connections=2 * MANY_SOCKETS)


@pytest.mark.usefixtures("many_files")
async def test_storm_of_clients_that_come_and_go_leaves_nothing(start_server: StartServer) -> None:
    server = start_server(max_sockets_per_address="200")

    async def come_and_go() -> None:
        async with wire(server.port) as connection:
            await connection.send(HANDSHAKE, frame(TEXT, INIT))
            assert await connection.status() == 101

    async with honest_client(server) as still_answered:
        await in_groups(STORM, come_and_go)
        files, memory_before = open_files(server), memory(server)
        await in_groups(STORM, come_and_go)
        await still_answered()
        await eventually(lambda: open_files(server) <= files + 5)
        assert memory(server) - memory_before < 10 * MIB
    check_log(server, connections=2 * STORM)


ENDS: dict[str, bytes] = {
    "without a word": b"",
    "with a close frame": frame(CLOSE, b"\x03\xe8"),
    "for a message that is none": frame(TEXT, b"[]"),
    "for a frame that is none": b"\xff\xff",
    "for text that is none": frame(TEXT, b"\xff"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_sockets_of_an_address_are_limited_and_come_back_however_they_end(
    start_server: StartServer, end: bytes
) -> None:
    server = start_server(max_sockets_per_address="3")
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await (await opened(stack, server.port)).send(end)
            if end:
                continue
        if not end:
            async with wire(server.port) as refused:
                await refused.send(HANDSHAKE)
                head = await refused.head()
                body = json.loads(await refused.rest())
            assert head.startswith(b"HTTP/1.1 429 ")
            assert b"retry-after: 10\r\n" in head.lower()
            assert body["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
            assert await status_of_handshake(server.port, source=HONEST) == 101
            await stack.aclose()

        async def is_let_in() -> bool:
            return await status_of_handshake(server.port) == 101

        await eventually(is_let_in)
    check_log(server, connections=10)


async def test_connections_of_an_address_are_limited_too(start_server: StartServer) -> None:
    server = start_server(max_sockets_per_address="3")
    async with AsyncExitStack() as stack:
        for _ in range(6):
            connection = await stack.enter_async_context(wire(server.port))
            await connection.send(HEALTH[:-2])
        async with wire(server.port) as refused:
            answer = await refused.rest()
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"retry-after: 10\r\n" in answer.lower()
        async with wire(server.port, source=HONEST) as other:
            await other.send(HEALTH)
            assert await other.status() == 200
    async with AsyncExitStack() as stack:

        async def is_let_in() -> bool:
            async with wire(server.port) as again:
                await again.send(HEALTH)
                return (await again.head()).startswith(b"HTTP/1.1 200 ")

        await eventually(is_let_in)


# --- whoever takes his time ---


async def drip(connection: Wire, first: bytes, piece: bytes) -> bytes:
    """Send a beginning, and then a piece now and again; what the server says until it hangs up."""

    async def keep_on() -> None:
        while True:
            await connection.send(piece)
            await asyncio.sleep(0.3)

    await connection.send(first)
    dripping = asyncio.create_task(keep_on())
    try:
        return await connection.rest()
    finally:
        dripping.cancel()


SLOW: dict[str, tuple[bytes, bytes, Sequence[int]]] = {
    "nothing": (b"", b"", []),
    "empty lines": (b"", b"\r\n", [408]),
    "a request line": (b"GET /", b"x", [408]),
    "a header": (HEALTH[:-2] + b"X-Slow: ", b"x", [408]),
    "headers": (HEALTH[:-2], b"X: y\r\n", [408]),
    "another request": (HEALTH, b"G", [200, 400]),
    "headers of another request": (HEALTH + HEALTH[:-2], b"X: y\r\n", [200, 408]),
    "empty lines behind an answer": (HEALTH, b"\r\n", [200, 408]),
    "a body": (POST + b"Content-Length: 1000\r\n\r\n", b" ", [408]),
    "a chunked body": (CHUNKED, b"1\r\n \r\n", [408]),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"A: b\r\n", [408]),
    "a body that is too large": (CHUNKED + b"30000\r\n" + bytes(0x30000) + b"\r\n", b"1\r\n \r\n", [413]),
    "a body that nobody asked for": (
        HEALTH[:-2] + b"Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
        [200],
    ),
    "a body whose head was refused": (
        POST.replace(b"application/json", b"text/plain") + b"Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
        [415],
    ),
}


async def test_whoever_is_slow_to_ask_is_cut_off(start_server: StartServer) -> None:
    server = start_server()
    async with honest_client(server), AsyncExitStack() as stack:
        files = open_files(server)
        connections = [await stack.enter_async_context(wire(server.port)) for _ in SLOW]
        answers = await asyncio.gather(
            *(drip(each, first, piece) for each, (first, piece, _) in zip(connections, SLOW.values(), strict=True))
        )
        # All have been hung up on, though none of them has.
        await eventually(lambda: open_files(server) <= files + 3)
    found = {
        name: [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answer)]
        for name, answer in zip(SLOW, answers, strict=True)
    }
    assert found == {name: statuses for name, (_, _, statuses) in SLOW.items()}
    assert json.loads(answers[8].rpartition(b"\r\n\r\n")[2])["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert b"connection: close\r\n" in answers[8].lower()
    check_log(server, connections=len(SLOW))


@pytest.mark.parametrize(
    "beginning",
    [b"", HEALTH[:-2], POST + b"Content-Length: 1000\r\n\r\n{", CHUNKED + b"1\r\n{\r\n", STREAM, HANDSHAKE],
    ids=["nothing", "headers", "a body", "a chunked body", "a stream", "a socket"],
)
@pytest.mark.parametrize("is_polite", [True, False], ids=["half-closed", "broken off"])
async def test_connection_that_ends_in_the_middle_leaves_nothing(
    start_server: StartServer, beginning: bytes, is_polite: bool
) -> None:
    server = start_server()
    await eventually(lambda: "Images" in server.log)
    files = open_files(server)
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(wire(server.port)) for _ in range(10)]
        for each in connections:
            await each.send(beginning)
        await eventually(lambda: open_files(server) >= files + 10)
        if is_polite:
            for each in connections:
                each.writer.write_eof()
            await eventually(lambda: open_files(server) <= files + 1)
    await eventually(lambda: open_files(server) <= files + 1)
    assert await status_of_handshake(server.port) == 101
    check_log(server, connections=10)


# --- headers ---


ENDLESS: dict[str, tuple[Sequence[bytes], Sequence[int]]] = {
    "a target": ([b"GET /" + b"x" * MIB], [431]),
    "a header": ([HEALTH[:-2] + b"X: " + b"y" * MIB], [431]),
    "the name of a header": ([HEALTH[:-2] + b"x" * MIB], [431]),
    "headers": ([HEALTH[:-2] + b"X: y\r\n" * 100_000], [431]),
    "headers in many pieces": ([HEALTH[:-2], *[b"X: y\r\n"] * 200], [431]),
    "empty lines": ([b"\r\n" * MIB], [431]),
    "a method": ([b"x" * MIB], [400]),
    "trailers": ([CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 100_000], []),
    "a trailer": ([CHUNKED + b"2\r\n{}\r\n0\r\nX: " + b"y" * MIB], []),
    "the extension of a chunk": ([CHUNKED + b"2;" + b"y" * MIB], []),
}


@pytest.mark.parametrize(("parts", "statuses"), ENDLESS.values(), ids=ENDLESS)
async def test_headers_without_end_are_cut_off(
    shared_server: ServerProcess, parts: Sequence[bytes], statuses: Sequence[int]
) -> None:
    logged = len(shared_server.log)
    async with wire(shared_server.port) as connection:
        sending = asyncio.create_task(connection.send(*parts))
        answer = await connection.rest()
        await sending

    # The system forgets what it has received when the server hangs up on data that it has not read.
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answer)] in (statuses, [])
    assert "Traceback" not in shared_server.log[logged:]


async def test_a_hundred_headers_are_read(shared_server: ServerProcess) -> None:
    async with wire(shared_server.port) as connection:
        await connection.send(HEALTH[:-2] + b"X: y\r\n" * 99 + b"\r\n")
        assert await connection.status() == 200


NO_HANDSHAKES: dict[str, tuple[bytes, int]] = {
    "another method": (HANDSHAKE.replace(b"GET", b"POST", 1), 405),
    "no key": (re.sub(rb"Sec-WebSocket-Key[^\n]*\n", b"", HANDSHAKE), 400),
    "a key of 8 bit": (HANDSHAKE.replace(b"dGhl", b"\xff\xfe\xfd\xfc"), 400),
    "an old version": (HANDSHAKE.replace(b"Version: 13", b"Version: 8"), 400),
    "a long target": (HANDSHAKE.replace(b"/graphql", b"/" + b"x" * 9000), 400),
    "a long header": (HANDSHAKE[:-2] + b"X: " + b"y" * 9000 + b"\r\n\r\n", 400),
    "a target of 8 bit": (HANDSHAKE.replace(b"/graphql", b"/\xff\xfe"), 400),
    "a target with line breaks": (HANDSHAKE.replace(b"/graphql", b"/%0d%0aX:%20y"), 403),
    "another host": (HANDSHAKE.replace(b"localhost", b"evil.example"), 403),
    "another origin": (HANDSHAKE[:-2] + b"Origin: https://evil.example\r\n\r\n", 403),
}


@pytest.mark.parametrize(("handshake", "status"), NO_HANDSHAKES.values(), ids=NO_HANDSHAKES)
async def test_handshake_that_is_none_is_refused_at_once(
    shared_server: ServerProcess, handshake: bytes, status: int
) -> None:
    logged = len(shared_server.log)
    async with wire(shared_server.port) as connection:
        await connection.send(handshake)
        assert await connection.status() == status
        await connection.rest()
    assert "Traceback" not in shared_server.log[logged:]


@pytest.mark.parametrize("behind", [b"x", b"GET / HTTP/1.1\r\n\r\n"])
async def test_upgrade_to_a_protocol_that_is_not_spoken_does_not_fill_the_log(
    start_server: StartServer, behind: bytes
) -> None:
    server = start_server()
    upgrade = HEALTH[:-2] + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    async with wire(server.port) as connection:
        await connection.send(upgrade)
        assert await connection.status() == 200
        await connection.send(*[behind] * 100)
        await connection.rest()
    check_log(server, connections=1)


async def test_handshake_behind_a_stream_ends_both(start_server: StartServer) -> None:
    server = start_server()
    async with wire(server.port) as connection:
        files = open_files(server)
        await connection.send(STREAM)
        assert await connection.status() == 200
        await connection.send(HANDSHAKE)
        assert b"101 Switching" not in await connection.rest()
    await eventually(lambda: open_files(server) < files + 1)
    check_log(server, connections=1)


INJECTIONS: dict[str, bytes] = {
    "a bare line feed": b"x\nSet-Cookie: stolen=1",
    "a bare carriage return": b"x\rSet-Cookie: stolen=1",
    "a folded line": b"x\r\n Set-Cookie: stolen=1",
    "a null": b"x\0Set-Cookie: stolen=1",
    "8 bit": b"x\x85Set-Cookie: stolen=1",
    "a tab": b"x\tSet-Cookie: stolen=1",
    "escaped": b"x%0d%0aSet-Cookie: stolen=1",
    "a terminal": b"x\x1b[2J",
    "very long": b"x" * 20_000,
}


@pytest.mark.parametrize("value", INJECTIONS.values(), ids=INJECTIONS)
@pytest.mark.parametrize("name", ["X-Request-Id", "traceparent", "Origin", "X-Forwarded-For", "If-None-Match"])
async def test_no_header_ends_up_in_answer_or_log(shared_server: ServerProcess, name: str, value: bytes) -> None:
    logged = len(shared_server.log)
    request = b"GET /images/x HTTP/1.1\r\n" + HOST + b"Connection: close\r\n" + name.encode() + b": " + value
    async with wire(shared_server.port) as connection:
        await connection.send(request + b"\r\n\r\n")
        head = (await connection.rest()).partition(b"\r\n\r\n")[0]

    assert int(head.split()[1]) in (400, 403, 404)
    assert b"stolen" not in head
    assert len(head) < 1000
    assert "stolen" not in shared_server.log[logged:]
    assert len(shared_server.log[logged:]) < 1000


# --- frames ---


FLOODS: dict[str, bytes] = {
    "pings": frame(PING, b""),
    "large pings": frame(PING, bytes(125)),
    "pongs": frame(PONG, b""),
    "pieces of a message": frame(CONT, b"", fin=False),
    "messages": frame(TEXT, b'{"type":"pong"}'),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_floods_of_frames_are_cut_off(start_server: StartServer, flood: bytes) -> None:
    server = start_server()
    async with honest_client(server), AsyncExitStack() as stack:
        memory_before = memory(server)
        for _ in range(5):
            connection = await opened(stack, server.port)
            await connection.send(frame(TEXT, INIT))
            beginning = frame(TEXT, b"", fin=False) if flood == FLOODS["pieces of a message"] else b""
            sending = asyncio.create_task(connection.send(beginning, flood * 100_000))
            code = close_code(await connection.rest())
            await sending
            # The system forgets what it has received when the server hangs up on data that it has not read.
            assert code in (4429, None)
        assert memory(server) - memory_before < 20 * MIB
    check_log(server, connections=5)


async def test_as_many_frames_as_ten_seconds_allow_may_come_at_once(shared_server: ServerProcess) -> None:
    text = b'{"type":"ping"}'
    pieces = [frame(CONT, bytes([each])) for each in text[1:]]
    pieces = [bytes([piece[0] & 0x7F]) + piece[1:] for piece in pieces]
    async with AsyncExitStack() as stack:
        connection = await opened(stack, shared_server.port)
        await connection.send(frame(PING, b"x") * 900, frame(TEXT, text[:1], fin=False), *pieces, frame(CONT, b""))
        async with asyncio.timeout(PATIENCE_SECONDS):
            pongs = await connection.reader.readexactly(900 * 3)
            answer = await connection.reader.readexactly(2 + len(b'{"type":"pong"}'))
    assert pongs == b"\x8a\x01x" * 900
    assert json.loads(answer[2:]) == {"type": "pong"}


@pytest.mark.parametrize("fragments", [[b"\xff\xfe"], [b'{"type":"\xc3', b'("}']], ids=["in one", "in two"])
async def test_text_that_is_no_utf8_closes_with_1007(shared_server: ServerProcess, fragments: Sequence[bytes]) -> None:
    logged = len(shared_server.log)
    first, *more = fragments
    async with AsyncExitStack() as stack:
        connection = await opened(stack, shared_server.port)
        await connection.send(frame(TEXT, first, fin=not more), *(frame(CONT, each) for each in more))
        assert close_code(await connection.rest()) == 1007
    assert "Traceback" not in shared_server.log[logged:]


# --- whoever does not read ---


async def test_what_a_client_does_not_read_takes_little_memory(start_server: StartServer) -> None:
    server = start_server()
    operation = {"type": "subscribe", "payload": {"query": WHOLE_SCHEMA}}
    async with honest_client(server) as still_answered, AsyncExitStack() as stack:
        memory_before = memory(server)
        for _ in range(5):
            connection = await stack.enter_async_context(wire(server.port, receive_buffer=4096))
            await connection.send(HANDSHAKE)
            assert await connection.status() == 101
            await connection.send(frame(TEXT, INIT))
            asked = [frame(TEXT, json.dumps({**operation, "id": str(number)}).encode()) for number in range(90)]
            await connection.send(b"".join(asked), frame(PING, bytes(125)) * 500)
        for _ in range(5):
            await still_answered()
        assert memory(server) - memory_before < 100 * MIB
    check_log(server, connections=5)


def test_connections_are_given_up_when_nothing_is_taken_for_long() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            patience = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert patience == 1000 * UNREAD_SECONDS


class _Chatterbox:
    """Sends as much as the other end takes; `has_ended` when it has learned that there is nobody."""

    def __init__(self) -> None:
        self.has_ended = threading.Event()

    async def __call__(
        self, scope: object, receive: object, send: Callable[[dict[str, object]], Awaitable[None]]
    ) -> None:
        try:
            await send({"type": "websocket.accept"})
            while True:
                await send({"type": "websocket.send", "bytes": bytes(65536)})
        finally:
            self.has_ended.set()


async def test_peer_that_does_not_read_is_cut_when_its_pong_is_missing() -> None:
    app = _Chatterbox()
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=SocketProtocol,
        ws_ping_interval=0.2,
        ws_ping_timeout=0.2,
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
            async with wire(listener.getsockname()[1], receive_buffer=4096) as connection:
                await connection.send(HANDSHAKE)
                assert await connection.status() == 101
                # From here on nobody reads: the stream of asyncio takes some, and then stops.
                await eventually(app.has_ended.is_set)
                await eventually(lambda: not server.server_state.connections)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)


# --- who is at the other end ---


async def statuses_of(port: int, forwarded: Sequence[str]) -> list[int]:
    """The statuses of handshakes of sockets that are all open together, each with what a proxy says of it."""
    async with AsyncExitStack() as stack:
        found = []
        for value in forwarded:
            connection = await stack.enter_async_context(wire(port))
            header = f"X-Forwarded-For: {value}\r\n\r\n".encode()
            await connection.send(HANDSHAKE[:-2] + header)
            found.append(await connection.status())
        return found


FORWARDED: dict[str, tuple[Sequence[str], Sequence[int]]] = {
    "two clients": (["203.0.113.1", "203.0.113.2", "203.0.113.1"], [101, 101, 429]),
    "with ports": (["203.0.113.1:1000", "203.0.113.1:2000"], [101, 429]),
    "what the client says of itself": (["1.1.1.1, 203.0.113.1", "2.2.2.2, 203.0.113.1"], [101, 429]),
    "a chain of proxies": (
        ["203.0.113.1, 10.1.2.3", "203.0.113.2, 10.1.2.3", "203.0.113.1, 10.9.9.9"],
        [101, 101, 429],
    ),
    "a proxy that is none of ours": (["203.0.113.1, 192.0.2.1", "203.0.113.2, 192.0.2.1"], [101, 429]),
    "a forged proxy": (["127.0.0.1, 203.0.113.1", "10.1.2.3, 203.0.113.1"], [101, 429]),
    "a network of IPv6": (["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"], [101, 429, 101]),
    "no address": (["unknown", "unknown", "_hidden"], [101, 429, 101]),
    "nothing": (["", ""], [101, 429]),
}


@pytest.mark.parametrize(("forwarded", "statuses"), FORWARDED.values(), ids=FORWARDED)
async def test_proxies_that_are_trusted_tell_who_the_client_is(
    start_server: StartServer, forwarded: Sequence[str], statuses: Sequence[int]
) -> None:
    server = start_server(max_sockets_per_address="1", trusted_proxies="127.0.0.1, 10.0.0.0/8")

    assert await statuses_of(server.port, forwarded) == statuses


async def test_connections_of_a_trusted_proxy_are_its_own_to_limit(start_server: StartServer) -> None:
    server = start_server(max_sockets_per_address="1", trusted_proxies="127.0.0.1")
    clients = [f"203.0.113.{number}" for number in range(20)]

    assert await statuses_of(server.port, clients) == [101] * 20


@pytest.mark.parametrize("proxies", ["", "127.0.0.2, 10.0.0.0/8"])
async def test_whoever_is_no_trusted_proxy_is_not_believed(start_server: StartServer, proxies: str) -> None:
    server = start_server(
        max_sockets_per_address="1", trusted_proxies=proxies, environment={"FORWARDED_ALLOW_IPS": "*"}
    )

    assert await statuses_of(server.port, ["203.0.113.1", "203.0.113.2", "10.1.2.3"]) == [101, 429, 429]


# --- who may reach a server that asks nobody ---


def run_server(tmp_path: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A server that does not start."""
    return subprocess.run(
        [sys.executable, "-m", "graphql_api", "serve", "--port", "0", *arguments],
        env=clean_environment(data_dir=str(tmp_path / "data"), **settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def an_address_of_this_machine() -> str:
    """One that other machines reach, as far as there is a network."""
    found = [each.address for card in psutil.net_if_addrs().values() for each in card if each.family == socket.AF_INET]
    return next((address for address in found if not address.startswith("127.")), "0.0.0.0")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "0", an_address_of_this_machine()])
@pytest.mark.parametrize("more", [[], ["--reload"]], ids=["", "reload"])
def test_server_that_asks_nobody_is_reached_from_this_machine_only(
    tmp_path: Path, host: str, more: Sequence[str]
) -> None:
    ended = run_server(tmp_path, "--host", host, *more)

    assert ended.returncode == 1
    assert "TEXT2IMAGE_AUTH=keys" in ended.stderr
    assert "TEXT2IMAGE_OPEN_TO_ALL=true" in ended.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_loopback_addresses_are_served_without_being_told(tmp_path: Path, host: str) -> None:
    check_that_it_serves(tmp_path, host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_server_may_be_open_to_all(tmp_path: Path, host: str) -> None:
    check_that_it_serves(tmp_path, host, open_to_all="true")


def check_that_it_serves(tmp_path: Path, host: str, **settings: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "graphql_api", "serve", "--port", "0", "--host", host],
        env=clean_environment(data_dir=str(tmp_path / "data"), **settings),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = ""
        while "Explorer" not in said and (line := process.stderr.readline()):
            said += line
        process.kill()
    assert "Explorer" in said, said


@pytest.mark.parametrize("proxies", ["*", "my-proxy", "10.0.0.1/8", "10.0.0.0/33"])
def test_proxies_are_named_by_address_or_network(tmp_path: Path, proxies: str) -> None:
    ended = run_server(tmp_path, trusted_proxies=proxies)

    assert ended.returncode == 1
    assert "TEXT2IMAGE_TRUSTED_PROXIES" in ended.stderr
