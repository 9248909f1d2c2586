"""Documents are limited in linear time, and looked at once."""

from __future__ import annotations

import random
import time

import pytest
from graphql import get_introspection_query, parse, validate
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.types.execution import PreExecutionError

from graphql_api.schema import schema
from graphql_api.schema.documents import MAX_CACHED_CHARS, Document, DocumentReader, DocumentRules
from graphql_api.schema.errors import ErrorCode
from graphql_api.schema.limits import QueryLimits
from graphql_api.schema.trusted import DocumentRequest


def code_of(query: str) -> str | None:
    document = schema._documents.read(query)
    return str(document.errors[0].extensions["code"]) if document.errors else None  # type: ignore[index]


def fragment_bomb(levels: int) -> str:
    """Each fragment spreads the next one twice: 2**levels fields when written out."""
    fragments = [f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels)]
    return " ".join(["{ ...F0 }", *fragments, f"fragment F{levels} on Query {{ __typename }}"])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ models { name } }", None),
        ("{ models { name }", "GRAPHQL_PARSE_FAILED"),
        ("", "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ ...Missing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }", "QUERY_TOO_COMPLEX"),
        ("{ " + " ".join(["__typename"] * 21) + " }", "QUERY_TOO_COMPLEX"),
        ("{ models { " + " ".join(["name"] * 501) + " } }", "QUERY_TOO_COMPLEX"),
        ("{ __typename " + "@skip(if: false) " * 9 + "}", "QUERY_TOO_COMPLEX"),
        ("query @a @b @c @d @e @f @g @h @i { __typename }", "QUERY_TOO_COMPLEX"),
        ("{ node(id: 1) { ... on Image { id } } " + "a " * 1_000 + "}", "QUERY_TOO_COMPLEX"),
        ("{ a " * 13 + "}" * 13, "QUERY_TOO_COMPLEX"),
        ("{ a " * 12 + "}" * 12, "GRAPHQL_VALIDATION_FAILED"),
        ("{ a " * 400 + "}" * 400, "QUERY_TOO_COMPLEX"),
        ("[" * 900, "GRAPHQL_PARSE_FAILED"),
        (fragment_bomb(12), "QUERY_TOO_COMPLEX"),
        (fragment_bomb(60), "QUERY_TOO_COMPLEX"),
    ],
)
def test_each_document_is_refused_for_what_is_wrong_with_it(query: str, code: str | None) -> None:
    assert code_of(query) == code


def test_sixty_doublings_take_no_longer_than_their_text() -> None:
    began = time.process_time()
    code_of(fragment_bomb(60) + "# not seen before")

    # Written out, 2**60 fields would take centuries; a hundredth of this is what it does take.
    assert time.process_time() - began < 5


def test_a_fragment_counts_wherever_it_is_spread() -> None:
    query = "{ models { ...M } styles { ...S } } fragment M on Model { %s } fragment S on Style { id }"

    assert code_of(query % "id") is None
    assert code_of(query % " ".join(f"a{n}: id" for n in range(31))) == "QUERY_TOO_COMPLEX"


def test_a_document_is_looked_at_once() -> None:
    assert schema._documents.read("{ models { id } }") is schema._documents.read("{ models { id } }")


def test_a_huge_document_is_not_kept() -> None:
    query = "{ __typename }" + " " * MAX_CACHED_CHARS

    assert schema._documents.read(query) is not schema._documents.read(query)


def test_a_document_is_freed_without_the_garbage_collector() -> None:
    document = schema._documents.read("{ models { id } }")

    assert document.node is not None and document.node.loc is not None
    assert document.node.loc.start_token.next is None
    assert document.node.loc.end_token.prev is None


def test_a_refused_document_is_not_kept_and_its_errors_say_where() -> None:
    document = schema._documents.read("{ models { id }\n nope }")

    assert document.node is None
    assert [(error.nodes, error.__traceback__) for error in document.errors] == [(None, None)]
    assert document.errors[0].formatted["locations"] == [{"line": 2, "column": 2}]


def test_the_limits_can_be_set() -> None:
    reader = DocumentReader(schema._schema, DocumentRules(limits=QueryLimits(aliases=1)))

    assert reader.read("{ a: __typename }").errors == ()
    assert reader.read("{ a: __typename b: __typename }").errors[0].extensions == {"code": ErrorCode.QUERY_TOO_COMPLEX}


def test_the_introspection_query_of_tools_is_within_the_limits() -> None:
    assert code_of(get_introspection_query(specified_by_url=True, input_value_deprecation=True)) is None


def test_introspection_is_not_without_end() -> None:
    nested = "fields { type { " * 12 + "name" + " } }" * 12

    assert code_of(f"{{ __schema {{ types {{ {nested} }} }} }}") == "QUERY_TOO_COMPLEX"


# --- fields that may contradict each other ---

