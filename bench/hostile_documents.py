"""Hostile documents: the list that is known, and shapes drawn at random to look for worse ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

from graphql import (
    GraphQLSchema,
    get_introspection_query,
    get_named_type,
    is_interface_type,
    is_object_type,
)

from bench.documents import GENERATE, WATCH

HONEST: Mapping[str, str] = {
    "a mutation": GENERATE,
    "a subscription": WATCH,
    "introspection": get_introspection_query(),
}
MAX_DEPTH = 6
VARIABLE_SHARE = 0.5


def _spread(count: int) -> str:
    return " ".join(f"...F{number}" for number in range(count))


def _fragments(count: int, selections: str, kind: str = "GenerationJob") -> str:
    return " ".join(f"fragment F{number} on {kind} {{ {selections} }}" for number in range(count))


def _job(selections: str) -> str:
    return f'{{ job(id: "x") {{ {selections} }} }} '


HOSTILE: Mapping[str, str] = {
    "10,000 aliases": "{ " + " ".join(f"a{number}: __typename" for number in range(10_000)) + " }",
    "100 aliases": "{ " + " ".join(f"a{number}: __typename" for number in range(100)) + " }",
    "10,000 duplicates": "{ " + "__typename " * 10_000 + "}",
    "1,001 duplicates": "{ " + "__typename " * 1_001 + "}",
    "490 times id": "{ models { " + "id " * 490 + "} }",
    "210 times id": "{ models { " + "id " * 210 + "} }",
    "160 times model": _job("model { id } " * 160),
    "70 times model": _job("model { id name } " * 70),
    "70 times name of introspection": "{ __schema { types { " + "name " * 70 + "} } }",
    "100 times a field of fields": "{ __schema { types { fields { " + "type { name } " * 100 + "} } } }",
    "60 fragments": _job(_spread(60)) + _fragments(60, "model { id name }"),
    "40 fragments": _job(_spread(40)) + _fragments(40, "model { id name }"),
    "450 unknown fields": "{ models { " + " ".join(f"nam{number}" for number in range(450)) + " } }",
    "210 unknown fields": "{ models { " + " ".join(f"nam{number}" for number in range(210)) + " } }",
    "140 unused fragments": "{ __typename } " + _fragments(140, "id"),
    "44 unused fragments": "{ __typename } " + _fragments(44, "id"),
    "a bomb of fragments": "{ ...F0 } "
    + " ".join(f"fragment F{number} on Query {{ ...F{number + 1} ...F{number + 1} }}" for number in range(40))
    + " fragment F40 on Query { __typename }",
    "fragments in circles": _job("...F0")
    + " ".join(
        f"fragment F{number} on GenerationJob {{ ...F{(number + 1) % 38} ...F{(number + 2) % 38} ...F{number} }}"
        for number in range(38)
    ),
    "100 directives": "{ __typename " + "@skip(if: false) " * 100 + "}",
    "circular introspection": "{ __schema { types { " + "fields { type { " * 4 + "name" + " } }" * 4 + " } } }",
    "400 levels": "{ a " * 400 + "}" * 400,
    "900 lists in lists": "{ nodes(ids: " + "[" * 450 + "]" * 450 + ") { id } }",
    "900 items": "{ nodes(ids: [" + "1 " * 900 + "]) { id } }",
    "240 unknown inputs": "mutation { generateImage(input: {"
    + " ".join(f"promp{number}: 1" for number in range(240))
    + "}) { errors { __typename } } }",
    "100 unknown inputs": "mutation { generateImage(input: {"
    + " ".join(f"promp{number}: 1" for number in range(100))
    + "}) { errors { __typename } } }",
    "190 variables": "query (" + " ".join(f"$v{number}: Int" for number in range(190)) + ") { models { id } }",
    "190 operations": " ".join(f"query Q{number} {{ __typename }}" for number in range(190)),
    "a text of 120,000 characters": _job("id").replace("x", "x" * 120_000),
    "a number of 100,000 digits": "{ jobs(first: " + "1" * 100_000 + ") { totalCount } }",
    "a page of pages": "{ " + "jobs(first: 100) { edges { node { id images { url } } } } " * 20 + "}",
    "100 lists of jobs": "{ "
    + " ".join(f"a{number}: jobs(first: 100) {{ edges {{ node {{ ...F }} }} }}" for number in range(20))
    + " } fragment F on GenerationJob { id status createdAt images { id url thumbnailUrl } }",
}


def random_documents(schema: GraphQLSchema, seed: int) -> Iterator[str]:
    """Documents that repeat, alias, nest and spread fields of the schema, without end. Most of them are valid."""
    source = random.Random(seed)
    while True:
        yield _Drawing(schema, source).document()


class _Drawing:
    """One document, about as large as the limits allow; how it is made up is drawn first."""

    def __init__(self, schema: GraphQLSchema, source: random.Random) -> None:
        self._schema = schema
        self._random = source
        self._left = source.choice((80, 150, 210))
        self._few = source.choice((1, 2, 3, 30))
        self._alias_share = source.choice((0.0, 0.0, 0.05))
        self._inline_share = source.choice((0.0, 0.1, 0.4))
        self._nest_share = source.choice((0.0, 0.3, 0.7))
        self._aliases = 30
        self._depth = source.randint(1, MAX_DEPTH)

    def document(self) -> str:
        """The text of it."""
        root, kind = self._random.choice(
            (
                ('job(id: "x")', "GenerationJob"),
                ('node(id: "x")', "GenerationJob"),
                ("models", "Model"),
                ("jobs(first: 1)", "GenerationJobConnection"),
                ("__schema { types", "__Type"),
            )
        )
        closing = " }" * (1 + root.count("{"))
        shapes: tuple[Callable[[str], tuple[str, str]], ...] = (
            self._flat,
            self._flat,
            self._spread_beside,
            self._chain,
        )
        selections, fragments = self._random.choice(shapes)(kind)
        if root.startswith("node"):
            selections = f"... on {kind} {{ {selections} }}"
        # One variable is enough to have all rules about variables run.
        variable = "($if: Boolean! = true)" if self._random.random() < VARIABLE_SHARE else ""
        used = "__typename @include(if: $if)" if variable else ""
        body = f"{variable} {{ {used} {root} {{"
        operations = self._random.choice((1, 1, 1, 10))
        if operations == 1:
            return f"query {body} {selections} }}{closing} {fragments}"
        shared = f"fragment Shared on {kind} {{ {selections} }} {fragments}"
        return shared + " ".join(f"query Q{number} {body} ...Shared }}{closing}" for number in range(operations))

    def _flat(self, kind: str) -> tuple[str, str]:
        return self._selections(kind, self._left, 0), ""

    def _spread_beside(self, kind: str) -> tuple[str, str]:
        count = self._random.randint(5, 43)
        each = max(1, self._left // count - 2)
        bodies = [self._selections(kind, each, 0) for _ in range(count)]
        fragments = " ".join(f"fragment F{number} on {kind} {{ {body} }}" for number, body in enumerate(bodies))
        return " ".join(f"...F{number}" for number in range(count)), fragments

    def _chain(self, kind: str) -> tuple[str, str]:
        count = self._random.randint(5, 43)
        each = max(1, self._left // count - 2)
        bodies = [self._selections(kind, each, 0) for _ in range(count)]
        fragments = " ".join(
            f"fragment F{number} on {kind} {{ {body} {f'...F{number + 1}' if number + 1 < count else ''} }}"
            for number, body in enumerate(bodies)
        )
        return "...F0", fragments

    def _selections(self, kind: str, count: int, depth: int) -> str:
        found = self._schema.get_type(kind)
        assert is_object_type(found) or is_interface_type(found)
        names = list(found.fields)
        names = self._random.sample(names, min(self._few, len(names)))
        written: list[str] = []
        while count > 0:
            name = self._random.choice(names)
            text, used = self._field(name, get_named_type(found.fields[name].type).name, count, depth)
            if self._random.random() < self._inline_share:
                text, used = f"... {{ {text} }}", used + 1
            written.append(text)
            count -= used
        return " ".join(written)

    def _field(self, name: str, kind: str, count: int, depth: int) -> tuple[str, int]:
        alias = ""
        if self._aliases and self._random.random() < self._alias_share:
            self._aliases -= 1
            alias = f"{self._random.choice('xyz')}: "
        inner = self._schema.get_type(kind)
        if not (is_object_type(inner) or is_interface_type(inner)):
            return alias + name, 1
        if depth >= self._depth or self._random.random() > self._nest_share:
            return f"{alias}{name} {{ __typename }}", 2
        below = min(count, self._random.randint(1, 12))
        return f"{alias}{name} {{ {self._selections(kind, below, depth + 1)} }}", 1 + below
