"""Webhooks: signatures, and the postman with the embedded store, its sender and real receivers."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from graphql_api.adapters.image_store import open_image_store
from graphql_api.adapters.image_store.folder import FolderImageStore
from graphql_api.adapters.job_store import open_job_store
from graphql_api.adapters.webhook_sender import open_webhook_sender
from graphql_api.adapters.webhook_sender.addresses import AddressRule
from graphql_api.adapters.webhook_sender.sender import HttpWebhookSender
from graphql_api.bootstrap import open_services
from graphql_api.domain.caller import Caller, CallerLimits
from graphql_api.domain.errors import (
    DeliveryNotFound,
    IdempotencyConflict,
    InvalidInput,
    ModelFailed,
    RateLimited,
    ServiceUnavailable,
)
from graphql_api.domain.generation import GenerationRequest
from graphql_api.domain.ids import CallerId, JobId, global_id, new_job_id
from graphql_api.domain.job import CancelOutcome, Job
from graphql_api.domain.webhook import Delivery, DeliveryState, Webhook, WebhookEvent
from graphql_api.ports import DueDelivery, ImageStore, JobDeliveries, JobQuery, JobStore, Submitted, WebhookSender
from graphql_api.service.clock import utc_now
from graphql_api.service.jobs import JobService
from graphql_api.service.postman import BACKOFF_SECONDS, PATIENCE, Postman, PostmanOptions
from graphql_api.service.webhook_messages import WebhookMessages
from graphql_api.service.webhook_signing import WebhookSecrets
from graphql_api.service.webhooks import Mailing, Webhooks
from graphql_api.settings import Settings
from tests.clients.node import node_environment, node_folder
from tests.clients.ports import free_port
from tests.clients.waiting import eventually
from tests.clients.webhook_receiver import WebhookReceiver, close, hang, status, when
from tests.contract.sample_jobs import ALICE, BOB, a_job, added, claimed, live, moved, succeeded
from tests.unit.shop import ScriptedEndpoint, a_shop

MASTER = "m" * 32
OLD_MASTER = "o" * 32
ORIGIN = "https://images.example"
QUICK = PostmanOptions(poll_seconds=0.02)
ONLY_END = frozenset({WebhookEvent.JOB_SUCCEEDED, WebhookEvent.JOB_FAILED, WebhookEvent.JOB_CANCELED})


# --- signatures ------------------------------------------------------------------------------------------------------

BODY = b'{"type":"job.succeeded"}'


def test_the_verifier_of_receivers_accepts_a_signature() -> None:
    secrets = WebhookSecrets(MASTER)
    headers = secrets.sign(ALICE, "job.7", utc_now(), BODY)

    assert Verifier(secrets.secret_of(ALICE)).verify(BODY, dict(headers)) == json.loads(BODY)


def test_a_changed_body_or_id_or_time_is_refused() -> None:
    secrets = WebhookSecrets(MASTER)
    verifier = Verifier(secrets.secret_of(ALICE))
    headers = dict(secrets.sign(ALICE, "job.7", utc_now(), BODY))
    later = str(int(headers["webhook-timestamp"]) + 1)

    verifier.verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY.replace(b"succeeded", b"succeedef"), headers)
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY, headers | {"webhook-id": "job.8"})
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY, headers | {"webhook-timestamp": later})


def test_a_signature_that_is_replayed_later_is_refused() -> None:
    secrets = WebhookSecrets(MASTER)
    headers = secrets.sign(ALICE, "job.7", utc_now() - timedelta(minutes=6), BODY)

    with pytest.raises(WebhookVerificationError, match="too old"):
        Verifier(secrets.secret_of(ALICE)).verify(BODY, dict(headers))


def test_nobody_can_sign_with_the_secret_of_another_caller() -> None:
    secrets = WebhookSecrets(MASTER)
    headers = secrets.sign(BOB, "job.7", utc_now(), BODY)

    assert secrets.secret_of(ALICE) != secrets.secret_of(BOB)
    with pytest.raises(WebhookVerificationError):
        Verifier(secrets.secret_of(ALICE)).verify(BODY, dict(headers))


def test_a_secret_stays_the_same_and_depends_on_the_master() -> None:
    assert WebhookSecrets(MASTER).secret_of(ALICE) == WebhookSecrets(f" {MASTER} ").secret_of(ALICE)
    assert WebhookSecrets(MASTER).secret_of(ALICE) != WebhookSecrets(OLD_MASTER).secret_of(ALICE)
    assert WebhookSecrets(MASTER).secret_of(ALICE).startswith("whsec_")


def test_both_secrets_are_good_while_one_is_replaced() -> None:
    both = WebhookSecrets(f"{MASTER}, {OLD_MASTER}")
    headers = dict(both.sign(ALICE, "job.7", utc_now(), BODY))

    assert both.secret_of(ALICE) == WebhookSecrets(MASTER).secret_of(ALICE)
    for master in (MASTER, OLD_MASTER):
        Verifier(WebhookSecrets(master).secret_of(ALICE)).verify(BODY, headers)


@pytest.mark.parametrize("master", ["", "m" * 31, f"{MASTER},", f"{MASTER},short", f"{MASTER},{MASTER},{MASTER}"])
def test_a_bad_master_secret_is_named_with_its_setting_and_not_told(master: str) -> None:
    with pytest.raises(ValueError, match="TEXT2IMAGE_WEBHOOK_SECRET") as raised:
        WebhookSecrets(master)
    assert "mmm" not in str(raised.value)


# --- the postman -----------------------------------------------------------------------------------------------------


@dataclass
class Office:
    """What postmen work with."""

    store: JobStore
    images: ImageStore
    sender: WebhookSender
    secrets: WebhookSecrets
    webhooks: Webhooks

    async def job(self, url: str, *, caller_id: CallerId = ALICE, events: frozenset[WebhookEvent] = ONLY_END) -> Job:
        """A new job with a webhook."""
        job = replace(a_job(caller_id=caller_id), webhook=Webhook(url=url, events=events), reference="order 7")
        return await added(self.store, job)

    async def canceled(self, url: str, *, caller_id: CallerId = ALICE) -> Job:
        """A job that has ended, so that there is something to tell."""
        job = await self.job(url, caller_id=caller_id)
        return await moved(self.store, job.canceled(CancelOutcome.NOT_STARTED, at=utc_now()))

    async def delivery(self, job: Job) -> Delivery:
        """The latest delivery of a job."""
        return (await self.store.deliveries(job.id))[-1]

    async def delivery_in(self, job: Job, state: DeliveryState, *, attempts: int = 1) -> Delivery:
        """The latest delivery of a job, once it is in a state after so many attempts."""

        async def is_there() -> Delivery | None:
            found = await self.delivery(job)
            return found if found.state is state and len(found.attempts) >= attempts else None

        delivery = await eventually(is_there)
        assert isinstance(delivery, Delivery)
        return delivery

    async def pull_forward(self, delivery: Delivery) -> None:
        """Make the next attempt due now."""
        assert await self.store.save_delivery(replace(delivery, next_attempt_at=delivery.created_at))

    def postman(
        self,
        *,
        store: JobDeliveries | None = None,
        options: PostmanOptions = QUICK,
        messages: WebhookMessages | None = None,
        clock: Clock | None = None,
    ) -> Postman:
        return Postman(
            store or self.store,
            self.sender,
            self.secrets,
            messages or WebhookMessages(self.images, origin=ORIGIN),
            options=options,
            clock=clock or utc_now,
        )


@pytest_asyncio.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with (
        open_job_store(f"sqlite:{tmp_path / 'jobs.db'}") as store,
        open_image_store(f"file:{tmp_path}") as images,
        open_webhook_sender(["127.0.0.0/8"]) as sender,
    ):
        secrets = WebhookSecrets(MASTER)
        mailing = Mailing(store=store, sender=sender, secrets=secrets)
        yield Office(store, images, sender, secrets, Webhooks(mailing))


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as opened:
        yield opened


@asynccontextmanager
async def at_work(postman: Postman) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(postman.run())
    try:
        yield task
        assert not task.done() or task.cancelled()
    finally:
        task.cancel()
        await asyncio.wait([task])


def counted(metric: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(metric, labels) or 0.0


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


async def test_a_webhook_is_told_of_a_job_that_succeeded(office: Office, receiver: WebhookReceiver) -> None:
    await office.job(receiver.url)
    running = await claimed(office.store)
    job = await succeeded(office.store, running.paid(1_234_567))
    async with at_work(office.postman()):
        await office.delivery_in(job, DeliveryState.DELIVERED)

    (received,) = receiver.received
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == (await office.delivery(job)).id
    assert received.verified(office.secrets.secret_of(ALICE)) == {
        "type": "job.succeeded",
        "timestamp": "2026-03-01T12:00:05Z",
        "data": {
            "id": global_id("GenerationJob", job.id),
            "revision": job.revision,
            "status": "SUCCEEDED",
            "reference": "order 7",
            "createdAt": "2026-03-01T12:00:00Z",
            "startedAt": "2026-03-01T12:00:00Z",
            "finishedAt": "2026-03-01T12:00:05Z",
            "model": "sketch",
            "seed": 2**32 - 1,
            "width": 512,
            "height": 256,
            "steps": 20,
            "count": 2,
            "images": [
                {
                    "url": f"{ORIGIN}/images/x/0-abc.webp",
                    "thumbnailUrl": f"{ORIGIN}/images/x/0-abc-thumbnail.webp",
                    "width": 512,
                    "height": 256,
                    "format": "WEBP",
                    "sha256": "ab" * 32,
                    "seed": 0,
                    "blurHash": "LEHV6nWB2yk8pyo0adR*.7kCMdnj",
                }
            ],
            "failure": None,
            "cost": 1.234567,
        },
    }
    assert job.parameters.prompt.encode() not in received.body


async def test_a_webhook_is_told_of_the_start_and_of_a_failure_in_this_order(
    office: Office, receiver: WebhookReceiver
) -> None:
    await office.job(receiver.url, events=frozenset(WebhookEvent))
    running = await claimed(office.store)
    job = await moved(office.store, running.failed(ModelFailed("The model answered with an error."), at=utc_now()))
    async with at_work(office.postman()):
        await office.delivery_in(job, DeliveryState.DELIVERED)

    started, failed = (each.message for each in receiver.received)
    assert (started["type"], failed["type"]) == ("job.started", "job.failed")
    assert started["data"]["revision"] < failed["data"]["revision"]
    assert (started["data"]["status"], started["data"]["finishedAt"]) == ("RUNNING", None)
    assert failed["data"]["failure"] == {
        "code": "MODEL_ERROR",
        "message": "The model answered with an error.",
        "retryable": False,
    }
    assert failed["data"]["images"] == []


@pytest.mark.parametrize("origin", ["", "https://api.example/"])
async def test_an_origin_is_put_before_relative_urls_only(office: Office, tmp_path: Path, origin: str) -> None:
    await office.job("https://hooks.example/")
    job = await succeeded(office.store, await claimed(office.store))
    delivery = await office.delivery(job)

    async def first_url(images: ImageStore) -> str:
        message = json.loads(await WebhookMessages(images, origin=origin).body_of(delivery, job))
        return str(message["data"]["images"][0]["url"])

    async with open_image_store(f"file:{tmp_path}", public_url="https://cdn.example") as images:
        assert await first_url(images) == "https://cdn.example/images/x/0-abc.webp"
    assert await first_url(office.images) == f"{origin.rstrip('/')}/images/x/0-abc.webp"


async def test_a_receiver_that_fails_is_told_again_with_the_same_id(office: Office, receiver: WebhookReceiver) -> None:
    receiver.answers = [status(500), close, status(307, Location=f"{receiver.origin}/elsewhere"), status(429)]
    job = await office.canceled(receiver.url)
    async with at_work(office.postman()):
        for attempts in range(1, 5):
            await office.pull_forward(await office.delivery_in(job, DeliveryState.PENDING, attempts=attempts))
        delivery = await office.delivery_in(job, DeliveryState.DELIVERED)

    assert [(attempt.status_code, attempt.problem) for attempt in delivery.attempts] == [
        (500, "the answer was 500"),
        (None, "the connection ended without an answer in HTTP"),
        (307, "the answer was 307"),
        (429, "the answer was 429"),
        (200, None),
    ]
    assert all(attempt.seconds >= 0 for attempt in delivery.attempts)
    assert {each.headers["webhook-id"] for each in receiver.received} == {delivery.id}
    assert {each.path for each in receiver.received} == {"/hook"}
    for each in receiver.received:
        each.verified(office.secrets.secret_of(ALICE))


async def test_a_redirect_to_the_inside_is_not_followed(office: Office, receiver: WebhookReceiver) -> None:
    with WebhookReceiver("127.0.0.2") as inside:
        receiver.answers = [status(302, Location=inside.url)]
        job = await office.canceled(receiver.url)
        async with at_work(office.postman()):
            await office.delivery_in(job, DeliveryState.PENDING)

        assert inside.connections == 0


async def test_a_receiver_that_is_gone_is_told_no_more(
    office: Office, receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.always = status(410)
    given_up = counted("text2image_webhooks_given_up_total")
    job = await office.canceled(f"{receiver.origin}/secret-path?token=secret-query")
    with caplog.at_level(logging.DEBUG):
        async with at_work(office.postman()):
            delivery = await office.delivery_in(job, DeliveryState.GAVE_UP)

    assert delivery.next_attempt_at is None
    assert len(receiver.received) == 1
    assert counted("text2image_webhooks_given_up_total") == given_up + 1
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("graphql_api")]
    assert lines == [f"delivery {delivery.id} to 127.0.0.1 was given up: the answer was 410"]
    assert "secret" not in caplog.text


async def test_attempts_get_rarer_and_end_after_a_day(office: Office, receiver: WebhookReceiver) -> None:
    receiver.always = status(500)
    job = await office.canceled(receiver.url)
    delivery = await office.delivery(job)
    clock = Clock(delivery.begun_at)
    waits = []
    async with at_work(office.postman(clock=clock)):
        while True:
            attempts = len(delivery.attempts) + 1
            delivery = await _after(office, job, attempts)
            if delivery.next_attempt_at is None:
                break
            waits.append((delivery.next_attempt_at - clock.now).total_seconds())
            clock.now = delivery.next_attempt_at
            await office.pull_forward(delivery)

    assert delivery.state is DeliveryState.GAVE_UP
    expected = [*BACKOFF_SECONDS, *[BACKOFF_SECONDS[-1]] * (len(waits) - len(BACKOFF_SECONDS))]
    for seconds, about in zip(waits, expected, strict=True):
        assert 0.9 * about <= seconds <= 1.1 * about
    assert all(earlier < later for earlier, later in pairwise(waits[: len(BACKOFF_SECONDS)]))
    assert PATIENCE - timedelta(hours=4.4) <= clock.now - delivery.begun_at <= PATIENCE


async def _after(office: Office, job: Job, attempts: int) -> Delivery:
    async def is_there() -> Delivery | None:
        found = await office.delivery(job)
        return found if len(found.attempts) == attempts else None

    delivery = await eventually(is_there)
    assert isinstance(delivery, Delivery)
    return delivery


async def test_what_happens_next_is_not_told_before_what_happened_first(
    office: Office, receiver: WebhookReceiver
) -> None:
    receiver.answers = [status(503)]
    await office.job(receiver.url, events=frozenset(WebhookEvent))
    job = await succeeded(office.store, await claimed(office.store))
    async with at_work(office.postman()):

        async def has_failed() -> Delivery | None:
            first = (await office.store.deliveries(job.id))[0]
            return first if first.attempts else None

        first = await eventually(has_failed)
        assert (await office.delivery(job)).attempts == ()
        await office.pull_forward(first)
        await office.delivery_in(job, DeliveryState.DELIVERED)

    assert [each.message["type"] for each in receiver.received] == ["job.started", "job.started", "job.succeeded"]


async def test_a_slow_receiver_does_not_hold_up_others(office: Office, receiver: WebhookReceiver) -> None:
    with WebhookReceiver("127.0.0.2") as slow:
        slow.always = hang
        for _ in range(40):
            await office.canceled(slow.url)
        jobs = [await office.canceled(receiver.url) for _ in range(8)]
        async with at_work(office.postman(options=replace(QUICK, in_hand=30, at_a_time=6))):
            for job in jobs:
                await office.delivery_in(job, DeliveryState.DELIVERED)

            assert len(slow.received) == QUICK.per_host


async def test_receivers_of_many_names_do_not_hold_up_other_callers(office: Office, receiver: WebhookReceiver) -> None:
    with ExitStack() as stack:
        hostile = [stack.enter_context(WebhookReceiver(f"127.0.1.{host}")) for host in range(1, 11)]
        for each in hostile:
            each.always = hang
            for _ in range(3):
                await office.canceled(each.url, caller_id=BOB)
        job = await office.canceled(receiver.url)
        async with at_work(office.postman(options=replace(QUICK, at_a_time=8, per_caller=6))):
            await office.delivery_in(job, DeliveryState.DELIVERED)
            await eventually(lambda: sum(len(each.received) for each in hostile) == 6)


async def test_a_receiver_gets_many_messages_as_fast_as_it_takes_them(
    office: Office, receiver: WebhookReceiver
) -> None:
    jobs = [await office.canceled(receiver.url) for _ in range(60)]
    async with at_work(office.postman()):
        for job in jobs:
            await office.delivery_in(job, DeliveryState.DELIVERED)

    assert len({each.headers["webhook-id"] for each in receiver.received}) == len(receiver.received) == 60


async def test_what_waits_too_long_for_its_turn_is_put_off_without_an_attempt(
    office: Office, receiver: WebhookReceiver
) -> None:
    receiver.always = hang
    options = replace(QUICK, at_a_time=1, wait_seconds=0.05)
    for _ in range(2):
        await office.canceled(receiver.url)
    with WebhookReceiver("127.0.0.2") as other:
        job = await office.canceled(other.url)
        before = await office.delivery(job)
        async with at_work(office.postman(options=options)):

            async def is_put_off() -> bool:
                return (await office.delivery(job)).next_attempt_at != before.next_attempt_at

            await eventually(is_put_off)

        assert (await office.delivery(job)).attempts == ()
        assert other.received == []


# --- faults ----------------------------------------------------------------------------------------------------------


class LossyStore:
    """The deliveries of a store that fails as often as a test says. What is None does not come back at all."""

    def __init__(
        self, store: JobDeliveries, *, claims: Sequence[Exception] = (), saves: Sequence[Exception | None] = ()
    ):
        self._store = store
        self.claims = list(claims)
        self.saves = list(saves)
        self.is_stuck = False

    async def claim_deliveries(self, limit: int, *, lease_seconds: float) -> Sequence[DueDelivery]:
        if self.claims:
            raise self.claims.pop(0)
        return await self._store.claim_deliveries(limit, lease_seconds=lease_seconds)

    async def save_delivery(self, delivery: Delivery, *, claim: int | None = None) -> bool:
        if self.saves:
            problem = self.saves.pop(0)
            if problem is None:
                self.is_stuck = True
                await asyncio.Event().wait()
            else:
                raise problem
        return await self._store.save_delivery(delivery, claim=claim)

    async def deliveries(self, job_id: JobId) -> Sequence[Delivery]:
        return await self._store.deliveries(job_id)


async def test_a_postman_lost_between_sending_and_writing_means_twice_with_one_id(
    office: Office, receiver: WebhookReceiver
) -> None:
    job = await office.canceled(receiver.url)
    dying = LossyStore(office.store, saves=[None])
    async with at_work(office.postman(store=dying, options=replace(QUICK, lease_seconds=0.3))):
        await eventually(lambda: dying.is_stuck)
    async with at_work(office.postman()):
        delivery = await office.delivery_in(job, DeliveryState.DELIVERED)

    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == delivery.id
    assert first.body == second.body


async def test_two_postmen_do_not_send_the_same(office: Office, receiver: WebhookReceiver) -> None:
    jobs = [await office.canceled(receiver.url) for _ in range(30)]
    async with at_work(office.postman()), at_work(office.postman()):
        for job in jobs:
            await office.delivery_in(job, DeliveryState.DELIVERED)

    assert len(receiver.received) == 30


async def test_a_store_that_is_away_is_waited_for(
    office: Office, receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    job = await office.canceled(receiver.url)
    away = [ServiceUnavailable()] * 3
    async with at_work(office.postman(store=LossyStore(office.store, claims=away, saves=away))):
        await office.delivery_in(job, DeliveryState.DELIVERED)

    assert len(receiver.received) == 1
    assert caplog.text.count("cannot get at its deliveries") == 1


async def test_a_fault_of_the_store_does_not_end_the_postman(office: Office, receiver: WebhookReceiver) -> None:
    job = await office.canceled(receiver.url)
    store = LossyStore(office.store, claims=[RuntimeError("a bug")], saves=[RuntimeError("a bug")])
    async with at_work(office.postman(store=store, options=replace(QUICK, lease_seconds=0.3))):
        await office.delivery_in(job, DeliveryState.DELIVERED)

    assert len(receiver.received) == 2


class ImagesWithoutUrls(FolderImageStore):
    """A store with a fault."""

    async def url_for(self, key: str) -> str:
        raise RuntimeError("a bug")


async def test_a_message_that_cannot_be_made_does_not_stop_others(
    office: Office, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    await office.job(receiver.url)
    broken = await succeeded(office.store, await claimed(office.store))
    whole = await office.canceled(receiver.url)
    messages = WebhookMessages(ImagesWithoutUrls(tmp_path))
    async with at_work(office.postman(messages=messages)):
        await office.delivery_in(whole, DeliveryState.DELIVERED)
        delivery = await office.delivery_in(broken, DeliveryState.PENDING)

    assert [attempt.problem for attempt in delivery.attempts] == ["this server could not send it"]
    assert len(receiver.received) == 1


async def test_a_deleted_job_is_not_told_of_any_more(office: Office, receiver: WebhookReceiver) -> None:
    answered = threading.Event()
    receiver.answers = [when(answered, status(500))]
    job = await office.canceled(receiver.url)
    async with at_work(office.postman()):
        await eventually(lambda: receiver.received)
        await office.store.delete(job.id, at=utc_now())
        answered.set()
        other = await office.canceled(receiver.url)
        await office.delivery_in(other, DeliveryState.DELIVERED)

    assert await office.store.deliveries(job.id) == []
    assert len(receiver.received) == 2


async def test_a_postman_who_is_stopped_leaves_what_is_under_way(office: Office, receiver: WebhookReceiver) -> None:
    receiver.answers = [hang]
    job = await office.canceled(receiver.url)
    async with at_work(office.postman(options=replace(QUICK, lease_seconds=0.3))) as task:
        await eventually(lambda: receiver.received)
        task.cancel()
        await eventually(task.done, within=5)

    assert (await office.delivery(job)).attempts == ()
    async with at_work(office.postman()):
        await office.delivery_in(job, DeliveryState.DELIVERED)


async def test_attempts_are_counted_by_outcome(office: Office, receiver: WebhookReceiver) -> None:
    def counts() -> dict[str, float]:
        outcomes = ("delivered", "refused", "no_answer")
        return {each: counted("text2image_webhook_attempts_total", outcome=each) for each in outcomes}

    before = counts()
    receiver.answers = [status(500), close]
    job = await office.canceled(receiver.url)
    async with at_work(office.postman()):
        for attempts in (1, 2):
            await office.pull_forward(await office.delivery_in(job, DeliveryState.PENDING, attempts=attempts))
        await office.delivery_in(job, DeliveryState.DELIVERED)

    assert {outcome: count - before[outcome] for outcome, count in counts().items()} == {
        "delivered": 1,
        "refused": 1,
        "no_answer": 1,
    }


# --- what callers do -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "state"), [(410, DeliveryState.GAVE_UP), (200, DeliveryState.DELIVERED)])
async def test_a_delivery_that_is_over_can_be_replayed(
    office: Office, receiver: WebhookReceiver, code: int, state: DeliveryState
) -> None:
    receiver.answers = [status(code), status(500)]
    job = await office.canceled(receiver.url)
    async with at_work(office.postman()):
        delivery = await office.delivery_in(job, state)
        replayed = await office.webhooks.replay(ALICE, delivery.id)
        assert (replayed.id, replayed.state) == (delivery.id, DeliveryState.PENDING)
        # Attempts begin anew: the next one comes as soon as after a first one.
        pending = await office.delivery_in(job, DeliveryState.PENDING, attempts=2)
        assert pending.next_attempt_at is not None
        assert pending.next_attempt_at - pending.attempts[-1].at < timedelta(seconds=BACKOFF_SECONDS[1])
        await office.pull_forward(pending)
        delivery = await office.delivery_in(job, DeliveryState.DELIVERED, attempts=3)

    assert len(delivery.attempts) == 3
    assert {each.headers["webhook-id"] for each in receiver.received} == {delivery.id}


async def test_what_is_not_a_delivery_of_the_caller_cannot_be_replayed(
    office: Office, receiver: WebhookReceiver
) -> None:
    job = await office.canceled(receiver.url)
    delivery = await office.delivery(job)
    deleted = await office.canceled(receiver.url)
    gone = await office.delivery(deleted)
    await office.store.delete(deleted.id, at=utc_now())

    for delivery_id in (
        "",
        ".",
        "x",
        "x" * 10_000,
        job.id,
        f"{job.id}.",
        f"{job.id}.0",
        f"{job.id}.0{delivery.revision}",
        f"{delivery.id}\n",
        delivery.id.upper(),
        f"{new_job_id()}.1",
        gone.id,
    ):
        with pytest.raises(DeliveryNotFound):
            await office.webhooks.replay(ALICE, delivery_id)
    with pytest.raises(DeliveryNotFound) as raised:
        await office.webhooks.replay(BOB, delivery.id)
    assert raised.value.path == ("id",)
    assert await office.delivery(job) == delivery


async def test_a_webhook_is_checked_before_it_is_taken(office: Office, receiver: WebhookReceiver) -> None:
    office.webhooks.check_form(Webhook(url=receiver.url, events=ONLY_END))
    await office.webhooks.check_host(ALICE, Webhook(url=receiver.url, events=ONLY_END))
    with pytest.raises(InvalidInput, match="public address") as raised:
        await office.webhooks.check_host(ALICE, Webhook(url="https://10.0.0.1/", events=ONLY_END))
    assert raised.value.path == ("webhook", "url")
    with pytest.raises(InvalidInput, match="https") as raised:
        office.webhooks.check_form(Webhook(url="ftp://10.0.0.1/", events=ONLY_END))
    assert raised.value.path == ("webhook", "url")
    with pytest.raises(InvalidInput, match="event") as raised:
        office.webhooks.check_form(Webhook(url=receiver.url, events=frozenset()))
    assert raised.value.path == ("webhook", "events")


class Names:
    """A name server that is away for a while."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.is_away = False
        self.asked_by: list[str] = []

    async def __call__(self, host: str, *, lane: str = "") -> Sequence[str]:
        self.asked_by.append(lane)
        if self.is_away:
            raise socket.gaierror(socket.EAI_AGAIN, "not now")
        return self.addresses


