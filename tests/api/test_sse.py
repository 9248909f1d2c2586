"""GraphQL over Server-Sent Events, in distinct connections mode."""

from __future__ import annotations

import pytest

from tests.clients.graphql_events import Event, all_events, open_events
from tests.clients.graphql_http import JSON, Api, new_key
from tests.clients.server_process import ServerProcess
from tests.clients.waiting import eventually

WATCH_JOB = """
subscription Watch($id: ID!, $after: String) {
  jobUpdated(id: $id, after: $after) { kind cursor job { status progress { fraction } } }
}
"""
WATCH_ALL = "subscription { jobsUpdated { kind jobId } }"
COMPLETE = Event("complete", None)


async def test_query_is_one_event_and_the_end(api: Api) -> None:
    events = await all_events(api.http, "{ __typename }")
    assert events == [Event("next", {"data": {"__typename": "Query"}}), COMPLETE]


async def test_mutation_is_one_event_and_the_end(api: Api) -> None:
    query = 'mutation { cancelJob(input: {id: "x"}) { errors { __typename } } }'
    events = await all_events(api.http, query)
    assert events[0].data == {"data": {"cancelJob": {"errors": [{"__typename": "JobNotFoundError"}]}}}
    assert events[1:] == [COMPLETE]


async def test_stream_says_what_it_is_and_may_not_be_kept(api: Api) -> None:
    async with open_events(api.http, "{ __typename }") as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert "no-cache" in stream.response.headers["cache-control"]


async def test_job_stream_ends_by_itself_behind_the_terminal_event(api: Api) -> None:
    job = await api.generate(steps=8)
    events = await all_events(api.http, WATCH_JOB, {"id": job["id"]})
    assert events[-1] == COMPLETE
    assert {event.kind for event in events[:-1]} == {"next"}
    told = [event.data["data"]["jobUpdated"] for event in events[:-1] if event.data]
    assert told[0]["kind"] == "SNAPSHOT"
    assert told[-1]["job"] == {"status": "SUCCEEDED", "progress": {"fraction": 1}}
    assert [each["job"]["status"] for each in told].count("SUCCEEDED") == 1


async def test_one_shot_subscription_makes_an_image(api: Api) -> None:
    query = (
        "subscription ($input: GenerateImageInput!) { generateImage(input: $input) { job { status images { url } } } }"
    )
    given = {"prompt": "a tower", "steps": 2, "size": {"aspectRatio": "SQUARE"}, "idempotencyKey": new_key()}
    events = await all_events(api.http, query, {"input": given})
    assert events[-1] == COMPLETE and events[-2].data is not None
    job = events[-2].data["data"]["generateImage"]["job"]
    assert job["status"] == "SUCCEEDED"
    assert (await api.http.get(job["images"][0]["url"])).status_code == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("subscription { notThere }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription ($id: ID!) { jobUpdated(id: $id) { cursor } }", "BAD_USER_INPUT"),
        ("query One { __typename } query Two { __typename }", "OPERATION_RESOLUTION_FAILURE"),
        ('subscription { jobUpdated(id: "x") { cursor } }', "NOT_FOUND"),
        ('subscription { generateImage(input: {prompt: "p"}) { cursor } }', "BAD_USER_INPUT"),
        ("", "BAD_REQUEST"),
    ],
)
async def test_request_error_is_an_event_and_the_end(api: Api, query: str, code: str) -> None:
    events = await all_events(api.http, query)
    assert [event.kind for event in events] == ["next", "complete"]
    assert events[0].data is not None
    assert [error["extensions"]["code"] for error in events[0].data["errors"]] == [code]
    assert events[0].data.get("data") is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"query": 1}', b'{"query": "{ __typename }", "variables": []}'])
async def test_request_that_cannot_be_read_is_refused_before_the_stream(api: Api, body: bytes) -> None:
    headers = {"Accept": "text/event-stream", "Content-Type": JSON}
    response = await api.http.post("/graphql", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_client_that_leaves_frees_its_subscription(api: Api, shared_server: ServerProcess) -> None:
    process = shared_server.process
    connections = len(process.net_connections())
    for _ in range(5):
        async with open_events(api.http, WATCH_ALL) as stream:
            job = await api.generate()
            first = await anext(stream.events())
            assert first.data == {"data": {"jobsUpdated": {"kind": first_kind(first), "jobId": job["id"]}}}
            await api.finished(job["id"])
    await eventually(lambda: len(process.net_connections()) <= connections + 1)
    # Whoever is left would be written to now, and fail.
    await api.finished((await api.generate())["id"])


def first_kind(event: Event) -> str:
    assert event.data is not None
    kind: str = event.data["data"]["jobsUpdated"]["kind"]
    assert kind in ("SNAPSHOT", "STATUS")
    return kind


async def test_leaving_the_stream_does_not_cancel_the_job(api: Api) -> None:
    job = await api.generate(steps=10)
    async with open_events(api.http, WATCH_JOB, {"id": job["id"]}) as stream:
        assert (await anext(stream.events())).kind == "next"
    assert (await api.finished(job["id"]))["status"] == "SUCCEEDED"


async def test_stream_resumes_behind_a_cursor(api: Api) -> None:
    job = await api.generate(steps=6)
    async with open_events(api.http, WATCH_JOB, {"id": job["id"]}) as stream:
        first = await anext(stream.events())
    assert first.data is not None
    cursor = first.data["data"]["jobUpdated"]["cursor"]
    await api.finished(job["id"])
    events = await all_events(api.http, WATCH_JOB, {"id": job["id"], "after": cursor})
    assert events[-1] == COMPLETE
    (missed,) = [event.data["data"]["jobUpdated"] for event in events[:-1] if event.data]
    assert missed["job"]["status"] == "SUCCEEDED"
    assert await all_events(api.http, WATCH_JOB, {"id": job["id"], "after": missed["cursor"]}) == [COMPLETE]