CONTRADICTIONS = [
    "{ models { x: id x: name } }",
    "{ a: jobs(first: 1) { totalCount } a: jobs(first: 2) { totalCount } }",
    "{ jobs(first: 1) { totalCount } jobs { totalCount } }",
    "{ jobs(first: 1) { totalCount } ...F } fragment F on Query { jobs(last: 1) { totalCount } }",
    '{ job(id: "x") { model { x: id } ...F } } fragment F on GenerationJob { ...G } fragment G on Node'
    " { ... on GenerationJob { model { x: name } } }",
    "{ __schema { x: queryType { name } x: types { name } } }",
    '{ node(id: "x") { ... on Model { x: name } ... on Model { x: description } } }',
    '{ node(id: "x") { ... on Model { x: name } ... on Image { x: width } } }',
    '{ node(id: "x") { ... on Model { x: name } ... on Image { x: url } } }',
    '{ node(id: "x") { ... on GenerationJob { x: images { id } } ... on Model { x: limits { maxSteps } } } }',
    '{ node(id: "x") { ... on GenerationJob { x: status } ... on Model { x: description } } }',
]
AGREEMENTS = [
    "{ models { id ...F } } fragment F on Model { id x: id x: id }",
    "{ a: models { x: id } b: models { x: name } }",
    "{ jobs(first: 1) { totalCount } jobs(first: 1) { pageInfo { hasNextPage } } }",
    "query ($n: Int) { jobs(first: $n) { totalCount } ...F } fragment F on Query { jobs( first: $n ) { totalCount } }",
    '{ node(id: "x") { ... on Model { x: name } ... on Style { x: keywords } } }',
    '{ a: job(id: "x") { x: status } b: job(id: "y") { x: createdAt ...F } } fragment F on Node { id }',
    "{ __schema { queryType { name } types { name } } models { name } }",
    "query One { x: models { id } } query Two { x: styles { id } }",
    "mutation { cancelJob(input: {id: 1}) { errors { __typename } }"
    " deleteJob(input: {id: 1}) { errors { ... on UserError { message } } } }",
]


@pytest.mark.parametrize("query", CONTRADICTIONS)
def test_fields_that_contradict_each_other_are_refused(query: str) -> None:
    assert validate(schema._schema, parse(query)) != []
    assert code_of(query) == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize("query", AGREEMENTS)
def test_fields_that_agree_are_not_refused(query: str) -> None:
    assert validate(schema._schema, parse(query)) == []
    assert code_of(query) is None


@given(st.integers(0, 10_000))
@settings(max_examples=200, deadline=None)
def test_any_document_gets_the_verdict_of_all_rules_of_the_specification(seed: int) -> None:
    query = contradicting_document(random.Random(seed))
    limits = QueryLimits(aliases=10_000, fields=10_000, duplicates=1_000_000)
    reader = DocumentReader(schema._schema, DocumentRules(limits=limits))
    assert bool(reader.read(query).errors) == bool(validate(schema._schema, parse(query)))


def contradicting_document(source: random.Random) -> str:
    """A document of few names, half of them aliases, in fragments that spread each other without a circle."""
    leaves = ["id", "x: id", "x: name", "y: name", "y: description", "license", "__typename"]

    def selections(fragment: int) -> str:
        chosen = [source.choice(leaves) for _ in range(source.randint(1, 3))]
        if fragment < 3 and source.random() < 0.7:
            chosen.append(f"...F{source.randint(fragment + 1, 3)}")
        if source.random() < 0.3:
            chosen.append("... on Node { id }")
        return " ".join(chosen)

    fields = ["models", "models", "a: models", 'model(id: "1")', 'model(id: "2")', 'a: model(id: "1")']
    body = " ".join(f"{source.choice(fields)} {{ {selections(0)} ...F1 ...F2 ...F3 }}" for _ in range(2))
    return f"{{ {body} }}" + "".join(f" fragment F{n} on Model {{ {selections(n)} }}" for n in range(1, 4))


# --- introspection ---


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { queryType { name } } }",
        '{ __type(name: "Query") { name } }',
        "{ x: __schema { queryType { name } } }",
        "{ ... { ...F } } fragment F on Query { __schema { queryType { name } } }",
        "{ __typename } fragment Unused on Query { __schema { queryType { name } } }",
        get_introspection_query(),
    ],
)
def test_introspection_can_be_switched_off(query: str) -> None:
    errors = without_introspection().read(query).errors

    assert [error.formatted for error in errors] == [
        {
            "message": "Introspection is off on this server.",
            "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"},
        }
    ]


def test_the_type_of_an_object_is_always_told() -> None:
    assert without_introspection().read("{ __typename models { __typename } }").errors == ()


def test_nothing_is_suggested_where_introspection_is_off() -> None:
    query = "{ model { ids } }"

    assert "Did you mean" in schema._documents.read(query).errors[0].message
    assert all("Did you mean" not in error.message for error in without_introspection().read(query).errors)


def without_introspection() -> DocumentReader:
    return DocumentReader(schema._schema, DocumentRules(allows_introspection=False))


class BrokenReader(DocumentReader):
    """A reader with a fault."""

    def find(self, request: DocumentRequest) -> Document:
        raise RuntimeError("a secret of the server")


@pytest.mark.parametrize("over", ["execute", "stream"])
async def test_a_fault_while_a_document_is_looked_at_ends_no_more_than_its_request(over: str) -> None:
    broken = schema.with_rules(DocumentRules())
    broken._documents = BrokenReader(broken._schema, DocumentRules())
    if over == "execute":
        result = await broken.execute("{ __typename }")
    else:
        (result,) = [each async for each in await broken.stream("{ __typename }")]
    assert isinstance(result, PreExecutionError)
    assert result.errors is not None
    (error,) = result.errors
    assert (error.extensions or {})["code"] == "INTERNAL_SERVER_ERROR"
    assert "secret" not in error.message
