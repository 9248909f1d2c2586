"""Tokens are counted as graphql-core's lexer counts them, in time linear to the text."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from graphql import GraphQLSyntaxError, Lexer, Source, TokenKind, get_introspection_query
from hypothesis import given, settings
from hypothesis import strategies as st

from graphql_api.schema.tokens import has_more_tokens

ROOT = Path(__file__).parents[2]
TEXTS = [
    *(path.read_text() for path in sorted((ROOT / "ui" / "graphiql" / "tabs").glob("*.graphql"))),
    get_introspection_query(),
    (ROOT / "schema.graphql").read_text(),
    '{ a(b: "x # no comment \\" still" c: """block # " "" \\""" end""" d: -1.5e-3 e: $v f: [1 2])',
    "{ a @g(h: {i: true}) ...J ... on K { l } }",
    "# only a comment",
    "",
    '{ a(b: "") c(d: """""") }',
    "{ \ufeffa, b ,, c }",
]
MARKS = ("{", "}", "(", ")", "[", "]", "$", ":", "!", "=", "@", "...", "|", "&", ",", "\n", "\t", "\ufeff", " # c\n")
STRINGS = (' "x" ', ' "a # b" ', ' "\\"" ', ' """b " c""" ')
PIECES = st.sampled_from([*MARKS, *STRINGS, "a", "B_1", "1", "-2.5", "3e10"])


def lexed(text: str) -> int:
    """How many tokens graphql-core sees; comments are none. Raises GraphQLSyntaxError."""
    lexer, count = Lexer(Source(text)), 0
    while lexer.advance().kind is not TokenKind.EOF:
        count += 1
    return count


def check(text: str) -> None:
    count = lexed(text)
    assert not has_more_tokens(text, count)
    assert count == 0 or has_more_tokens(text, count - 1)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_tokens_of_real_documents_are_counted_as_the_lexer_does(text: str) -> None:
    check(text)


@settings(max_examples=500)
@given(st.lists(PIECES, max_size=40).map(" ".join))
def test_tokens_of_any_text_that_can_be_lexed_are_counted_as_the_lexer_does(text: str) -> None:
    try:
        lexed(text)
    except GraphQLSyntaxError:
        return
    check(text)


@pytest.mark.parametrize(
    "piece", ['"', '"\\', '\\"', '"""', '""', '"""\\', "\\\\", '"\\"', "a", "-", ".", "#", "\n", '"\n', "1e"], ids=ascii
)
def test_no_text_takes_long(piece: str) -> None:
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        began = time.thread_time()
        has_more_tokens(text, 10**9)
        return time.thread_time() - began

    # Ten times the text: ten times as long, not a hundred times.
    short = min(seconds(20_000) for _ in range(5))
    long = min(seconds(200_000) for _ in range(5))
    assert long < 40 * max(short, 0.0005)
