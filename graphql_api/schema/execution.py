"""How operations are executed: Strawberry defines the schema, graphql-core's own functions run it.

Strawberry's `execute` and `stream` are replaced because of what they do with hostile or broken input (measured on
0.341.2): the first of several operations is run when no name picks one, a subscription posted as a query is executed,
and every error is logged with the text of the query. Fewer layers also cost less per event.
"""

from __future__ import annotations

import copy
import inspect
import logging
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import strawberry
from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode
from graphql import ExecutionResult as CoreResult
from graphql.execution import Executor, create_source_event_stream, execute, execute_subscription_event
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from graphql_api import log_context, metrics
from graphql_api.domain.errors import AccessDenied, RateLimited, RequestRefused, ServiceUnavailable
from graphql_api.schema.documents import Document, DocumentReader, DocumentRules
from graphql_api.schema.errors import ErrorCode, top_level_error
from graphql_api.schema.trusted import DocumentRequest

logger = logging.getLogger(__name__)

Results = AsyncGenerator[ExecutionResult | PreExecutionError, None]
"""Results of a stream; a PreExecutionError can only be the first and only one."""


_FAULTS = frozenset({ErrorCode.INTERNAL_SERVER_ERROR, ErrorCode.SERVICE_UNAVAILABLE})
_NONE = "none"
_OPERATIONS = (*(kind.value for kind in OperationType), _NONE)
_COUNTERS = {
    (operation, outcome): metrics.GRAPHQL_OPERATIONS.labels(operation, outcome)
    for operation in _OPERATIONS
    for outcome in ("ok", "refused", "fault")
}
_SECONDS = {operation: metrics.GRAPHQL_SECONDS.labels(operation) for operation in _OPERATIONS}
_STREAMS_OPEN = {
    "http": metrics.STREAMS_OPEN.labels("sse"),
    "websocket": metrics.STREAMS_OPEN.labels("websocket"),
}


class JobSchema(strawberry.Schema):
    """The schema, and the rules by which its operations are accepted and run."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._documents = DocumentReader(self._schema, DocumentRules())

    def with_rules(self, rules: DocumentRules) -> JobSchema:
        """The same schema with other rules for documents. The types are shared, since building them takes time.

        Raises ValueError with a sentence when a trusted document does not fit the schema.
        """
        other = copy.copy(self)
        other._documents = DocumentReader(self._schema, rules)
        return other

    def is_subscription(self, query: str | None, operation_name: str | None, extensions: dict[str, Any] | None) -> bool:
        """Whether a request asks for a subscription that may be looked at; what is refused is none."""
        try:
            _, operation = self._named(query, operation_name, extensions)
        except (_NotExecutable, MissingQueryError):
            return False
        return operation.operation.value == OperationType.SUBSCRIPTION.value

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Run a query or a mutation. A subscription is never run here, whatever is allowed.

        Raises MissingQueryError, or InvalidOperationTypeError when the transport does not allow the operation.
        """
        began = time.perf_counter()
        allowed = {OperationType.QUERY, OperationType.MUTATION}
        if allowed_operation_types is not None:
            allowed &= set(allowed_operation_types)
        try:
            call = self._prepare(
                query, operation_name, allowed, variable_values, context_value, root_value, operation_extensions, began
            )
        except (MissingQueryError, InvalidOperationTypeError):
            _count(_NONE, "refused", began)
            raise
        except _NotExecutable as refusal:
            _count(_NONE, "refused", began)
            return PreExecutionError(data=None, errors=list(refusal.errors))
        return await call.execute()

    async def stream(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
    ) -> Results:
        """Run any operation over a transport that streams; the stream of a query or mutation has one result."""
        began = time.perf_counter()
        allowed = set(OperationType if allowed_operation_types is None else allowed_operation_types)
        try:
            call = self._prepare(
                query, operation_name, allowed, variable_values, context_value, root_value, operation_extensions, began
            )
        except _NotExecutable as refusal:
            _count(_NONE, "refused", began)
            return _refusal(refusal.errors)
        except (MissingQueryError, InvalidOperationTypeError) as error:
            _count(_NONE, "refused", began)
            return _refusal([_not_startable(error)])
        is_subscription = call.operation.operation.value == OperationType.SUBSCRIPTION.value
        return call.subscribe() if is_subscription else call.execute_as_stream()

    def _prepare(
        self,
        query: str | None,
        operation_name: str | None,
        allowed: set[OperationType],
        variables: dict[str, Any] | None,
        context: Any,
        root: Any,
        extensions: dict[str, Any] | None,
        began: float,
    ) -> _Call:
        """What is to be executed. Raises _NotExecutable, MissingQueryError, InvalidOperationTypeError."""
        try:
            document, operation = self._named(query, operation_name, extensions)
            kind = OperationType(operation.operation.value)
            if kind not in allowed:
                raise InvalidOperationTypeError(kind)
            problem = self._documents.cost_problem(document, operation, variables)
        except (_NotExecutable, MissingQueryError, InvalidOperationTypeError):
            raise
        except Exception as error:
            # A document that we do not understand must not end more than itself.
            raise _NotExecutable((_presentable_error(_located(error)),)) from None
        if problem is not None:
            raise _NotExecutable((problem,))
        assert document.node is not None
        return _Call(self._schema, document, document.node, operation, variables, context, root, extensions, began)

    def _named(
        self, query: str | None, operation_name: str | None, extensions: dict[str, Any] | None
    ) -> tuple[Document, OperationDefinitionNode]:
        """The document and the operation that a request names. Raises _NotExecutable, MissingQueryError."""
        try:
            request = DocumentRequest.of(query, extensions)
        except ValueError as error:
            raise _NotExecutable((_bad_request(str(error)),)) from None
        if request.query is None and request.document_id is None:
            raise MissingQueryError
        document = self._documents.find(request)
        if document.errors or document.node is None:
            raise _NotExecutable(document.errors)
        try:
            return document, document.operation(operation_name)
        except GraphQLError as error:
            raise _NotExecutable((error,)) from None


