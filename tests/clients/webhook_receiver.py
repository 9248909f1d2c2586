"""A receiver of webhooks: an HTTP server in threads, that keeps what it gets and answers as a test says.

with WebhookReceiver() as receiver:
    receiver.answers += [status(500), hang]    # in this order; then 200 for ever
    ...                                        # send to receiver.url
    receiver.received[0].headers["webhook-id"]
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from standardwebhooks import Webhook

Answer = Callable[["Exchange"], None]
"""How to answer a request."""

_CHUNK = b"x" * 65_536


@dataclass(frozen=True)
class Received:
    """A request as it came. Names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    client: str

    @property
    def message(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    def verified(self, secret: str) -> Any:
        """The message, as the library that receivers use hands it out. Raises its WebhookVerificationError."""
        return Webhook(secret).verify(self.body, dict(self.headers))


class Exchange:
    """A request that is to be answered."""

    def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
        self._connection = connection
        self.closing = closing
        """Set when the receiver closes."""

    def send(self, data: bytes) -> None:
        """Send bytes as they are. Raises OSError when nobody takes them."""
        self._connection.sendall(data)

    def is_left(self) -> bool:
        """Wait until the client closes the connection, or says more."""
        return not self._connection.recv(1)


def status(code: int, **headers: str) -> Answer:
    """Answer with a status and no body. Underscores in names of headers stand for hyphens."""
    lines = [f"HTTP/1.1 {code} Whatever", "Content-Length: 0"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda exchange: exchange.send("\r\n".join([*lines, "", ""]).encode())


OK = status(200)


def hang(exchange: Exchange) -> None:
    """Take the request and say nothing."""
    exchange.closing.wait()


def close(exchange: Exchange) -> None:
    """End the connection without an answer."""


def trickle(exchange: Exchange) -> None:
    """Send a byte of the head of an answer now and then, and never the end."""
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    while not exchange.closing.wait(0.02):
        exchange.send(b"x")


def endless_head(exchange: Exchange) -> None:
    """Send headers as fast as they are taken, for ever."""
    exchange.send(b"HTTP/1.1 200 OK\r\nx: ")
    while not exchange.closing.is_set():
        exchange.send(_CHUNK)


def endless_body(exchange: Exchange) -> None:
    """Send a body as fast as it is taken, for ever."""
    exchange.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while not exchange.closing.is_set():
        exchange.send(_CHUNK)


def silent_body(exchange: Exchange) -> None:
    """Announce a body and never send it."""
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    exchange.closing.wait()


def garbage(exchange: Exchange) -> None:
    """Answer in no protocol."""
    exchange.send(b"SSH-2.0-OpenSSH_9.9\r\n")


def when(event: threading.Event, answer: Answer = OK) -> Answer:
    """Answer as soon as a test lets it."""

    def wait(exchange: Exchange) -> None:
        if event.wait(30):
            answer(exchange)

    return wait


class WebhookReceiver:
    """Listens until it is left."""

    def __init__(self, address: str = "127.0.0.1", *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.answers: list[Answer] = []
        """What to answer to the next requests."""
        self.always: Answer = OK
        """What to answer to all others."""
        self.connections = 0
        self._closing = threading.Event()
        self._server = _Server((address, port), self._handler(), tls)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.port = self._server.server_port
        self.origin = f"{'https' if tls else 'http'}://{address}:{self.port}"
        self.url = f"{self.origin}/hook"

    def __enter__(self) -> WebhookReceiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                receiver.connections += 1
                super().setup()

            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers["content-length"]))
                received = Received(self.path, headers, body, self.client_address[0])
                answer = receiver.answers.pop(0) if receiver.answers else receiver.always
                receiver.received.append(received)
                self.close_connection = True
                answer(Exchange(self.connection, receiver._closing))

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)
        if tls is not None:
            # The handshake is for the thread of the connection.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: clients that leave are what the tests are about."""
