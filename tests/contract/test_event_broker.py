"""What every event broker promises: the docstrings of EventBroker in ports.py, sentence by sentence."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import pytest_asyncio

from graphql_api.adapters.event_broker import open_event_broker
from graphql_api.domain.ids import CallerId, JobId, new_job_id
from graphql_api.domain.job import CancelOutcome, Job, JobPhase, Progress
from graphql_api.ports import (
    QUEUE_TOPIC,
    EventBroker,
    JobMoved,
    JobProgressed,
    Notice,
    Preview,
    Reread,
    caller_topic,
    job_topic,
)
from tests.clients.valkey_server import ValkeyCluster, ValkeyServer
from tests.clients.waiting import eventually
from tests.contract.sample_jobs import NOON, a_job, an_image


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A server for all tests here."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def valkey_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """A cluster for all tests here."""
    cluster = ValkeyCluster(tmp_path_factory.mktemp("valkey-cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


BROKERS: Mapping[str, Callable[[pytest.FixtureRequest], str]] = {
    "memory": lambda request: "memory:",
    "valkey": lambda request: str(request.getfixturevalue("valkey").url),
    "valkey-cluster": lambda request: str(request.getfixturevalue("valkey_cluster").url),
}
"""Name -> the URL of a broker."""


@pytest.fixture(params=BROKERS)
def url(request: pytest.FixtureRequest) -> str:
    """Where a broker of each kind is."""
    return BROKERS[request.param](request)


@pytest_asyncio.fixture
async def broker(url: str) -> AsyncIterator[EventBroker]:
    """A broker of each kind."""
    async with open_event_broker(url) as opened:
        yield opened


@pytest_asyncio.fixture
async def other(url: str, broker: EventBroker) -> AsyncIterator[EventBroker]:
    """The broker as another process sees it; one that lives in a process has no other side."""
    if url == "memory:":
        yield broker
    else:
        async with open_event_broker(url) as opened:
            yield opened


@pytest.fixture
def brief_afterlife(monkeypatch: pytest.MonkeyPatch) -> None:
    """Previews outlive their job by a second."""
    for kind in ("memory", "valkey"):
        monkeypatch.setattr(f"graphql_api.adapters.event_broker.{kind}.PREVIEW_OUTLIVES_SECONDS", 1)


def queued() -> Job:
    """A job of a caller whom no other test has."""
    return replace(a_job(caller_id=CallerId(f"caller-{secrets.token_hex(8)}")), revision=1)


def running() -> Job:
    return replace(queued().claimed(at=NOON), revision=2)


def progressed(job: Job, step: int = 1, *, preview_key: str | None = None) -> JobProgressed:
    progress = Progress(
        phase=JobPhase.GENERATING, fraction=step / 20, step=step, total_steps=20, preview_key=preview_key
    )
    return JobProgressed(job_id=job.id, caller_id=job.caller_id, attempt=job.attempt, progress=progress)


async def heard(notices: list[Notice], *expected: Notice) -> None:
    """Wait until these notices are here, and assert that they came in this order and nothing else did."""
    await eventually(lambda: len(notices) >= len(expected))
    assert notices == list(expected)


# --- publish and subscribe -------------------------------------------------------------------------------------------


async def test_move_reaches_those_who_watch_the_job_and_those_who_watch_the_caller(
    broker: EventBroker, other: EventBroker
) -> None:
    job = running()
    by_job: list[Notice] = []
    by_caller: list[Notice] = []
    async with (
        broker.subscribe(job_topic(job.id), by_job.append),
        broker.subscribe(caller_topic(job.caller_id), by_caller.append),
    ):
        await other.publish(JobMoved.of(job))

        await heard(by_job, JobMoved.of(job))
        await heard(by_caller, JobMoved.of(job))


async def test_every_field_of_a_job_survives(broker: EventBroker, other: EventBroker) -> None:
    images = (an_image(0), an_image(1))
    job = replace(running().succeeded(images, answered_at=NOON, at=NOON), revision=3, reference="Grüße, 狐 🦊 \0 \n")
    notices: list[Notice] = []
    async with broker.subscribe(job_topic(job.id), notices.append):
        await other.publish(JobMoved.of(job))

        await heard(notices, JobMoved.of(job))


async def test_queued_job_is_announced_to_workers_and_no_other_is(broker: EventBroker, other: EventBroker) -> None:
    job = queued()
    notices: list[Notice] = []

    def ours(notice: Notice) -> None:
        if isinstance(notice, JobMoved) and notice.caller_id == job.caller_id:
            notices.append(notice)

    moved = replace(job.claimed(at=NOON), revision=2)
    back = replace(moved.released(), revision=3)
    async with broker.subscribe(QUEUE_TOPIC, ours):
        for each in (job, moved, back):
            await other.publish(JobMoved.of(each))

        await heard(notices, JobMoved.of(job), JobMoved.of(back))


async def test_deletion_arrives(broker: EventBroker, other: EventBroker) -> None:
    job = queued()
    deleted = JobMoved(job_id=job.id, caller_id=job.caller_id, revision=2, job=None, is_deleted=True)
    notices: list[Notice] = []
    async with broker.subscribe(job_topic(job.id), notices.append):
        await other.publish(deleted)

        await heard(notices, deleted)


async def test_progress_reaches_those_who_watch_the_job_and_those_who_watch_the_caller(
    broker: EventBroker, other: EventBroker
) -> None:
    notice = progressed(running(), 7, preview_key="a/b.webp")
    by_job: list[Notice] = []
    by_caller: list[Notice] = []
    async with (
        broker.subscribe(job_topic(notice.job_id), by_job.append),
        broker.subscribe(caller_topic(notice.caller_id), by_caller.append),
    ):
        await other.publish(notice)

        await heard(by_job, notice)
        await heard(by_caller, notice)


async def test_moves_of_a_topic_arrive_in_the_order_of_publication(broker: EventBroker, other: EventBroker) -> None:
    caller_id = CallerId(f"caller-{secrets.token_hex(8)}")
    moves = [JobMoved.of(replace(a_job(caller_id=caller_id), revision=number)) for number in range(1, 501)]
    notices: list[Notice] = []
    async with broker.subscribe(caller_topic(caller_id), notices.append):
        for move in moves:
            await other.publish(move)

        await heard(notices, *moves)


async def test_nobody_hears_of_other_jobs_and_callers(broker: EventBroker, other: EventBroker) -> None:
    job, stranger = running(), running()
    by_job: list[Notice] = []
    by_caller: list[Notice] = []
    async with (
        broker.subscribe(job_topic(job.id), by_job.append),
        broker.subscribe(caller_topic(job.caller_id), by_caller.append),
    ):
        await other.publish(JobMoved.of(stranger))
        await other.publish(progressed(stranger))
        await other.publish(JobMoved.of(job))

        await heard(by_job, JobMoved.of(job))
        await heard(by_caller, JobMoved.of(job))


async def test_every_subscriber_of_a_topic_hears_until_it_leaves(broker: EventBroker, other: EventBroker) -> None:
    job = running()
    first, second = JobMoved.of(job), JobMoved.of(replace(job, revision=3))
    stays: list[Notice] = []
    leaves: list[Notice] = []
    async with broker.subscribe(job_topic(job.id), stays.append):
        async with broker.subscribe(job_topic(job.id), leaves.append):
            await other.publish(first)
            await heard(leaves, first)
        await other.publish(second)

        await heard(stays, first, second)
        assert leaves == [first]


async def test_leaving_a_topic_troubles_no_other(broker: EventBroker, other: EventBroker) -> None:
    job = running()
    notices: list[Notice] = []
    moves = [JobMoved.of(replace(job, revision=revision)) for revision in range(2, 22)]
    async with broker.subscribe(job_topic(job.id), notices.append):
        for number, move in enumerate(moves, start=1):
            async with broker.subscribe(job_topic(new_job_id()), lambda _: None):
                pass
            await other.publish(move)
            await heard(notices, *moves[:number])


async def test_topic_that_was_left_can_be_entered_again_at_once(broker: EventBroker, other: EventBroker) -> None:
    job = running()
    for revision in range(2, 60):
        notices: list[Notice] = []
        async with broker.subscribe(job_topic(job.id), notices.append):
            move = JobMoved.of(replace(job, revision=revision))
            await other.publish(move)
            await eventually(lambda heard=notices, move=move: move in heard)  # type: ignore[misc]


async def test_last_who_leaves_takes_nothing_from_one_who_enters_meanwhile(
    broker: EventBroker, other: EventBroker
) -> None:
    job = running()
    for revision in range(2, 60):
        move = JobMoved.of(replace(job, revision=revision))
        leaving = AsyncExitStack()
        await leaving.enter_async_context(broker.subscribe(job_topic(job.id), lambda _: None))
        notices: list[Notice] = []
        entering = broker.subscribe(job_topic(job.id), notices.append)
        await asyncio.gather(leaving.aclose(), entering.__aenter__())
        try:
            await other.publish(move)
            await eventually(lambda heard=notices, move=move: move in heard)  # type: ignore[misc]
        finally:
            await entering.__aexit__(None, None, None)


async def test_what_is_published_after_a_subscription_was_entered_arrives(
    broker: EventBroker, other: EventBroker
) -> None:
    async def watch() -> None:
        job = running()
        notices: list[Notice] = []
        async with broker.subscribe(job_topic(job.id), notices.append):
            await other.publish(JobMoved.of(job))
            await heard(notices, JobMoved.of(job))

    await asyncio.gather(*(watch() for _ in range(300)))


async def test_nobody_need_listen(broker: EventBroker) -> None:
    await broker.publish(JobMoved.of(queued()))
    await broker.publish(progressed(running()))


async def test_notice_too_large_to_travel_says_that_something_moved(broker: EventBroker, other: EventBroker) -> None:
    job = running()
    large = replace(job, parameters=replace(job.parameters, prompt="x" * 100_000))
    notices: list[Notice] = []
    async with broker.subscribe(job_topic(job.id), notices.append):
        await other.publish(JobMoved.of(large))

        await eventually(lambda: notices)
    (notice,) = notices
    assert notice in (JobMoved.of(large), replace(JobMoved.of(large), job=None), Reread())


# --- the latest progress ---------------------------------------------------------------------------------------------


async def test_latest_progress_is_kept(broker: EventBroker, other: EventBroker) -> None:
    job = running()
    await other.publish(progressed(job, 1))
    await other.publish(progressed(job, 2))

    assert await other.latest_progress(job.id) == progressed(job, 2)
    assert await broker.latest_progress(job.id) == progressed(job, 2)


async def test_job_without_a_report_has_no_progress(broker: EventBroker) -> None:
    assert await broker.latest_progress(new_job_id()) is None


async def test_progress_of_many_jobs_is_read_at_once(broker: EventBroker) -> None:
    jobs = [running() for _ in range(200)]
    for job in jobs:
        await broker.publish(progressed(job))

    assert await asyncio.gather(*(broker.latest_progress(job.id) for job in jobs)) == [progressed(job) for job in jobs]


async def test_progress_and_previews_outlast_a_move_to_running(broker: EventBroker) -> None:
    job = running()
    preview = Preview(key=f"{job.id}/a.webp", body=b"a")
    await broker.keep_preview(job.id, preview)
    await broker.publish(progressed(job))

    await broker.publish(JobMoved.of(job))

    assert await broker.latest_progress(job.id) == progressed(job)
    assert await broker.preview(preview.key) == b"a"


@pytest.mark.usefixtures("brief_afterlife")
@pytest.mark.parametrize("how", ["succeeded", "canceled", "released", "deleted"])
async def test_progress_and_then_previews_are_forgotten_when_the_job_does_not_run_any_more(
    broker: EventBroker, other: EventBroker, how: str
) -> None:
    job = running()
    ended = {
        "succeeded": JobMoved.of(job.succeeded((an_image(),), answered_at=NOON, at=NOON)),
        "canceled": JobMoved.of(job.canceled(CancelOutcome.DETACHED, at=NOON)),
        "released": JobMoved.of(job.released()),
        "deleted": JobMoved(job_id=job.id, caller_id=job.caller_id, revision=3, job=None, is_deleted=True),
    }[how]
    keys = [f"{job.id}/{number}.webp" for number in range(3)]
    for key in keys:
        await broker.keep_preview(job.id, Preview(key=key, body=b"webp"))
    await broker.publish(progressed(job))
    await eventually(lambda: other.preview(keys[-1]))
    await eventually(lambda: other.latest_progress(job.id))

    await other.publish(ended)

    assert await other.latest_progress(job.id) is None
    # Somebody who was told of it may just ask for it. What was deleted is gone at once.
    assert await other.preview(keys[-1]) == (None if how == "deleted" else b"webp")
    assert await broker.latest_progress(job.id) is None

    async def all_forgotten() -> bool:
        return [await each.preview(key) for each in (broker, other) for key in keys] == [None] * 6

    await eventually(all_forgotten)


@pytest.mark.usefixtures("brief_afterlife")
async def test_previews_of_a_later_attempt_are_kept_for_as_long_as_it_runs(broker: EventBroker) -> None:
    job = running()
    first, second = (Preview(key=f"{job.id}/{name}.webp", body=b"webp") for name in ("first", "second"))
    await broker.keep_preview(job.id, first)
    await broker.publish(JobMoved.of(job.released()))
    await broker.keep_preview(job.id, second)

    await asyncio.sleep(1.2)

    assert await broker.preview(second.key) == b"webp"


# --- previews --------------------------------------------------------------------------------------------------------


async def test_preview_is_kept_under_its_key(broker: EventBroker, other: EventBroker) -> None:
    job_id = new_job_id()
    body = bytes(range(256)) * 100
    await other.keep_preview(job_id, Preview(key=f"{job_id}/a.webp", body=body))

    assert await other.preview(f"{job_id}/a.webp") == body
    assert await broker.preview(f"{job_id}/a.webp") == body
    assert await broker.preview(f"{job_id}/b.webp") is None
    assert await broker.preview(f"{new_job_id()}/a.webp") is None


async def test_key_that_nobody_gave_out_is_no_preview(broker: EventBroker) -> None:
    assert [await broker.preview(key) for key in ("", "/", "*", "a\0b", "ü{}/x")] == [None] * 5


async def test_only_the_latest_previews_of_a_job_are_kept(broker: EventBroker) -> None:
    job_id = JobId(new_job_id())
    for number in range(40):
        await broker.keep_preview(job_id, Preview(key=f"{job_id}/{number}.webp", body=b"%d" % number))
        assert await broker.preview(f"{job_id}/{number}.webp") == b"%d" % number

    kept = [await broker.preview(f"{job_id}/{number}.webp") for number in range(40)]
    assert kept[:32] == [None] * 32
    assert kept[38:] == [b"38", b"39"]


# --- check -----------------------------------------------------------------------------------------------------------


async def test_broker_that_answers_passes_the_check(broker: EventBroker) -> None:
    await broker.check()


@pytest.mark.parametrize("url", ["", "nats://localhost", "http://localhost"], ids=["nothing", "nats", "http"])
async def test_url_of_no_broker_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no event broker; known are memory:, valkey://"):
        async with open_event_broker(url):
            pass
