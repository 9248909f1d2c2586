"""Documents, parsed, limited and validated once per text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from graphql_api.schema.errors import ErrorCode
from graphql_api.schema.limits import QueryLimits, exceeded_limit, operations_of
from graphql_api.schema.plans import Plan, plan_for

CACHED_DOCUMENTS = 512
MAX_CACHED_CHARS = 16_384
MAX_VALIDATION_ERRORS = 20
RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was looked at: either it may be executed, or `errors` say why not. Never change the errors."""

    node: DocumentNode | None
    errors: tuple[GraphQLError, ...] = ()
    plans: dict[str | None, Plan | None] = field(default_factory=dict, compare=False)
    """Plans of its subscriptions by operation name, as they are needed."""

    def plan(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> Plan | None:
        """How to turn an event of a subscription into data without walking the selection again, where that is known."""
        name = operation.name.value if operation.name else None
        if name not in self.plans and self.node is not None:
            self.plans[name] = plan_for(schema, self.node, operation)
        return self.plans.get(name)

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation to execute. Raises GraphQLError when the name picks none, or is needed and missing."""
        operations = list(operations_of(self.node)) if self.node else []
        if name is None and len(operations) == 1:
            return operations[0]
        for operation in operations:
            if name is not None and operation.name is not None and operation.name.value == name:
                return operation
        if name is None and operations:
            problem = "The document has several operations; operationName must pick one."
        elif name is None:
            problem = "The document has no operation."
        else:
            problem = "The document has no operation of that name."
        raise GraphQLError(problem, extensions={"code": ErrorCode.OPERATION_RESOLUTION_FAILURE})


def document_reader(schema: GraphQLSchema, limits: QueryLimits) -> Callable[[str], Document]:
    """A function that turns query text into a Document, with a cache of the latest ones."""

    def read(query: str) -> Document:
        return _read(schema, limits, query)

    cached = lru_cache(maxsize=CACHED_DOCUMENTS)(read)
    return lambda query: cached(query) if len(query) <= MAX_CACHED_CHARS else read(query)


def _read(schema: GraphQLSchema, limits: QueryLimits, query: str) -> Document:
    try:
        node = parse(query, max_tokens=limits.tokens)
        problem = exceeded_limit(node, limits)
    except GraphQLSyntaxError as error:
        # graphql-core tells its own limits from mistakes by their text alone.
        is_too_much = "nested too deeply" in error.message or f"{limits.tokens} tokens" in error.message
        code = ErrorCode.QUERY_TOO_COMPLEX if is_too_much else ErrorCode.GRAPHQL_PARSE_FAILED
        return Document(None, (_with_code(error, code),))
    except RecursionError:
        return Document(None, (_error("The document is nested too deeply.", ErrorCode.QUERY_TOO_COMPLEX),))
    if problem is not None:
        return Document(None, (_error(problem, ErrorCode.QUERY_TOO_COMPLEX),))
    errors = validate(schema, node, RULES, max_errors=MAX_VALIDATION_ERRORS)
    return Document(node, tuple(_with_code(error, ErrorCode.GRAPHQL_VALIDATION_FAILED) for error in errors))


def _with_code(error: GraphQLError, code: ErrorCode) -> GraphQLError:
    error.extensions = {**(error.extensions or {}), "code": code}
    return error


def _error(message: str, code: ErrorCode) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})
