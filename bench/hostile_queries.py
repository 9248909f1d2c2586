"""The CPU time in which a hostile document is refused, or turns out to be harmless: parsing, limits and validation.

Measured in this process, without the cache of documents, which any other name in the text gets around. The documents of
honest callers stand beside them. `python -m bench.hostile_queries --rounds 7`; with `--search 2000`, so many documents
drawn at random are tried too, and the slowest that are within all limits are printed.
"""

from __future__ import annotations

import gc
import itertools
import sys
import time
from dataclasses import dataclass

from bench.harness import PRODUCT, Figures, Server, Target, arguments, report, run, running
from bench.hostile_documents import HONEST, HOSTILE, random_documents
from bench.load.graphql import Caller
from graphql_api.http.guards import MAX_BODY_BYTES
from graphql_api.schema import schema
from graphql_api.schema.documents import Document, DocumentReader, DocumentRules
from graphql_api.schema.errors import ErrorCode

TARGETS = (
    Target(text="each document of the list refused within 5 ms of CPU", figure="slowest_refused_ms", limit=5),
    Target(text="the same through a server, in 5 ms of its CPU", figure="slowest_over_http_ms", limit=5),
    Target(text="the slowest that is within the limits, in 10 ms", figure="slowest_accepted_ms", limit=10),
)
RUNS = 9
REQUESTS = 50
SHOWN = 5


async def _server_ms(server: Server, text: str) -> float:
    """The CPU that a request with a document costs a server, in milliseconds. Each is another document to its cache."""
    caller = await Caller.open(server.port)
    await caller.ask(text, None)
    before = server.cpu_seconds()
    for number in range(REQUESTS):
        answer = await caller.ask(f"{text} #{number}", None)
        if "errors" not in answer:
            raise RuntimeError(f"a hostile document was not refused: {text[:80]}")
    return 1000 * (server.cpu_seconds() - before) / REQUESTS


@dataclass(frozen=True, slots=True)
class _Found:
    milliseconds: float
    text: str


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=7, search=0, seed=1)
    gc.disable()
    names = {**HONEST, **HOSTILE}
    reader = DocumentReader(schema._schema, DocumentRules())
    refused = {name for name, text in names.items() if reader.look_at(text).errors}
    figures: list[Figures] = []
    for turn in range(asked.rounds):
        found = {name: cpu_ms(reader, text) for name, text in names.items()}
        slowest_refused = max(found[name] for name in refused)
        slowest_accepted = max(found[name] for name in found if name not in refused)
        with running(PRODUCT) as server:
            # Larger ones are refused before they are read.
            sent = [name for name in sorted(refused) if len(names[name]) < MAX_BODY_BYTES / 2]
            over_http = {name: run(_server_ms(server, names[name])) for name in sent}
        figures.append(
            {
                "slowest_refused_ms": slowest_refused,
                "slowest_over_http_ms": max(over_http.values()),
                "slowest_accepted_ms": slowest_accepted,
                **found,
            }
        )
        print(f"round {turn + 1}: refused {slowest_refused:.2f}  accepted {slowest_accepted:.2f}", file=sys.stderr)
    slowest = search(reader, asked.search, asked.seed)
    report(
        "hostile_queries",
        {"product": figures},
        TARGETS,
        refused=sorted(refused),
        searched=asked.search,
        slowest_found_ms=[round(found.milliseconds, 2) for found in slowest],
    )
    for each in slowest:
        print(f"{each.milliseconds:.2f} ms: {each.text[:400]}")


def cpu_ms(reader: DocumentReader, text: str) -> float:
    """CPU time of this thread for looking at a document: the best of several runs."""
    return min(_timed_ms(reader, text) for _ in range(RUNS))


def search(reader: DocumentReader, count: int, seed: int) -> list[_Found]:
    """The slowest of so many random documents, without those that a limit refuses."""
    found: list[_Found] = []
    for text in itertools.islice(random_documents(schema._schema, seed), count):
        if not _is_over_a_limit(reader.look_at(text)):
            found = sorted([*found, _Found(cpu_ms(reader, text), text)], key=lambda each: -each.milliseconds)[:SHOWN]
    return found


def _timed_ms(reader: DocumentReader, text: str) -> float:
    before = time.thread_time()
    reader.look_at(text)
    return 1000 * (time.thread_time() - before)


def _is_over_a_limit(document: Document) -> bool:
    return any((error.extensions or {}).get("code") == ErrorCode.QUERY_TOO_COMPLEX for error in document.errors)


if __name__ == "__main__":
    main()
