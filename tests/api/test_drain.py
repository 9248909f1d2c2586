"""The server is told to stop, and everybody goes on: SIGTERM with open sockets, streams, requests and jobs."""

from __future__ import annotations

import asyncio
import base64
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.clients.graphql_events import Event, all_events, open_events
from tests.clients.graphql_http import FINAL, Api
from tests.clients.graphql_socket import Socket, open_socket
from tests.clients.server_process import ServerProcess, StartServer, clean_environment
from tests.clients.waiting import PATIENCE_SECONDS, eventually

SLOW = "sketch:?step_seconds=0.1"
SHORT, LONG = 12, 100
"""Steps of a job that ends during a drain of DRAIN seconds, and of one that does not end while a test looks."""
DRAIN = "15"

FIELDS = "kind cursor jobId job { status progress { fraction } }"
WATCH_JOB = f"subscription ($id: ID!, $after: String) {{ jobUpdated(id: $id, after: $after) {{ {FIELDS} }} }}"
WATCH_ALL = f"subscription ($after: String) {{ jobsUpdated(after: $after) {{ {FIELDS} }} }}"
QUERY = "{ __typename }"
LATE = 'mutation { generateImage(input: {prompt: "late", steps: 1}) { job { id } errors { __typename } } }'

JobEvent = dict[str, Any]


async def ended(server: ServerProcess) -> int:
    """The exit code of a server that has been told to stop."""
    return await asyncio.to_thread(server.wait)


async def events_of(socket: Socket, key: str) -> AsyncIterator[JobEvent]:
    """The events of an operation to its end. Raises ConnectionClosed when the socket ends first."""
    while (payload := await socket.next_of(key)) is not None:
        assert "errors" not in payload, payload
        (event,) = payload["data"].values()
        yield event


async def events_until_cut(socket: Socket, key: str) -> tuple[list[JobEvent], int, str]:
    """The events of an operation that does not end before its socket does, and the code and reason of that."""
    told: list[JobEvent] = []
    try:
        async for event in events_of(socket, key):
            told.append(event)  # noqa: PERF401 - what came before the end is kept
    except ConnectionClosed as error:
        assert error.rcvd is not None, "the connection broke off without a close frame"
        return told, error.rcvd.code, error.rcvd.reason
    raise AssertionError("the operation was completed")


def job_events(events: list[Event]) -> list[JobEvent]:
    """What the `next` events of a stream tell."""
    told: list[JobEvent] = []
    for event in events:
        if event.data is not None:
            assert "errors" not in event.data, event.data
            told += event.data["data"].values()
    return told


def moves(events: list[JobEvent]) -> list[tuple[int, str]]:
    """Revision and status of every event that is not mere progress. Clients must not look into a cursor, a test may."""
    found = []
    for event in events:
        if event["kind"] != "PROGRESS":
            cursor = event["cursor"]
            revision = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().removeprefix("e1:")
            found.append((int(revision), event["job"]["status"]))
    return found


