"""Connections as the server takes them: uvicorn's own protocols, and what they leave to clients that mean no good.

uvicorn (0.54) waits for ever for a first request and for the rest of one, keeps headers and frames however many there
are, answers each ping of a peer that reads nothing, and logs a traceback for text that is no UTF-8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import uvicorn
from starlette.responses import Response
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from graphql_api.http.addresses import OpenByAddress, TrustedProxies, place_of
from graphql_api.http.errors import error_response
from graphql_api.http.guards import BURST_SECONDS, RETRY_SECONDS, TOO_MANY_MESSAGES, MessageMeter

HEADER_SECONDS = 10
"""How long the headers of a request may take, and a connection to send any."""

MAX_HEADER_BYTES = 64 * 1024
MAX_HEADER_LINES = 100

CONNECTIONS_PER_SOCKET = 2
"""An address may have so many times as many connections of every kind as WebSockets."""

SLICE_BYTES = 4096
"""How much of what has come is looked at before the messages in it are counted. A frame has at least six bytes."""


class ServerState(uvicorn.server.ServerState):
    """uvicorn's, which all connections see."""

    def __init__(self, *, max_sockets_per_address: int, max_messages_per_second: int, proxies: TrustedProxies) -> None:
        super().__init__()
        self.is_draining = False
        self.max_messages_per_second = max_messages_per_second
        self._proxies = proxies
        self._open = OpenByAddress(CONNECTIONS_PER_SOCKET * max_sockets_per_address)

    def let_in(self, client: tuple[str, int] | None) -> bool:
        """Count a connection, unless there are too many of its address. Those of proxies are the proxies' to count."""
        return client is None or client[0] in self._proxies or self._open.enter(place_of(client[0]))

    def let_out(self, client: tuple[str, int] | None) -> None:
        """Take back what `let_in` has counted."""
        if client is not None and client[0] not in self._proxies:
            self._open.leave(place_of(client[0]))


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's own, with limits for headers, and which closes connections behind their next answer when the server
    drains."""

    server_state: ServerState
    _headers_due: asyncio.TimerHandle | None = None
    _is_let_in = False
    _is_handed_over = False
    _is_idle = False
    """Whether a request has come as a whole, and nothing of the next one."""
    _unread_bytes = 0
    """What has come since a request began or a part of its body was read: the parser may be keeping it."""
    _header_bytes = 0
    _header_lines = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_let_in = self.server_state.let_in(self.client)
        if self._is_let_in:
            self._expect_headers(HEADER_SECONDS)
        else:
            headers = {"Retry-After": str(RETRY_SECONDS)}
            self._refuse(error_response(429, "Too many connections are open at this address.", headers=headers))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_headers_due()
        if self._is_let_in:
            self._is_let_in = False
            self.server_state.let_out(self.client)

    def data_received(self, data: bytes) -> None:
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._is_handed_over or self.transport.is_closing():
            return
        if self._unread_bytes > MAX_HEADER_BYTES:
            self._refuse(_headers_too_large())
        elif self._headers_due is None and not self._is_answering:
            # What is left of a request that was answered early has ended uvicorn's own patience with idle connections.
            self._expect_headers(self.timeout_keep_alive if self._is_idle else HEADER_SECONDS)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._is_idle:
            self._is_idle = False
            self._unset_headers_due()
        self._unread_bytes = self._header_bytes = self._header_lines = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count_headers(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._header_lines += 1
        self._count_headers(len(name) + len(value) + len(b": \r\n"))

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._unset_headers_due()
        self._unread_bytes = 0
        if self.server_state.is_draining:
            self.answer_once_more()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._unread_bytes = 0

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_idle = True
        self._unset_headers_due()
        self._unread_bytes = 0

    def handle_websocket_upgrade(self) -> None:
        if self._is_answering:
            # The answer to an earlier request would go on among the frames, and would never learn of the end.
            self.transport.close()
            return
        self._is_handed_over = True
        super().handle_websocket_upgrade()
        # Both know each other, and the collector would seldom come for them.
        self.parser = None  # type: ignore[assignment]
        if not cast(SocketProtocol, self.transport.get_protocol()).handshake_initiated:
            # It gives up on such a request without a word, and would wait for ever.
            self._refuse(error_response(400, "This is no WebSocket handshake."))

    def answer_once_more(self) -> None:
        """Close the connection behind the answer that is being made, if there is one."""
        if self._is_answering:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        if self._headers_are_too_large:
            self._refuse(_headers_too_large())
        else:
            self._refuse(error_response(400, msg))

    def _unsupported_upgrade_warning(self) -> None:
        """Says nothing: it is called for all that comes behind such a request. The request is answered as any other."""

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _headers_are_too_large(self) -> bool:
        return self._header_bytes > MAX_HEADER_BYTES or self._header_lines > MAX_HEADER_LINES

    def _count_headers(self, count: int) -> None:
        self._header_bytes += count
        if self._headers_are_too_large:
            # Ends the parser, whose caller then sends what it takes for a 400.
            raise _HeadersTooLarge

    def _expect_headers(self, seconds: float) -> None:
        self._headers_due = self.loop.call_later(seconds, self._note_late_headers)

    def _unset_headers_due(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None

    def _note_late_headers(self) -> None:
        self._headers_due = None
        if self._unread_bytes:
            self._refuse(error_response(408, f"The headers took longer than {HEADER_SECONDS} seconds."))
        else:
            self.transport.close()

    def _refuse(self, response: Response) -> None:
        """Send an answer, unless another is under way, and close the connection."""
        if not self._is_answering and not self.transport.is_closing():
            lines = [b"%b: %b\r\n" % header for header in response.raw_headers]
            head = [STATUS_LINE[response.status_code], *lines, b"connection: close\r\n\r\n"]
            self.transport.write(b"".join([*head, bytes(response.body)]))
        self.transport.close()


class _HeadersTooLarge(Exception):
    pass


def _headers_too_large() -> Response:
    message = f"The headers are larger than {MAX_HEADER_BYTES} bytes, or more than {MAX_HEADER_LINES}."
    return error_response(431, message)


class SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own, with limits for frames, and which lets go of the handshake when it is over: there are thousands of
    sockets."""

    _meter: MessageMeter | None = None
    """Of the frames that are no messages. Few sockets ever see one."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._state = server_state

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # It holds on to what it is held by: thousands of sockets that come and go would fill the memory.
        self.conn.parser.close()
        self._state.let_out(self.client)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE_BYTES):
            if self.transport.is_closing() or self.conn.handshake_exc is not None:
                return
            super().data_received(data[start : start + SLICE_BYTES])
            if self.queue.qsize() > self._state.max_messages_per_second * BURST_SECONDS:
                self._fail(TOO_MANY_MESSAGES, "Too many messages")

    def handle_text(self, event: Frame) -> None:
        self.request = self.response = None  # type: ignore[assignment]
        super().handle_text(event)

    async def send(self, message: ASGISendEvent) -> None:
        await self.writable.wait()
        if self.close_sent and self.transport.is_closing():
            # The application cannot know yet, so it is not wrong to send more.
            raise ClientDisconnected
        await super().send(message)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self.frames = []
            self._fail(CloseCode.INVALID_DATA, "Invalid UTF-8")
        else:
            super().send_receive_event_to_app()

    def handle_cont(self, event: Frame) -> None:
        if self._admits_frame():
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if not self._admits_frame():
            return
        if self.writable.is_set():
            super().handle_ping()
        else:
            # A peer that does not read what it gets gets no more of it.
            self.conn.data_to_send()

    def handle_pong(self, event: Frame) -> None:
        if bytes(event.data) == self.pending_ping_payload or self._admits_frame():
            super().handle_pong(event)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size():
            # The peer does not read, and would not read that it is to go either.
            self.transport.abort()

    def _admits_frame(self) -> bool:
        if self.close_sent:
            return False
        self._meter = self._meter or MessageMeter(self._state.max_messages_per_second)
        is_admitted = self._meter.admits()
        if not is_admitted:
            self._fail(TOO_MANY_MESSAGES, "Too many messages")
        return is_admitted

    def _fail(self, code: int, reason: str) -> None:
        """Close at once, without a look at what has come before and without waiting for an answer."""
        while not self.queue.empty():
            self.queue.get_nowait()
        self.conn.fail(code, reason)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()


def _is_utf8(frames: Sequence[bytes]) -> bool:
    try:
        str(b"".join(frames), "utf-8")
    except UnicodeDecodeError:
        return False
    return True
