"""Webhooks, from the mutation to the receiver, through a real server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.clients.graphql_http import SMALL, Api, new_key
from tests.clients.ports import free_port
from tests.clients.server_process import ServerProcess, StartServer
from tests.clients.waiting import eventually
from tests.clients.webhook_receiver import WebhookReceiver

SECRET = "a-master-secret-of-the-tests-that-is-long-enough"
DELIVERIES = """
query ($id: ID!) {
  job(id: $id) {
    deliveries { id messageId event revision state nextAttemptAt attempts { statusCode problem seconds } }
  }
}
"""
REPLAY = """
mutation ($id: ID!) {
  replayDelivery(input: {id: $id}) { delivery { id state } errors { __typename ... on UserError { message path } } }
}
"""
GENERATE = """
mutation ($input: GenerateImageInput!) {
  generateImage(input: $input) { job { id } errors { __typename ... on UserError { message path } } }
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that may send webhooks to this machine too."""
    folder = tmp_path_factory.mktemp("webhooks")
    settings = {"endpoint": "sketch:?step_seconds=0.02", "webhook_secret": SECRET, "webhook_networks": "127.0.0.0/8"}
    running = ServerProcess(folder / "data", folder, settings).start()
    yield running
    running.stop()


@pytest.fixture
async def api(server: ServerProcess) -> AsyncIterator[Api]:
    """A client of it."""
    async with Api(server.origin) as client:
        yield client
        await client.cancel_everything()
    assert "Traceback" not in server.log


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """Somebody who is told."""
    with WebhookReceiver() as running:
        yield running


async def deliveries_of(api: Api, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.data(DELIVERIES, {"id": job_id}))["job"]["deliveries"]
    return found


async def delivered(api: Api, job_id: str, count: int) -> list[dict[str, Any]]:
    """The deliveries of a job when so many of them have arrived."""

    async def look() -> list[dict[str, Any]] | None:
        found = await deliveries_of(api, job_id)
        return found if [each["state"] for each in found] == ["DELIVERED"] * count else None

    told: list[dict[str, Any]] = await eventually(look)
    return told


async def try_to_submit(api: Api, url: str, **fields: Any) -> dict[str, Any]:
    wanted = {"prompt": "a secret lighthouse", "size": SMALL, "steps": 1, "webhook": {"url": url}, **fields}
    payload: dict[str, Any] = (await api.data(GENERATE, {"input": wanted}))["generateImage"]
    return payload


async def test_receiver_is_told_with_a_signature_that_verifies(api: Api, receiver: WebhookReceiver) -> None:
    job = (await try_to_submit(api, receiver.url, reference="order 7"))["job"]
    (told,) = await delivered(api, job["id"], 1)
    assert (told["event"], told["attempts"][0]["statusCode"]) == ("JOB_SUCCEEDED", 200)
    (request,) = receiver.received
    secret = (await api.data("{ viewer { webhookSecret } }"))["viewer"]["webhookSecret"]
    message = Webhook(secret).verify(request.body, dict(request.headers))
    assert message["type"] == "job.succeeded"
    assert message["data"]["id"] == job["id"]
    assert message["data"]["reference"] == "order 7"
    assert message["data"]["images"][0]["url"]
    assert b"secret lighthouse" not in request.body
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body + b" ", dict(request.headers))


async def test_each_event_that_was_asked_for_comes_once_and_in_order(api: Api, receiver: WebhookReceiver) -> None:
    events = ["JOB_SUCCEEDED", "JOB_STARTED", "JOB_FAILED"]
    job = (await try_to_submit(api, receiver.url, webhook={"url": receiver.url, "events": events}))["job"]
    told = await delivered(api, job["id"], 2)
    assert [each["event"] for each in told] == ["JOB_STARTED", "JOB_SUCCEEDED"]
    assert [each["revision"] for each in told] == sorted(each["revision"] for each in told)
    bodies = [json.loads(request.body) for request in receiver.received]
    assert [body["type"] for body in bodies] == ["job.started", "job.succeeded"]
    assert [body["data"]["status"] for body in bodies] == ["RUNNING", "SUCCEEDED"]
    assert [body["data"]["revision"] for body in bodies] == [each["revision"] for each in told]


async def test_cancellation_is_told(api: Api, receiver: WebhookReceiver) -> None:
    job = (await try_to_submit(api, receiver.url, steps=100))["job"]
    await api.cancel(job["id"])
    (told,) = await delivered(api, job["id"], 1)
    assert told["event"] == "JOB_CANCELED"


async def test_delivery_that_arrived_is_sent_again_on_demand_with_the_same_id(
    api: Api, receiver: WebhookReceiver
) -> None:
    job = (await try_to_submit(api, receiver.url))["job"]
    (told,) = await delivered(api, job["id"], 1)
    replayed = (await api.data(REPLAY, {"id": told["id"]}))["replayDelivery"]
    assert replayed == {"delivery": {"id": told["id"], "state": "PENDING"}, "errors": []}
    await eventually(lambda: len(receiver.received) == 2)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == told["messageId"]
    (after,) = await delivered(api, job["id"], 1)
    assert len(after["attempts"]) == 2


@pytest.mark.parametrize("delivery_id", ["", "x", "V2ViaG9va0RlbGl2ZXJ5Og==", "R2VuZXJhdGlvbkpvYjp4"])
async def test_unknown_delivery_is_not_found(api: Api, delivery_id: str) -> None:
    payload = (await api.data(REPLAY, {"id": delivery_id}))["replayDelivery"]
    assert payload["delivery"] is None
    assert [error["__typename"] for error in payload["errors"]] == ["DeliveryNotFoundError"]


async def test_delivery_is_an_object_with_an_id(api: Api, receiver: WebhookReceiver) -> None:
    job = (await try_to_submit(api, receiver.url))["job"]
    (told,) = await delivered(api, job["id"], 1)
    query = "query ($id: ID!) { node(id: $id) { __typename ... on WebhookDelivery { state } } }"
    node = (await api.data(query, {"id": told["id"]}))["node"]
    assert node == {"__typename": "WebhookDelivery", "state": "DELIVERED"}


async def test_repeat_of_a_key_tells_nobody_twice(api: Api, receiver: WebhookReceiver) -> None:
    key = new_key()
    first = (await try_to_submit(api, receiver.url, idempotencyKey=key))["job"]
    assert (await try_to_submit(api, receiver.url, idempotencyKey=key))["job"] == first
    await delivered(api, first["id"], 1)
    assert len(receiver.received) == 1
    conflict = await try_to_submit(api, receiver.url + "another", idempotencyKey=key)
    assert [error["__typename"] for error in conflict["errors"]] == ["IdempotencyConflictError"]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fd00::1]/",
        "https://[64:ff9b::a00:1]/",
        "https://0x0a.1/",
        "https://167772161/",
        "https://012.0.0.1/",
        "https://localhost.localdomain.invalid/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "https://user:password@93.184.216.34/",
        "https://93.184.216.34/#fragment",
        "https://",
        "https:///path",
        "//127.0.0.1/",
        "not a url",
        "",
        "https://127.0.0.1:99999/",
        "http://127.0.0.1/\r\nX-Header: 1",
        "http://127.0.0.1/\0",
        "https://xn--/",
        "http://127.0.0.1/" + "x" * 3000,
    ],
    ids=lambda url: repr(url)[:40],
)
async def test_url_that_must_not_be_asked_is_refused_when_the_job_is_submitted(api: Api, url: str) -> None:
    before = await api.total()
    payload = await try_to_submit(api, url)
    assert payload["job"] is None
    (error,) = payload["errors"]
    assert (error["__typename"], error["path"]) == ("InvalidInputError", ["webhook", "url"])
    assert await api.total() == before


async def test_webhook_without_events_is_refused(api: Api, receiver: WebhookReceiver) -> None:
    payload = await try_to_submit(api, receiver.url, webhook={"url": receiver.url, "events": []})
    assert [error["path"] for error in payload["errors"]] == [["webhook", "events"]]


async def test_server_without_a_secret_says_that_it_sends_none(shared_server: ServerProcess) -> None:
    async with Api(shared_server.origin) as api:
        payload = await try_to_submit(api, "https://example.com/")
        assert [error["path"] for error in payload["errors"]] == [["webhook"]]
        assert (await api.data("{ viewer { webhookSecret } }"))["viewer"]["webhookSecret"] is None


async def test_delivery_survives_a_crash_of_the_server(start_server: StartServer) -> None:
    settings = {"webhook_secret": SECRET, "webhook_networks": "127.0.0.0/8", "endpoint": "sketch:"}
    server, port = start_server(**settings), free_port()
    async with Api(server.origin) as api:
        job = (await try_to_submit(api, f"http://127.0.0.1:{port}/hook"))["job"]
        await api.finished(job["id"])

        async def has_tried() -> bool:
            (told,) = await deliveries_of(api, job["id"])
            return bool(told["attempts"])

        await eventually(has_tried)
    server.kill()
    with WebhookReceiver(port=port) as receiver:
        server.start()
        async with Api(server.origin) as api:
            (told,) = await delivered(api, job["id"], 1)
        assert told["attempts"][0]["problem"]
        assert len(receiver.received) == 1


@pytest.mark.parametrize("secret", ["short", "x" * 31, ",", f"{'x' * 32},short"])
def test_secret_that_is_too_short_is_named_at_the_start(start_server: StartServer, secret: str) -> None:
    with pytest.raises(AssertionError, match="TEXT2IMAGE_WEBHOOK_SECRET"):
        start_server(webhook_secret=secret)


def test_network_that_is_none_is_named_at_the_start(start_server: StartServer) -> None:
    with pytest.raises(AssertionError, match="TEXT2IMAGE_WEBHOOK_NETWORKS"):
        start_server(webhook_secret=SECRET, webhook_networks="10.0.0.1/8")
