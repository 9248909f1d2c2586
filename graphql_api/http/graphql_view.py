"""GraphQL over HTTP (draft of the GraphQL-over-HTTP specification) and over Server-Sent Events.

Status codes: 200 for everything that was executed; 400 for a request error to a client that asked for
`application/graphql-response+json`, 200 for the same to a client of the older `application/json`, as both the draft and
its audit want; 405, 406, 413 and 415 as HTTP defines them.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, closing
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from cross_web import AsyncHTTPRequestAdapter, HTTPException, StarletteRequestAdapter
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData, process_result
from strawberry.http.streaming import HTTPStreamTransport, SSETransport
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from graphql_api import metrics
from graphql_api.domain.caller import Caller, CallerRole
from graphql_api.domain.errors import Text2ImageError
from graphql_api.domain.ids import CallerId
from graphql_api.http import json
from graphql_api.http.authentication import Door, Stay
from graphql_api.http.errors import REFUSALS, error_response, refusal_response, retry_header
from graphql_api.http.graphql_socket import TransportSocket, TransportSocketHandler
from graphql_api.schema.context import Context
from graphql_api.schema.execution import JobSchema
from graphql_api.schema.trusted import extensions_of
from graphql_api.service.streams import Streams

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
CONNECTION_INIT_WAIT = timedelta(seconds=10)
RETRY_MILLISECONDS = (1_000, 4_000)
PREFLIGHT_HEADERS = ("graphql-require-preflight", "apollo-require-preflight", "x-requested-with")


class _RequestAdapter(StarletteRequestAdapter):
    """Media types are the same in upper and in lower case, and Strawberry compares them as text."""

    @property
    def content_type(self) -> str | None:
        found = super().content_type
        return None if found is None else found.lower()


CALLER = "text2image.caller"
"""Where the scope of a request says who sent it."""

MakeContext = Callable[[HTTPConnection, Caller], Context]
"""What makes the context of a request or of a socket."""

NOBODY = Caller(id=CallerId(""), name="", account="", role=CallerRole.READER)
"""Who asks on a socket that has not said hello: no operation is run for them."""


class _EventStream(SSETransport):
    """Events whose lines end with a bare line feed, which is all that urql takes for an end of a line."""

    def encode_event(self, event: str, data: str | None = None) -> str:
        """See SSETransport."""
        return super().encode_event(event, data).replace("\r\n", "\n")

    def encode_comment(self, comment: str) -> str:
        """See SSETransport."""
        return super().encode_comment(comment).replace("\r\n", "\n")


class GraphQLView(GraphQL[Context, None]):
    """The endpoint /graphql."""

    schema: JobSchema
    stream_transport_classes_by_protocol: Mapping[str, type[HTTPStreamTransport]] = {
        **GraphQL.stream_transport_classes_by_protocol,
        GRAPHQL_SSE_PROTOCOL: _EventStream,
    }
    request_adapter_class = _RequestAdapter
    graphql_transport_ws_handler_class = TransportSocketHandler
    websocket_adapter_class = TransportSocket

    def __init__(
        self,
        schema: JobSchema,
        *,
        make_context: MakeContext,
        door: Door,
        streams: Streams,
        max_operations_per_socket: int,
        max_messages_per_second: int,
    ) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL),
            connection_init_wait_timeout=CONNECTION_INIT_WAIT,
            max_subscriptions_per_connection=max_operations_per_socket,
            # Origins were checked for HTTP and WebSocket alike before the request came here.
            allowed_origins=("*",),
        )
        self.streams = streams
        self.door = door
        self.max_messages_per_second = max_messages_per_second
        self._make_context = make_context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            if self.streams.is_draining:
                await socket.send_denial_response(_restarting())
                return
            with metrics.SOCKETS_OPEN.track_inprogress():
                await self.run(socket)
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except REFUSALS as error:
            response = refusal_response(cast("Text2ImageError", error))
        except HTTPException as error:
            headers = {"Allow": "GET, POST" if request.method not in ("GET", "POST") else "POST"}
            response = error_response(
                error.status_code, error.reason, headers=headers if error.status_code == 405 else None
            )
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        _check_request(request)
        caller = await self.door.admit(request)
        request.scope[CALLER] = caller
        context = self._make_context(request, caller)
        response = await self.run(request, context=context)
        if context.retry_after_seconds is not None:
            response.headers.update(retry_header(context.retry_after_seconds))
        return response

    def should_render_graphql_ide(self, request: object) -> bool:
        """Never: the explorer has a path of its own."""
        return False

    async def get_context(self, request: HTTPConnection, response: Response | WebSocket) -> Context:
        """The context of a socket; who asks is known when its connection_init has come."""
        return self._make_context(request, NOBODY)

    async def get_sub_response(self, request: Request | WebSocket) -> Response:
        """The response that collects headers; it also carries what form of answer was negotiated."""
        sub_response = await super().get_sub_response(request)
        sub_response.media_type = _negotiated(request.headers.get("accept", ""))
        return sub_response

    async def execute_single(
        self,
        request: Request,
        request_adapter: AsyncHTTPRequestAdapter,
        sub_response: Response,
        context: Context,
        root_value: None,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        """Execute one operation; an operation that this method or transport does not carry is refused."""
        try:
            return await super().execute_single(
                request, request_adapter, sub_response, context, root_value, request_data
            )
        except HTTPException as error:
            if not isinstance(error.__cause__, InvalidOperationTypeError):
                raise
            if error.__cause__.operation_type is OperationType.SUBSCRIPTION:
                raise HTTPException(400, "A subscription needs a WebSocket, or Accept: text/event-stream.") from error
            raise HTTPException(405, "A mutation needs POST.") from error

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        """The result as JSON. What failed before execution has no `data`."""
        response_data = process_result(result)
        if isinstance(result, PreExecutionError):
            response_data.pop("data", None)
        return response_data

    def create_response(
        self, response_data: GraphQLHTTPResponse | list[GraphQLHTTPResponse], sub_response: Response
    ) -> Response:
        """The response in the form that was negotiated."""
        media_type = sub_response.media_type or JSON
        is_request_error = media_type == GRAPHQL_JSON and "data" not in response_data
        return Response(
            json.encode(response_data),
            status_code=400 if is_request_error else 200,
            media_type=f"{media_type}; charset=utf-8",
        )

    async def create_streaming_response(
        self,
        request: Request | WebSocket,
        stream: Callable[[], AsyncIterator[str]],
        sub_response: Response,
        headers: Mapping[str, str],
    ) -> Response:
        """The stream, with a word on when to come back at its beginning; and at its end, when that is the server's."""
        return await super().create_streaming_response(
            request, lambda: self._while_streams_last(request, stream()), sub_response, headers
        )

    async def _while_streams_last(
        self, request: HTTPConnection, chunks: AsyncIterator[str]
    ) -> AsyncGenerator[str, None]:
        yield _retry_hint()
        stay = Stay(self.door, self.door.token_of(request), request.scope[CALLER])
        async with aclosing(cast("AsyncGenerator[str, None]", chunks)):
            with closing(stay):
                while True:
                    try:
                        async with self.streams.waiting(), stay.lasting():
                            chunk = await anext(chunks)
                    except StopAsyncIteration:
                        return
                    except TimeoutError:
                        break
                    yield chunk
                    # A stream may be idle for hours: it holds on to nothing meanwhile.
                    del chunk
        # Without `complete`: the operation is not over, and its client comes back for the rest.
        yield _retry_hint()

    def decode_json(self, data: str | bytes) -> object:
        """See graphql_api.http.json."""
        return json.decode(data)

    def encode_json(self, data: object) -> str:
        """See graphql_api.http.json; text, since that is what WebSocket messages and events are made of."""
        return json.encode(data).decode()

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData | list[GraphQLRequestData]:
        """Read the parameters of the request; each has one type, and the body is an object."""
        data = await super().parse_http_body(request)
        if isinstance(data, GraphQLRequestData) and not isinstance(data.operation_name, str | None):
            raise HTTPException(400, "`operationName` must be a string or null.")
        if isinstance(data, GraphQLRequestData) and data.protocol == "sse" and self._wants_json(request, data):
            return replace(data, protocol="http")
        return data

    def _wants_json(self, request: AsyncHTTPRequestAdapter, data: GraphQLRequestData) -> bool:
        """Whether a client takes JSON as well as events, and asks for one result: urql sends the same `Accept` with
        every operation."""
        accept = str(request.headers.get("accept", "")).lower()
        takes_json = GRAPHQL_JSON in accept or JSON in accept
        return takes_json and not self.schema.is_subscription(data.query, data.operation_name, data.extensions)

    def parse_json(self, data: str | bytes) -> Any:
        """Parse the body or a query parameter, which must be an object."""
        parsed = super().parse_json(data)
        if not isinstance(parsed, dict):
            raise HTTPException(400, "The request must be a JSON object; batching is not supported.")
        # Only the body comes as bytes.
        return _with_document_id(parsed) if isinstance(data, bytes) else parsed

    def parse_query_params(self, params: Any) -> dict[str, Any]:
        """Parse the parameters of a GET."""
        return _with_document_id(super().parse_query_params(params))


