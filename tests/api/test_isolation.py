"""Two callers on one server: what belongs to one does not exist for the other, in every query, mutation, subscription
and path."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from graphql_api.domain.ids import global_id, new_job_id
from tests.clients.graphql_events import all_events
from tests.clients.graphql_http import JOB, SMALL, Api, new_key
from tests.clients.graphql_socket import Refused, Socket, open_socket
from tests.clients.keys import bearer, create_key
from tests.clients.server_process import ServerProcess

SECRET = "a-master-secret-of-the-tests-that-is-long-enough"
NODE = """
query ($id: ID!) {
  node(id: $id) { __typename id }
  nodes(ids: [$id]) { __typename id }
  job(id: $id) { id }
  model(id: $id) { id }
}
"""
CANCEL = (
    "mutation ($id: ID!) { cancelJob(input: {id: $id}) { job { id } errors { ... on UserError { message path } } } }"
)
DELETE = (
    "mutation ($id: ID!) { deleteJob(input: {id: $id}) { deletedJobId errors { ... on UserError { message path } } } }"
)
REPLAY = (
    "mutation ($id: ID!) { replayDelivery(input: {id: $id}) {"
    " delivery { id } errors { ... on UserError { message path } } } }"
)
WATCH = (
    "subscription ($id: ID!, $after: String) { jobUpdated(id: $id, after: $after) { kind cursor job { id status } } }"
)
WATCH_ALL = "subscription ($after: String) { jobsUpdated(after: $after) { kind cursor jobId job { id status } } }"
SLOW = "sketch:?step_seconds=0.02"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with sign-in and webhooks."""
    folder = tmp_path_factory.mktemp("isolation")
    settings = {
        "auth": "keys",
        "endpoint": SLOW,
        "webhook_secret": SECRET,
        "webhook_networks": "127.0.0.0/8",
    }
    running = ServerProcess(folder / "data", folder, settings).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def tokens(server: ServerProcess) -> tuple[str, str]:
    """Of two callers."""
    return create_key(server, "Alice"), create_key(server, "Mallory")


@pytest.fixture
async def alice(server: ServerProcess, tokens: tuple[str, str]) -> AsyncIterator[Api]:
    """The owner of what the tests look for."""
    async with Api(server.origin) as client:
        client.http.headers.update(bearer(tokens[0]))
        yield client


@pytest.fixture
async def mallory(server: ServerProcess, tokens: tuple[str, str]) -> AsyncIterator[Api]:
    """Somebody who has got hold of IDs."""
    async with Api(server.origin) as client:
        client.http.headers.update(bearer(tokens[1]))
        yield client


@pytest.fixture
async def socket(server: ServerProcess, tokens: tuple[str, str]) -> AsyncIterator[Socket]:
    """A socket of Mallory's."""
    async with open_socket(server.socket_url, headers=bearer(tokens[1])) as opened:
        yield opened


async def finished_job(alice: Api) -> dict[str, Any]:
    job = await alice.generate(webhook={"url": "http://127.0.0.1:9/"})
    return await alice.finished(job["id"])


def unknown_job() -> str:
    return global_id("GenerationJob", new_job_id())


async def test_foreign_ids_are_like_unknown_ones_in_every_query(alice: Api, mallory: Api) -> None:
    job = await finished_job(alice)
    deliveries = (await alice.data("query ($id: ID!) { job(id: $id) { deliveries { id } } }", {"id": job["id"]}))["job"]
    assert deliveries["deliveries"]
    own_viewer = (await alice.data("{ viewer { id } }"))["viewer"]["id"]
    for foreign in (job["id"], job["images"][0]["id"], deliveries["deliveries"][0]["id"], own_viewer):
        assert (await alice.data(NODE, {"id": foreign}))["node"]["id"] == foreign
        seen = await mallory.graphql(NODE, {"id": foreign})
        assert seen == await mallory.graphql(NODE, {"id": unknown_job()})
        assert seen["data"]["node"] is None and seen["data"]["nodes"] == [None]
    assert await mallory.total() == 0
    assert await alice.total(search="lighthouse") > 0
    assert await mallory.total(search="lighthouse") == 0


async def test_foreign_ids_are_like_unknown_ones_in_every_mutation(alice: Api, mallory: Api) -> None:
    job = await finished_job(alice)
    running = await alice.generate(steps=100)
    delivery = (await alice.data("query ($id: ID!) { job(id: $id) { deliveries { id } } }", {"id": job["id"]}))["job"]
    for mutation in (CANCEL, DELETE):
        for foreign in (job["id"], running["id"]):
            told = await mallory.graphql(mutation, {"id": foreign})
            assert told == await mallory.graphql(mutation, {"id": unknown_job()})
            (payload,) = told["data"].values()
            assert payload["errors"][0]["path"] == ["id"]
    foreign = delivery["deliveries"][0]["id"]
    unknown = global_id("WebhookDelivery", f"{new_job_id()}.3")
    told = await mallory.graphql(REPLAY, {"id": foreign})
    assert told == await mallory.graphql(REPLAY, {"id": unknown})
    assert (await alice.job(job["id"])) == job
    after = await alice.job(running["id"])
    assert after is not None and after["status"] in ("QUEUED", "RUNNING")
    await alice.cancel(running["id"])


