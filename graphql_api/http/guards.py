"""What a request must be before anything looks into it, as plain ASGI middleware.

The guards hand the call on rather than wait for it: each would otherwise keep a frame for as long as a socket is open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphql_api.http.errors import error_response

MAX_BODY_BYTES = 128 * 1024
DISCARDED_BYTES = 1024 * 1024


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


class BodyGuard:
    """Refuses request bodies over MAX_BODY_BYTES, announced or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """See ASGI."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            return self._app(scope, receive, send)
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdigit() or int(announced) > MAX_BODY_BYTES:
            return _too_large(scope, receive, send)
        return self._count(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        received, is_whole = 0, False

        async def receive_bounded() -> Message:
            nonlocal received, is_whole
            message = await receive()
            is_whole = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise _BodyTooLarge
            return message

        try:
            await self._app(scope, receive_bounded, send)
        except _BodyTooLarge:
            if not is_whole:
                await _discard(receive, DISCARDED_BYTES)
            await _too_large(scope, receive, send)


class _BodyTooLarge(Exception):
    pass


async def _discard(receive: Receive, at_most: int) -> None:
    """Read on for a while: a client that is still sending when the connection closes never sees the answer."""
    while at_most > 0:
        message = await receive()
        at_most -= len(message.get("body", b"")) or 1
        if not message.get("more_body", False):
            return


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    message = f"The body is larger than {MAX_BODY_BYTES} bytes."
    await error_response(413, message, headers={"Connection": "close"})(scope, receive, send)
