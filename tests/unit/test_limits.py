"""What a document may ask: sizes, comparisons of fields, and costs."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type, is_object_type, is_union_type
from hypothesis import given
from hypothesis import strategies as st

from graphql_api.schema import schema
from graphql_api.schema.costs import MAX_ITEMS, PAGE_ITEMS
from graphql_api.schema.documents import DocumentReader, DocumentRules
from graphql_api.schema.limits import QueryLimits
from tests.clients import graphql_http

LIMITS = QueryLimits()
READER = DocumentReader(schema._schema, DocumentRules())


def refusal(query: str) -> str | None:
    """Why a document is refused for its size."""
    for error in READER.read(query).errors:
        if (error.extensions or {}).get("code") == "QUERY_TOO_COMPLEX":
            return error.message
    return None


def cost(query: str, variables: dict[str, Any] | None = None, name: str | None = None) -> int:
    document = READER.read(query)
    assert document.errors == ()
    return document.cost(schema._schema, document.operation(name)).with_variables(variables)


def relay_document(fragments: int, selections: str) -> str:
    """What compilers write for a page of components, each with a fragment that repeats `id` and `__typename`."""
    spreads = " ".join(f"...Part{number}" for number in range(fragments))
    parts = " ".join(f"fragment Part{number} on GenerationJob {{ {selections} }}" for number in range(fragments))
    return f"query Page($id: ID!) {{ job(id: $id) {{ __typename id {spreads} }} }} {parts}"


# --- sizes ---


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("{ __typename }" + " " * 20_000, "document exceeds the limit for characters, which is 20000"),
        (" ".join(f"query Q{n} {{ __typename }}" for n in range(11)), "document exceeds the limit for operations"),
        ("{ __typename }" + " fragment F on Query { __typename }" * 46, "document exceeds the limit for fragments"),
        ("{ models { " + "id " * 221 + "} }", "document exceeds the limit for selections, which is 220"),
        ("{ models { " + "...F " * 101 + "} } fragment F on Model { id }", "document exceeds the limit for spreads"),
        ("{ models { " + "... { id } " * 101 + "} }", "document exceeds the limit for spreads"),
        ("query (" + " ".join(f"$v{n}: Int" for n in range(51)) + ") { __typename }", "limit for variables"),
        ("{ nodes(ids: [" + '"x" ' * 111 + "]) { id } }", "document exceeds the limit for values, which is 110"),
        ("query ($v: [ID!]! = [" + "1 " * 111 + "]) { nodes(ids: $v) { id } }", "limit for values"),
        ("{ __typename @include(if: [" + "1 " * 111 + "]) }", "limit for values"),
        ("mutation { generateImage(input: {" + "a: 1 " * 110 + "}) { job { id } } }", "limit for values"),
        ("{ a: __typename } fragment F on Query { " + "__typename @skip(if: true) " * 9 + "}", "limit for directives"),
        ("{ a: __typename } fragment F on Query" + " @a" * 9 + " { __typename }", "limit for directives"),
        ("query ($a: Int" + " @a" * 9 + ") { __typename }", "limit for directives"),
        ("{ a: __typename } fragment F on Query { " + "a: __typename " * 31 + "}", "limit for aliases"),
    ],
)  # fmt: skip
def test_the_refusal_says_which_limit_it_is(query: str, problem: str) -> None:
    assert problem in (refusal(query) or "")


def test_a_fragment_is_measured_where_it_is_spread_and_not_by_itself() -> None:
    deep = "{ a " * 10 + "}" * 10
    assert refusal("{ __schema { ...F } } fragment F on T " + "{ a " * 15 + "}" * 15) is None
    assert "depth" in (refusal("{ a { b { ...F } } } fragment F on T { c " + deep + " }") or "")
    assert "introspection depth" in (refusal("{ __schema { ...F } } fragment F on T " + "{ a " * 21 + "}" * 21) or "")


# --- comparisons of fields ---


@pytest.mark.parametrize(
    "selections",
    [
        "id __typename",
        "id __typename status",
        "model { id name __typename }",
        "images { id url }",
        "id ... on Node { id }",
    ],
)
def test_forty_fragments_that_repeat_fields_are_fine(selections: str) -> None:
    assert READER.read(relay_document(40, selections)).errors == ()


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { types { " + "name " * 100 + "} models: description } models { name } }",
        "{ __schema { types { fields { " + "type { name } " * 60 + "} } } }",
        'query ($a: Int) { job(id: "x") { ...F0 } } '
        + " ".join(f"fragment F{n} on Model {{ ...F{n + 1} name(a: {n}) }}" for n in range(43)),
    ],
)
def test_too_many_fields_that_may_contradict_each_other_are_refused(query: str) -> None:
    assert "duplicates" in (refusal(query) or "")


def test_fields_in_fragments_that_go_in_circles_are_for_validation_to_refuse() -> None:
    query = "{ __schema { types { ...F } } } fragment F on __Type { name ofType { name ...G } } fragment G on __Type {"
    for inner in ("ofType { name ...F }", "name ofType { ...F } ...F", "name ...F fields { name type { ...G name } }"):
        errors = READER.read(f"{query} {inner} }}").errors
        assert [(error.extensions or {})["code"] for error in errors] == ["GRAPHQL_VALIDATION_FAILED"] * len(errors)
        assert errors


# --- costs ---


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ __typename }", 1),
        ("{ models { id } }", 1 + 10),
        ("{ models { limits { maxSteps } } }", 1 + 10 * 2),
        ("{ jobs { totalCount } }", 501),
        ("{ jobs { edges { cursor } } }", 2 + PAGE_ITEMS),
        ("{ jobs(first: 3) { edges { cursor node { id } } } }", 2 + 3 * 3),
        ("{ jobs(last: 3) { edges { cursor } } }", 2 + 3),
        ("{ jobs(first: 2, last: 3) { edges { cursor } } }", 2 + 2),
        ("{ jobs(first: null, last: 3) { edges { cursor } } }", 2 + 3),
        ("{ jobs(first: 1000000) { edges { cursor } } }", 2 + MAX_ITEMS),
        ("{ jobs(first: -1) { edges { cursor } } }", 2),
        ("{ jobs(first: 3) { ...P } } fragment P on GenerationJobConnection { edges { cursor } }", 2 + 3),
        ("{ a: jobs(first: 3) { ...P } b: jobs(first: 4) { ...P } }"
         " fragment P on GenerationJobConnection { ... { edges { cursor } } }", 2 + 2 + 3 + 4),
        ("{ jobs(first: 3) { edges { node { images { url } } } } }", 2 + 3 * (2 + 4)),
        ('{ nodes(ids: ["a", "b"]) { id } }', 1 + 2),
        ('{ nodes(ids: "a") { id } }', 1 + 1),
        ('{ node(id: "a") { ... on GenerationJob { images { url } } } }', 1 + 1 + 4),
        ("{ __schema { types { fields { name } } } }", 4),
    ],
)  # fmt: skip
def test_a_field_costs_as_often_as_it_comes_up(query: str, expected: int) -> None:
    assert cost(query) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"n": 3}, 2 + 3),
        ({"n": 3.0}, 2 + 3),
        ({"n": None, "m": 4}, 2 + 4),
        ({"m": 4}, 2 + 5),
        ({"n": 10**30}, 2 + MAX_ITEMS),
        ({"n": float("nan")}, 2 + MAX_ITEMS),
        ({"n": "many"}, 2 + MAX_ITEMS),
        ({"n": {}}, 2 + MAX_ITEMS),
        ({"n": -5}, 2),
        ({"n": None, "m": None}, 2 + PAGE_ITEMS),
        (None, 2 + 5),
    ],
)
def test_the_length_of_a_page_may_come_by_variable(variables: dict[str, Any] | None, expected: int) -> None:
    query = "query ($n: Int = 5, $m: Int) { jobs(first: $n, last: $m) { edges { cursor } } }"
    assert cost(query, variables) == expected


@pytest.mark.parametrize(
    ("ids", "expected"), [(["a", "b"], 1 + 2), ([], 1), (["a"] * 500, 1 + MAX_ITEMS), ("a", 1 + MAX_ITEMS)]
)
def test_the_number_of_nodes_may_come_by_variable(ids: object, expected: int) -> None:
    assert cost("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ids}) == expected


def test_a_list_whose_length_is_not_known_counts_as_the_longest() -> None:
    assert cost("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }") == 1 + MAX_ITEMS


def test_lists_in_lists_are_multiplied() -> None:
    query = "query ($n: Int) { models { id } jobs(first: $n) { edges { node { images { url } } } } }"
    assert cost(query, {"n": 10}) == 11 + 2 + 10 * (1 + 1 + 4)


@given(st.integers(0, 100), st.integers(0, 100))
def test_variables_cost_as_much_as_literals(first: int, other: int) -> None:
    template = "{ a: jobs(first: %s) { ...P } b: jobs(first: %s) { ...P ... on GenerationJobConnection { ...P } } } "
    fragment = "fragment P on GenerationJobConnection { edges { node { images { id } } } }"
    variable = "query ($a: Int, $b: Int) " + template % ("$a", "$b") + fragment
    assert cost(variable, {"a": first, "b": other}) == cost(template % (first, other) + fragment)


def test_each_operation_has_its_own_cost() -> None:
    query = "query One { jobs(first: 1) { ...P } } query Two { jobs(first: 2) { ...P } }"
    fragment = " fragment P on GenerationJobConnection { edges { cursor } }"
    assert (cost(query + fragment, name="One"), cost(query + fragment, name="Two")) == (3, 4)


def test_a_page_of_a_hundred_jobs_with_every_field_is_affordable() -> None:
    every_field = every_field_of(schema._schema.type_map["GenerationJobConnection"], set())
    query = f"query Page($first: Int) {{ jobs(first: $first) {{ {every_field} }} }}"
    assert LIMITS.cost / 2 < cost(query, {"first": 100}) < LIMITS.cost


def every_field_of(kind: Any, above: set[str]) -> str:
    """All fields of a type and of the types below it, without going in circles."""
    if is_union_type(kind):
        return "__typename"
    assert isinstance(kind, GraphQLObjectType)
    written = []
    for name, field in kind.fields.items():
        inner = get_named_type(field.type)
        if is_object_type(inner) and inner.name not in above:
            written.append(f"{name} {{ {every_field_of(inner, above | {kind.name})} }}")
        elif not is_object_type(inner):
            written.append(name)
    return " ".join(written)


@pytest.mark.parametrize(
    "query", [graphql_http.GENERATE, graphql_http.JOB, graphql_http.CANCEL, graphql_http.DELETE, graphql_http.ACTIVE]
)
def test_ordinary_documents_cost_little(query: str) -> None:
    assert cost(query) < LIMITS.cost / 10


async def test_a_request_that_costs_too_much_is_refused_before_it_is_executed() -> None:
    query = "query ($n: Int) { " + " ".join(f"a{n}: jobs(first: $n) {{ ...P }}" for n in range(20)) + " }"
    query += " fragment P on GenerationJobConnection { edges { node { id images { id url } } } }"

    # Without a context, every resolver would fail.
    result = await schema.execute(query, {"n": 100})

    assert [error.formatted for error in result.errors or ()] == [
        {
            "message": f"The operation exceeds the limit for cost, which is {LIMITS.cost}.",
            "extensions": {"code": "QUERY_TOO_COMPLEX"},
        }
    ]
    assert cost(query, {"n": 5}) < LIMITS.cost


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ nodes(ids: " + "9" * 5000 + ") { id } }", 2),
        ("query ($x: ID = " + "9" * 5000 + ") { job(id: $x) { id } }", 2),
        ("query ($n: [ID!]! = " + "9" * 5000 + ") { nodes(ids: $n) { id } }", 101),
    ],
    ids=["an ID", "a default", "a default of a list"],
)
def test_numbers_of_any_length_are_counted(query: str, expected: int) -> None:
    assert cost(query) == expected
