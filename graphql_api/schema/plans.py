"""Selections of events, compiled once per document.

An event of a subscription is a plain object: nearly all of what is selected from it are attributes. graphql-core walks
the selection again for every event and prepares for everything that a field might need, which was measured to be more
than half of what it costs to deliver an event. A plan is the same walk, done once, and left behind as closures.

A plan only ever returns what graphql-core would have returned without an error. Whatever else happens - an exception, a
null where none may be, a resolver that wants to know more than its context - it gives up, and the event is executed by
graphql-core. Resolvers of an event's fields only read, so running them twice does no harm.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    is_leaf_type,
)
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

Read = Callable[[Any, "_Run"], Any]
Complete = Callable[[Any, "_Run"], Any]


class _Context(NamedTuple):
    context: Any


class _Run:
    """One execution of a plan: what resolvers get, and the values that must be awaited."""

    __slots__ = ("info", "pending")

    def __init__(self, context: Any) -> None:
        self.info: Info[Any, Any] = Info(_raw_info=_Context(context), _field=None)  # type: ignore[arg-type]
        self.pending: list[tuple[dict[str, Any], str, Awaitable[Any], Complete]] = []


class _Step(NamedTuple):
    key: str
    read: Read | None
    attribute: Callable[[Any], Any] | None
    is_async: bool
    complete: Complete


class _NotCompilable(Exception):
    """The selection needs graphql-core."""


class _NotClean(Exception):
    """A value is not what its type says."""


class Plan:
    """How to turn one event into the `data` of its result."""

    def __init__(self, key: str, complete: Complete) -> None:
        self._key = key
        self._complete = complete

    async def execute(self, event: Any, context: Any) -> dict[str, Any] | None:
        """The data, or None when graphql-core must look at this event."""
        run = _Run(context)
        try:
            data = {self._key: self._complete(event, run)}
            for target, key, awaitable, complete in run.pending:
                target[key] = complete(await awaitable, run)
        except Exception:
            _close_all(run)
            return None
        return data


def plan_for(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Plan | None:
    """The plan of a subscription, or None when its selection has something that plans do not know."""
    compiler, root_type = _Compiler(document), schema.subscription_type
    if root_type is None:
        return None
    try:
        (root,) = compiler.fields_of([operation.selection_set], root_type)
        return Plan(_response_key(root[0]), compiler.completer(root_type.fields[root[0].name.value].type, root))
    except (_NotCompilable, KeyError):
        return None


class _Compiler:
    def __init__(self, document: DocumentNode) -> None:
        self._fragments: Mapping[str, FragmentDefinitionNode] = {
            each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)
        }

    def fields_of(
        self, selection_sets: Iterable[SelectionSetNode | None], parent: GraphQLObjectType
    ) -> list[list[FieldNode]]:
        """The fields that are selected from an object type, with those of one response key together."""
        by_key: dict[str, list[FieldNode]] = {}
        for selections in selection_sets:
            if selections is None:
                raise _NotCompilable
            self._collect(selections, parent, by_key)
        return list(by_key.values())

    def completer(self, kind: Any, nodes: list[FieldNode]) -> Complete:
        """What turns a value of this type into JSON."""
        if isinstance(kind, GraphQLNonNull):
            return _required(self._of_nullable(kind.of_type, nodes))
        return _optional(self._of_nullable(kind, nodes))

    def _of_nullable(self, kind: Any, nodes: list[FieldNode]) -> Complete:
        if isinstance(kind, GraphQLList):
            return _list(self.completer(kind.of_type, nodes))
        if isinstance(kind, GraphQLObjectType):
            selection_sets = (node.selection_set for node in nodes)
            return _object([self._step(kind, selected) for selected in self.fields_of(selection_sets, kind)])
        if is_leaf_type(kind):
            return _leaf(kind)
        raise _NotCompilable

    def _collect(
        self, selections: SelectionSetNode, parent: GraphQLObjectType, by_key: dict[str, list[FieldNode]]
    ) -> None:
        for selection in selections.selections:
            if selection.directives:
                raise _NotCompilable
            if isinstance(selection, FieldNode):
                by_key.setdefault(_response_key(selection), []).append(selection)
            elif isinstance(selection, InlineFragmentNode):
                self._collect_fragment(selection, parent, by_key)
            elif isinstance(selection, FragmentSpreadNode):
                self._collect_fragment(self._fragments[selection.name.value], parent, by_key)

    def _collect_fragment(
        self,
        fragment: InlineFragmentNode | FragmentDefinitionNode,
        parent: GraphQLObjectType,
        by_key: dict[str, list[FieldNode]],
    ) -> None:
        condition = fragment.type_condition
        names = {parent.name, *(each.name for each in parent.interfaces)}
        if condition is None or condition.name.value in names:
            self._collect(fragment.selection_set, parent, by_key)

    def _step(self, parent: GraphQLObjectType, nodes: list[FieldNode]) -> _Step:
        node = nodes[0]
        key = _response_key(node)
        if node.name.value == "__typename":
            return _Step(key, lambda _source, _run: parent.name, None, False, lambda value, _run: value)
        field = parent.fields[node.name.value]
        if field.args:
            raise _NotCompilable
        complete = self.completer(field.type, nodes)
        definition = field.extensions.get("strawberry-definition")
        if not isinstance(definition, StrawberryField) or definition.extensions or definition.permission_classes:
            raise _NotCompilable
        if definition.is_basic_field:
            return _Step(key, None, attrgetter(definition.python_name), False, complete)
        return _Step(key, _reader(definition), None, definition.is_async, complete)


def _reader(definition: StrawberryField) -> Read:
    """What calls a resolver that takes nothing but its object and perhaps `info`."""
    function = None if definition.base_resolver is None else definition.base_resolver.wrapped_func
    if function is None or isinstance(function, staticmethod | classmethod):
        raise _NotCompilable
    match list(inspect.signature(function).parameters):
        case ["self"]:
            return lambda source, _run: function(source)
        case ["self", "info"]:
            return lambda source, run: function(source, run.info)
        case _:
            raise _NotCompilable


def _object(steps: list[_Step]) -> Complete:
    def complete(source: Any, run: _Run) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, read, attribute, is_async, complete_value in steps:
            value = attribute(source) if attribute is not None else read(source, run)  # type: ignore[misc]
            if is_async:
                result[key] = None
                run.pending.append((result, key, value, complete_value))
            else:
                result[key] = complete_value(value, run)
        return result

    return complete


def _list(complete_item: Complete) -> Complete:
    return lambda value, run: [complete_item(item, run) for item in value]


def _leaf(kind: GraphQLLeafType) -> Complete:
    if isinstance(kind, GraphQLEnumType):
        names = {value.value: name for name, value in kind.values.items()}
        return lambda value, _run: names[value]
    if kind.name in ("String", "ID"):
        return lambda value, _run: value if type(value) is str else kind.coerce_output_value(value)
    coerce = kind.coerce_output_value
    return lambda value, _run: coerce(value)


def _required(complete: Complete) -> Complete:
    def complete_required(value: Any, run: _Run) -> Any:
        completed = None if value is None else complete(value, run)
        if completed is None:
            raise _NotClean
        return completed

    return complete_required


def _optional(complete: Complete) -> Complete:
    return lambda value, run: None if value is None else complete(value, run)


def _response_key(node: FieldNode) -> str:
    return node.alias.value if node.alias else node.name.value


def _close_all(run: _Run) -> None:
    """Leave no coroutine behind that nobody awaits."""
    for _, _, awaitable, _ in run.pending:
        if inspect.iscoroutine(awaitable):
            awaitable.close()
