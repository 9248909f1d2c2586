"""Jobs outlive the server: kill -9, SIGTERM, and clients that come back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.clients.graphql_events import all_events, open_events
from tests.clients.graphql_http import FINAL, SMALL, Api, new_key
from tests.clients.graphql_socket import Socket, open_socket
from tests.clients.server_process import StartServer
from tests.clients.waiting import eventually

FIELDS = """
fragment Fields on JobEvent { kind cursor jobId job { status progress { fraction } images { url } } }
"""
WATCH_JOB = "subscription ($id: ID!, $after: String) { jobUpdated(id: $id, after: $after) { ...Fields } }" + FIELDS
WATCH_ALL = "subscription ($after: String) { jobsUpdated(after: $after) { ...Fields } }" + FIELDS
ONE_SHOT = "subscription ($input: GenerateImageInput!) { generateImage(input: $input) { ...Fields } }" + FIELDS


async def next_event(socket: Socket, key: str, field: str) -> dict[str, Any] | None:
    payload = await socket.next_of(key)
    if payload is None:
        return None
    assert "errors" not in payload, payload
    event: dict[str, Any] = payload["data"][field]
    return event


async def all_finals(socket: Socket, after: str, job_ids: set[str]) -> dict[str, str]:
    """The final statuses that a client learns who comes back with a cursor."""
    key = await socket.subscribe(WATCH_ALL, {"after": after})
    finals: dict[str, str] = {}
    while set(finals) != job_ids:
        event = await next_event(socket, key, "jobsUpdated")
        assert event is not None
        if event["job"]["status"] in FINAL:
            assert event["jobId"] not in finals, "a final state came twice"
            finals[event["jobId"]] = event["job"]["status"]
    return finals


async def test_killed_server_loses_no_job_and_clients_learn_of_every_end(start_server: StartServer) -> None:
    server = start_server()
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        everything = await socket.subscribe(WATCH_ALL)
        running = [await api.generate(steps=30, idempotencyKey=new_key()) for _ in range(2)]
        first_event = await next_event(socket, everything, "jobsUpdated")
        for job in running:
            await api.job_when(job["id"], lambda job: job["progress"]["step"] >= 2)
        queued = await asyncio.gather(*(api.generate(prompt=f"number {number}") for number in range(20)))
        one = await socket.subscribe(WATCH_JOB, {"id": running[0]["id"]})
        seen = await next_event(socket, one, "jobUpdated")
        assert first_event is not None and seen is not None
        server.kill()

    server.start()
    job_ids = {job["id"] for job in (*running, *queued)}
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        one = await socket.subscribe(WATCH_JOB, {"id": running[0]["id"], "after": seen["cursor"]})
        told = []
        while (event := await next_event(socket, one, "jobUpdated")) is not None:
            told.append(event)
        assert told[-1]["job"]["status"] == "SUCCEEDED"
        fractions = [event["job"]["progress"]["fraction"] for event in told]
        assert fractions == sorted(fractions)

        finals = await all_finals(socket, first_event["cursor"], job_ids)
        assert finals == dict.fromkeys(job_ids, "SUCCEEDED")
        assert await api.total() == 22
        for job_id in job_ids:
            finished = await api.finished(job_id)
            assert (await api.http.get(finished["images"][0]["url"])).status_code == 200
        left = [path for path in (server.data_dir / "images").iterdir() if path.is_dir() and path.name[0] != "."]
        assert len(left) == 22
    assert "Traceback" not in server.log


async def test_acknowledged_job_survives_a_kill_at_once(start_server: StartServer) -> None:
    server = start_server(concurrency="1")
    key = new_key()
    for _ in range(2):
        async with Api(server.origin) as api:
            job = await api.generate(idempotencyKey=key)
            server.kill()
        server.start()
    async with Api(server.origin) as api:
        assert (await api.generate(idempotencyKey=key))["id"] == job["id"]
        assert (await api.finished(job["id"]))["status"] == "SUCCEEDED"
        assert await api.total() == 1


async def test_job_whose_worker_is_killed_again_and_again_fails(start_server: StartServer) -> None:
    """A job that kills its worker must not do so for ever."""
    server = start_server(max_attempts="2")
    async with Api(server.origin) as api:
        job = await api.generate(steps=100)
    began = {None}
    for _ in range(2):
        async with Api(server.origin) as api:
            # A claim of its own: right after a start the row still tells of the claim that was lost.
            running = await api.job_when(job["id"], lambda found: found["startedAt"] not in began)
            began.add(running["startedAt"])
        server.kill()
        server.start()
    async with Api(server.origin) as api:
        failed = await api.finished(job["id"])
    assert (failed["status"], failed["failure"]["code"], failed["failure"]["retryable"]) == ("FAILED", "INTERNAL", True)


async def test_sigterm_gives_running_jobs_back_within_the_time_to_drain(start_server: StartServer) -> None:
    server = start_server(drain="1")
    async with Api(server.origin) as api:
        jobs = [await api.generate(steps=100) for _ in range(3)]
        seen = await api.job_when(jobs[0]["id"], lambda job: job["progress"]["step"] >= 5)
        began = time.monotonic()
        async with open_events(api.http, WATCH_ALL) as stream:
            await anext(stream.events())
            code = await asyncio.to_thread(server.terminate)
    # The stream has the time of the jobs, a second; the rest is slack for a machine that is busy.
    assert time.monotonic() - began < 10
    assert code == 0
    assert "Traceback" not in server.log

    server.start()
    async with Api(server.origin) as api:
        # Given back, not merely lost: how far it was has been written down.
        again = await api.job(jobs[0]["id"])
        assert again is not None and again["progress"]["fraction"] >= seen["progress"]["fraction"]
    server.kill()

    server.settings["endpoint"] = "sketch:"
    server.start()
    async with Api(server.origin) as api:
        for job in jobs:
            finished = await api.finished(job["id"])
            assert finished["status"] == "SUCCEEDED"
    assert "Traceback" not in server.log


async def test_sigterm_lets_a_job_end_that_is_nearly_done(start_server: StartServer) -> None:
    server = start_server(drain="10")
    async with Api(server.origin) as api:
        job = await api.generate(steps=20)
        await api.running(job["id"])
        code = await asyncio.to_thread(server.terminate)
    assert code == 0
    server.start()
    async with Api(server.origin) as api:
        found = await api.job(job["id"])
    assert found is not None and found["status"] == "SUCCEEDED"


async def test_one_shot_client_that_is_cut_off_sends_again_and_gets_its_image(start_server: StartServer) -> None:
    server = start_server()
    given = {"input": {"prompt": "a lighthouse", "size": SMALL, "steps": 20, "idempotencyKey": new_key()}}
    async with open_socket(server.socket_url) as socket:
        key = await socket.subscribe(ONE_SHOT, given)
        first = await next_event(socket, key, "generateImage")
        assert first is not None
        server.kill()
        await eventually(lambda: socket.connection.state.name == "CLOSED")
    server.start()
    async with Api(server.origin) as api:
        events = await all_events(api.http, ONE_SHOT, given)
        assert events[-1].kind == "complete" and events[-2].data is not None
        last = events[-2].data["data"]["generateImage"]
        assert (last["jobId"], last["job"]["status"]) == (first["jobId"], "SUCCEEDED")
        assert (await api.http.get(last["job"]["images"][0]["url"])).status_code == 200
        assert await api.total() == 1


async def test_deletion_and_cancellation_survive_a_kill(start_server: StartServer) -> None:
    server = start_server()
    async with Api(server.origin) as api:
        canceled, deleted = [await api.generate(steps=100) for _ in range(2)]
        async with open_socket(server.socket_url) as socket:
            key = await socket.subscribe(WATCH_JOB, {"id": deleted["id"]})
            seen = await next_event(socket, key, "jobUpdated")
        assert seen is not None
        await api.cancel(canceled["id"])
        await api.delete(deleted["id"])
        server.kill()
    server.start()
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        job = await api.job(canceled["id"])
        assert job is not None and job["status"] == "CANCELED"
        assert await api.job(deleted["id"]) is None
        key = await socket.subscribe(WATCH_JOB, {"id": deleted["id"], "after": seen["cursor"]})
        event = await next_event(socket, key, "jobUpdated")
        assert event is not None and event["kind"] == "DELETED"
        assert await next_event(socket, key, "jobUpdated") is None


async def test_second_server_on_the_same_folder_does_not_start(start_server: StartServer) -> None:
    server = start_server()
    try:
        start_server()
    except AssertionError as error:
        assert "did not start" in str(error)
        assert "Traceback" not in str(error)
    else:
        raise AssertionError("two servers share a database that one of them would corrupt")
    async with Api(server.origin) as api:
        assert (await api.finished((await api.generate())["id"]))["status"] == "SUCCEEDED"
