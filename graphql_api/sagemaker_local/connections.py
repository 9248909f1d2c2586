"""The connection below a request, which this server must be able to cut."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's own, which hands its transport on in the request's state."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class NoResponse(Response):
    """For a client that is not there any more."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass


async def client_left(request: Request) -> None:
    """Wait until the connection is gone. To be called when the body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def cut(request: Request) -> None:
    """Cut the connection, whatever was sent or not."""
    request.state.transport.abort()
