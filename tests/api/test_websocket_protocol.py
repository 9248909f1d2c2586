"""graphql-transport-ws, case by case: what the protocol says, and what it leaves to a server that wants to live.

The cases are those of a probe of Strawberry's own handler, which fails in many of them. Protocol: enisdenjo/graphql-ws.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from websockets.exceptions import InvalidStatus

from graphql_api.http import graphql_view
from tests.clients.graphql_http import Api, new_key
from tests.clients.graphql_socket import TRANSPORT_WS, Message, Socket, open_socket
from tests.clients.server_process import ServerProcess, StartServer
from tests.clients.waiting import eventually

QUERY = "{ __typename }"
WATCH_ALL = "subscription { jobsUpdated { cursor kind } }"
TWO_OPERATIONS = "query One { one: __typename } query Two { two: __typename }"
CYCLES = 300
GROWTH_BYTES = 12 * 1024 * 1024


def subscribe(payload: object, key: object = "1") -> Message:
    return {"id": key, "type": "subscribe", "payload": payload}


NO_MESSAGES: dict[str, object] = {
    "an array": [],
    "a string": '"x"',
    "null": "null",
    "a number": "1",
    "true": "true",
    "an empty text": "",
    "no JSON": "hello",
    "cut JSON": '{"type": "ping"',
    "NaN": '{"type": "ping", "payload": {"a": NaN}}',
    "half a surrogate pair": '{"type": "ping", "payload": {"a": "\\ud800"}}',
    "binary": b'{"type": "ping"}',
    "nesting without end": "[" * 100_000,
    "variables without end": '{"id":"1","type":"subscribe","payload":{"query":"{a}","variables":' + '{"a":' * 20_000,
    "no type": {},
    "null as type": {"type": None},
    "a number as type": {"type": 1},
    "an array as type": {"type": ["ping"]},
    "an unknown type": {"type": "start"},
    "a very long unknown type": {"type": "x" * 1000},
    "a message of servers": {"type": "connection_ack"},
    "ping with an array": {"type": "ping", "payload": []},
    "pong with a string": {"type": "pong", "payload": "x"},
    "complete without ID": {"type": "complete"},
    "complete with a number as ID": {"type": "complete", "id": 1},
    "subscribe without ID": {"type": "subscribe", "payload": {"query": QUERY}},
    "a number as ID": subscribe({"query": QUERY}, key=1),
    "an array as ID": subscribe({"query": QUERY}, key=["1"]),
    "an object as ID": subscribe({"query": QUERY}, key={}),
    "null as ID": subscribe({"query": QUERY}, key=None),
    "an empty ID": subscribe({"query": QUERY}, key=""),
    "an ID without end": subscribe({"query": QUERY}, key="x" * 10_000),
    "subscribe without payload": {"id": "1", "type": "subscribe"},
    "null as payload": subscribe(None),
    "an array as payload": subscribe([{"query": QUERY}]),
    "a string as payload": subscribe(QUERY),
    "no query": subscribe({}),
    "null as query": subscribe({"query": None}),
    "a number as query": subscribe({"query": 1}),
    "an object as query": subscribe({"query": {}}),
    "an array as variables": subscribe({"query": QUERY, "variables": []}),
    "a string as variables": subscribe({"query": QUERY, "variables": "{}"}),
    "a number as operationName": subscribe({"query": QUERY, "operationName": 1}),
    "an array as extensions": subscribe({"query": QUERY, "extensions": []}),
    "a string as extensions": subscribe({"query": QUERY, "extensions": "x"}),
}
NO_HELLOS: dict[str, object] = {
    "an array": {"type": "connection_init", "payload": []},
    "a string": {"type": "connection_init", "payload": "token"},
    "a number": {"type": "connection_init", "payload": 1},
    "false": {"type": "connection_init", "payload": False},
}
REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "syntax": ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
    "an empty document": ({"query": " "}, "GRAPHQL_PARSE_FAILED"),
    "an empty query": ({"query": ""}, "BAD_REQUEST"),
    "validation": ({"query": "{ notThere }"}, "GRAPHQL_VALIDATION_FAILED"),
    "validation of a subscription": ({"query": "subscription { notThere }"}, "GRAPHQL_VALIDATION_FAILED"),
    "an unknown fragment": ({"query": "{ ...F }"}, "GRAPHQL_VALIDATION_FAILED"),
    "an unknown operation": ({"query": QUERY, "operationName": "NotThere"}, "OPERATION_RESOLUTION_FAILURE"),
    "an operation without end": ({"query": QUERY, "operationName": "x" * 300}, "OPERATION_RESOLUTION_FAILURE"),
    "several operations": ({"query": TWO_OPERATIONS}, "OPERATION_RESOLUTION_FAILURE"),
    "coercion of a query": (
        {"query": "query ($n: Int!) { jobs(first: $n) { totalCount } }", "variables": {"n": "many"}},
        "BAD_USER_INPUT",
    ),
    "coercion of a subscription": (
        {"query": "subscription ($id: ID!) { jobUpdated(id: $id) { cursor } }", "variables": {"id": [1]}},
        "BAD_USER_INPUT",
    ),
    "a missing variable": (
        {"query": "subscription ($id: ID!) { jobUpdated(id: $id) { cursor } }"},
        "BAD_USER_INPUT",
    ),
    "a job that is not there": ({"query": 'subscription { jobUpdated(id: "x") { cursor } }'}, "NOT_FOUND"),
    "too much": ({"query": "{ " + "a: __typename " * 31 + "}"}, "QUERY_TOO_COMPLEX"),
    "@defer": ({"query": "{ ... @defer { __typename } }"}, "GRAPHQL_VALIDATION_FAILED"),
}


@pytest.fixture
async def bystander(shared_server: ServerProcess, api: Api) -> AsyncIterator[Socket]:
    """Another socket with a subscription of its own, which must go on whatever happens to the first."""
    async with open_socket(shared_server.socket_url) as other:
        watching = await other.subscribe(WATCH_ALL, key="bystander")
        yield other
        assert await answer_of(other, QUERY) == {"__typename": "Query"}
        job = await api.generate()
        assert await other.next_of(watching) is not None
        await api.finished(job["id"])


async def answer_of(socket: Socket, query: str) -> dict[str, Any]:
    """The answer to a query; the socket and other operations on it are fine."""
    (answer,) = await socket.all_results(query)
    return answer


# --- the hand-shake ---


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"token": ["x", 1]}}], ids=str)
async def test_hello_is_acknowledged(api: Api, shared_server: ServerProcess, payload: dict[str, Any]) -> None:
    async with open_socket(shared_server.socket_url, init=False) as socket:
        await socket.send({"type": "connection_init", **payload})
        assert await socket.receive() == {"type": "connection_ack"}
        assert await answer_of(socket, QUERY) == {"__typename": "Query"}


@pytest.mark.parametrize("what", NO_HELLOS)
async def test_hello_of_a_wrong_shape_closes_with_4400(
    shared_server: ServerProcess, bystander: Socket, what: str
) -> None:
    async with open_socket(shared_server.socket_url, init=False) as socket:
        await socket.send(NO_HELLOS[what])
        assert (await socket.closed())[0] == 4400


async def test_second_hello_closes_with_4429(socket: Socket, bystander: Socket) -> None:
    await socket.send({"type": "connection_init"})
    assert await socket.closed() == (4429, "Too many initialisation requests")


async def test_operation_before_the_hello_closes_with_4401(shared_server: ServerProcess, bystander: Socket) -> None:
    async with open_socket(shared_server.socket_url, init=False) as socket:
        await socket.subscribe(QUERY)
        assert await socket.closed() == (4401, "Unauthorized")


@pytest.mark.parametrize("protocol", [None, "graphql-ws", "nonsense"])
async def test_other_subprotocols_close_with_4406(api: Api, shared_server: ServerProcess, protocol: str | None) -> None:
    async with open_socket(shared_server.socket_url, init=False, protocol=protocol) as socket:
        assert (await socket.closed())[0] == 4406


async def test_the_right_subprotocol_is_picked(socket: Socket) -> None:
    assert socket.connection.subprotocol == TRANSPORT_WS == GRAPHQL_TRANSPORT_WS_PROTOCOL


async def test_silence_closes_with_4408(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int, tmp_path: Any
) -> None:
    """In this process, since the product waits for ten seconds."""
    import uvicorn

    from graphql_api.app import create_app
    from graphql_api.settings import Settings

    assert graphql_view.CONNECTION_INIT_WAIT == timedelta(seconds=10)
    monkeypatch.setattr(graphql_view, "CONNECTION_INIT_WAIT", timedelta(seconds=0.2))
    app = create_app(Settings(data_dir=tmp_path / "data"), with_worker=False)
    config = uvicorn.Config(app, port=unused_tcp_port, log_config=None, ws="websockets-sansio", lifespan="on")
    server = uvicorn.Server(config)
    # The signals belong to pytest.
    serving = asyncio.create_task(server._serve())
    try:
        await eventually(lambda: server.started)
        url = f"ws://127.0.0.1:{unused_tcp_port}/graphql"
        async with open_socket(url) as patient, open_socket(url, init=False) as silent:
            assert await silent.closed() == (4408, "Connection initialisation timeout")
            assert await answer_of(patient, QUERY) == {"__typename": "Query"}
    finally:
        server.should_exit = True
        await serving


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "evil.example", "Origin": "http://127.0.0.1"},
    ],
    ids=str,
)
async def test_pages_of_others_get_no_socket(api: Api, headers: dict[str, str]) -> None:
    # By hand, since a client library sends a Host of its own.
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": TRANSPORT_WS,
    }
    response = await api.http.get("/graphql", headers={**handshake, **headers})
    assert response.status_code == 403


async def test_page_of_the_own_origin_gets_a_socket(api: Api, shared_server: ServerProcess) -> None:
    async with open_socket(shared_server.socket_url, headers={"Origin": shared_server.origin}) as socket:
        assert await answer_of(socket, QUERY) == {"__typename": "Query"}


async def test_socket_elsewhere_is_refused(api: Api, shared_server: ServerProcess) -> None:
    for path in ("/", "/graphql/", "/nothing", "/text2image"):
        with pytest.raises(InvalidStatus):
            async with open_socket(shared_server.socket_url.replace("/graphql", path)):
                pass


# --- messages that are none ---


@pytest.mark.parametrize("what", NO_MESSAGES)
async def test_wrong_message_closes_with_4400(socket: Socket, bystander: Socket, what: str) -> None:
    await socket.send(NO_MESSAGES[what])
    code, reason = await socket.closed()
    assert code == 4400
    assert 0 < len(reason.encode()) <= 123


@pytest.mark.parametrize("what", ["an array", "no JSON", "binary", "null as payload", "nesting without end"])
async def test_wrong_message_before_the_hello_closes_with_4400(
    shared_server: ServerProcess, bystander: Socket, what: str
) -> None:
    async with open_socket(shared_server.socket_url, init=False) as socket:
        await socket.send(NO_MESSAGES[what])
        assert (await socket.closed())[0] == 4400


async def test_message_over_the_limit_closes_with_1009(socket: Socket, bystander: Socket) -> None:
    await socket.send({"type": "ping", "payload": {"a": "x" * 300_000}})
    assert (await socket.closed())[0] == 1009


@pytest.mark.parametrize("key", ["1", "é" * 255, "☃" * 255])
async def test_id_in_use_closes_with_4409(socket: Socket, bystander: Socket, key: str) -> None:
    await socket.subscribe(WATCH_ALL, key=key)
    await socket.subscribe(QUERY, key=key)
    code, reason = await socket.closed()
    assert code == 4409
    assert reason.startswith(f"Subscriber for {key[0]}")
    assert len(reason.encode()) <= 123


# --- pings ---


async def test_ping_is_answered_also_before_the_hello(api: Api, shared_server: ServerProcess) -> None:
    async with open_socket(shared_server.socket_url, init=False) as socket:
        await socket.send({"type": "ping"})
        assert await socket.receive() == {"type": "pong"}
        await socket.send({"type": "ping", "payload": None})
        assert await socket.receive() == {"type": "pong"}


async def test_pong_carries_the_payload_of_the_ping(socket: Socket) -> None:
    await socket.send({"type": "ping", "payload": {"a": [1, "ü"]}})
    assert await socket.receive() == {"type": "pong", "payload": {"a": [1, "ü"]}}


async def test_pong_and_complete_of_the_unknown_are_ignored(socket: Socket) -> None:
    await socket.send({"type": "pong"})
    await socket.send({"type": "pong", "payload": {"a": 1}})
    await socket.send({"type": "complete", "id": "never there"})
    assert await answer_of(socket, QUERY) == {"__typename": "Query"}


# --- operations ---


async def test_query_and_mutation_have_one_result(socket: Socket) -> None:
    assert await answer_of(socket, QUERY) == {"__typename": "Query"}
    mutation = 'mutation { cancelJob(input: {id: "x"}) { errors { __typename } } }'
    assert await answer_of(socket, mutation) == {"cancelJob": {"errors": [{"__typename": "JobNotFoundError"}]}}


@pytest.mark.parametrize(
    "more",
    [
        {"variables": None, "operationName": None, "extensions": None},
        {"variables": {"unused": 1}, "extensions": {"any": {"thing": [1]}}},
        {"unknown": 1},
    ],
    ids=str,
)
async def test_optional_parameters_may_be_null_or_there(socket: Socket, more: dict[str, Any]) -> None:
    await socket.send(subscribe({"query": QUERY, **more}))
    assert await socket.receive() == {"id": "1", "type": "next", "payload": {"data": {"__typename": "Query"}}}
    assert await socket.receive() == {"id": "1", "type": "complete"}


async def test_name_picks_one_of_several_operations(socket: Socket) -> None:
    await socket.send(subscribe({"query": TWO_OPERATIONS, "operationName": "Two"}))
    assert (await socket.receive())["payload"] == {"data": {"two": "Query"}}


@pytest.mark.parametrize("what", REFUSED)
async def test_refused_operation_gets_an_error_of_its_own(socket: Socket, bystander: Socket, what: str) -> None:
    payload, code = REFUSED[what]
    await socket.subscribe(WATCH_ALL, key="sibling")
    await socket.send(subscribe(payload, key="refused"))
    message = await socket.receive()
    assert (message["id"], message["type"]) == ("refused", "error")
    assert [error["extensions"]["code"] for error in message["payload"]] == [code]
    # Nothing follows it, its ID is free again, and the sibling on the same socket goes on.
    await socket.send(subscribe({"query": QUERY}, key="refused"))
    assert (await socket.receive())["type"] == "next"
    assert await socket.receive() == {"id": "refused", "type": "complete"}
    await socket.send(subscribe({"query": QUERY}, key="sibling"))
    assert (await socket.closed())[0] == 4409


async def test_id_may_be_used_again_behind_complete(socket: Socket) -> None:
    for _ in range(3):
        await socket.subscribe(QUERY, key="again")
        assert await socket.next_of("again") == {"data": {"__typename": "Query"}}
        assert await socket.next_of("again") is None
    for _ in range(3):
        await socket.subscribe(WATCH_ALL, key="again")
        await socket.send({"id": "again", "type": "complete"})


async def test_completed_operation_is_silent(socket: Socket, api: Api) -> None:
    key = await socket.subscribe(WATCH_ALL)
    await api.finished((await api.generate())["id"])
    assert await socket.next_of(key) is not None
    await socket.send({"id": key, "type": "complete"})
    # The answer to a ping is behind everything that was under way.
    await socket.send({"type": "ping"})
    while (await socket.receive())["type"] != "pong":
        pass
    await api.finished((await api.generate())["id"])
    await socket.send({"type": "ping"})
    assert await socket.receive() == {"type": "pong"}


async def test_operations_beyond_the_limit_are_refused_one_by_one(socket: Socket, bystander: Socket) -> None:
    for number in range(100):
        await socket.subscribe(WATCH_ALL, key=f"operation {number}")
    await socket.subscribe(QUERY, key="one too many")
    message = await socket.receive()
    assert (message["id"], message["type"]) == ("one too many", "error")
    assert message["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"
    await socket.send({"id": "operation 50", "type": "complete"})
    assert await answer_of(socket, QUERY) == {"__typename": "Query"}


async def test_socket_lost_while_many_operations_send_leaves_no_trace(
    api: Api, shared_server: ServerProcess, bystander: Socket
) -> None:
    for _ in range(4):
        async with open_socket(shared_server.socket_url) as socket:
            for number in range(90):
                await socket.subscribe(WATCH_ALL, key=f"operation {number}")
            jobs = [await api.generate(steps=3) for _ in range(3)]
            await socket.receive()
            socket.connection.transport.abort()
        for job in jobs:
            await api.finished(job["id"])


async def test_client_that_does_not_read_does_not_harm_others(
    api: Api, shared_server: ServerProcess, bystander: Socket
) -> None:
    async with open_socket(shared_server.socket_url) as socket:
        for number in range(90):
            await socket.subscribe(WATCH_ALL, key=f"operation {number}")
        socket.connection.transport.pause_reading()
        memory = shared_server.process.memory_info().rss
        for _ in range(5):
            await api.finished((await api.generate(steps=2))["id"])
        assert shared_server.process.memory_info().rss - memory < GROWTH_BYTES
        socket.connection.transport.abort()


# --- leaks ---


async def test_sockets_that_come_and_go_leave_nothing_behind(api: Api, shared_server: ServerProcess) -> None:
    process = shared_server.process
    ways = itertools.cycle(("close", "abort", "complete"))

    async def come_and_go(times: int) -> None:
        for _ in range(times):
            way = next(ways)
            async with open_socket(shared_server.socket_url) as socket:
                key = await socket.subscribe(WATCH_ALL)
                assert await answer_of(socket, QUERY) == {"__typename": "Query"}
                if way == "complete":
                    await socket.send({"id": key, "type": "complete"})
                elif way == "abort":
                    socket.connection.transport.abort()

    await come_and_go(100)
    await api.data(QUERY)
    handles, memory = process.num_fds(), process.memory_info().rss
    await come_and_go(CYCLES)
    await eventually(lambda: process.num_fds() <= handles)
    assert process.memory_info().rss - memory < GROWTH_BYTES


async def test_subscriptions_that_come_and_go_on_one_socket_leave_nothing_behind(
    socket: Socket, api: Api, shared_server: ServerProcess
) -> None:
    job = await api.generate(steps=1, idempotencyKey=new_key())
    await api.finished(job["id"])
    query = "subscription ($id: ID!) { jobUpdated(id: $id) { kind } }"
    for _ in range(50):
        assert await socket.all_results(query, {"id": job["id"]}) == [{"jobUpdated": {"kind": "SNAPSHOT"}}]
    memory = shared_server.process.memory_info().rss
    for _ in range(CYCLES):
        assert await socket.all_results(query, {"id": job["id"]}) == [{"jobUpdated": {"kind": "SNAPSHOT"}}]
    assert shared_server.process.memory_info().rss - memory < GROWTH_BYTES


async def test_socket_is_told_of_a_restart(start_server: StartServer) -> None:
    server = start_server()
    async with open_socket(server.socket_url) as socket:
        await socket.subscribe(WATCH_ALL)
        assert await answer_of(socket, QUERY) == {"__typename": "Query"}
        stopping = asyncio.create_task(asyncio.to_thread(server.terminate))
        # Codes after which a client of graphql-ws connects again.
        assert (await socket.closed())[0] in (1001, 1012)
        assert await stopping == 0
    assert "Traceback" not in server.log
