"""GraphQL over WebSocket: the graphql-transport-ws protocol, strictly.

Strawberry's handler (0.341.2) ends the ASGI task with a traceback on several malformed messages, closes the whole
socket for a syntax error of one operation, and drops `extensions`. What is not overridden here is its own; since that
is not a documented way to extend it, its minor version is pinned. Protocol: enisdenjo/graphql-ws, PROTOCOL.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol, cast

import starlette.websockets
from graphql import GraphQLError
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    CompleteMessage,
    ConnectionInitMessage,
    Message,
    PingMessage,
    SubscribeMessage,
)
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.utils.aio import aclosing

from graphql_api import log_context, tracing
from graphql_api.domain.errors import NotAuthenticated, RateLimited, ServiceUnavailable
from graphql_api.http.authentication import Door
from graphql_api.http.guards import TOO_MANY_MESSAGES, MessageMeter
from graphql_api.http.request_ids import new_request_id
from graphql_api.schema.context import Context
from graphql_api.schema.errors import ErrorCode, top_level_error
from graphql_api.schema.execution import unexpected_fault
from graphql_api.schema.trusted import extensions_of
from graphql_api.service.callers import Session
from graphql_api.service.streams import Streams

logger = logging.getLogger(__name__)

BAD_REQUEST = 4400
UNAUTHORIZED = 4401
FORBIDDEN = 4403
"""What graphql-ws connects again after, as it does not after 4401: with a new token, if it has one."""
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013
MAX_REASON_BYTES = 120
MAX_ID_CHARS = 255

_OPTIONAL_FIELDS: Mapping[str, type] = {
    "variables": dict,
    "operationName": str,
    "documentId": str,
    "extensions": dict,
}


class TransportSocket(ASGIWebSocketAdapter):
    """The socket. A peer that is gone is told as such, whatever Starlette calls it."""

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message. Raises WebSocketDisconnected."""
        try:
            await super().send_json(message)
        except starlette.websockets.WebSocketDisconnected as error:
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Close with a reason, cut to what a close frame holds; a socket that is closed already stays so."""
        short = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        try:
            await super().close(code, short)
        except (RuntimeError, starlette.websockets.WebSocketDisconnect):
            return


class _TransportOperation(Operation[Context, None]):
    """An operation together with the `extensions` of its request."""

    __slots__ = ("extensions",)

    def __init__(self, *args: Any, extensions: dict[str, object] | None) -> None:
        super().__init__(*args)
        self.extensions = extensions


class _View(Protocol):
    streams: Streams
    door: Door
    max_messages_per_second: int


class TransportSocketHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One socket from its first message to its last."""

    _leaving: asyncio.Task[None] | None = None
    _session: Session | None = None
    _place: AbstractContextManager[None] | None = None
    _meter: MessageMeter

    @property
    def _view(self) -> _View:
        return cast("_View", self.view)

    def on_request_accepted(self) -> None:
        """Begin."""
        super().on_request_accepted()
        self._meter = MessageMeter(self._view.max_messages_per_second)
        self._view.streams.add(self._leave_in_time)

    async def shutdown(self) -> None:
        """End."""
        self._view.streams.remove(self._leave_in_time)
        self._view.door.sessions.remove(self._session)
        if self._place is not None:
            self._place.__exit__(None, None, None)
        await super().shutdown()

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Say hello to who shows a credential that counts."""
        if not self.connection_init_received and not self.connection_timed_out:
            try:
                await self._come_in(message.get("payload") or {})
            except NotAuthenticated as error:
                await self.websocket.close(*_closing(error))
                return
            except (RateLimited, ServiceUnavailable) as error:
                await self.websocket.close(TRY_AGAIN_LATER, error.message)
                return
        await super().handle_connection_init(message)

    async def _come_in(self, params: Mapping[str, object]) -> None:
        door, connection = self._view.door, cast("TransportSocket", self.websocket).ws
        token = door.token_of(connection, params)
        caller = await door.identify(token, connection)
        await door.count_request(caller)
        place = door.fair_use.socket(caller)
        place.__enter__()
        self._place, self.context.caller = place, caller
        self._session = door.sessions.add(token, caller, self._end)

    def _end(self, error: NotAuthenticated) -> None:
        self._leave(*_closing(error))

    def _leave(self, code: int, reason: str) -> None:
        if self._leaving is None:
            self._leaving = asyncio.create_task(self.websocket.close(code, reason))

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        super()._task_done(task)
        self._leave_in_time()

    def _leave_in_time(self) -> None:
        """Close the socket when the server is about to stop: at once without operations, with them as late as can be.
        They do not complete by that, so that the client connects again and goes on with them."""
        streams = self._view.streams
        if streams.is_ending or (streams.is_draining and not self.operations):
            self._leave(SERVICE_RESTART, "Service Restart")

    async def handle_message(self, message: Message) -> None:
        """Check the shape of a message before anything uses it."""
        if not self._meter.admits():
            await self.websocket.close(TOO_MANY_MESSAGES, "Too many messages")
            return
        problem = _problem_of(message)
        if problem is not None:
            await self.handle_invalid_message(problem)
            return
        fields = {name: value for name, value in message.items() if value is not None}
        await super().handle_message(cast("Message", fields))

    async def handle_ping(self, message: PingMessage) -> None:
        """Answer with the payload of the ping."""
        await self.send_message(cast("Message", {**message, "type": "pong"}))

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Start an operation, or refuse it."""
        operation_id, payload = message["id"], message["payload"]
        if not self.connection_acknowledged:
            await self.websocket.close(UNAUTHORIZED, "Unauthorized")
        elif operation_id in self.operations:
            await self.websocket.close(code=4409, reason=f"Subscriber for {operation_id} already exists")
        elif len(self.operations) >= (self.max_subscriptions_per_connection or 1):
            await self._refuse(operation_id, "Too many operations on this socket.", ErrorCode.TOO_MANY_OPERATIONS)
        else:
            operation = _TransportOperation(
                self,
                operation_id,
                payload.get("query") or "",
                payload.get("variables"),
                payload.get("operationName"),
                extensions=extensions_of(payload),
            )
            operation.task = asyncio.create_task(self.run_operation(operation))
            operation.task.add_done_callback(self._task_done)
            self.operations[operation_id] = operation

    async def run_operation(self, operation: Operation[Context, None]) -> None:
        """Run an operation to its end. What cannot be executed is an `error` for its own id; the others go on.

        When the socket is gone, stop quietly.
        """
        request_id = new_request_id()
        log_context.bind(request_id=request_id)
        with tracing.span("WebSocket operation", parent=self._traceparent(), **{"text2image.request.id": request_id}):
            try:
                await self._view.door.count_request(self.context.caller)
                results = await self.schema.stream(
                    operation.query,
                    variable_values=operation.variables,
                    context_value=self.context,
                    root_value=self.root_value,
                    operation_name=operation.operation_name,
                    operation_extensions=getattr(operation, "extensions", None),
                )
                async with aclosing(results):
                    async for result in results:
                        if isinstance(result, PreExecutionError):
                            await operation.send_initial_errors(result.errors or [])
                            return
                        await operation.send_next(cast("ExecutionResult", result))
                        del result
                await operation.send_operation_message(CompleteMessage(id=operation.id, type="complete"))
            except RateLimited as error:
                await operation.send_initial_errors([top_level_error(error)])
            except WebSocketDisconnected:
                pass
            except Exception as error:
                # Whatever it is: the client must not wait for ever, and its ID is free again.
                logger.error("an operation of a socket met a fault", exc_info=error)
                with suppress(WebSocketDisconnected):
                    await operation.send_initial_errors([unexpected_fault()])
            finally:
                # Its ID may be in use again.
                if self.operations.get(operation.id) is operation:
                    del self.operations[operation.id]

    def _traceparent(self) -> str | None:
        """What the client sent with its handshake: the operations of a socket belong to one trace then."""
        return cast("TransportSocket", self.websocket).ws.headers.get("traceparent") if tracing.is_on() else None

    async def _refuse(self, operation_id: str, message: str, code: ErrorCode) -> None:
        error = GraphQLError(message, extensions={"code": code})
        await self.send_message({"id": operation_id, "type": "error", "payload": [error.formatted]})


