"""Fields that may contradict each other: what is left of a document for the rule that compares fields.

graphql-core's OverlappingFieldsCanBeMerged compares every two fields of one response name, and every two fragments of
one selection set: a document of 1,000 tokens keeps it busy for 38 ms. Yet the documents of Relay and Apollo repeat `id`
and `__typename` in dozens of fragments. Two fields of one response name contradict each other only when they are
different fields, have different arguments, or have types of different forms. So a response name that means the same
field with the same arguments all over the document, and whose field has one form all over the schema, is never part of
a contradiction. What has only such names is left out here, in linear time. The rule sees what remains, which is next to
nothing in the documents of honest callers, and is limited.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphql import (
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
    is_interface_type,
    is_introspection_type,
    is_leaf_type,
    is_object_type,
)

from graphql_api.schema.limits import fragments_of

SELECTION_WEIGHT = 2
PAIR_WEIGHT = 10
"""What it takes to compare two fields with selections, or two fragments, when two leaves take 1: measured."""
DEEPEST = 40
"""No document within the limits is deeper, unless its fragments go in a circle, for which other rules refuse it."""


def ambiguous_names(schema: GraphQLSchema, *, with_introspection: bool) -> frozenset[str]:
    """Names of fields that have types of different forms: other lists or non-nulls around them, or other leaves.

    The fields of introspection count only for documents that select it.
    """
    forms: dict[str, set[str]] = {}
    for each in schema.type_map.values():
        is_ours = with_introspection or not is_introspection_type(each)
        if is_ours and (is_object_type(each) or is_interface_type(each)):
            for name, field in each.fields.items():
                forms.setdefault(name, set()).add(_form(field.type))
    return frozenset(name for name, found in forms.items() if len(found) > 1)


def _form(kind: GraphQLOutputType) -> str:
    named = get_named_type(kind)
    return str(kind) if is_leaf_type(named) else str(kind).replace(named.name, "")


def contested_part(document: DocumentNode, ambiguous: frozenset[str]) -> DocumentNode | None:
    """The document without the fields that cannot contradict others; None when nothing remains."""
    names = _contested_names(document, ambiguous)
    if not names:
        return None
    pruning = _Pruning(document, names)
    definitions = tuple(
        pruned
        for definition in document.definitions
        if isinstance(definition, ExecutableDefinitionNode) and (pruned := pruning.of_definition(definition))
    )
    return DocumentNode(definitions=definitions, loc=document.loc)


def has_too_many_duplicates(contested: DocumentNode, limit: int) -> bool:
    """Whether it takes more than `limit` comparisons of two leaves to compare the fields of such a document."""
    comparing = _Comparing(contested, limit)
    for definition in contested.definitions:
        if isinstance(definition, ExecutableDefinitionNode):
            comparing.visit([definition.selection_set])
    return comparing.left < 0


def _contested_names(document: DocumentNode, ambiguous: frozenset[str]) -> set[str]:
    """The response names that come up more than once, and do not mean the same everywhere."""
    body = document.loc.source.body if document.loc else ""
    meanings: dict[str, str] = {}
    contested: set[str] = set()
    for field in _fields_of(document):
        response_name, meaning = _response_name(field), field.name.value
        if field.arguments:
            first, last = field.arguments[0].loc, field.arguments[-1].loc
            meaning = f"{meaning}({body[first.start : last.end] if first and last else len(meanings)}"
        if response_name not in meanings:
            meanings[response_name] = meaning
        elif meanings[response_name] != meaning or field.name.value in ambiguous:
            contested.add(response_name)
    return contested


def _fields_of(document: DocumentNode) -> Iterator[FieldNode]:
    pending = [each.selection_set for each in document.definitions if isinstance(each, ExecutableDefinitionNode)]
    while pending:
        for selection in pending.pop().selections:
            if isinstance(selection, FieldNode):
                yield selection
            if isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set is not None:
                pending.append(selection.selection_set)


def _response_name(field: FieldNode) -> str:
    return field.alias.value if field.alias else field.name.value


class _Pruning:
    """Leaves out fields that are not contested, and then what is empty."""

    def __init__(self, document: DocumentNode, names: set[str]) -> None:
        self._names = names
        self._fragments = fragments_of(document)
        self._known: dict[str, SelectionSetNode | None] = {}

    def of_definition(self, definition: ExecutableDefinitionNode) -> ExecutableDefinitionNode | None:
        """What remains of an operation or a fragment."""
        if isinstance(definition, FragmentDefinitionNode):
            selections = self._of_fragment(definition.name.value)
            if selections is None:
                return None
            return FragmentDefinitionNode(
                name=definition.name,
                type_condition=definition.type_condition,
                selection_set=selections,
                loc=definition.loc,
            )
        assert isinstance(definition, OperationDefinitionNode)
        selections = self._of_selections(definition.selection_set)
        if selections is None:
            return None
        return OperationDefinitionNode(
            operation=definition.operation, name=definition.name, selection_set=selections, loc=definition.loc
        )

    def _of_selections(self, selections: SelectionSetNode | None) -> SelectionSetNode | None:
        pruned = [self._of_selection(each) for each in selections.selections] if selections else ()
        left = tuple(each for each in pruned if each is not None)
        return SelectionSetNode(selections=left, loc=selections.loc) if selections and left else None

    def _of_selection(self, selection: SelectionNode) -> SelectionNode | None:
        if isinstance(selection, FragmentSpreadNode):
            return selection if self._of_fragment(selection.name.value) else None
        if isinstance(selection, InlineFragmentNode):
            inner = self._of_selections(selection.selection_set)
            if inner is None:
                return None
            return InlineFragmentNode(type_condition=selection.type_condition, selection_set=inner, loc=selection.loc)
        assert isinstance(selection, FieldNode)
        inner = self._of_selections(selection.selection_set)
        if inner is None and _response_name(selection) not in self._names:
            return None
        return FieldNode(
            name=selection.name,
            alias=selection.alias,
            arguments=selection.arguments,
            directives=selection.directives,
            selection_set=inner,
            loc=selection.loc,
        )

    def _of_fragment(self, name: str) -> SelectionSetNode | None:
        # In a circle of fragments something may be left out too much: other rules refuse the document for it.
        if name not in self._known:
            self._known[name] = None
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._known[name] = self._of_selections(fragment.selection_set)
        return self._known[name]


class _Comparing:
    """Counts what the rule compares: selection sets of fields of one response name are compared as one."""

    def __init__(self, document: DocumentNode, limit: int) -> None:
        self.left = limit
        self._fragments = fragments_of(document)

    def visit(self, selection_sets: Iterable[SelectionSetNode], depth: int = 0) -> None:
        """Take off what one level of the answer costs, and what is below it."""
        fields: dict[str, list[FieldNode]] = {}
        spread: set[str] = set()
        self._collect(selection_sets, fields, spread)
        self.left -= PAIR_WEIGHT * len(spread) * (len(spread) - 1) // 2
        for same in fields.values():
            below = [each.selection_set for each in same if each.selection_set is not None]
            self.left -= (PAIR_WEIGHT if below else 1) * len(same) * (len(same) - 1) // 2
            if below and self.left >= 0 and depth < DEEPEST:
                self.visit(below, depth + 1)

    def _collect(
        self, selection_sets: Iterable[SelectionSetNode], fields: dict[str, list[FieldNode]], spread: set[str]
    ) -> None:
        pending = list(selection_sets)
        while pending and self.left >= 0:
            for selection in pending.pop().selections:
                self.left -= SELECTION_WEIGHT
                if isinstance(selection, FieldNode):
                    fields.setdefault(_response_name(selection), []).append(selection)
                elif isinstance(selection, InlineFragmentNode):
                    pending.append(selection.selection_set)
                elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in spread:
                    spread.add(selection.name.value)
                    if fragment := self._fragments.get(selection.name.value):
                        pending.append(fragment.selection_set)