@dataclass
class Counter:
    """Where jobs with webhooks are submitted."""

    jobs: JobService
    names: Names

    async def submit(self, *, url: str = "https://hooks.example/", key: str | None = None, steps: int = 2) -> Submitted:
        request = GenerationRequest(
            prompt="a fox", steps=steps, webhook=Webhook(url=url, events=ONLY_END), idempotency_key=key
        )
        return await self.jobs.submit(CALLER, request)


CALLER = Caller(id=ALICE, name="alice", account="acme", limits=CallerLimits(jobs_per_minute=3))


@pytest_asyncio.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        names = Names("1.1.1.1")
        sender = HttpWebhookSender(AddressRule(), resolve=names)
        mailing = Mailing(store=shop.store, sender=sender, secrets=WebhookSecrets(MASTER))
        yield Counter(replace(shop.jobs, webhooks=Webhooks(mailing)), names)


async def test_a_repeat_of_a_key_finds_its_job_while_names_cannot_be_looked_up(counter: Counter) -> None:
    first = await counter.submit(key="k")
    counter.names.is_away = True

    again = await counter.submit(key="k")

    assert (again.is_new, again.job.id) == (False, first.job.id)
    with pytest.raises(IdempotencyConflict):
        await counter.submit(key="k", steps=3)
    with pytest.raises(ServiceUnavailable):
        await counter.submit(key="another")
    assert counter.names.asked_by == [ALICE, ALICE]


