"""Queries that mean harm, over every transport: each is refused for what it is, and the server does not mind.

Among them are the probes of graphql-cop (github.com/dolevf/graphql-cop, at 2b7e086), but for those that are tested
elsewhere: batches, mutations over GET, GET from a link, and forms as bodies are in `test_http_protocol`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from graphql import get_introspection_query

from tests.clients.graphql_events import open_events
from tests.clients.graphql_http import GENERATE, GRAPHQL_JSON, Api, codes_of
from tests.clients.graphql_socket import Refused, Socket, open_socket
from tests.clients.server_process import ServerProcess, StartServer
from tests.clients.waiting import eventually

SECRET = "lighthouse"
"""Is in every hostile query, and must not be in the log."""
LOG_BYTES = 1_000
GROWTH_BYTES = 16 * 1024 * 1024
TIMES = 500
OFTEN = (
    "10,000 aliases",
    "500 duplicates",
    "duplicates that may differ",
    "circular introspection",
    "fragments in a circle",
    "400 levels",
    "a name without end",
    "a comment without end",
    "pages of pages",
    "unknown fields",
)
"""What is sent so often that memory would tell: one for each way that a query is refused."""
AT_ONCE = 20


def written_out(number_of: int, text: str) -> str:
    """A text so many times, with each number in place of `#`."""
    return " ".join(text.replace("#", str(number)) for number in range(number_of))


def fragments(number_of: int, selections: str) -> str:
    """So many fragments on Query, and an operation that spreads them all."""
    spreads = written_out(number_of, f"...{SECRET}#")
    return f"{{ {spreads} }} " + written_out(number_of, f"fragment {SECRET}# on Query {{ {selections} }}")


HOSTILE: dict[str, tuple[str, str]] = {
    "101 aliases": ("{ " + written_out(101, f"{SECRET}#: __typename") + " }", "QUERY_TOO_COMPLEX"),
    "10,000 aliases": (f"query {SECRET} {{ " + written_out(10_000, "a#:id") + " }", "QUERY_TOO_COMPLEX"),
    "500 duplicates": (f"query {SECRET} {{ " + "__typename " * 500 + "}", "QUERY_TOO_COMPLEX"),
    "10,000 duplicates": (f"query {SECRET} {{ " + "__typename " * 10_000 + "}", "QUERY_TOO_COMPLEX"),
    "duplicates in a list": (f"query {SECRET} {{ models {{ " + "id " * 490 + "} }", "QUERY_TOO_COMPLEX"),
    "duplicates with selections": (f"query {SECRET} {{ styles {{ id }} models {{ {'limits { maxSteps } ' * 160} }} }}",
                                   "QUERY_TOO_COMPLEX"),
    "duplicates that may differ": ("{ __schema { types { " + f"{SECRET}: name " * 25 + "name " * 90 + "} } }",
                                   "QUERY_TOO_COMPLEX"),
    "10 directives": (f"query {SECRET} {{ __typename " + "@aa" * 10 + " }", "QUERY_TOO_COMPLEX"),
    "directives on a variable": (f"query (${SECRET}: Int " + "@aa" * 10 + ") { __typename }", "QUERY_TOO_COMPLEX"),
    "circular introspection": (f"query {SECRET} {{ __schema {{ types {{ " + "fields { type { " * 4 + "name"
                               + " } }" * 4 + " } } }", "GRAPHQL_VALIDATION_FAILED"),
    "deep introspection": (f"query {SECRET} {{ __schema {{ types {{ " + "ofType { " * 30 + "name" + " }" * 30
                           + " } } }", "QUERY_TOO_COMPLEX"),
    "a bomb of fragments": (f"{{ ...{SECRET}0 }} " + " ".join(
        f"fragment {SECRET}{number} on Query {{ ...{SECRET}{number + 1} ...{SECRET}{number + 1} }}"
        for number in range(30)) + f" fragment {SECRET}30 on Query {{ __typename }}", "QUERY_TOO_COMPLEX"),
    "60 fragments": (fragments(60, "models { id name }"), "QUERY_TOO_COMPLEX"),
    "fragments in a circle": (f"{{ ...{SECRET}0 }} " + " ".join(
        f"fragment {SECRET}{number} on Query {{ ...{SECRET}{(number + 1) % 20} models {{ id }} }}"
        for number in range(20)), "GRAPHQL_VALIDATION_FAILED"),
    "unused fragments": (f"query {SECRET} {{ __typename }} "
                         + written_out(140, "fragment F# on Query { __typename }"), "QUERY_TOO_COMPLEX"),
    "200 operations": (written_out(200, f"query {SECRET}# {{ __typename }}"), "QUERY_TOO_COMPLEX"),
    "200 variables": ("query (" + written_out(200, f"${SECRET}#: Int") + ") { __typename }", "QUERY_TOO_COMPLEX"),
    "400 levels": (f"query {SECRET} " + "{ a " * 400 + "}" * 400, "QUERY_TOO_COMPLEX"),
    "13 levels": (f"query {SECRET} " + "{ a " * 13 + "}" * 13, "QUERY_TOO_COMPLEX"),
    "lists in lists": (f"query {SECRET} {{ nodes(ids: " + "[" * 400 + "]" * 400 + ") { id } }", "QUERY_TOO_COMPLEX"),
    "objects in objects": (f"query {SECRET} {{ jobs(filter: " + "{ search: " * 100 + "1" + " }" * 100
                           + ") { totalCount } }", "GRAPHQL_VALIDATION_FAILED"),
    "a long list": (f"query {SECRET} {{ nodes(ids: [" + '"x" ' * 600 + "]) { id } }", "QUERY_TOO_COMPLEX"),
    "an input of 300 fields": ("mutation { generateImage(input: { " + written_out(300, f"{SECRET}#: 1")
                               + " }) { errors { __typename } } }", "QUERY_TOO_COMPLEX"),
    "a text without end": (f'query {SECRET} {{ job(id: "{"x" * 100_000}") {{ id }} }}', "QUERY_TOO_COMPLEX"),
    "a number without end": (f"query {SECRET} {{ jobs(first: {'1' * 100_000}) {{ totalCount }} }}",
                              "QUERY_TOO_COMPLEX"),
    "a name without end": (f"query {{ {SECRET}{'x' * 15_000} }}", "GRAPHQL_VALIDATION_FAILED"),
    "a comment without end": (f"query {SECRET} {{ __typename }} # {'x' * 100_000}", "QUERY_TOO_COMPLEX"),
    "pages of pages": (f"query {SECRET} {{ " + written_out(
        20, "a#: jobs(first: 100) { edges { node { ...F } } }")
        + " } fragment F on GenerationJob { id status createdAt model { name } images { id url thumbnailUrl } }",
        "QUERY_TOO_COMPLEX"),
    "unknown fields": (f"query {SECRET} {{ models {{ " + written_out(200, "nam#") + " } }",
                       "GRAPHQL_VALIDATION_FAILED"),
}  # fmt: skip
NESTED = {"lists": ("[", "]"), "objects": ('{"a":', "}")}
PLACES = {
    "Int": "query ($v: Int) { jobs(first: $v) { totalCount } }",
    "ID": "query ($v: ID!) { job(id: $v) { id } }",
    "[ID!]": "query ($v: [ID!]!) { nodes(ids: $v) { id } }",
    "JobFilter": "query ($v: JobFilter) { jobs(filter: $v) { totalCount } }",
    "GenerateImageInput": GENERATE.replace("$input", "$v"),
}
DEEP = 500

Ask = Callable[[str, str], Awaitable[list[dict[str, Any]]]]
"""Sends a query with the JSON of its variables, which Python could not write; the errors of the answer."""


@pytest.fixture(params=["HTTP", "SSE", "WebSocket"])
def ask(request: pytest.FixtureRequest, api: Api, socket: Socket) -> Ask:
    """How to send a query over each of the transports. What was not executed has no data and no path."""

    async def over_http(query: str, variables: str) -> list[dict[str, Any]]:
        response = await api.post(body_of(query, variables), accept=GRAPHQL_JSON)
        assert "data" not in response.json() and response.status_code == 400
        errors: list[dict[str, Any]] = response.json()["errors"]
        return errors

    async def over_events(query: str, variables: str) -> list[dict[str, Any]]:
        async with open_events(api.http, query, json.loads(variables)) as stream:
            (event, *others) = [event async for event in stream.events()]
        assert event.data is not None and event.data.get("data") is None
        assert [other.kind for other in others] == ["complete"]
        errors: list[dict[str, Any]] = event.data["errors"]
        return errors

    async def over_socket(query: str, variables: str) -> list[dict[str, Any]]:
        await socket.send('{"id": "x", "type": "subscribe", "payload": ' + body_of(query, variables).decode() + "}")
        with pytest.raises(Refused) as refused:
            await socket.next_of("x")
        return refused.value.errors

    ways: dict[str, Ask] = {"HTTP": over_http, "SSE": over_events, "WebSocket": over_socket}
    return ways[request.param]


def body_of(query: str, variables: str = "{}") -> bytes:
    return f'{{"query": {json.dumps(query)}, "variables": {variables}}}'.encode()


@pytest.mark.parametrize("what", HOSTILE)
async def test_hostile_query_is_refused(ask: Ask, shared_server: ServerProcess, what: str) -> None:
    query, code = HOSTILE[what]
    logged = len(shared_server.log)

    errors = await ask(query, "{}")

    assert {error["extensions"]["code"] for error in errors} == {code}
    assert len(errors) <= 6
    assert not any("path" in error for error in errors)
    assert len(shared_server.log) - logged < LOG_BYTES
    assert SECRET not in shared_server.log[logged:]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", NESTED)
async def test_variables_nested_without_sense_are_a_bad_input(ask: Ask, place: str, what: str) -> None:
    opening, closing = NESTED[what]
    errors = await ask(PLACES[place], f'{{"v": {opening * DEEP} 1 {closing * DEEP}}}')
    assert {error["extensions"]["code"] for error in errors} == {"BAD_USER_INPUT"}


@pytest.mark.parametrize("value", ['"' + "x" * 100_000 + '"', "1" + "0" * 4_000, "-1e308", "1e-300", "[1e308]"])
async def test_huge_values_are_answered_without_a_fault(api: Api, value: str) -> None:
    for query in PLACES.values():
        response = await api.post(body_of(query, f'{{"v": {value}}}'))
        answer = response.json()
        assert response.status_code == 200
        assert "errors" not in answer or set(codes_of(answer)) <= {"BAD_USER_INPUT"}
        assert len(response.content) < 1_000 + 3 * len(value)


@pytest.mark.parametrize(
    "query",
    [
        "{ node(id: " + "9" * 5000 + ") { id } }",
        "{ nodes(ids: " + "9" * 5000 + ") { id } }",
        "query ($x: ID = " + "9" * 5000 + ") { job(id: $x) { id } }",
        "query ($x: [ID!]! = " + "9" * 5000 + ") { nodes(ids: $x) { id } }",
    ],
    ids=["an ID", "a list of one", "a default", "a default of a list"],
)
async def test_number_of_any_length_may_be_an_id(api: Api, socket: Socket, query: str) -> None:
    data = await api.data(query)
    assert list(data.values()) in ([None], [[None]])
    assert await socket.all_results(query) == [data]


async def test_page_that_comes_by_variable_costs_as_much_as_it_is_long(ask: Ask, api: Api) -> None:
    query = (
        "query ($n: Int) { " + written_out(20, "a#: jobs(first: $n) { edges { node { ...F } } }") + " }"
        " fragment F on GenerationJob { id status createdAt model { name } images { id url thumbnailUrl } }"
    )
    assert [error["extensions"]["code"] for error in await ask(query, '{"n": 100}')] == ["QUERY_TOO_COMPLEX"]
    assert len(await api.data(query, {"n": 1})) == 20


async def test_page_of_a_hundred_jobs_is_answered(api: Api) -> None:
    await api.finished((await api.generate())["id"])
    query = "query ($n: Int) { jobs(first: $n) { totalCount edges { cursor node { ...JobFields } } } }"
    fragment = GENERATE[GENERATE.index("fragment JobFields") :]
    assert (await api.data(query + fragment, {"n": 100}))["jobs"]["edges"]


async def test_honest_clients_are_served_while_others_do_harm(api: Api, shared_server: ServerProcess) -> None:
    is_over = asyncio.Event()

    async def do_harm() -> None:
        async with Api(shared_server.origin) as hostile:
            while not is_over.is_set():
                for query, _ in HOSTILE.values():
                    await hostile.post(body_of(query))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(do_harm())
        async with open_socket(shared_server.socket_url) as socket:
            for _ in range(5):
                job = await api.finished((await api.generate())["id"])
                assert job["status"] == "SUCCEEDED"
                assert await socket.all_results("{ __typename }") == [{"__typename": "Query"}]
        is_over.set()


async def test_hostile_queries_leave_nothing_behind(start_server: StartServer) -> None:
    server = start_server()
    async with Api(server.origin) as api:
        # What a server comes to hold anyway: its cache of documents, and what the allocator keeps of the largest.
        await send_all(api, range(-TIMES // 2, 0))
        before, logged = server.process.memory_info().rss, len(server.log)
        requests = await send_all(api, range(TIMES))
        await eventually(lambda: server.process.memory_info().rss - before < GROWTH_BYTES)
        assert await api.data("{ __typename }") == {"__typename": "Query"}
    assert len(server.log) - logged < LOG_BYTES * requests
    assert SECRET not in server.log
    assert "Traceback" not in server.log


async def send_all(api: Api, turns: range) -> int:
    """Send hostile queries in each turn, with another name in them, so that they were not seen before; how many."""

    async def send(turn: int) -> None:
        for what in OFTEN:
            query, code = HOSTILE[what]
            answer = (await api.post(body_of(query.replace(SECRET, f"{SECRET}_{abs(turn)}_{turn < 0}_")))).json()
            assert set(codes_of(answer)) == {code}, what

    for start in range(0, len(turns), AT_ONCE):
        await asyncio.gather(*(send(turn) for turn in turns[start : start + AT_ONCE]))
    return len(turns) * len(OFTEN)


# --- the probes of graphql-cop that are about something else ---


async def test_unknown_names_get_a_suggestion_where_the_schema_is_public(api: Api) -> None:
    answer = await api.graphql("{ model { ids } }")
    assert any("Did you mean" in error["message"] for error in answer["errors"])


async def test_endpoint_is_no_explorer(api: Api) -> None:
    for path in ("/graphql", "/graphql/"):
        response = await api.http.get(path, headers={"Accept": "text/html", "GraphQL-Require-Preflight": "1"})
        assert "graphiql" not in response.text.lower()


async def test_answers_carry_no_trace(api: Api) -> None:
    headers = {"X-Apollo-Tracing": "1", "Apollo-Federation-Include-Trace": "ftv1"}
    assert (await api.post({"query": "{ __typename }"}, headers=headers)).json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    "query", ["qwerty cop { abc }", "{ __typename", "\x00", "{ abc }", "\ud7ff", "{ model(id: {}) }"]
)
async def test_errors_tell_nothing_of_the_inside(api: Api, query: str) -> None:
    answer = await api.graphql(query)
    for error in answer["errors"]:
        assert set(error) <= {"message", "locations", "extensions"}
        assert set(error["extensions"]) == {"code"}
    for word in ("Traceback", "graphql_api", "site-packages", ".py", "Exception"):
        assert word not in json.dumps(answer)


async def test_schema_is_told_unless_a_setting_says_otherwise(api: Api, start_server: StartServer) -> None:
    query = get_introspection_query()
    assert (await api.data(query))["__schema"]["queryType"]["name"] == "Query"
    server = start_server(explorer="false")
    async with Api(server.origin) as closed:
        for hidden in (
            query,
            '{ __type(name: "Query") { name } }',
            "query { ...F } fragment F on Query { __schema { description } }",
        ):
            answer = await closed.graphql(hidden)
            assert [(error["message"], error["extensions"]["code"]) for error in answer["errors"]] == [
                ("Introspection is off on this server.", "GRAPHQL_VALIDATION_FAILED")
            ]
        assert await closed.data("{ __typename }") == {"__typename": "Query"}
        answer = await closed.graphql("{ model { ids } }")
        assert all("Did you mean" not in error["message"] for error in answer["errors"])
        assert (await closed.http.get("/graphiql")).status_code == 404
        async with open_socket(server.socket_url) as socket:
            key = await socket.subscribe("{ __schema { description } }")
            with pytest.raises(Refused) as refused:
                await socket.next_of(key)
            assert refused.value.codes == ["GRAPHQL_VALIDATION_FAILED"]


# --- trusted documents ---


async def test_trusted_documents_are_run_over_every_transport_and_nothing_else(
    start_server: StartServer, tmp_path: Path
) -> None:
    text, other = "query Kind { __typename }", "{ other: __typename }"
    (tmp_path / "documents.json").write_text(json.dumps({"kind": text}))
    server = start_server(documents=str(tmp_path / "documents.json"), documents_only="true")
    digest = hashlib.sha256(text.encode()).hexdigest()
    ways: list[dict[str, Any]] = [
        {"documentId": "kind"},
        {"documentId": f"sha256:{digest}"},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest}}},
        {"query": text},
    ]
    expected = {"data": {"__typename": "Query"}}
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        for way in ways:
            assert (await api.post(way)).json() == expected
            parameters = {name: value if isinstance(value, str) else json.dumps(value) for name, value in way.items()}
            assert (await api.get(parameters)).json() == expected
            (line, *_) = [
                line
                for line in (await api.post(way, accept="text/event-stream")).text.splitlines()
                if line.startswith("data:")
            ]
            assert json.loads(line.removeprefix("data:")) == expected
            await socket.send({"id": "x", "type": "subscribe", "payload": way})
            assert await socket.next_of("x") == expected
            assert await socket.next_of("x") is None
        for way, code in (
            ({"query": other}, "DOCUMENT_NOT_TRUSTED"),
            ({"documentId": "y"}, "PERSISTED_QUERY_NOT_FOUND"),
        ):
            assert codes_of((await api.post(way)).json()) == [code]
            assert code in (await api.post(way, accept="text/event-stream")).text
            await socket.send({"id": "x", "type": "subscribe", "payload": way})
            with pytest.raises(Refused) as refused:
                await socket.next_of("x")
            assert refused.value.codes == [code]
