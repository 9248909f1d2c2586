"""What a request must be before anything looks into it, as plain ASGI middleware.

The guards hand the call on rather than wait for it: each would otherwise keep a frame for as long as a socket is open.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from graphql_api.http.addresses import OpenByAddress, place_of
from graphql_api.http.errors import error_response, hold_back

MAX_BODY_BYTES = 128 * 1024
DISCARDED_BYTES = 1024 * 1024
BODY_SECONDS = 10
"""How long a body may take from its first byte to its last."""

BURST_SECONDS = 10
"""Over how long messages a second are counted."""

TOO_MANY_MESSAGES = 4429
"""The code that a socket is closed with for more messages than its meter admits."""

RETRY_SECONDS = 10
"""After how long a client that was refused may try again."""


class HostGuard:
    """Answers only to the names that the server knows to be its own, so that no page can rebind its name to it.

    `open_paths` answer to any name: they tell no secret. `address_paths` answer to any IP address too, which is what
    machines call each other by and what no page can rebind.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: Sequence[str],
        open_paths: Collection[str] = (),
        address_paths: Collection[str] = (),
    ) -> None:
        self._app = app
        self._allowed_hosts = {host.lower() for host in allowed_hosts}
        self._open_paths = open_paths
        self._address_paths = address_paths

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """See ASGI."""
        if scope["type"] == "lifespan" or self._is_allowed(Headers(scope=scope).get("host", ""), scope["path"]):
            return self._app(scope, receive, send)
        if scope["type"] == "websocket":
            return send({"type": "websocket.close", "code": 1008})
        refusal = error_response(421, "This server does not answer to that host name; see TEXT2IMAGE_ALLOWED_HOSTS.")
        return refusal(scope, receive, send)

    def _is_allowed(self, host: str, path: str) -> bool:
        if path in self._open_paths or "*" in self._allowed_hosts:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        is_ours = name in self._allowed_hosts or f"[{name}]" in self._allowed_hosts
        return is_ours or (path in self._address_paths and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class OriginGuard:
    """Refuses what a page of another origin sends, unless that origin is allowed. No Origin header means no page."""

    def __init__(self, app: ASGIApp, *, allowed_origins: Sequence[str]) -> None:
        self._app = app
        self._allowed_origins = {origin.lower().rstrip("/") for origin in allowed_origins}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """See ASGI."""
        if scope["type"] == "lifespan" or self._is_allowed(Headers(scope=scope)):
            return self._app(scope, receive, send)
        if scope["type"] == "websocket":
            return send({"type": "websocket.close", "code": 1008})
        return error_response(403, "Pages of this origin may not use the API.")(scope, receive, send)

    def _is_allowed(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None or "*" in self._allowed_origins or origin.lower() in self._allowed_origins:
            return True
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


class SocketGuard:
    """Refuses WebSockets beyond `max_per_address` of one address, or of one /64 network of IPv6, at the handshake."""

    def __init__(self, app: ASGIApp, *, max_per_address: int) -> None:
        self._app = app
        self._open = OpenByAddress(max_per_address)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """See ASGI."""
        if scope["type"] != "websocket":
            return self._app(scope, receive, send)
        place = place_of((scope.get("client") or ("",))[0])
        task = asyncio.current_task()
        if task is None or not self._open.enter(place):
            return WebSocket(scope, receive, send).send_denial_response(_too_many_sockets())
        # The server runs each socket in a task of its own, which ends with it, whatever ends it. To wait here for that
        # would keep a frame.
        task.add_done_callback(partial(self._leave, place))
        return self._app(scope, receive, send)

    def _leave(self, place: str, _: object) -> None:
        self._open.leave(place)


def _too_many_sockets() -> Response:
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return error_response(429, "Too many WebSockets are open at this address.", headers=headers)


class MessageMeter:
    """Admits so many messages a second. Who was silent may send as many as in ten seconds at once.

    There is one for each socket, so it is small: all that it knows is when the messages so far will have been worth
    their time (the generic cell rate algorithm).
    """

    __slots__ = ("_clock", "_paid_until", "_seconds_each")

    def __init__(self, per_second: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds_each = 1 / per_second
        self._clock = clock
        self._paid_until = 0.0

    def admits(self) -> bool:
        """Whether one more message may come now. One that may not is not counted."""
        now = self._clock()
        paid_until = max(self._paid_until, now) + self._seconds_each
        if paid_until > now + BURST_SECONDS + self._seconds_each / 2:
            return False
        self._paid_until = paid_until
        return True


class BodyGuard:
    """Refuses request bodies over MAX_BODY_BYTES, announced or not, and those that take longer than BODY_SECONDS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """See ASGI."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            return self._app(scope, receive, send)
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdigit() or int(announced) > MAX_BODY_BYTES:
            return _refuse_large(scope, receive, send)
        return self._watch(scope, receive, send)

    async def _watch(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive)
        try:
            await self._app(scope, body.receive, send)
        except ClientDisconnect:
            # It left in the middle of its body. Nobody is there to be answered.
            return
        except _BodyTooLarge:
            await body.discard(DISCARDED_BYTES)
            await _refuse_large(scope, receive, send)
        except _BodyTooSlow:
            message = f"The body took longer than {BODY_SECONDS} seconds."
            await error_response(408, message, headers={"Connection": "close"})(scope, receive, send)


class _Body:
    """A body on its way, which has until a deadline to be whole."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        self._received = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """See ASGI. Raises _BodyTooLarge, _BodyTooSlow."""
        # What comes after the body says that the client is gone, and that may take as long as it likes.
        message = await (self._receive() if self._is_whole else self._receive_in_time())
        self._is_whole = not message.get("more_body", False)
        self._received += len(message.get("body", b""))
        if self._received > MAX_BODY_BYTES:
            raise _BodyTooLarge
        return message

    async def discard(self, at_most: int) -> None:
        """Read on for a while: a client that still sends when the connection closes never sees the answer."""
        with suppress(_BodyTooSlow):
            while at_most > 0 and not self._is_whole:
                message = await self._receive_in_time()
                at_most -= len(message.get("body", b"")) or 1
                self._is_whole = not message.get("more_body", False)

    async def _receive_in_time(self) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._receive()
        except TimeoutError:
            raise _BodyTooSlow from None


class _BodyTooLarge(Exception):
    pass


class _BodyTooSlow(Exception):
    pass


async def _refuse_large(scope: Scope, receive: Receive, send: Send) -> None:
    await hold_back()
    message = f"The body is larger than {MAX_BODY_BYTES} bytes."
    await error_response(413, message, headers={"Connection": "close"})(scope, receive, send)