async def is_refused(server: ServerProcess) -> bool:
    """Whether the server takes no connections any more."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


# --- sockets ---


async def test_socket_without_operations_is_closed_at_once_though_a_job_goes_on(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain=DRAIN)
    async with Api(server.origin) as api, open_socket(server.socket_url) as watching:
        key = await watching.subscribe(WATCH_JOB, {"id": (await api.generate(steps=SHORT))["id"]})
        async with open_socket(server.socket_url) as idle, open_socket(server.socket_url, init=False) as silent:
            await anext(events_of(watching, key))
            server.send_signal(signal.SIGTERM)
            assert await idle.closed() == (1012, "Service Restart")
            assert await silent.closed() == (1012, "Service Restart")
        # The job was not over yet.
        told = [event async for event in events_of(watching, key)]
        assert told[0]["job"]["status"] == "RUNNING"
    assert await ended(server) == 0


async def test_subscription_whose_job_ends_in_time_is_completed(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain=DRAIN)
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        job = await api.generate(steps=SHORT)
        await api.running(job["id"])
        key = await socket.subscribe(WATCH_JOB, {"id": job["id"]})
        everything = await socket.subscribe(WATCH_ALL)
        await anext(events_of(socket, key))
        server.send_signal(signal.SIGTERM)
        told = [event async for event in events_of(socket, key)]
        assert told[-1]["job"]["status"] == "SUCCEEDED"
        # Nothing runs any more, so that who follows all jobs need not wait for the rest of the time.
        _, code, reason = await events_until_cut(socket, everything)
        assert (code, reason) == (1012, "Service Restart")
    assert await ended(server) == 0
    assert "Traceback" not in server.log


async def test_subscription_whose_job_is_given_back_is_cut_and_resumes_without_a_gap(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain="0.5")
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        job = await api.generate(steps=LONG)
        one = await socket.subscribe(WATCH_JOB, {"id": job["id"]})
        await api.job_when(job["id"], lambda found: found["progress"]["step"] >= 2)
        server.send_signal(signal.SIGTERM)
        told, code, reason = await events_until_cut(socket, one)
    assert (code, reason) == (1012, "Service Restart")
    assert moves(told)[-1] == (3, "QUEUED")
    assert await ended(server) == 0

    server.start()
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        assert (await api.running(job["id"]))["progress"]["fraction"] > 0
        async with open_socket(server.socket_url) as other:
            everything = await other.subscribe(WATCH_ALL, {"after": told[-1]["cursor"]})
            first_of_all = await anext(events_of(other, everything))
        resumed = await socket.subscribe(WATCH_JOB, {"id": job["id"], "after": told[-1]["cursor"]})
        told += [event async for event in events_of(socket, resumed)]
    assert [revision for revision, _ in moves(told)] == list(range(moves(told)[0][0], 6))
    assert moves(told)[-3:] == [(3, "QUEUED"), (4, "RUNNING"), (5, "SUCCEEDED")]
    assert moves([first_of_all]) == [(4, "RUNNING")]
    fractions = [event["job"]["progress"]["fraction"] for event in told]
    assert fractions == sorted(fractions)


async def test_socket_that_is_still_open_serves_what_comes_meanwhile(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain=DRAIN, concurrency="1")
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        key = await socket.subscribe(WATCH_JOB, {"id": (await api.generate(steps=SHORT))["id"]})
        await anext(events_of(socket, key))
        server.send_signal(signal.SIGTERM)
        await eventually(lambda: is_refused(server))
        late_key = await socket.subscribe(LATE)
        payload = await socket.next_of(late_key)
        assert payload is not None and payload["data"]["generateImage"]["errors"] == []
        late = payload["data"]["generateImage"]["job"]
        assert await socket.next_of(late_key) is None
        assert (await socket.closed())[0] == 1012
    assert await ended(server) == 0

    server.start()
    async with Api(server.origin) as api:
        assert (await api.finished(late["id"]))["status"] == "SUCCEEDED"


# --- Server-Sent Events ---


async def test_stream_whose_job_ends_in_time_is_completed(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain=DRAIN)
    async with Api(server.origin) as api:
        job = await api.generate(steps=SHORT)
        async with open_events(api.http, WATCH_JOB, {"id": job["id"]}) as stream:
            events = stream.events()
            await anext(events)
            server.send_signal(signal.SIGTERM)
            told = [event async for event in events]
        assert told[-1] == Event("complete", None)
        assert job_events(told)[-1]["job"]["status"] == "SUCCEEDED"
        assert len(stream.retry_hints) == 1
    assert await ended(server) == 0


async def test_stream_whose_job_is_given_back_ends_without_complete_and_resumes(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain="0.5")
    async with Api(server.origin) as api:
        job = await api.generate(steps=LONG)
        async with open_events(api.http, WATCH_JOB, {"id": job["id"]}) as stream:
            events = stream.events()
            first = await anext(events)
            await api.job_when(job["id"], lambda found: found["progress"]["step"] >= 2)
            server.send_signal(signal.SIGTERM)
            # A stream that breaks off, rather than ends, raises here.
            told = [first] + [event async for event in events]
        assert {event.kind for event in told} == {"next"}
        assert len(stream.retry_hints) == 2 and all(1_000 <= hint <= 4_000 for hint in stream.retry_hints)
    assert await ended(server) == 0
    seen = job_events(told)
    assert moves(seen)[-1] == (3, "QUEUED")

    server.start()
    async with Api(server.origin) as api:
        await api.running(job["id"])
        resumed = await all_events(api.http, WATCH_JOB, {"id": job["id"], "after": seen[-1]["cursor"]})
        assert resumed[-1] == Event("complete", None)
    assert moves(job_events(resumed)) == [(4, "RUNNING"), (5, "SUCCEEDED")]


async def test_each_stream_is_told_another_time_to_come_back(start_server: StartServer) -> None:
    server = start_server()
    async with Api(server.origin) as api:
        hints = set()
        for _ in range(5):
            async with open_events(api.http, QUERY) as stream:
                assert len([event async for event in stream.events()]) == 2
                hints |= set(stream.retry_hints)
    assert len(hints) > 1


async def test_watchers_of_all_jobs_do_not_hold_up_a_server_that_does_nothing(start_server: StartServer) -> None:
    # If they did, the server would not end in the time that a test waits for it.
    server = start_server(drain="600")
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        key = await socket.subscribe(WATCH_ALL)
        async with open_events(api.http, WATCH_ALL) as stream:
            job = await api.generate()
            events = stream.events()
            while job_events([await anext(events)])[0]["job"]["status"] not in FINAL:
                pass
            await api.finished(job["id"])
            server.send_signal(signal.SIGTERM)
            assert [event.kind async for event in events if event.kind != "next"] == []
            assert (await events_until_cut(socket, key))[1] == 1012
    assert await ended(server) == 0


async def test_server_without_a_worker_waits_while_a_job_is_followed(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", tmp_path, {"drain": DRAIN}, arguments=["--no-worker"]).start()
    try:
        async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
            job = await api.generate()
            everything = await socket.subscribe(WATCH_ALL)
            key = await socket.subscribe(WATCH_JOB, {"id": job["id"]})
            await anext(events_of(socket, key))
            server.send_signal(signal.SIGTERM)
            await eventually(lambda: is_refused(server))
            cancel = "mutation ($id: ID!) { cancelJob(input: {id: $id}) { errors { __typename } } }"
            await socket.subscribe(cancel, {"id": job["id"]})
            assert [event["job"]["status"] async for event in events_of(socket, key)] == ["CANCELED"]
            assert (await events_until_cut(socket, everything))[1] == 1012
        assert await ended(server) == 0
    finally:
        server.stop()


async def test_command_that_watches_its_job_comes_back(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(endpoint=SLOW, drain="0.5")
    image = tmp_path / "tower.png"
    size = ["--width", "64", "--height", "64", "--steps", str(LONG)]
    command = ["generate", "a tower", "-o", str(image), "--server", server.origin, *size]
    watching = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "graphql_api", *command, stdout=DEVNULL, stderr=DEVNULL, env=clean_environment()
    )
    try:
        async with Api(server.origin) as api:
            await eventually(lambda: something_runs(api))
        server.send_signal(signal.SIGTERM)
        assert await ended(server) == 0
        server.settings["endpoint"] = "sketch:"
        server.start(on_same_port=True)
        assert await asyncio.wait_for(watching.wait(), PATIENCE_SECONDS) == 0
    finally:
        if watching.returncode is None:
            watching.kill()
            await watching.wait()
    assert image.read_bytes().startswith(b"\x89PNG")


# --- requests ---


async def test_request_that_waits_for_an_image_gets_it_in_time(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain=DRAIN)
    async with Api(server.origin) as api:
        asking = asyncio.create_task(api.http.post("/text2image", json={"text": "a tower", "steps": SHORT}))
        await eventually(lambda: something_runs(api))
        server.send_signal(signal.SIGTERM)
        answer = await asking
    assert (answer.status_code, answer.json()["statusCode"]) == (200, 200)
    assert await ended(server) == 0


async def test_request_that_waits_in_vain_is_told_where_to_look(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain="0.5")
    async with Api(server.origin) as api:
        asking = asyncio.create_task(api.http.post("/text2image", json={"text": "a tower", "steps": LONG}))
        await eventually(lambda: something_runs(api))
        server.send_signal(signal.SIGTERM)
        answer = await asking
    assert answer.status_code == 202
    assert await ended(server) == 0

    server.settings["endpoint"] = "sketch:"
    server.start(on_same_port=True)
    async with Api(server.origin) as api:
        url = answer.headers["location"]
        found = await eventually(lambda: done_at(api, url))
    assert found["body"].startswith(f"{server.origin}/images/")


async def something_runs(api: Api) -> bool:
    return await api.total(statuses=["RUNNING"]) == 1


async def done_at(api: Api, url: str) -> Any:
    answer = await api.http.get(url)
    return answer.json() if answer.status_code == 200 else None


async def test_server_is_not_ready_but_serves_while_the_load_balancer_notices(start_server: StartServer) -> None:
    server = start_server(drain_delay="3", drain="0")
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        assert (await api.http.get("/readyz")).status_code == 200
        assert "connection" not in (await api.post({"query": QUERY})).headers
        server.send_signal(signal.SIGTERM)
        ready = await eventually(lambda: not_ready(api))
        assert (ready.status_code, ready.json()["status"]) == (503, "draining")
        # The connection was kept alive until then; whoever asks again gets a new one, or another server.
        assert ready.headers["connection"] == "close"
        answer = await api.post({"query": QUERY})
        assert answer.json() == {"data": {"__typename": "Query"}} and answer.headers["connection"] == "close"
        job = await api.generate()
        async with open_socket(server.socket_url) as late:
            key = await late.subscribe(QUERY)
            assert await late.next_of(key) == {"data": {"__typename": "Query"}}
        key = await socket.subscribe(QUERY)
        assert await socket.next_of(key) == {"data": {"__typename": "Query"}}
        await eventually(lambda: is_refused(server))
    assert await ended(server) == 0

    server.start()
    async with Api(server.origin) as api:
        assert (await api.finished(job["id"]))["status"] == "SUCCEEDED"


async def not_ready(api: Api) -> httpx.Response | None:
    answer = await api.http.get("/readyz")
    return answer if answer.status_code != 200 else None


async def test_nothing_new_comes_in_while_streams_get_time_to_end(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain=DRAIN)
    kept = await asyncio.open_connection("127.0.0.1", server.port)
    wanting = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with Api(server.origin) as api:
            job = await api.generate(steps=2 * SHORT)
            await api.running(job["id"])
            server.send_signal(signal.SIGTERM)
            await eventually(lambda: is_refused(server))
        # Connections that were there before are answered once more, but not with a new socket.
        ask = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
        answer = await answer_on(kept, ask)
        assert answer.startswith("HTTP/1.1 200 ") and "connection: close" in answer
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        ask = f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{upgrade}{key}"
        answer = await answer_on(wanting, ask)
        assert answer.startswith("HTTP/1.1 503 ") and "retry-after: 1" in answer.lower()
    finally:
        for _, writer in (kept, wanting):
            writer.close()
    assert await ended(server) == 0
    assert "Traceback" not in server.log


async def answer_on(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: str) -> str:
    """All that the server sends until it closes the connection."""
    reader, writer = connection
    writer.write(request.encode())
    async with asyncio.timeout(PATIENCE_SECONDS):
        return (await reader.read()).decode()


# --- signals ---


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_second_signal_ends_at_once(
    start_server: StartServer, first: signal.Signals, second: signal.Signals
) -> None:
    server = start_server(endpoint=SLOW, drain="600")
    async with Api(server.origin) as api:
        job = await api.generate(steps=LONG)
        await api.running(job["id"])
        server.send_signal(first)
        await eventually(lambda: is_refused(server))
        server.send_signal(second)
        assert await ended(server) == -second

    server.settings["endpoint"] = "sketch:"
    server.start()
    async with Api(server.origin) as api:
        assert (await api.finished(job["id"]))["status"] == "SUCCEEDED"