@dataclass(frozen=True, slots=True)
class _Call:
    """An operation that may be executed, with everything that it is executed with."""

    schema: GraphQLSchema
    document: Document
    node: DocumentNode
    operation: OperationDefinitionNode
    variables: dict[str, Any] | None
    context: Any
    root: Any
    extensions: dict[str, Any] | None
    began: float

    @property
    def name(self) -> str | None:
        """The name of the operation."""
        return self.operation.name.value if self.operation.name else None

    async def execute(self) -> ExecutionResult:
        """Run a query or a mutation."""
        result = execute(
            self.schema,
            self.node,
            root_value=self.root,
            context_value=self.context,
            variable_values=self.variables,
            operation_name=self.name,
            executor_class=StrawberryGraphQLCoreExecutionContext,
            operation_extensions=self.extensions,
        )
        presentable = _presentable(await result if inspect.isawaitable(result) else result)
        self._count(presentable.errors)
        if presentable.data is None and presentable.errors and all(error.path is None for error in presentable.errors):
            # The variables do not fit: nothing was executed.
            return PreExecutionError(data=None, errors=presentable.errors)
        return presentable

    async def execute_as_stream(self) -> Results:
        """Run a query or a mutation over a transport of streams."""
        yield await self.execute()

    async def subscribe(self) -> Results:
        """Run a subscription, if its caller may have one more open."""
        context = self.context
        try:
            with context.fair_use.stream(context.caller):
                source, errors = await _event_source(self._executor())
                presentable = _presentable_errors(errors)
                self._count(presentable)
                if source is None:
                    yield PreExecutionError(data=None, errors=presentable)
                    return
                plan = self.document.plan(self.schema, self.operation)
                async with aclosing(source) as events:
                    with _STREAMS_OPEN[context.transport].track_inprogress():
                        try:
                            async for event in events:
                                data = None if plan is None else await plan.execute(event, context)
                                if data is None:
                                    yield _presentable(await _execute_event(self._executor(), event))
                                else:
                                    yield ExecutionResult(data=data, errors=None)
                                # A subscription may be idle for hours: it holds on to nothing meanwhile.
                                del event, data
                        except Exception as error:
                            yield ExecutionResult(data=None, errors=_presentable_errors([_located(error)]))
        except RateLimited as error:
            refusal = top_level_error(error)
            self._count([refusal])
            yield PreExecutionError(data=None, errors=[refusal])

    def _count(self, errors: Sequence[GraphQLError] | None) -> None:
        _count(self.operation.operation.value, _outcome(errors), self.began)

    def _executor(self) -> Executor[Any] | list[GraphQLError]:
        """What executes the operation, or why its variables do not fit."""
        return StrawberryGraphQLCoreExecutionContext.build(
            self.schema,
            self.node,
            self.root,
            self.context,
            self.variables,
            self.name,
            operation_extensions=self.extensions,
        )


