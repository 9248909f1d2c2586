"""Limits on the size of a document, in time linear to it.

Strawberry's own limiters walk into a fragment at every spread of it, which is exponential for fragments that spread
each other twice. Here every fragment is measured once, and sums saturate. What a document costs to execute is counted
in `costs`, and what makes it expensive to compare its fields in `contested`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from graphql import (
    ConstDirectiveNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
)

SATURATED = 1_000_000
INTROSPECTION = ("__schema", "__type")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """The most that one document may ask.

    `tokens` is checked by the parser, `characters` before it, `duplicates` by `contested`, `cost` by `costs`, all
    others here; all but the cost before validation. What one operation comes to with its fragments written out is
    limited by `depth`, `fields`, `aliases`, `root_fields` and `directives`; what all of them come to, by `spreads` of
    fragments. The rest is counted as it is written: `selections` are fields and fragments, `values` those of arguments
    and what is in them.

    Depth below `__schema` and `__type` is counted apart: the introspection query of every tool is deeper than any
    sensible query. Validation allows no lists of lists there without end.
    """

    characters: int = 20_000
    tokens: int = 1_000
    operations: int = 10
    fragments: int = 45
    selections: int = 220
    variables: int = 50
    values: int = 110
    depth: int = 12
    introspection_depth: int = 20
    fields: int = 500
    spreads: int = 100
    aliases: int = 30
    root_fields: int = 20
    directives: int = 8
    duplicates: int = 3_000
    cost: int = 15_000


_OF_DOCUMENTS = ("operations", "fragments", "selections", "spreads", "variables", "values")
_OF_FRAGMENTS = ("fields", "aliases", "directives")
_OF_OPERATIONS = ("depth", "introspection_depth", "root_fields", *_OF_FRAGMENTS)


@dataclass(slots=True)
class _Measure:
    """What a selection set comes to when its fragments are written out."""

    depth: int = 0
    introspection_depth: int = 0
    fields: int = 0
    spreads: int = 0
    aliases: int = 0
    root_fields: int = 0
    directives: int = 0

    def add(self, other: _Measure) -> None:
        """Put what stands beside it to it."""
        self.root_fields = min(self.root_fields + other.root_fields, SATURATED)
        self.depth = max(self.depth, other.depth)
        self.introspection_depth = max(self.introspection_depth, other.introspection_depth)
        self.add_all_but_depth(other)

    def add_all_but_depth(self, other: _Measure) -> None:
        """Put what is somewhere below to it."""
        self.fields = min(self.fields + other.fields, SATURATED)
        self.spreads = min(self.spreads + other.spreads, SATURATED)
        self.aliases = min(self.aliases + other.aliases, SATURATED)
        self.directives = min(self.directives + other.directives, SATURATED)


def exceeded_limit(document: DocumentNode, limits: QueryLimits) -> str | None:
    """What the document has too much of, as a sentence; None when it is within the limits."""
    measuring = _Measuring(document)
    for definition in document.definitions:
        if not isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            continue
        measure = measuring.of_definition(definition)
        # How deep a fragment is depends on where it is spread. The rest holds for those that nobody spreads, too.
        for what in _OF_OPERATIONS if isinstance(definition, OperationDefinitionNode) else _OF_FRAGMENTS:
            if getattr(measure, what) > getattr(limits, what):
                return too_much("operation", what, limits)
    for what in _OF_DOCUMENTS:
        if getattr(measuring, what) > getattr(limits, what):
            return too_much("document", what, limits)
    return None


def too_much(whole: str, what: str, limits: QueryLimits) -> str:
    """The sentence that refuses an operation or a document for one of the limits."""
    return f"The {whole} exceeds the limit for {what.replace('_', ' ')}, which is {getattr(limits, what)}."


def operations_of(document: DocumentNode) -> Iterator[OperationDefinitionNode]:
    """The operations of a document."""
    return (each for each in document.definitions if isinstance(each, OperationDefinitionNode))


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """The fragments of a document by their names."""
    return {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}


def selects_introspection(document: DocumentNode) -> bool:
    """Whether the document asks for the schema, be it in a fragment that nobody spreads."""
    pending: list[SelectionSetNode | None] = [
        definition.selection_set
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    while pending:
        selections = pending.pop()
        for selection in selections.selections if selections else ():
            if isinstance(selection, FieldNode):
                if selection.name.value in INTROSPECTION:
                    return True
                pending.append(selection.selection_set)
            elif isinstance(selection, InlineFragmentNode):
                pending.append(selection.selection_set)
    return False


class _Measuring:
    def __init__(self, document: DocumentNode) -> None:
        self._fragments = fragments_of(document)
        self._known: dict[str, _Measure] = {}
        self.operations = sum(isinstance(each, OperationDefinitionNode) for each in document.definitions)
        self.fragments = len(document.definitions) - self.operations
        self.selections = 0
        self.spreads = 0
        self.variables = 0
        self.values = 0

    def of_definition(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> _Measure:
        """What an operation or a fragment comes to."""
        if isinstance(definition, FragmentDefinitionNode):
            return self._of_fragment(definition.name.value)
        measure = self._of_selections(definition.selection_set)
        self.spreads = min(self.spreads + measure.spreads, SATURATED)
        measure.directives += self._directives(definition.directives)
        for variable in definition.variable_definitions or ():
            self.variables += 1
            self.values += 0 if variable.default_value is None else _size_of(variable.default_value)
            measure.directives += self._directives(variable.directives)
        return measure

    def _of_selections(self, selections: SelectionSetNode | None) -> _Measure:
        total = _Measure()
        for selection in selections.selections if selections else ():
            self.selections += 1
            total.directives += self._directives(selection.directives)
            self._add(selection, total)
        return total

    def _add(self, selection: SelectionNode, total: _Measure) -> None:
        if isinstance(selection, FieldNode):
            self._add_field(selection, total)
        elif isinstance(selection, InlineFragmentNode):
            total.spreads += 1
            total.add(self._of_selections(selection.selection_set))
        elif isinstance(selection, FragmentSpreadNode):
            total.spreads += 1
            total.add(self._of_fragment(selection.name.value))

    def _add_field(self, field: FieldNode, total: _Measure) -> None:
        total.fields += 1
        total.root_fields += 1
        if field.alias is not None:
            total.aliases += 1
        for argument in field.arguments or ():
            self.values += _size_of(argument.value)
        depth = 1
        if field.selection_set is not None:
            inner = self._of_selections(field.selection_set)
            total.add_all_but_depth(inner)
            if field.name.value in INTROSPECTION:
                total.introspection_depth = max(total.introspection_depth, inner.depth)
            else:
                depth += inner.depth
                total.introspection_depth = max(total.introspection_depth, inner.introspection_depth)
        total.depth = max(total.depth, depth)

    def _of_fragment(self, name: str) -> _Measure:
        # A fragment that is being measured counts as empty: cycles and unknown names are for validation to refuse.
        if name not in self._known:
            self._known[name] = _Measure()
            fragment = self._fragments.get(name)
            if fragment is not None:
                measure = self._of_selections(fragment.selection_set)
                measure.directives += self._directives(fragment.directives)
                self._known[name] = measure
        return self._known[name]

    def _directives(self, directives: Iterable[DirectiveNode | ConstDirectiveNode] | None) -> int:
        count = 0
        for directive in directives or ():
            count += 1
            for argument in directive.arguments or ():
                self.values += _size_of(argument.value)
        return count


def _size_of(value: ValueNode) -> int:
    """How many values there are: itself, and those in it."""
    if isinstance(value, ListValueNode):
        return 1 + sum(_size_of(each) for each in value.values)
    if isinstance(value, ObjectValueNode):
        return 1 + sum(_size_of(each.value) for each in value.fields)
    return 1
