"""Documents, parsed, limited and validated once per text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoUndefinedVariablesRule,
    NoUnusedVariablesRule,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    UniqueVariableNamesRule,
    VariablesAreInputTypesRule,
    VariablesInAllowedPositionRule,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import ASTValidationRule
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from graphql_api.schema.contested import ambiguous_names, contested_part, has_too_many_duplicates
from graphql_api.schema.costs import Cost, cost_of
from graphql_api.schema.errors import ErrorCode
from graphql_api.schema.limits import QueryLimits, exceeded_limit, operations_of, selects_introspection, too_much
from graphql_api.schema.plans import Plan, plan_for
from graphql_api.schema.tokens import has_more_tokens
from graphql_api.schema.trusted import HASH_PREFIX, SETTING, DocumentRequest, TrustedDocuments, hash_of

CACHED_DOCUMENTS = 256
"""A document of the largest size takes 250 kB, a refused one no more than its text."""
MAX_CACHED_CHARS = 16_384
MAX_VALIDATION_ERRORS = 5
SHOWN_CHARS = 80
RULES = (
    *(rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule),
    MaybeNullValidationRule,
    OneOfInputValidationRule,
)
"""What a document is checked by, beside the rule that sees only a part of it (see `contested`)."""
RULES_WITHOUT_VARIABLES = tuple(
    rule
    for rule in RULES
    if rule
    not in (
        NoUndefinedVariablesRule,
        NoUnusedVariablesRule,
        UniqueVariableNamesRule,
        VariablesAreInputTypesRule,
        VariablesInAllowedPositionRule,
    )
)
"""The same for a document that has no variables. The rules about them walk through it once more for each operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRules:
    """Which documents are run. With `only_trusted`, those of `trusted` alone, which must be given then.

    The limits on the size of a document do not hold for trusted documents: who runs the server wrote them. The limit on
    their cost does, since it depends on variables.
    """

    limits: QueryLimits = field(default_factory=QueryLimits)
    trusted: TrustedDocuments | None = None
    only_trusted: bool = False
    allows_introspection: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was looked at: either it may be executed, or `errors` say why not. Never change the errors."""

    node: DocumentNode | None
    errors: tuple[GraphQLError, ...] = ()
    plans: dict[str | None, Plan | None] = field(default_factory=dict, compare=False)
    """Plans of its subscriptions by operation name, as they are needed."""
    costs: dict[str | None, Cost] = field(default_factory=dict, compare=False)
    """Costs of its operations by operation name, as they are needed."""

    def cost(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> Cost:
        """What it costs to execute one of its operations, which is counted once."""
        name = operation.name.value if operation.name else None
        if name not in self.costs:
            assert self.node is not None
            self.costs[name] = cost_of(schema, self.node, operation)
        return self.costs[name]

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


class DocumentReader:
    """Turns what a request says of its document into a Document, with a cache of the latest ones.

    Trusted documents are kept for good. Raises ValueError with a sentence when one of them does not fit the schema, and
    when only trusted documents may be run and there are none.
    """

    def __init__(self, schema: GraphQLSchema, rules: DocumentRules) -> None:
        if rules.only_trusted and rules.trusted is None:
            raise ValueError(f"{SETTING} must name a file when no other documents are run.")
        self._schema = schema
        self._rules = rules
        self._ambiguous = {wide: ambiguous_names(schema, with_introspection=wide) for wide in (False, True)}
        self._cached = lru_cache(maxsize=CACHED_DOCUMENTS)(self.look_at)
        self._trusted = {text: self._read_trusted(text) for text in rules.trusted.texts} if rules.trusted else {}

    def find(self, request: DocumentRequest) -> Document:
        """The document that a request names. One of `query` and `document_id` must be there."""
        if request.document_id is not None:
            return self._named(request.document_id, request.query)
        assert request.query is not None
        return self.read(request.query)

    def read(self, query: str) -> Document:
        """The document of a text."""
        trusted = self._trusted.get(query)
        if trusted is not None:
            return trusted
        if self._rules.only_trusted:
            return _refused("This server runs trusted documents only.", ErrorCode.DOCUMENT_NOT_TRUSTED)
        return self._cached(query) if len(query) <= MAX_CACHED_CHARS else self.look_at(query)

    def look_at(self, query: str) -> Document:
        """Parse, limit and validate a text, whether it was seen before or not."""
        limits = self._rules.limits
        if len(query) > limits.characters:
            return _refused(too_much("document", "characters", limits), ErrorCode.QUERY_TOO_COMPLEX)
        if has_more_tokens(query, limits.tokens):
            return _refused(too_much("document", "tokens", limits), ErrorCode.QUERY_TOO_COMPLEX)
        try:
            node = _parsed(query, limits.tokens)
            problem = exceeded_limit(node, limits)
        except GraphQLSyntaxError as error:
            # graphql-core tells its own limits from mistakes by their text alone.
            is_too_much = "nested too deeply" in error.message or f"{limits.tokens} tokens" in error.message
            code = ErrorCode.QUERY_TOO_COMPLEX if is_too_much else ErrorCode.GRAPHQL_PARSE_FAILED
            return Document(None, (_kept(error, code),))
        except RecursionError:
            return _refused("The document is nested too deeply.", ErrorCode.QUERY_TOO_COMPLEX)
        if problem is not None:
            return _refused(problem, ErrorCode.QUERY_TOO_COMPLEX)
        return self._validated(query, node, limits.duplicates)

    def cost_problem(
        self, document: Document, operation: OperationDefinitionNode, variables: Mapping[str, Any] | None
    ) -> GraphQLError | None:
        """Why an operation with these variables costs too much; None when it does not."""
        limits = self._rules.limits
        if document.cost(self._schema, operation).with_variables(variables) <= limits.cost:
            return None
        return _error(too_much("operation", "cost", limits), ErrorCode.QUERY_TOO_COMPLEX)

    def _named(self, document_id: str, query: str | None) -> Document:
        trusted = self._rules.trusted
        known = None if trusted is None else trusted.find(document_id)
        if query is not None:
            if query == known or hash_of(query) == document_id.removeprefix(HASH_PREFIX):
                return self.read(query)
            return _refused("The query is not the document of that ID.", ErrorCode.BAD_REQUEST)
        if trusted is None:
            return _refused("PersistedQueryNotSupported", ErrorCode.PERSISTED_QUERY_NOT_SUPPORTED)
        if known is None:
            return _refused("PersistedQueryNotFound", ErrorCode.PERSISTED_QUERY_NOT_FOUND)
        return self._trusted[known]

    def _validated(self, text: str, node: DocumentNode, max_duplicates: int | None) -> Document:
        introspects = selects_introspection(node)
        if introspects and not self._rules.allows_introspection:
            return _refused("Introspection is off on this server.", ErrorCode.GRAPHQL_VALIDATION_FAILED)
        contested = contested_part(node, self._ambiguous[introspects])
        if contested is not None and max_duplicates is not None and has_too_many_duplicates(contested, max_duplicates):
            return _refused(too_much("document", "duplicates", self._rules.limits), ErrorCode.QUERY_TOO_COMPLEX)
        errors = self._errors(node, RULES if "$" in text else RULES_WITHOUT_VARIABLES)
        if contested is not None and not errors:
            errors = self._errors(contested, (OverlappingFieldsCanBeMergedRule,))
        if errors:
            return Document(None, tuple(_kept(error, ErrorCode.GRAPHQL_VALIDATION_FAILED) for error in errors))
        return Document(node)

    def _errors(self, node: DocumentNode, rules: Collection[type[ASTValidationRule]]) -> list[GraphQLError]:
        return validate(
            self._schema,
            node,
            rules,
            max_errors=MAX_VALIDATION_ERRORS,
            hide_suggestions=not self._rules.allows_introspection,
        )

    def _read_trusted(self, text: str) -> Document:
        try:
            document = self._validated(text, _parsed(text, None), None)
        except (GraphQLSyntaxError, RecursionError) as error:
            raise ValueError(f"{SETTING}: a document is not GraphQL: {_beginning(text)}") from error
        if document.errors:
            raise ValueError(f"{SETTING}: {document.errors[0].message} In the document: {_beginning(text)}")
        return document


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= SHOWN_CHARS else f"{words[:SHOWN_CHARS]}..."


def _parsed(text: str, max_tokens: int | None) -> DocumentNode:
    """The document of a text, without the links between its tokens. They would go in circles, for which a document that
    is dropped would stay until the garbage collector comes to the oldest generation. Nothing reads them any more."""
    node = parse(text, max_tokens=max_tokens)
    token = node.loc.start_token if node.loc else None
    while token is not None:
        following, token.prev, token.next = token.next, None, None
        token = following
    return node


def _kept(error: GraphQLError, code: ErrorCode) -> GraphQLError:
    """The error without all that it holds on to, which is the document and the frames of the parser."""
    return GraphQLError(error.message, source=error.source, positions=error.positions, extensions={"code": code})


def _refused(message: str, code: ErrorCode) -> Document:
    return Document(None, (_error(message, code),))


def _error(message: str, code: ErrorCode) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})