async def test_foreign_ids_are_like_unknown_ones_in_every_subscription(alice: Api, socket: Socket) -> None:
    job = await finished_job(alice)
    await alice.delete(job["id"])
    running = await alice.generate(steps=100)
    cursor = base64.urlsafe_b64encode(b"e1:1").decode().rstrip("=")
    for after in (None, cursor):
        refusals = []
        for each in (job["id"], running["id"], unknown_job()):
            with pytest.raises(Refused) as refused:
                await socket.all_results(WATCH, {"id": each, "after": after})
            refusals.append(refused.value.errors)
        assert refusals[0] == refusals[1] == refusals[2]
        assert refusals[0][0]["extensions"]["code"] == "NOT_FOUND"
    await alice.cancel(running["id"])


async def test_events_of_one_caller_never_reach_another(alice: Api, mallory: Api, socket: Socket) -> None:
    for after in (None, base64.urlsafe_b64encode(b"e1:0").decode().rstrip("=")):
        operation = await socket.subscribe(WATCH_ALL, {"after": after})
        theirs = await finished_job(alice)
        own = await mallory.generate()
        told: set[str] = set()
        is_over = False
        while not is_over:
            message = await socket.next_of(operation)
            assert message is not None
            event = message["data"]["jobsUpdated"]
            told.add(event["jobId"])
            is_over = event["jobId"] == own["id"] and event["job"]["status"] == "SUCCEEDED"
        assert theirs["id"] not in told
        await socket.send({"id": operation, "type": "complete"})
        await mallory.delete(own["id"])


async def test_event_streams_are_kept_apart_too(alice: Api, mallory: Api) -> None:
    job = await alice.generate(steps=50)
    told = await all_events(mallory.http, WATCH, {"id": job["id"]})
    assert told == await all_events(mallory.http, WATCH, {"id": unknown_job()})
    assert "NOT_FOUND" in str(told)
    await alice.cancel(job["id"])


async def test_idempotency_keys_belong_to_their_caller(alice: Api, mallory: Api) -> None:
    key = new_key()
    theirs = await alice.generate(idempotencyKey=key, prompt="one")
    own = await mallory.generate(idempotencyKey=key, prompt="another")
    assert own["id"] != theirs["id"]
    assert (await alice.generate(idempotencyKey=key, prompt="one"))["id"] == theirs["id"]
    assert (await mallory.generate(idempotencyKey=key, prompt="another"))["id"] == own["id"]
    await mallory.delete(own["id"])


async def test_revisions_belong_to_their_caller(alice: Api, mallory: Api) -> None:
    for _ in range(3):
        await finished_job(alice)
    job = await mallory.generate()
    told = [event.data for event in await all_events(mallory.http, WATCH, {"id": job["id"]}) if event.data]
    cursors = [data["data"]["jobUpdated"]["cursor"] for data in told]
    revisions = [int(base64.urlsafe_b64decode(cursor + "==").decode().removeprefix("e1:")) for cursor in cursors]
    theirs = (await alice.data("{ jobs(first: 1) { totalCount } }"))["jobs"]["totalCount"]
    assert theirs >= 3 and max(revisions) < 3 * theirs
    await mallory.delete(job["id"])


async def test_foreign_job_is_not_found_over_rest(alice: Api, mallory: Api) -> None:
    job = await finished_job(alice)
    own_id = base64.b64decode(job["id"]).decode().removeprefix("GenerationJob:")
    assert (await alice.http.get(f"/text2image/jobs/{own_id}")).status_code == 200
    seen = await mallory.http.get(f"/text2image/jobs/{own_id}")
    unknown = await mallory.http.get(f"/text2image/jobs/{new_job_id()}")
    assert (seen.status_code, seen.json()) == (unknown.status_code, unknown.json()) == (404, unknown.json())


async def test_cursor_of_one_caller_shows_another_nothing(alice: Api, mallory: Api) -> None:
    for _ in range(2):
        await finished_job(alice)
    page = (await alice.data("{ jobs(first: 1) { pageInfo { endCursor } } }"))["jobs"]
    query = "query ($after: String, $before: String) { jobs(after: $after, before: $before) { edges { node { id } } } }"
    for arguments in ({"after": page["pageInfo"]["endCursor"]}, {"before": page["pageInfo"]["endCursor"]}):
        assert (await mallory.data(query, arguments))["jobs"]["edges"] == []


async def test_image_url_is_all_that_is_needed_and_cannot_be_guessed(alice: Api, mallory: Api) -> None:
    job = await finished_job(alice)
    url = job["images"][0]["url"]
    job_id = base64.b64decode(job["id"]).decode().removeprefix("GenerationJob:")
    assert job_id in url
    for guess in (
        f"/images/{new_job_id()}/{url.rsplit('/', 1)[1]}",
        f"/images/{job_id}/0-0000000000000000.jpg",
        f"/images/{job_id}/",
        f"/images/{job_id}",
        "/images/",
    ):
        assert (await mallory.http.get(guess)).status_code == 404


async def test_secrets_of_webhooks_differ_by_caller(alice: Api, mallory: Api) -> None:
    query = "{ viewer { webhookSecret } }"
    theirs, own = (await alice.data(query))["viewer"], (await mallory.data(query))["viewer"]
    assert theirs["webhookSecret"].startswith("whsec_")
    assert own["webhookSecret"].startswith("whsec_")
    assert own != theirs


async def test_input_of_another_caller_is_not_told_by_a_conflict(alice: Api, mallory: Api) -> None:
    key = new_key()
    await alice.generate(idempotencyKey=key, prompt="a secret of Alice's")
    payload = await mallory.try_to_generate(idempotencyKey=key, prompt="something else", size=SMALL)
    assert payload["errors"] == []
    assert (await mallory.data(JOB, {"id": payload["job"]["id"]}))["job"]["parameters"]["prompt"] == "something else"
    await mallory.delete(payload["job"]["id"])
