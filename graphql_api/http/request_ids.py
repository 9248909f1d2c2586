"""Each request has an ID, which its log lines carry and its answer names, and a span where traces are on."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphql_api import log_context, tracing

# What stands in a log line, and in a header of the answer: nothing that could end either.
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
TRACED_PATHS = ("/graphql", "/text2image")


def new_request_id() -> str:
    """An ID for a request whose client has given it none."""
    return secrets.token_hex(8)


class RequestIds:
    """Gives each request the ID of its `X-Request-Id`, or a new one. The operations of a socket get their own later."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """See ASGI."""
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _SANE_ID.fullmatch(given) else new_request_id()
        # The server runs each request in a task of its own, so this ends with it.
        log_context.bind(request_id=request_id)
        header = (b"x-request-id", request_id.encode())

        def send_with_id(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), header]}
                tracing.note(**{"http.response.status_code": message["status"]})
            return send(message)

        if tracing.is_on() and scope["path"] in TRACED_PATHS:
            return self._traced(scope, receive, send_with_id, request_id)
        return self._app(scope, receive, send_with_id)

    async def _traced(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        attributes = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "text2image.request.id": request_id,
        }
        name = f"{scope['method']} {scope['path']}"
        with tracing.span(name, parent=Headers(scope=scope).get("traceparent"), **attributes):
            await self._app(scope, receive, send)
