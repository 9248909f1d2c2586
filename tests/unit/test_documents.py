"""Documents are limited in linear time, and looked at once."""

from __future__ import annotations

import time

import pytest
from graphql import get_introspection_query

from graphql_api.schema import schema
from graphql_api.schema.documents import MAX_CACHED_CHARS, document_reader
from graphql_api.schema.errors import ErrorCode
from graphql_api.schema.limits import QueryLimits


def code_of(query: str) -> str | None:
    document = schema._read_document(query)
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
    assert schema._read_document("{ models { id } }") is schema._read_document("{ models { id } }")


def test_a_huge_document_is_not_kept() -> None:
    query = "{ __typename }" + " " * MAX_CACHED_CHARS

    assert schema._read_document(query) is not schema._read_document(query)


def test_the_limits_can_be_set() -> None:
    read = document_reader(schema._schema, QueryLimits(aliases=1))

    assert read("{ a: __typename }").errors == ()
    assert read("{ a: __typename b: __typename }").errors[0].extensions == {"code": ErrorCode.QUERY_TOO_COMPLEX}


def test_the_introspection_query_of_tools_is_within_the_limits() -> None:
    assert code_of(get_introspection_query(specified_by_url=True, input_value_deprecation=True)) is None


def test_introspection_is_not_without_end() -> None:
    nested = "fields { type { " * 12 + "name" + " } }" * 12

    assert code_of(f"{{ __schema {{ types {{ {nested} }} }} }}") == "QUERY_TOO_COMPLEX"
