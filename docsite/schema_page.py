"""The reference of the GraphQL schema, from its SDL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLType,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_introspection_type,
    is_specified_scalar_type,
    print_ast,
)

from docsite.markdown import prose, table

Uses = Mapping[str, list[str]]
"""Name of a type -> links to the places that name it."""

_HEAD = """# GraphQL schema

Everything that the API has, made from [schema.graphql](schema.graphql). The name of a type leads to its description;
`!` means never null. How to connect is in [Clients](../clients/README.md), and how errors are told in
[Concepts](../concepts.md#errors).
"""

_KINDS: Mapping[str, type[GraphQLNamedType]] = {
    "Objects": GraphQLObjectType,
    "Interfaces": GraphQLInterfaceType,
    "Unions": GraphQLUnionType,
    "Inputs": GraphQLInputObjectType,
    "Enums": GraphQLEnumType,
    "Scalars": GraphQLScalarType,
}


def schema_page(sdl: str) -> str:
    """The page, as Markdown: operations first, then the types by kind. Raises GraphQLError for an SDL that is none."""
    schema = build_schema(sdl)
    uses = _uses(schema)
    lines = [_HEAD]
    for title, (prefix, root) in _roots(schema).items():
        lines += [f"## {title}", ""]
        for name, field in root.fields.items():
            lines += _operation(f"{prefix}-{name}", name, field)
    for title, kind in _KINDS.items():
        named = [each for each in _listed(schema) if isinstance(each, kind)]
        lines += [f"## {title}", ""] if named else []
        for each in named:
            lines += _type(each, schema, uses)
    return "\n".join(lines)


def _roots(schema: GraphQLSchema) -> dict[str, tuple[str, GraphQLObjectType]]:
    roots = {
        "Queries": ("query", schema.query_type),
        "Mutations": ("mutation", schema.mutation_type),
        "Subscriptions": ("subscription", schema.subscription_type),
    }
    return {title: (prefix, root) for title, (prefix, root) in roots.items() if root is not None}


def _listed(schema: GraphQLSchema) -> list[GraphQLNamedType]:
    roots = [root for _, root in _roots(schema).values()]
    return [
        each
        for _, each in sorted(schema.type_map.items())
        if each not in roots and not is_introspection_type(each) and not is_specified_scalar_type(each)
    ]


# --- operations ------------------------------------------------------------------------------------------------------


def _operation(anchor: str, name: str, field: GraphQLField) -> Iterator[str]:
    yield from (f"### `{name}` {{ #{anchor} }}", "", _what(field), "")
    rows = [
        (f"`{each}`{{ #{anchor}.{each} }}", _link(argument.type), _default(argument), _what(argument))
        for each, argument in field.args.items()
    ]
    yield from table(("argument", "type", "default", "what"), rows)
    yield from (f"Answers with {_link(field.type)}.", "")


# --- types -----------------------------------------------------------------------------------------------------------


def _type(kind: GraphQLNamedType, schema: GraphQLSchema, uses: Uses) -> Iterator[str]:
    yield from (f"### `{kind.name}` {{ #{kind.name} }}", "", prose(kind.description or ""), "")
    match kind:
        case GraphQLObjectType() | GraphQLInterfaceType():
            yield from _names("Implements", [_link(each) for each in kind.interfaces])
            if isinstance(kind, GraphQLInterfaceType):
                yield from _names("Implemented by", [_link(each) for each in schema.get_possible_types(kind)])
            rows = [
                (_field(kind, name), _link(field.type), _what(field) + _arguments(field))
                for name, field in kind.fields.items()
            ]
            yield from table(("field", "type", "what"), rows)
        case GraphQLInputObjectType():
            if kind.is_one_of:
                yield from ("Exactly one of the fields is given (`@oneOf`).", "")
            entries = [
                (_field(kind, name), _link(entry.type), _default(entry), _what(entry))
                for name, entry in kind.fields.items()
            ]
            yield from table(("field", "type", "default", "what"), entries)
        case GraphQLEnumType():
            yield from table(
                ("value", "what"), [(_field(kind, name), _what(value)) for name, value in kind.values.items()]
            )
        case GraphQLUnionType():
            yield from _names("One of", [_link(each) for each in kind.types])
        case GraphQLScalarType(specified_by_url=str(url)):
            yield from (f"Specified at <{url}>.", "")
    yield from _names("Used by", uses.get(kind.name, []))


def _field(kind: GraphQLNamedType, name: str) -> str:
    return f"`{name}`{{ #{kind.name}.{name} }}"


def _arguments(field: GraphQLField) -> str:
    return "".join(
        f"<br>`{name}`: {_link(each.type)}{f' = {default}' if (default := _default(each)) else ''}. {_what(each)}"
        for name, each in field.args.items()
    )


def _uses(schema: GraphQLSchema) -> Uses:
    uses: dict[str, list[str]] = defaultdict(list)
    for used, link in _mentions(schema):
        links = uses[get_named_type(used).name]
        links += [] if link in links else [link]
    return uses


def _mentions(schema: GraphQLSchema) -> Iterator[tuple[GraphQLType, str]]:
    for prefix, root in _roots(schema).values():
        for name, field in root.fields.items():
            yield from ((used, f"[`{prefix} {name}`](#{prefix}-{name})") for used in _types_of(field))
    for kind in _listed(schema):
        if isinstance(kind, GraphQLUnionType):
            yield from ((member, _link(kind)) for member in kind.types)
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for name, part in kind.fields.items():
                yield from ((used, f"[`{kind.name}.{name}`](#{kind.name}.{name})") for used in _types_of(part))


def _types_of(field: GraphQLField | GraphQLInputField) -> Iterator[GraphQLType]:
    yield field.type
    if isinstance(field, GraphQLField):
        yield from (argument.type for argument in field.args.values())


# --- parts of a line -------------------------------------------------------------------------------------------------


def _names(label: str, links: list[str]) -> list[str]:
    return [f"{label} {', '.join(links)}.", ""] if links else []


def _what(described: GraphQLField | GraphQLArgument | GraphQLInputField | GraphQLEnumValue) -> str:
    text, reason = prose(described.description or ""), described.deprecation_reason
    return text if reason is None else f"**Deprecated:** {prose(reason)} {text}".rstrip()


def _link(kind: GraphQLType) -> str:
    named = get_named_type(kind)
    return f"`{kind}`" if is_specified_scalar_type(named) else f"[`{kind}`](#{named.name})"


def _default(field: GraphQLArgument | GraphQLInputField) -> str:
    node = field.ast_node.default_value if field.ast_node else None
    return f"`{print_ast(node)}`" if node else ""
