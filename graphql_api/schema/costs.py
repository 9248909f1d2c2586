"""What an operation costs to execute: one for each field of its answer, as far as that is known before, and more for
those that count something.

A field below a list counts as often as the list is long: a page of jobs by `first` or `last`, `nodes` by the number of
its IDs, every other list by what is usual. The lists are found by their types. Lengths that are literals are
multiplied once and for all; those that come by variables, with every request. Below `__schema` and `__type` every field
counts once: validation lets no two lists of types be nested there, and standard introspection has to pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_interface_type,
    is_list_type,
    is_object_type,
)

from graphql_api.domain.styles import STYLES
from graphql_api.schema.limits import INTROSPECTION, fragments_of

MAX_ITEMS = 100
"""What a page of jobs and `nodes` have at most; others are refused or brought down to it."""
MAX_DIGITS = 10
PAGE_ITEMS = 20
USUAL_ITEMS: Mapping[str, int] = {
    "images": 4,
    "withheld": 1,
    "models": 10,
    "styles": len(STYLES),
    "limits": 8,
    "deliveries": 2,
    "attempts": 2,
    "errors": 1,
}
OTHER_ITEMS = 5
WEIGHTS: Mapping[tuple[str, str], int] = {
    ("GenerationJobConnection", "totalCount"): 500,
    ("Viewer", "limits"): 100,
    ("Query", "estimate"): 20,
}
"""What a field costs that asks the store for more than a row. Others cost one."""


@dataclass(frozen=True, slots=True)
class _Items:
    """How long a list is: the first of `given` that is there, a number or the name of a variable; else `usual`."""

    given: tuple[int | str, ...]
    usual: int

    def count(self, variables: Mapping[str, Any]) -> int:
        """The length, between nothing and the most there can be."""
        for each in self.given:
            value = variables.get(each) if isinstance(each, str) else each
            if value is not None:
                return max(0, min(_number_of(value), MAX_ITEMS))
        return self.usual


_ONCE = _Items((), 1)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a selection costs: something fixed, and for each list of unknown length that many times what is in it."""

    fixed: int = 0
    lists: tuple[tuple[_Items, Cost], ...] = ()
    defaults: tuple[tuple[str, Any], ...] = ()
    """Defaults of the variables; with the cost of an operation only."""

    def with_variables(self, given: Mapping[str, Any] | None) -> int:
        """The cost of a request with these variables, whatever they are."""
        return self._total({**dict(self.defaults), **(given or {})}) if self.lists else self.fixed

    def _total(self, variables: Mapping[str, Any]) -> int:
        return self.fixed + sum(items.count(variables) * inner._total(variables) for items, inner in self.lists)


def cost_of(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Cost:
    """The cost of an operation of a document that is valid and within the limits of size."""
    counted = _Counting(schema, document).of_selections(
        schema.get_root_type(operation.operation), operation.selection_set, _ONCE
    )
    defaults = tuple(
        (each.variable.name.value, _literal(each.default_value))
        for each in operation.variable_definitions or ()
        if each.default_value is not None
    )
    return Cost(counted.fixed, counted.lists, defaults)


class _Counting:
    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = fragments_of(document)
        self._known: dict[tuple[str, _Items], Cost] = {}

    def of_selections(self, parent: GraphQLNamedType | None, selections: SelectionSetNode | None, page: _Items) -> Cost:
        """The cost of selections of a type; `page` is how many `edges` there are, where it is a connection."""
        fixed = 0
        lists: list[tuple[_Items, Cost]] = []
        for selection in selections.selections if selections else ():
            if isinstance(selection, FieldNode):
                fixed += WEIGHTS.get((parent.name if parent else "", selection.name.value), 1)
                items, inner = self._of_field(parent, selection, page)
            else:
                items, inner = _ONCE, self._of_fragment(parent, selection, page)
            if any(isinstance(each, str) for each in items.given):
                lists.append((items, inner))
            else:
                count = items.count({})
                fixed += count * inner.fixed
                lists += [(items, Cost(0, inner.lists))] if inner.lists else []
        return Cost(fixed, tuple(lists))

    def _of_field(self, parent: GraphQLNamedType | None, field: FieldNode, page: _Items) -> tuple[_Items, Cost]:
        """How often what is below a field counts, and how much it is."""
        if field.selection_set is None:
            return _ONCE, Cost()
        name = field.name.value
        if name in INTROSPECTION:
            return _ONCE, self.of_selections(None, field.selection_set, _ONCE)
        found = parent.fields.get(name) if is_object_type(parent) or is_interface_type(parent) else None
        if found is None:
            return _ONCE, self.of_selections(None, field.selection_set, _ONCE)
        inner = self.of_selections(get_named_type(found.type), field.selection_set, _page(field))
        if not is_list_type(get_nullable_type(found.type)):
            return _ONCE, inner
        if name == "edges":
            return page, inner
        ids = next((each.value for each in field.arguments or () if each.name.value == "ids"), None)
        return _items_of(name, ids), inner

    def _of_fragment(self, parent: GraphQLNamedType | None, selection: SelectionNode, page: _Items) -> Cost:
        if isinstance(selection, InlineFragmentNode):
            condition = selection.type_condition
            inner = parent if condition is None else self._schema.get_type(condition.name.value)
            return self.of_selections(inner, selection.selection_set, page)
        assert isinstance(selection, FragmentSpreadNode)
        key = (selection.name.value, page)
        if key not in self._known:
            fragment = self._fragments[selection.name.value]
            kind = self._schema.get_type(fragment.type_condition.name.value)
            self._known[key] = self.of_selections(kind, fragment.selection_set, page)
        return self._known[key]


def _page(field: FieldNode) -> _Items:
    """How many jobs a page has. `first` wins over `last`, as it does for the resolver."""
    arguments = {each.name.value: each.value for each in field.arguments or ()}
    given = [_literal(arguments[name]) for name in ("first", "last") if name in arguments]
    return _Items(tuple(each for each in given if each is not None), PAGE_ITEMS)


def _items_of(name: str, ids: ValueNode | None) -> _Items:
    if ids is None:
        return _Items((), USUAL_ITEMS.get(name, OTHER_ITEMS))
    # A single ID is a list of one, also where it is written as a number.
    length = 1 if isinstance(ids, IntValueNode) else _literal(ids)
    return _Items(() if length is None else (length,), MAX_ITEMS)


def _literal(value: ValueNode) -> int | str | None:
    """A number, the length of a list, or the name of a variable. Anything else would have been refused."""
    if isinstance(value, VariableNode):
        return value.name.value
    if isinstance(value, IntValueNode):
        # An ID may have any number of digits, and Python reads no more than some thousands.
        return int(value.value) if len(value.value) < MAX_DIGITS else MAX_ITEMS
    if isinstance(value, ListValueNode):
        return len(value.values)
    return None if isinstance(value, NullValueNode) else 1


def _number_of(value: object) -> int:
    """How long a list gets by the value of a variable. One of a wrong type is refused when it is executed."""
    if isinstance(value, list):
        return len(value)
    return int(value) if isinstance(value, int | float) and abs(value) <= MAX_ITEMS else MAX_ITEMS
