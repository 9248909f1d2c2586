"""Limits on a document, in time linear to its size.

Strawberry's own limiters walk into a fragment at every spread of it, which is exponential for fragments that spread
each other twice. Here every fragment is measured once, and sums saturate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

SATURATED = 1_000_000
INTROSPECTION = ("__schema", "__type")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """The most that one document may ask. `tokens` is checked by the parser, all others here, before validation.

    Depth below `__schema` and `__type` is counted apart: the introspection query of every tool is deeper than any
    sensible query. Validation allows no lists of lists there without end.
    """

    tokens: int = 1_000
    depth: int = 12
    introspection_depth: int = 20
    fields: int = 500
    aliases: int = 30
    root_fields: int = 20
    directives: int = 8


@dataclass(frozen=True, slots=True)
class _Measure:
    """What a selection set comes to when its fragments are written out."""

    depth: int = 0
    introspection_depth: int = 0
    fields: int = 0
    aliases: int = 0
    root_fields: int = 0
    directives: int = 0

    def __add__(self, other: _Measure) -> _Measure:
        return _Measure(
            max(self.depth, other.depth),
            max(self.introspection_depth, other.introspection_depth),
            min(self.fields + other.fields, SATURATED),
            min(self.aliases + other.aliases, SATURATED),
            min(self.root_fields + other.root_fields, SATURATED),
            min(self.directives + other.directives, SATURATED),
        )


def exceeded_limit(document: DocumentNode, limits: QueryLimits) -> str | None:
    """What the document has too much of, as a sentence; None when it is within the limits."""
    measuring = _Measuring(document)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            measure = measuring.of_selections(definition.selection_set)
            measure += _Measure(directives=len(definition.directives or ()))
            for what in ("depth", "introspection_depth", "fields", "aliases", "root_fields", "directives"):
                if getattr(measure, what) > getattr(limits, what):
                    name = what.replace("_", " ")
                    return f"The operation exceeds the limit for {name}, which is {getattr(limits, what)}."
    return None


class _Measuring:
    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._known: dict[str, _Measure] = {}

    def of_selections(self, selections: SelectionSetNode | None) -> _Measure:
        total = _Measure()
        for selection in selections.selections if selections else ():
            total += self._of_selection(selection)
        return total

    def _of_selection(self, selection: SelectionNode) -> _Measure:
        directives = len(selection.directives or ())
        if isinstance(selection, FieldNode):
            inner = self.of_selections(selection.selection_set)
            is_introspection = selection.name.value in INTROSPECTION
            return _Measure(
                1 if is_introspection else inner.depth + 1,
                inner.depth if is_introspection else inner.introspection_depth,
                min(inner.fields + 1, SATURATED),
                min(inner.aliases + (selection.alias is not None), SATURATED),
                1,
                min(inner.directives + directives, SATURATED),
            )
        if isinstance(selection, InlineFragmentNode):
            return self.of_selections(selection.selection_set) + _Measure(directives=directives)
        if isinstance(selection, FragmentSpreadNode):
            return self._of_fragment(selection.name.value) + _Measure(directives=directives)
        return _Measure()

    def _of_fragment(self, name: str) -> _Measure:
        # A fragment that is being measured counts as empty: cycles and unknown names are for validation to refuse.
        if name not in self._known:
            self._known[name] = _Measure()
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._known[name] = self.of_selections(fragment.selection_set)
        return self._known[name]


def operations_of(document: DocumentNode) -> Iterator[OperationDefinitionNode]:
    """The operations of a document."""
    return (each for each in document.definitions if isinstance(each, OperationDefinitionNode))