def _closing(error: NotAuthenticated) -> tuple[int, str]:
    """Code and reason of closing a socket whose credential does not count, or no more."""
    return (FORBIDDEN, "Token expired") if error.is_expired else (UNAUTHORIZED, "Unauthorized")


def _problem_of(message: object) -> str | None:
    """What is wrong with the shape of a message, or None."""
    if not isinstance(message, dict):
        return "A message must be a JSON object"
    kind = message.get("type")
    if kind in ("connection_init", "ping", "pong"):
        return None if isinstance(message.get("payload"), dict | None) else f"The payload of {kind} must be an object"
    if kind not in ("subscribe", "complete"):
        return "Unknown message type"
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not 0 < len(operation_id) <= MAX_ID_CHARS:
        return f"The id of {kind} must be a string of 1 to {MAX_ID_CHARS} characters"
    return _problem_of_payload(message.get("payload")) if kind == "subscribe" else None


def _problem_of_payload(payload: object) -> str | None:
    if not isinstance(payload, dict):
        return "The payload of subscribe must be an object"
    extensions = payload.get("extensions")
    names_document = "documentId" in payload or (isinstance(extensions, dict) and "persistedQuery" in extensions)
    if not isinstance(payload.get("query"), str | None if names_document else str):
        return "The query must be a string"
    for name, kind in _OPTIONAL_FIELDS.items():
        if not isinstance(payload.get(name), kind | None):
            return f"{name} must be {'an object' if kind is dict else 'a string'}"
    return None