async def test_a_repeat_of_a_key_finds_its_job_after_its_host_has_moved_inside(counter: Counter) -> None:
    first = await counter.submit(key="k")
    counter.names.addresses = ("10.0.0.1",)

    assert (await counter.submit(key="k")).job.id == first.job.id
    with pytest.raises(InvalidInput) as raised:
        await counter.submit()
    assert raised.value.path == ("webhook", "url")


async def test_names_are_looked_up_only_for_who_may_submit_more_jobs(counter: Counter) -> None:
    counter.names.addresses = ()
    for _ in range(3):
        with pytest.raises(InvalidInput):
            await counter.submit()

    with pytest.raises(RateLimited):
        await counter.submit()

    assert len(counter.names.asked_by) == 3


async def test_a_url_that_is_none_is_refused_before_anything_is_counted(counter: Counter) -> None:
    for _ in range(10):
        with pytest.raises(InvalidInput) as raised:
            await counter.submit(url="ftp://hooks.example/")
        assert raised.value.path == ("webhook", "url")

    assert (await counter.submit()).is_new


async def test_a_job_whose_host_cannot_be_looked_up_is_not_queued(counter: Counter) -> None:
    counter.names.is_away = True

    with pytest.raises(ServiceUnavailable, match="try again"):
        await counter.submit()

    assert await counter.jobs.count(ALICE, JobQuery()) == 0


