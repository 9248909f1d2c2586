"""Following jobs: what a watcher is told, in which order, and what it can rely on when it comes back."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from tests.clients.graphql_http import SMALL, Api, new_key
from tests.clients.graphql_socket import Refused, Socket, open_socket
from tests.clients.server_process import ServerProcess, StartServer

Event = dict[str, Any]

EVENT_FIELDS = """
fragment EventFields on JobEvent {
  kind cursor jobId occurredAt
  job { id status queuePosition progress { fraction step totalSteps phase basis previewUrl } images { url } }
}
"""
WATCH_JOB = (
    "subscription Watch($id: ID!, $after: String) { jobUpdated(id: $id, after: $after) { ...EventFields } }"
    + EVENT_FIELDS
)
WATCH_ALL = (
    "subscription WatchAll($after: String, $filter: JobFilter) {"
    " jobsUpdated(after: $after, filter: $filter) { ...EventFields } }" + EVENT_FIELDS
)
ONE_SHOT = (
    "subscription OneShot($input: GenerateImageInput!) { generateImage(input: $input) { ...EventFields } }"
    + EVENT_FIELDS
)
GARBAGE = ["", "x", "////", "ü☃", "e1:1", base64.urlsafe_b64encode(b"e1:-1").decode(), "A" * 5000]


def cursor_of(revision: int | str) -> str:
    """A cursor as the server spells it; only for tests of wrong ones."""
    return base64.urlsafe_b64encode(f"e1:{revision}".encode()).decode().rstrip("=")


def revision_of(event: Event) -> int:
    """What a cursor says. Clients must not look, but a test may."""
    cursor: str = event["cursor"]
    name, _, revision = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
    assert name == "e1"
    return int(revision)


async def watch(socket: Socket, job_id: str, *, after: str | None = None) -> list[Event]:
    """Every event of one job to the end of the stream."""
    results = await socket.all_results(WATCH_JOB, {"id": job_id, "after": after})
    return [result["jobUpdated"] for result in results]


async def events_until_quiet(socket: Socket, key: str) -> list[Event]:
    """What is under way to a subscription now. Another operation overtakes nothing that was written before it."""
    events: list[Event] = []
    await socket.send({"type": "ping", "payload": {"for": key}})
    while (message := await socket.receive())["type"] != "pong":
        if message.get("id") == key and message["type"] == "next":
            events.append(message["payload"]["data"]["jobsUpdated"])
    return events


async def events_to(socket: Socket, key: str, *, finals: int) -> list[Event]:
    """Events of jobsUpdated until so many jobs have ended or are gone."""
    events: list[Event] = []
    while finals:
        payload = await socket.next_of(key)
        assert payload is not None and "errors" not in payload, payload
        event = payload["data"]["jobsUpdated"]
        events.append(event)
        finals -= event["kind"] == "DELETED" or event["job"]["status"] in ("SUCCEEDED", "FAILED", "CANCELED")
    return events


def statuses(events: list[Event]) -> list[str]:
    """Status by status, without repetitions in a row."""
    found: list[str] = []
    for event in events:
        status = event["job"]["status"] if event["job"] else event["kind"]
        if not found or found[-1] != status:
            found.append(status)
    return found


@pytest.fixture
async def full_house(api: Api) -> AsyncIterator[list[dict[str, Any]]]:
    """Two jobs that run and go on running, so that the next one waits."""
    blockers = [await api.generate(prompt="a blocker", steps=100) for _ in range(2)]
    for job in blockers:
        await api.running(job["id"])
    yield blockers


# --- one job, from its beginning to its end ---


async def test_watcher_sees_every_status_in_order(api: Api, socket: Socket, full_house: list[dict[str, Any]]) -> None:
    job = await api.generate(steps=6)
    key = await socket.subscribe(WATCH_JOB, {"id": job["id"]})
    first = await socket.next_of(key)
    assert first is not None
    for blocker in full_house:
        await api.cancel(blocker["id"])
    events = [first["data"]["jobUpdated"]]
    while (payload := await socket.next_of(key)) is not None:
        events.append(payload["data"]["jobUpdated"])

    assert events[0]["kind"] == "SNAPSHOT" and events[0]["job"]["status"] == "QUEUED"
    assert events[0]["job"]["queuePosition"] == 0
    assert [(e["kind"], e["job"]["status"]) for e in events[1:] if e["kind"] != "PROGRESS"] == [
        ("STATUS", "RUNNING"),
        ("STATUS", "SUCCEEDED"),
    ]
    assert [event["kind"] for event in events].count("SNAPSHOT") == 1
    assert {event["jobId"] for event in events} == {job["id"]}
    assert len(events[-1]["job"]["images"]) == 1


async def test_cursors_rise_and_instants_do_not_go_back(api: Api, socket: Socket) -> None:
    events = await watch(socket, (await api.generate(steps=8))["id"])
    revisions = [revision_of(event) for event in events]
    assert revisions == sorted(revisions)
    told = [revision for revision, event in zip(revisions, events, strict=True) if event["kind"] != "PROGRESS"]
    assert len(set(told)) == len(told)
    instants = [event["occurredAt"] for event in events]
    assert instants == sorted(instants)


async def test_progress_rises_and_is_whole_only_at_the_end(api: Api, socket: Socket) -> None:
    events = await watch(socket, (await api.generate(steps=30))["id"])
    fractions = [event["job"]["progress"]["fraction"] for event in events]
    steps = [event["job"]["progress"]["step"] for event in events]
    assert fractions == sorted(fractions) and steps == sorted(steps)
    assert fractions[-1] == 1 and events[-1]["job"]["status"] == "SUCCEEDED"
    assert all(0 <= fraction < 1 for fraction in fractions[:-1])
    progress = [event for event in events if event["kind"] == "PROGRESS"]
    assert len(progress) >= 3
    assert all(event["job"]["status"] == "RUNNING" for event in progress)
    assert all(event["job"]["progress"]["totalSteps"] == 30 for event in progress)
    assert progress[0]["job"]["progress"]["basis"] == "MEASURED"


async def test_progress_comes_at_most_five_times_a_second(api: Api, socket: Socket) -> None:
    job = await api.generate(steps=40)
    async with aclosing(socket.results(WATCH_JOB, {"id": job["id"]})) as results:
        kinds = [(result["jobUpdated"]["kind"], time.monotonic()) async for result in results]
    arrivals = [moment for kind, moment in kinds if kind == "PROGRESS"]
    # The model reports 20 times a second. A gap may look shorter here than it was there, but not all of them together.
    assert len(arrivals) >= 5
    assert len(arrivals) - 1 <= (arrivals[-1] - arrivals[0]) * 5 + 1


async def test_progress_of_many_jobs_shares_the_five_a_second(api: Api, socket: Socket) -> None:
    key = await socket.subscribe(WATCH_ALL, {"filter": {"statuses": ["RUNNING"]}})
    jobs = [await api.generate(steps=30) for _ in range(2)]
    arrivals: list[float] = []
    told: set[str] = set()
    while len(arrivals) < 8:
        payload = await socket.next_of(key)
        assert payload is not None
        event = payload["data"]["jobsUpdated"]
        if event["kind"] == "PROGRESS":
            arrivals.append(time.monotonic())
            told.add(event["jobId"])
    assert told == {job["id"] for job in jobs}
    assert len(arrivals) - 1 <= (arrivals[-1] - arrivals[0]) * 5 + 1


async def test_previews_can_be_fetched_while_the_job_runs(api: Api, socket: Socket) -> None:
    job = await api.generate(steps=60, size={"dimensions": {"width": 512, "height": 512}})
    async with aclosing(socket.results(WATCH_JOB, {"id": job["id"]})) as results:
        async for result in results:
            url = result["jobUpdated"]["job"]["progress"]["previewUrl"]
            if url is not None:
                break
    response = await api.http.get(url)
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/webp"
    # Somebody else may just have been told of it.
    await api.cancel(job["id"])
    assert (await api.http.get(url)).status_code == 200
    await api.delete(job["id"])
    assert (await api.http.get(url)).status_code == 404


async def test_late_watcher_does_not_start_from_zero(api: Api, socket: Socket) -> None:
    job = await api.generate(steps=60)
    seen = await api.job_when(job["id"], lambda job: job["progress"]["step"] >= 5)
    async with aclosing(socket.results(WATCH_JOB, {"id": job["id"]})) as results:
        first = (await anext(results))["jobUpdated"]
    assert first["kind"] == "SNAPSHOT"
    assert first["job"]["progress"]["fraction"] >= seen["progress"]["fraction"] > 0


async def test_finished_job_is_one_snapshot_and_the_end(api: Api, socket: Socket) -> None:
    job = await api.generate()
    await api.finished(job["id"])
    (event,) = await watch(socket, job["id"])
    assert (event["kind"], event["job"]["status"]) == ("SNAPSHOT", "SUCCEEDED")


async def test_canceled_job_ends_its_streams(api: Api, socket: Socket, full_house: list[dict[str, Any]]) -> None:
    keys = {job["id"]: await socket.subscribe(WATCH_JOB, {"id": job["id"]}) for job in full_house}
    assert await socket.next_of(keys[full_house[0]["id"]]) is not None
    job = full_house[1]
    await api.cancel(job["id"])
    last: Event = {}
    while (payload := await socket.next_of(keys[job["id"]])) is not None:
        last = payload["data"]["jobUpdated"]
    assert (last["kind"], last["job"]["status"]) == ("STATUS", "CANCELED")
    assert last["job"]["progress"]["fraction"] < 1


async def test_many_watchers_are_told_the_same(api: Api, socket: Socket) -> None:
    job = await api.generate(steps=10)
    keys = [await socket.subscribe(WATCH_JOB, {"id": job["id"]}) for _ in range(20)]
    told: dict[str, list[Event]] = {key: [] for key in keys}
    open_keys = set(keys)
    while open_keys:
        message = await socket.receive()
        if message["type"] == "complete":
            open_keys.remove(message["id"])
        else:
            told[message["id"]].append(message["payload"]["data"]["jobUpdated"])
    for events in told.values():
        assert events[0]["kind"] == "SNAPSHOT"
        assert statuses(events)[-1] == "SUCCEEDED"
        moves = [event for event in events if event["kind"] == "STATUS"]
        assert moves[-1]["cursor"] == told[keys[0]][-1]["cursor"]


async def test_leaving_a_stream_never_cancels_the_job(api: Api, shared_server: ServerProcess) -> None:
    job = await api.generate(steps=10)
    for leave in ("complete", "close", "abort"):
        async with open_socket(shared_server.socket_url) as socket:
            key = await socket.subscribe(WATCH_JOB, {"id": job["id"]})
            assert await socket.next_of(key) is not None
            if leave == "complete":
                await socket.send({"id": key, "type": "complete"})
            elif leave == "abort":
                socket.connection.transport.abort()
    assert (await api.finished(job["id"]))["status"] == "SUCCEEDED"


# --- coming back with a cursor ---


async def test_after_tells_what_was_missed_and_nothing_older(api: Api, shared_server: ServerProcess) -> None:
    job = await api.generate(steps=10)
    async with open_socket(shared_server.socket_url) as socket:
        key = await socket.subscribe(WATCH_JOB, {"id": job["id"]})
        payload = await socket.next_of(key)
        assert payload is not None
        seen = payload["data"]["jobUpdated"]
        socket.connection.transport.abort()
    await api.finished(job["id"])
    async with open_socket(shared_server.socket_url) as socket:
        events = await watch(socket, job["id"], after=seen["cursor"])
    assert statuses(events) == ["SUCCEEDED"]
    assert all(revision_of(event) > revision_of(seen) for event in events)


async def test_after_without_news_waits_for_the_next_change(api: Api, socket: Socket) -> None:
    job = await api.generate(steps=100)
    await api.running(job["id"])
    async with aclosing(socket.results(WATCH_JOB, {"id": job["id"]})) as results:
        seen = (await anext(results))["jobUpdated"]
    key = await socket.subscribe(WATCH_JOB, {"id": job["id"], "after": seen["cursor"]})
    # What comes first is no news, but what happens next: so it is heard from then on.
    payload = await socket.next_of(key)
    assert payload is not None
    events = [payload["data"]["jobUpdated"]]
    assert events[0]["kind"] == "PROGRESS"
    await api.cancel(job["id"])
    while (payload := await socket.next_of(key)) is not None:
        events.append(payload["data"]["jobUpdated"])
    assert [event["kind"] for event in events if event["kind"] != "PROGRESS"] == ["STATUS"]
    assert events[-1]["job"]["status"] == "CANCELED"


async def test_after_the_terminal_cursor_the_stream_ends_at_once(api: Api, socket: Socket) -> None:
    job = await api.generate()
    await api.finished(job["id"])
    (event,) = await watch(socket, job["id"])
    assert await watch(socket, job["id"], after=event["cursor"]) == []


@pytest.mark.parametrize("after", [*GARBAGE, cursor_of(10**9), cursor_of(10**30), cursor_of("x")], ids=lambda a: a[:9])
async def test_after_that_is_no_cursor_counts_as_none(api: Api, socket: Socket, after: str) -> None:
    job = await api.generate()
    await api.finished(job["id"])
    (event,) = await watch(socket, job["id"], after=after)
    assert (event["kind"], event["job"]["status"]) == ("SNAPSHOT", "SUCCEEDED")


async def test_cursor_of_one_stream_serves_the_other(api: Api, socket: Socket) -> None:
    key = await socket.subscribe(WATCH_ALL)
    job = await api.generate()
    events = await events_to(socket, key, finals=1)
    assert await watch(socket, job["id"], after=events[-1]["cursor"]) == []
    (snapshot,) = await watch(socket, job["id"])
    again = await socket.subscribe(WATCH_ALL, {"after": snapshot["cursor"]})
    assert await events_until_quiet(socket, again) == []


# --- jobs that are not there ---


@pytest.mark.parametrize("job_id", ["", "x", "R2VuZXJhdGlvbkpvYjp4", base64.b64encode(b"Model:sketch").decode()])
async def test_unknown_job_is_an_error_before_any_event(socket: Socket, job_id: str) -> None:
    with pytest.raises(Refused) as refused:
        await watch(socket, job_id)
    assert refused.value.codes == ["NOT_FOUND"]


async def test_deleted_job_is_not_found_without_a_cursor(api: Api, socket: Socket) -> None:
    job = await api.generate()
    await api.finished(job["id"])
    await api.delete(job["id"])
    with pytest.raises(Refused) as refused:
        await watch(socket, job["id"])
    assert refused.value.codes == ["NOT_FOUND"]


async def test_deletion_is_told_to_who_comes_back_with_a_cursor(api: Api, socket: Socket) -> None:
    job = await api.generate()
    await api.finished(job["id"])
    (seen,) = await watch(socket, job["id"])
    await api.delete(job["id"])
    (event,) = await watch(socket, job["id"], after=seen["cursor"])
    assert (event["kind"], event["job"], event["jobId"]) == ("DELETED", None, job["id"])
    assert revision_of(event) > revision_of(seen)
    assert await watch(socket, job["id"], after=event["cursor"]) == []


# --- all jobs ---


async def test_all_jobs_begin_with_those_that_are_active(
    api: Api, socket: Socket, full_house: list[dict[str, Any]]
) -> None:
    waiting = await api.generate()
    done = await api.generate()
    await api.cancel(done["id"])
    key = await socket.subscribe(WATCH_ALL)
    snapshots: list[Event] = []
    while len(snapshots) < 3:
        payload = await socket.next_of(key)
        assert payload is not None
        snapshots.append(payload["data"]["jobsUpdated"])
    assert [(event["kind"], event["jobId"], event["job"]["status"]) for event in snapshots] == [
        ("SNAPSHOT", full_house[0]["id"], "RUNNING"),
        ("SNAPSHOT", full_house[1]["id"], "RUNNING"),
        ("SNAPSHOT", waiting["id"], "QUEUED"),
    ]
    later = await events_until_quiet(socket, key)
    assert all(event["kind"] == "PROGRESS" for event in later)


async def test_all_jobs_tell_every_status_of_every_job(api: Api, socket: Socket) -> None:
    key = await socket.subscribe(WATCH_ALL)
    assert await events_until_quiet(socket, key) == []
    jobs = await asyncio.gather(*(api.generate(steps=2) for _ in range(10)))
    events = await events_to(socket, key, finals=10)
    for job in jobs:
        of_job = [event for event in events if event["jobId"] == job["id"]]
        assert [event["job"]["status"] for event in of_job if event["kind"] == "STATUS"] == [
            "QUEUED",
            "RUNNING",
            "SUCCEEDED",
        ]
        fractions = [event["job"]["progress"]["fraction"] for event in of_job]
        assert fractions == sorted(fractions)
    told = [revision_of(event) for event in events if event["kind"] == "STATUS"]
    assert told == list(range(told[0], told[0] + 30))


async def test_all_jobs_after_a_cursor_tell_everything_that_changed_once(
    api: Api, shared_server: ServerProcess
) -> None:
    async with open_socket(shared_server.socket_url) as socket:
        key = await socket.subscribe(WATCH_ALL)
        gone = await api.generate()
        seen = (await events_to(socket, key, finals=1))[-1]
    finished = [await api.generate() for _ in range(3)]
    for job in finished:
        await api.finished(job["id"])
    canceled = await api.generate(steps=100)
    await api.cancel(canceled["id"])
    await api.delete(gone["id"])
    running = await api.generate(steps=100)
    await api.running(running["id"])

    async with open_socket(shared_server.socket_url) as socket:
        key = await socket.subscribe(WATCH_ALL, {"after": seen["cursor"]})
        events: list[Event] = []
        while len(events) < 6:
            payload = await socket.next_of(key)
            assert payload is not None
            events.append(payload["data"]["jobsUpdated"])
        assert all(event["kind"] == "PROGRESS" for event in await events_until_quiet(socket, key))
    found = {event["jobId"]: event["job"]["status"] if event["job"] else event["kind"] for event in events}
    assert found == {
        **{job["id"]: "SUCCEEDED" for job in finished},
        canceled["id"]: "CANCELED",
        gone["id"]: "DELETED",
        running["id"]: "RUNNING",
    }
    revisions = [revision_of(event) for event in events]
    assert revisions == sorted(set(revisions)) and revisions[0] > revision_of(seen)


async def test_all_jobs_after_more_changes_than_are_read_at_a_time(api: Api, socket: Socket) -> None:
    first = await api.generate()
    await api.finished(first["id"])
    (seen,) = await watch(socket, first["id"])
    blockers = [await api.generate(steps=100) for _ in range(2)]
    jobs = [await api.generate() for _ in range(130)]
    for job in (*blockers, *jobs):
        await api.cancel(job["id"])
    key = await socket.subscribe(WATCH_ALL, {"after": seen["cursor"]})
    events = await events_to(socket, key, finals=132)
    assert len({event["jobId"] for event in events}) == 132
    assert await events_until_quiet(socket, key) == []


@pytest.mark.parametrize("after", [*GARBAGE, cursor_of(10**9)], ids=lambda a: a[:9])
async def test_all_jobs_after_garbage_begin_with_those_that_are_active(
    api: Api, socket: Socket, full_house: list[dict[str, Any]], after: str
) -> None:
    key = await socket.subscribe(WATCH_ALL, {"after": after})
    for job in full_house:
        payload = await socket.next_of(key)
        assert payload is not None
        event = payload["data"]["jobsUpdated"]
        assert (event["kind"], event["jobId"]) == ("SNAPSHOT", job["id"])


async def test_filter_narrows_the_stream(api: Api, socket: Socket) -> None:
    word = new_key()
    by_word = await socket.subscribe(WATCH_ALL, {"filter": {"search": word.upper()}}, key="by word")
    by_status = await socket.subscribe(WATCH_ALL, {"filter": {"statuses": ["CANCELED"]}}, key="by status")
    nothing = await socket.subscribe(WATCH_ALL, {"filter": {"modelIds": ["no such model"]}}, key="nothing")
    await socket.send({"type": "ping"})
    while (await socket.receive())["type"] != "pong":
        pass
    with_word = await api.generate(prompt=f"a tree {word}")
    await api.finished(with_word["id"])
    without = await api.generate(steps=100)
    await api.cancel(without["id"])
    told: dict[str, list[Event]] = {by_word: [], by_status: [], nothing: []}
    await socket.send({"type": "ping"})
    while (message := await socket.receive())["type"] != "pong":
        told[message["id"]].append(message["payload"]["data"]["jobsUpdated"])
    assert {event["jobId"] for event in told[by_word]} == {with_word["id"]}
    assert statuses(told[by_word]) == ["QUEUED", "RUNNING", "SUCCEEDED"]
    assert [(event["jobId"], event["job"]["status"]) for event in told[by_status]] == [(without["id"], "CANCELED")]
    assert told[nothing] == []


async def test_all_jobs_tell_of_a_deletion(api: Api, socket: Socket) -> None:
    job = await api.generate()
    await api.finished(job["id"])
    key = await socket.subscribe(WATCH_ALL)
    assert await events_until_quiet(socket, key) == []
    await api.delete(job["id"])
    (event,) = await events_to(socket, key, finals=1)
    assert (event["kind"], event["job"], event["jobId"]) == ("DELETED", None, job["id"])


async def test_stream_of_all_jobs_does_not_end_by_itself(api: Api, socket: Socket) -> None:
    key = await socket.subscribe(WATCH_ALL)
    for _ in range(2):
        await api.finished((await api.generate())["id"])
        assert statuses(await events_to(socket, key, finals=1))[-1] == "SUCCEEDED"


# --- one shot ---


async def test_one_shot_subscription_runs_a_job_to_its_end(api: Api, socket: Socket) -> None:
    given = {"prompt": "a lighthouse", "size": SMALL, "steps": 4, "idempotencyKey": new_key()}
    events = [result["generateImage"] for result in await socket.all_results(ONE_SHOT, {"input": given})]
    assert events[0]["kind"] == "SNAPSHOT"
    assert statuses(events)[-1] == "SUCCEEDED"
    job = await api.job(events[0]["jobId"])
    assert job is not None and job["images"][0]["url"] == events[-1]["job"]["images"][0]["url"]


@pytest.mark.parametrize("key", [{}, {"idempotencyKey": None}, {"idempotencyKey": ""}], ids=str)
async def test_one_shot_subscription_without_a_key_queues_nothing(
    api: Api, socket: Socket, key: dict[str, Any]
) -> None:
    before = await api.total()
    with pytest.raises(Refused) as refused:
        await socket.all_results(ONE_SHOT, {"input": {"prompt": "p", "steps": 1, "size": SMALL, **key}})
    assert refused.value.codes == ["BAD_USER_INPUT"]
    assert refused.value.errors[0]["extensions"]["inputPath"] == ["idempotencyKey"]
    assert await api.total() == before


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ({"prompt": " "}, ["prompt"]),
        ({"steps": 0}, ["steps"]),
        ({"style": "no such style"}, ["style"]),
        ({"modelId": "no such model"}, ["modelId"]),
        ({"size": {"dimensions": {"width": 65, "height": 64}}}, ["size", "dimensions", "width"]),
    ],
    ids=str,
)
async def test_one_shot_subscription_with_bad_input_is_an_error(
    api: Api, socket: Socket, field: dict[str, Any], path: list[str]
) -> None:
    before = await api.total()
    with pytest.raises(Refused) as refused:
        given = {"prompt": "p", "size": SMALL, "steps": 1, "idempotencyKey": new_key(), **field}
        await socket.all_results(ONE_SHOT, {"input": given})
    assert refused.value.codes == ["BAD_USER_INPUT"]
    assert refused.value.errors[0]["extensions"]["inputPath"] == path
    assert await api.total() == before


async def test_one_shot_subscription_sent_again_is_attached_to_the_same_job(
    api: Api, shared_server: ServerProcess
) -> None:
    given = {"prompt": "a lighthouse", "size": SMALL, "steps": 20, "idempotencyKey": new_key()}
    before = await api.total()
    first: list[Event] = []
    async with open_socket(shared_server.socket_url) as socket:
        key = await socket.subscribe(ONE_SHOT, {"input": given})
        while len(first) < 3:
            payload = await socket.next_of(key)
            assert payload is not None
            first.append(payload["data"]["generateImage"])
        socket.connection.transport.abort()
    async with open_socket(shared_server.socket_url) as socket:
        again = [result["generateImage"] for result in await socket.all_results(ONE_SHOT, {"input": given})]
        over = [result["generateImage"] for result in await socket.all_results(ONE_SHOT, {"input": given})]
    assert {event["jobId"] for event in (*first, *again, *over)} == {first[0]["jobId"]}
    assert statuses(again)[-1] == "SUCCEEDED"
    assert [(event["kind"], event["job"]["status"]) for event in over] == [("SNAPSHOT", "SUCCEEDED")]
    assert again[0]["job"]["progress"]["fraction"] >= first[-1]["job"]["progress"]["fraction"]
    assert await api.total() == before + 1


async def test_key_with_other_input_is_an_error_that_names_the_job(api: Api, socket: Socket) -> None:
    given = {"prompt": "a lighthouse", "size": SMALL, "steps": 1, "idempotencyKey": new_key()}
    events = [result["generateImage"] for result in await socket.all_results(ONE_SHOT, {"input": given})]
    with pytest.raises(Refused) as refused:
        await socket.all_results(ONE_SHOT, {"input": {**given, "prompt": "a tower"}})
    assert refused.value.codes == ["BAD_USER_INPUT"]
    assert refused.value.errors[0]["extensions"]["existingJobId"] == events[0]["jobId"]


# --- a model that tells nothing ---


async def test_silent_model_is_estimated_from_earlier_jobs(start_server: StartServer) -> None:
    server = start_server(endpoint="sketch:?step_seconds=0.05&progress=off")
    async with Api(server.origin) as api, open_socket(server.socket_url) as socket:
        first = await watch(socket, (await api.generate(steps=20))["id"])
        assert [
            event["kind"] for event in first if event["kind"] == "PROGRESS" and event["job"]["progress"]["step"]
        ] == []
        events = await watch(socket, (await api.generate(steps=60))["id"])
    estimates = [event["job"]["progress"] for event in events if event["kind"] == "PROGRESS"]
    assert any(progress["basis"] == "ESTIMATED" and 0 < progress["fraction"] < 1 for progress in estimates)
    fractions = [event["job"]["progress"]["fraction"] for event in events]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert all(fraction < 1 for fraction in fractions[:-1])