def _with_document_id(parameters: dict[str, Any]) -> dict[str, Any]:
    return {**parameters, "extensions": extensions_of(parameters)} if "documentId" in parameters else parameters


def _retry_hint() -> str:
    """How long a client should wait before it connects again; each another time, so that not all come at once."""
    return f"retry: {random.randint(*RETRY_MILLISECONDS)}\n\n"


def _restarting() -> Response:
    return error_response(503, "The server is about to stop.", headers={"Retry-After": "1"})


def _check_request(request: Request) -> None:
    """Refuse what HTTP itself can tell to be wrong. Raises HTTPException."""
    if request.method == "POST":
        _check_content_type(request.headers)
    elif request.method == "GET":
        _check_get(request)
    else:
        raise HTTPException(405, "GraphQL takes GET and POST.")
    accept = request.headers.get("accept", "")
    if EVENT_STREAM not in accept and _negotiated(accept) is None:
        raise HTTPException(406, f"The answer can be {GRAPHQL_JSON}, {JSON} or {EVENT_STREAM}.")


def _check_content_type(headers: Mapping[str, str]) -> None:
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.partition("charset=")[2].strip(' "').lower()
    if media_type.strip().lower() != JSON or charset not in ("", "utf-8", "utf8"):
        raise HTTPException(415, f"The body must be {JSON} in UTF-8.")


def _check_get(request: Request) -> None:
    """A GET must come with something that a page of another origin cannot send without asking first."""
    headers = request.headers
    is_same_origin = headers.get("sec-fetch-site") == "same-origin"
    is_json = headers.get("content-type", "").startswith(JSON)
    is_preflighted = is_json or any(name in headers for name in PREFLIGHT_HEADERS)
    if not is_same_origin and not is_preflighted:
        raise HTTPException(
            400, "GET needs a header that no link or form of another site can send: GraphQL-Require-Preflight: 1."
        )


def _negotiated(accept: str) -> str | None:
    """The media type to answer with: the acceptable one with the highest weight, the older one on a tie with `*/*`."""
    if not accept.strip():
        return JSON
    weights: dict[str, float] = {}
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((_weight(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
        for offered in (GRAPHQL_JSON, JSON):
            if media_range == offered:
                weights[offered] = max(weights.get(offered, 0), weight)
            elif media_range in ("*/*", "application/*") and offered == JSON:
                weights.setdefault(offered, weight)
    acceptable = [offered for offered, weight in weights.items() if weight > 0]
    return max(acceptable, key=lambda offered: (weights[offered], offered == GRAPHQL_JSON), default=None)


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