# --- programs --------------------------------------------------------------------------------------------------------


def settings_for(folder: Path, **settings: str) -> Settings:
    return Settings.model_validate(
        {"data_dir": folder, "webhook_secret": MASTER, "webhook_networks": "127.0.0.0/8", **settings}
    )


async def test_a_program_without_a_worker_sends_what_it_accepts(tmp_path: Path, receiver: WebhookReceiver) -> None:
    webhook = Webhook(url=receiver.url, events=ONLY_END)
    caller = Caller(id=ALICE, name="alice", account="acme")
    async with open_services(settings_for(tmp_path), with_worker=False) as services:
        submitted = await services.jobs.submit(caller, GenerationRequest(prompt="a fox", webhook=webhook))
        await services.jobs.cancel(ALICE, submitted.job.id)
        await eventually(lambda: receiver.received)

    assert receiver.received[0].message["type"] == "job.canceled"


@pytest.mark.parametrize(
    ("settings", "warnings"),
    [({}, 1), ({"public_url": "https://images.example"}, 0), ({"webhook_secret": ""}, 0)],
    ids=["no origin", "origin", "no webhooks"],
)
async def test_who_sends_paths_instead_of_urls_is_warned_at_the_start(
    tmp_path: Path, settings: dict[str, str], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_services(settings_for(tmp_path, **settings), with_worker=False):
        pass

    assert caplog.text.count("TEXT2IMAGE_PUBLIC_URL") == warnings


async def test_callers_see_the_log_of_a_job_and_their_secret(office: Office, receiver: WebhookReceiver) -> None:
    job = await office.canceled(receiver.url)

    assert await office.webhooks.deliveries(job.id) == await office.store.deliveries(job.id) != []
    assert office.webhooks.secret_of(ALICE) == office.secrets.secret_of(ALICE)
    assert live(await office.store.find(job.id)).webhook is not None


async def test_a_server_without_a_secret_has_no_webhooks() -> None:
    webhooks = Webhooks()

    with pytest.raises(InvalidInput) as raised:
        webhooks.check_form(Webhook(url="https://hooks.example/", events=ONLY_END))
    assert raised.value.path == ("webhook",)
    with pytest.raises(DeliveryNotFound):
        await webhooks.replay(ALICE, f"{new_job_id()}.1")
    assert await webhooks.deliveries(new_job_id()) == ()
    assert webhooks.secret_of(ALICE) is None


# --- the guide -------------------------------------------------------------------------------------------------------

GUIDE = Path(__file__).parents[2] / "docs" / "webhooks.md"
RECEIVERS = {"python": ("receiver.py", sys.executable), "js": ("receiver.mjs", str(node_folder() / "node"))}


@pytest.mark.parametrize("language", RECEIVERS)
async def test_the_receivers_of_the_guide_take_what_is_genuine_and_take_it_once(
    office: Office, tmp_path: Path, language: str
) -> None:
    file_name, interpreter = RECEIVERS[language]
    program = GUIDE.read_text("utf-8").split(f"```{language}\n")[1].split("```")[0]
    (tmp_path / file_name).write_text(program, "utf-8")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        interpreter,
        tmp_path / file_name,
        env={**node_environment(), "WEBHOOK_SECRET": office.secrets.secret_of(ALICE), "PORT": str(port)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # The `node` of a wheel is a program that runs another one, which must end too.
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}/"
        await eventually(lambda: _listens(port))
        forged = {
            "webhook-id": "x",
            "webhook-timestamp": str(int(utc_now().timestamp())),
            "webhook-signature": "v1,AAAA",
        }
        assert await office.sender.send(url, b"{}", forged) == 401
        recorded = office.secrets.sign(ALICE, "x", utc_now() - timedelta(minutes=6), b"{}")
        assert await office.sender.send(url, b"{}", recorded) == 401
        job = await office.canceled(url)
        async with at_work(office.postman()):
            delivery = await office.delivery_in(job, DeliveryState.DELIVERED)
            await office.webhooks.replay(ALICE, delivery.id)
            await office.delivery_in(job, DeliveryState.DELIVERED, attempts=2)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        output, _ = await process.communicate()

    assert output.decode().split() == ["job.canceled", "order", "7", "[]"]


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