def _outcome(errors: Sequence[GraphQLError] | None) -> str:
    if not errors:
        return "ok"
    return "fault" if any((error.extensions or {}).get("code") in _FAULTS for error in errors) else "refused"


def _count(operation: str, outcome: str, began: float) -> None:
    seconds = time.perf_counter() - began
    _COUNTERS[operation, outcome].inc()
    _SECONDS[operation].observe(seconds)
    logger.debug("%s %s in %.1f ms", operation, outcome, 1000 * seconds)


async def _event_source(
    executor: Executor[Any] | list[GraphQLError],
) -> tuple[AsyncGenerator[Any, None] | None, Sequence[GraphQLError]]:
    """The events of a subscription, or the errors that keep it from beginning."""
    if isinstance(executor, list):
        return None, executor
    source = create_source_event_stream(executor)
    if inspect.isawaitable(source):
        source = await source
    if isinstance(source, CoreResult):
        return None, source.errors or []
    return cast("AsyncGenerator[Any, None]", source), []


async def _execute_event(executor: Executor[Any] | list[GraphQLError], event: Any) -> Any:
    """Execute one event the general way."""
    assert not isinstance(executor, list)
    result = execute_subscription_event(executor.build_per_event_executor(event))
    return await result if inspect.isawaitable(result) else result


async def _refusal(errors: Sequence[GraphQLError]) -> Results:
    yield PreExecutionError(data=None, errors=list(errors))


class _NotExecutable(Exception):
    def __init__(self, errors: Sequence[GraphQLError]) -> None:
        self.errors = errors


def _not_startable(error: Exception) -> GraphQLError:
    if isinstance(error, InvalidOperationTypeError):
        return _bad_request(f"A {error.operation_type.value} is not allowed over this transport.")
    return _bad_request("There is no query in the request.")


def _bad_request(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": ErrorCode.BAD_REQUEST})


def _located(error: Exception) -> GraphQLError:
    return error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)


def _presentable(result: Any) -> ExecutionResult:
    errors = _presentable_errors(result.errors) if result.errors else None
    return ExecutionResult(data=result.data, errors=errors)


def _presentable_errors(errors: Sequence[GraphQLError]) -> list[GraphQLError]:
    return [_presentable_error(error) for error in errors]


def unexpected_fault() -> GraphQLError:
    """What a caller is told of a fault of ours; the log has the rest under the same ID."""
    return GraphQLError(
        "The server met an unexpected fault.",
        extensions={"code": ErrorCode.INTERNAL_SERVER_ERROR, "requestId": log_context.request_id()},
    )


def _presentable_error(error: GraphQLError) -> GraphQLError:
    """The error as a caller may see it: always with a code, and a fault of ours without its text."""
    if error.extensions and "code" in error.extensions:
        return error
    cause = error.original_error
    if isinstance(cause, RequestRefused):
        told = top_level_error(cause)
    elif isinstance(cause, AccessDenied):
        told = GraphQLError(cause.message, extensions={"code": ErrorCode.FORBIDDEN})
    elif isinstance(cause, ServiceUnavailable):
        # Without a traceback: while a part is away there may be one for every request.
        logger.warning("a request was not answered: %s (%s)", cause, type(cause.__cause__ or cause).__name__)
        told = GraphQLError(cause.message, extensions={"code": ErrorCode.SERVICE_UNAVAILABLE})
    elif cause is None or isinstance(cause, GraphQLError):
        # graphql-core's own: a variable or argument that does not fit its type.
        told = GraphQLError(error.message, extensions={"code": ErrorCode.BAD_USER_INPUT})
    else:
        logger.error("a request met a fault at %s", error.path, exc_info=cause)
        told = unexpected_fault()
    return GraphQLError(told.message, nodes=error.nodes, path=error.path, extensions=told.extensions)
