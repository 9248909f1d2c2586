"""graphql-transport-ws, message by message."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.clients.waiting import PATIENCE_SECONDS

Message = dict[str, Any]
TRANSPORT_WS = "graphql-transport-ws"


class Refused(Exception):
    """An `error` message. `errors` is its payload."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(str(errors))
        self.errors = errors

    @property
    def codes(self) -> list[str]:
        """The codes of the errors."""
        return [error["extensions"]["code"] for error in self.errors]


class Socket:
    """One socket. Not for use by several tasks."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._ids = itertools.count(1)

    async def send(self, message: object) -> None:
        """Send a JSON value, or text or bytes as they are."""
        raw = message if isinstance(message, str | bytes) else json.dumps(message)
        await self.connection.send(raw)

    async def receive(self, *, within: float = PATIENCE_SECONDS) -> Message:
        """The next message. Raises ConnectionClosed, or TimeoutError."""
        async with asyncio.timeout(within):
            message: Message = json.loads(await self.connection.recv())
        return message

    async def init(self) -> None:
        """Say hello, and be acknowledged."""
        await self.send({"type": "connection_init"})
        assert await self.receive() == {"type": "connection_ack"}

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the server's closing; messages before it are passed over."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed as error:
            assert error.rcvd is not None, "the connection broke off without a close frame"
            return error.rcvd.code, error.rcvd.reason

    async def subscribe(self, query: str, variables: dict[str, Any] | None = None, *, key: str | None = None) -> str:
        """Start an operation; its ID."""
        operation_id = key or str(next(self._ids))
        payload = {"query": query, "variables": variables or {}}
        await self.send({"id": operation_id, "type": "subscribe", "payload": payload})
        return operation_id

    async def next_of(self, operation_id: str) -> Message | None:
        """The next result of an operation, or None at its end. Raises Refused."""
        while True:
            message = await self.receive()
            if message.get("id") != operation_id:
                continue
            if message["type"] == "error":
                raise Refused(message["payload"])
            if message["type"] == "complete":
                return None
            assert message["type"] == "next"
            payload: Message = message["payload"]
            return payload

    async def results(
        self, query: str, variables: dict[str, Any] | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The data of every result up to the end. Leaving early leaves the operation. Raises Refused."""
        operation_id = await self.subscribe(query, variables)
        is_over = False
        try:
            while (payload := await self.next_of(operation_id)) is not None:
                assert "errors" not in payload, payload["errors"]
                yield payload["data"]
            is_over = True
        except (Refused, ConnectionClosed):
            is_over = True
            raise
        finally:
            if not is_over:
                await self.send({"id": operation_id, "type": "complete"})

    async def all_results(self, query: str, variables: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """The data of every result of an operation that ends by itself."""
        async with aclosing(self.results(query, variables)) as results:
            return [result async for result in results]


@asynccontextmanager
async def open_socket(
    url: str, *, init: bool = True, protocol: str | None = TRANSPORT_WS, headers: dict[str, str] | None = None
) -> AsyncIterator[Socket]:
    """A socket; acknowledged, unless `init` is false."""
    protocols = None if protocol is None else [Subprotocol(protocol)]
    async with connect(
        url,
        subprotocols=protocols,
        additional_headers=headers,
        proxy=None,
        max_size=None,
        max_queue=None,
        ping_interval=None,
    ) as connection:
        socket = Socket(connection)
        if init:
            await socket.init()
        yield socket
