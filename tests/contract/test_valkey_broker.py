"""What the broker behind Valkey does when the network, the server or another version of the program does not behave."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop
from redis.asyncio.connection import Connection

from graphql_api.adapters.event_broker import open_event_broker, valkey_listener, valkey_outbox
from graphql_api.adapters.event_broker.notice_codec import encode_notice
from graphql_api.adapters.event_broker.valkey_link import Command, send
from graphql_api.domain.errors import ServiceUnavailable
from graphql_api.domain.ids import JobId, new_job_id
from graphql_api.domain.job import Job, JobPhase, Progress
from graphql_api.metrics import BROKER_NOTICES_DROPPED, BROKER_RECONNECTS
from graphql_api.ports import (
    EventBroker,
    JobMoved,
    JobProgressed,
    Notice,
    Preview,
    Reread,
    caller_topic,
)
from tests.clients.tls_proxy import Certificate, CuttableProxy
from tests.clients.valkey_server import ValkeyServer
from tests.clients.waiting import eventually
from tests.contract.watcher import Watcher, running

LOG = "graphql_api.adapters.event_broker"


@pytest.fixture(scope="module")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One server for all tests here."""
    started = ValkeyServer(tmp_path_factory.mktemp("valkey")).start()
    yield started
    started.stop()


@pytest.fixture
def server(server_process: ValkeyServer) -> Iterator[ValkeyServer]:
    """The server, as new."""
    server_process.start_if_ended()
    yield server_process
    server_process.resume()
    server_process.start_if_ended()


@pytest.fixture
def broker_url(server: ValkeyServer) -> str:
    """Where `broker` and `other` are."""
    return server.url


def move(job: Job, revision: int) -> JobMoved:
    return JobMoved.of(replace(job, revision=revision))


def progressed(job: Job, step: int = 1) -> JobProgressed:
    progress = Progress(phase=JobPhase.GENERATING, fraction=step / 100, step=step, total_steps=100)
    return JobProgressed(job_id=job.id, caller_id=job.caller_id, attempt=job.attempt, progress=progress)


# --- a server that goes away -----------------------------------------------------------------------------------------


async def test_after_a_crash_of_the_server_everybody_reads_again_and_hears_on(
    server: ValkeyServer, broker: EventBroker, other: EventBroker
) -> None:
    watcher = Watcher(running())
    async with broker.subscribe(watcher.topic, watcher.deliver):
        await watcher.hears(other)
        reconnects = BROKER_RECONNECTS._value.get()
        server.kill()
        server.start()

        await watcher.reread()
        await watcher.hears(other)
        assert BROKER_RECONNECTS._value.get() > reconnects


async def test_moves_of_an_outage_arrive_in_order_when_it_is_over(
    server: ValkeyServer, broker: EventBroker, other: EventBroker
) -> None:
    watcher = Watcher(running())
    async with broker.subscribe(watcher.topic, watcher.deliver):
        server.kill()
        published = 0
        away_until = asyncio.get_running_loop().time() + 3.0
        while asyncio.get_running_loop().time() < away_until:
            await other.publish(move(watcher.job, published + 1))
            await other.publish(progressed(watcher.job, published % 100))
            published += 1
            await asyncio.sleep(0.02)
        server.start()

        await watcher.reread()
        await watcher.hears(other)
        assert published > 50
    # Both connect by themselves. What was sent before the listener was back is made up for by the Reread, which is
    # never followed by a gap.
    revisions = [notice.revision for notice in watcher.moves if notice.revision <= published]
    assert revisions == list(range(published - len(revisions) + 1, published + 1))
    # Progress that waited was replaced by the latest.
    assert sum(isinstance(notice, JobProgressed) for notice in watcher.notices) <= 1
    assert await other.latest_progress(watcher.job.id) == progressed(watcher.job, (published - 1) % 100)


async def test_whoever_enters_while_the_server_is_away_reads_again_when_it_is_back(
    server: ValkeyServer, broker: EventBroker, other: EventBroker
) -> None:
    server.kill()
    watcher = Watcher(running())
    async with asyncio.timeout(20), broker.subscribe(watcher.topic, watcher.deliver):
        await other.publish(move(watcher.job, 3))
        assert watcher.notices == []
        server.start()

        await watcher.reread()
        await watcher.hears(other)


async def test_server_that_falls_silent_counts_as_lost(
    server: ValkeyServer, broker: EventBroker, other: EventBroker
) -> None:
    watcher = Watcher(running())
    async with broker.subscribe(watcher.topic, watcher.deliver):
        reconnects = BROKER_RECONNECTS._value.get()
        server.pause()
        await other.publish(move(watcher.job, 3))
        assert await broker.latest_progress(watcher.job.id) is None
        assert await broker.preview(f"{watcher.job.id}/a.webp") is None
        with pytest.raises(ServiceUnavailable):
            await broker.check()
        # Nothing was lost if it goes on before anybody noticed.
        await eventually(lambda: not broker._shards._by_slot[0].listener.is_up)  # type: ignore[attr-defined]
        server.resume()

        await watcher.reread()
        await watcher.hears(other)
        assert move(watcher.job, 3) in watcher.notices or Reread() in watcher.notices
        assert BROKER_RECONNECTS._value.get() > reconnects
        await eventually(lambda: _passes(broker))


async def test_silence_is_noticed_by_who_only_listens(server: ValkeyServer, broker: EventBroker) -> None:
    watcher = Watcher(running())
    async with broker.subscribe(watcher.topic, watcher.deliver):
        # Held up inside the server, so that the connection stays open and nothing is refused.
        server.pause()
        await eventually(lambda: not broker._shards._by_slot[0].listener.is_up)  # type: ignore[attr-defined]
        server.resume()

        await watcher.reread()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_process_that_stood_still_itself_does_not_take_that_for_silence(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    monkeypatch.setattr(valkey_listener, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(valkey_listener, "PING_SECONDS", 0.01)
    watcher = Watcher(running())
    pauses = 0

    async def send_and_stand_still(connection: Connection, commands: list[Command]) -> None:
        nonlocal pauses
        await send(connection, commands)
        if watcher.notices:
            _stand_still(0.1)
            pauses += 1

    monkeypatch.setattr(valkey_listener, "send", send_and_stand_still)

    async def stand_still_often() -> None:
        async with open_event_broker(server.url) as broker, broker.subscribe(watcher.topic, watcher.deliver):
            await watcher.hears(broker)
            await eventually(lambda: pauses > 20)
            await watcher.hears(broker)

    # Loops differ in what comes first after a pause, timers or the network.
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(stand_still_often())
    assert Reread() not in watcher.notices


async def test_subscriber_whose_connection_is_killed_reads_again(
    server: ValkeyServer, broker: EventBroker, other: EventBroker
) -> None:
    watcher = Watcher(running())
    async with broker.subscribe(watcher.topic, watcher.deliver):
        for _ in range(3):
            watcher.notices.clear()
            assert await asyncio.to_thread(server.command, "CLIENT", "KILL", "TYPE", "pubsub") >= 1

            await watcher.reread()
            await watcher.hears(other)


async def test_publisher_whose_connection_is_killed_loses_nothing(
    server: ValkeyServer, broker: EventBroker, other: EventBroker
) -> None:
    watcher = Watcher(running())
    async with broker.subscribe(watcher.topic, watcher.deliver):
        for revision in range(1, 1001):
            await other.publish(move(watcher.job, revision))
            if revision % 100 == 0:
                await asyncio.to_thread(server.command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await eventually(lambda: {notice.revision for notice in watcher.moves} == set(range(1, 1001)))


async def test_subscriber_that_is_too_slow_for_the_server_reads_again(
    server: ValkeyServer, broker: EventBroker, other: EventBroker
) -> None:
    server.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 128kb 128kb 60")
    watcher = Watcher(running())
    body = encode_notice(move(watcher.job, 3)) + b" " * 16_000
    async with broker.subscribe(watcher.topic, watcher.deliver):
        # This thread is the one that would have to read.
        with server.client() as client:
            for _ in range(2000):
                client.execute_command("SPUBLISH", _channel(watcher.topic), body)  # type: ignore[no-untyped-call]
        server.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60")

        await watcher.reread()
        await watcher.hears(other)


async def test_broker_opens_while_the_server_is_away_and_needs_no_hand(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    watcher = Watcher(running())
    async with open_event_broker(server.url) as broker:
        assert "is away" in caplog.text
        with pytest.raises(ServiceUnavailable, match="event broker"):
            await broker.check()
        assert await broker.latest_progress(watcher.job.id) is None
        async with broker.subscribe(watcher.topic, watcher.deliver):
            await broker.publish(move(watcher.job, 3))
            server.start()

            await watcher.reread()
            await watcher.hears(broker)
        await eventually(lambda: _passes(broker))
        assert "is back" in caplog.text
    assert "Traceback" not in caplog.text


async def test_long_outage_is_a_few_lines_in_the_log(
    server: ValkeyServer, broker: EventBroker, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    link = broker._shards._by_slot[0].sender  # type: ignore[attr-defined]
    attempts = 0

    async def connect(*_: object) -> None:
        nonlocal attempts
        attempts += 1
        raise ConnectionRefusedError("refused")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphql_api.adapters.event_broker.valkey_link.connect", connect)
        patch.setattr("graphql_api.adapters.event_broker.valkey_link.LONGEST_PAUSE_SECONDS", 0.01)
        await eventually(lambda: attempts > 50)
    assert len([record for record in caplog.records if record.name.startswith(LOG)]) <= 4
    server.start()
    await link.up.wait()


# --- notices that cannot be sent -------------------------------------------------------------------------------------


async def test_notices_that_were_dropped_are_counted_and_everybody_reads_again(
    server: ValkeyServer, broker: EventBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_outbox, "MAX_PARCELS", 20)
    first, later = Watcher(running()), Watcher(running())
    async with (
        CuttableProxy(server.port) as proxy,
        open_event_broker(f"valkey://127.0.0.1:{proxy.port}") as cut_off,
        broker.subscribe(first.topic, first.deliver),
        broker.subscribe(later.topic, later.deliver),
    ):
        await first.hears(cut_off)
        dropped = BROKER_NOTICES_DROPPED._value.get()
        proxy.cut()
        await cut_off.publish(move(first.job, 3))
        for revision in range(3, 53):
            await cut_off.publish(move(later.job, revision))
        assert BROKER_NOTICES_DROPPED._value.get() > dropped + 50
        proxy.mend()

        # The connection of the one that listens was whole all the time.
        await first.reread()
        await eventually(lambda: move(later.job, 52) in later.moves)
        assert move(first.job, 3) not in first.moves
        revisions = [notice.revision for notice in later.moves]
        assert revisions == list(range(revisions[0], 53))


async def test_close_sends_what_waits(server: ValkeyServer, broker: EventBroker) -> None:
    watcher = Watcher(running())
    async with broker.subscribe(watcher.topic, watcher.deliver):
        async with open_event_broker(server.url) as leaving:
            for revision in range(1, 3001):
                await leaving.publish(move(watcher.job, revision))

        await eventually(lambda: len(watcher.moves) == 3000)
        assert [notice.revision for notice in watcher.moves] == list(range(1, 3001))


async def test_close_does_not_wait_for_a_server_that_is_away(server: ValkeyServer) -> None:
    async with asyncio.timeout(20):
        async with open_event_broker(server.url) as leaving:
            server.pause()
            await leaving.publish(move(running(), 3))
    await leaving.publish(move(running(), 4))


# --- a server that refuses -------------------------------------------------------------------------------------------


async def test_wrong_password_is_one_line_in_the_log_until_it_is_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = ValkeyServer(tmp_path, password="right").start()
    watcher = Watcher(running())
    try:
        async with open_event_broker(f"valkey://:hush-hush@127.0.0.1:{server.port}") as broker:
            with pytest.raises(ServiceUnavailable):
                await broker.check()
            (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
            assert "refuses the user name or the password" in error.getMessage()
            assert "hush" not in caplog.text
            assert "Traceback" not in caplog.text
            async with broker.subscribe(watcher.topic, watcher.deliver):
                server.command("CONFIG", "SET", "requirepass", "hush-hush")

                await watcher.reread()
                await watcher.hears(broker)
    finally:
        server.stop()


async def test_password_that_is_missing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = ValkeyServer(tmp_path, password="right").start()
    try:
        async with open_event_broker(server.url) as broker:
            with pytest.raises(ServiceUnavailable):
                await broker.check()
        assert "refuses the user name or the password" in caplog.text
    finally:
        server.stop()


async def test_password_may_be_apart_from_the_url(server: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    server.command("ACL", "SETUSER", "shop", "on", ">p/a:ss@", "+@all", "~*", "&*")
    url = f"valkey://shop@127.0.0.1:{server.port}"
    async with open_event_broker(url, password="p/a:ss@") as broker:
        await broker.check()
    async with open_event_broker(url, password="hush-hush") as broker:
        with pytest.raises(ServiceUnavailable):
            await broker.check()
    assert "refuses the user name or the password" in caplog.text
    assert "hush-hush" not in caplog.text


async def test_user_who_may_not_use_the_channels_is_said(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.command("ACL", "SETUSER", "limited", "on", ">secret", "+@all", "~*", "resetchannels")
    async with open_event_broker(f"valkey://limited:secret@127.0.0.1:{server.port}") as broker:
        await broker.publish(move(running(), 3))
        await eventually(lambda: "refuses SPUBLISH" in caplog.text)
        await eventually(lambda: "cannot be used: No permissions" in caplog.text)
    assert "Traceback" not in caplog.text


async def test_server_that_takes_no_writes_any_more_is_left_for_the_one_that_does(
    server: ValkeyServer, broker: EventBroker, other: EventBroker, caplog: pytest.LogCaptureFixture
) -> None:
    # As after a failover, when the name in the URL is about to lead to another server.
    watcher = Watcher(running())
    async with broker.subscribe(watcher.topic, watcher.deliver):
        server.command("REPLICAOF", "127.0.0.1", "1")
        await other.publish(progressed(watcher.job))
        await eventually(lambda: "read only replica" in caplog.text)
        server.command("REPLICAOF", "NO", "ONE")

        await eventually(lambda: progressed(watcher.job) in watcher.notices)
        assert await eventually(lambda: other.latest_progress(watcher.job.id)) == progressed(watcher.job)


async def test_cluster_that_the_server_is_not_is_said(server: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    async with open_event_broker(f"{server.url}?cluster=true") as broker:
        with pytest.raises(ServiceUnavailable):
            await broker.check()
    assert "take ?cluster=true out of the URL" in caplog.text


# --- another version of the program ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"{}",
        b'{"kind":"moved"}',
        b'{"kind":"sold","job_id":"a"}',
        b'{"kind":"moved","job_id":"a","caller_id":"b","revision":"many"}',
        b'{"kind":"moved","job_id":"a","caller_id":"b","revision":3,"job":{"id":"a","status":"PAUSED"}}',
        b"[" * 100_000,
        b'{"kind":"lost","later":' + b"[" * 100_000,
    ],
)
async def test_what_cannot_be_understood_is_read(server: ValkeyServer, broker: EventBroker, body: bytes) -> None:
    watcher = Watcher(running())
    async with broker.subscribe(watcher.topic, watcher.deliver):
        await asyncio.to_thread(server.command, "SPUBLISH", _channel(watcher.topic), body)

        await watcher.reread()
        await watcher.hears(broker)


async def test_fields_that_are_not_known_are_passed_over(server: ValkeyServer, broker: EventBroker) -> None:
    watcher = Watcher(running())
    notice = move(watcher.job, 3)
    later = json.loads(encode_notice(notice))
    later["mood"] = "good"
    later["job"]["mood"] = {"is": "good"}
    later["job"]["parameters"]["mood"] = ["good"]
    async with broker.subscribe(watcher.topic, watcher.deliver):
        await asyncio.to_thread(server.command, "SPUBLISH", _channel(watcher.topic), json.dumps(later))

        await eventually(lambda: watcher.notices)
    assert watcher.notices == [notice]


async def test_progress_that_cannot_be_understood_is_none(server: ValkeyServer, broker: EventBroker) -> None:
    job_id = new_job_id()
    server.command("SET", f"text2image:progress:{{{job_id}}}", b"\xff")

    assert await broker.latest_progress(job_id) is None


async def test_notice_too_large_travels_without_its_row(broker: EventBroker, other: EventBroker) -> None:
    watcher = Watcher(running())
    large = replace(watcher.job, parameters=replace(watcher.job.parameters, prompt="x" * 20_000))
    async with broker.subscribe(watcher.topic, watcher.deliver):
        await other.publish(JobMoved.of(large))

        await eventually(lambda: watcher.notices)
    assert watcher.notices == [replace(JobMoved.of(large), job=None)]


# --- what goes wrong in this process ---------------------------------------------------------------------------------


async def test_listener_survives_an_error_that_nobody_thought_of(
    broker: EventBroker, other: EventBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher(running())

    def fail(body: bytes) -> Notice:
        monkeypatch.undo()
        raise RuntimeError("unthought of")

    async with broker.subscribe(watcher.topic, watcher.deliver):
        monkeypatch.setattr(valkey_listener, "decode_notice", fail)
        await other.publish(move(watcher.job, 3))

        await watcher.reread()
        await watcher.hears(other)
    assert "unexpected fault" in caplog.text


async def test_sender_survives_an_error_that_nobody_thought_of(
    broker: EventBroker, other: EventBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher(running())

    async def fail(*_: object) -> None:
        monkeypatch.undo()
        raise RuntimeError("unthought of")

    async with broker.subscribe(watcher.topic, watcher.deliver):
        monkeypatch.setattr("graphql_api.adapters.event_broker.valkey_sender.send", fail)
        await other.publish(move(watcher.job, 3))

        await eventually(lambda: move(watcher.job, 3) in watcher.moves)
    assert "unexpected fault" in caplog.text


async def test_subscriber_that_raises_does_no_harm_to_others(
    broker: EventBroker, other: EventBroker, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher(running())

    def fail(_: Notice) -> None:
        raise ValueError("not taken")

    async with broker.subscribe(watcher.topic, fail), broker.subscribe(watcher.topic, watcher.deliver):
        await watcher.hears(other)
    assert Reread() not in watcher.notices
    assert "a subscriber did not take a notice" in caplog.text


async def test_subscriber_that_gives_up_at_the_door_leaves_nothing_behind(
    server: ValkeyServer, broker: EventBroker
) -> None:
    watcher = Watcher(running())
    server.pause()
    entering = asyncio.ensure_future(broker.subscribe(watcher.topic, watcher.deliver).__aenter__())
    await asyncio.sleep(0)
    entering.cancel()
    await asyncio.wait((entering,))
    server.resume()

    await eventually(lambda: [*_topics(broker)] == ["text2image:everyone"])
    await eventually(lambda: not server.command("PUBSUB", "SHARDCHANNELS", _channel(watcher.topic)))


# --- many topics -----------------------------------------------------------------------------------------------------


async def test_ten_thousand_topics_are_entered_and_left_with_few_commands(
    server: ValkeyServer, broker: EventBroker, other: EventBroker
) -> None:
    watchers = [Watcher(running()) for _ in range(10_000)]
    server.command("CONFIG", "RESETSTAT")
    async with AsyncExitStack() as stack:
        await asyncio.gather(
            *(stack.enter_async_context(broker.subscribe(watcher.topic, watcher.deliver)) for watcher in watchers)
        )
        assert _calls(server, "ssubscribe") <= 20
        for watcher in watchers[::100]:
            await watcher.hears(other)
        server.kill()
        server.start()

        await eventually(lambda: all(Reread() in watcher.notices for watcher in watchers))
        for watcher in watchers[::100]:
            await watcher.hears(other)
        assert _calls(server, "ssubscribe") <= 20
    await eventually(lambda: len(server.command("PUBSUB", "SHARDCHANNELS", "text2image:job:*")) == 0)
    await eventually(lambda: [*_topics(broker)] == ["text2image:everyone"])


async def test_everybody_is_told_once_to_read_again(server: ValkeyServer, broker: EventBroker) -> None:
    watchers = [Watcher(running()) for _ in range(100)]
    async with AsyncExitStack() as stack:
        for watcher in watchers:
            await stack.enter_async_context(broker.subscribe(watcher.topic, watcher.deliver))
        server.command("CLIENT", "KILL", "TYPE", "pubsub")

        await eventually(lambda: all(watcher.notices for watcher in watchers))
        await eventually(lambda: broker._topics._timer is None)  # type: ignore[attr-defined]
    # Twice, where the topic of everyone came back a moment before its own.
    assert all(len(watcher.notices) <= 2 for watcher in watchers)


async def test_many_are_not_told_all_at_once_to_read_again(server: ValkeyServer, broker: EventBroker) -> None:
    turns: Counter[int] = Counter()
    turn = 0
    told: set[int] = set()

    def deliver(number: int, notice: Notice) -> None:
        if notice == Reread():
            told.add(number)
            turns[turn] += 1

    async with AsyncExitStack() as stack:
        await asyncio.gather(
            *(
                stack.enter_async_context(
                    broker.subscribe(f"job:{secrets.token_hex(8)}", functools.partial(deliver, number))
                )
                for number in range(2000)
            )
        )
        server.command("CLIENT", "KILL", "TYPE", "pubsub")

        def all_told() -> bool:
            nonlocal turn
            turn += 1
            return len(told) == 2000

        await eventually(all_told)
    # A turn lasts 20 ms at least.
    assert max(turns.values()) < 1000
    assert len(turns) > 3


# --- what is kept ----------------------------------------------------------------------------------------------------


async def test_everything_that_is_kept_expires(server: ValkeyServer, broker: EventBroker) -> None:
    job = running()
    await broker.publish(progressed(job))
    await broker.keep_preview(job.id, Preview(key=f"{job.id}/a.webp", body=b"webp"))
    await eventually(lambda: broker.preview(f"{job.id}/a.webp"))

    keys = server.command("KEYS", f"text2image:*{job.id}*")
    assert len(keys) == 2
    assert all(0 < server.command("TTL", key) <= 3600 for key in keys)


async def test_preview_of_unreasonable_size_is_not_kept(broker: EventBroker) -> None:
    job_id = JobId(new_job_id())
    await broker.keep_preview(job_id, Preview(key=f"{job_id}/a.webp", body=bytes(10_000_000)))

    assert await broker.preview(f"{job_id}/a.webp") is None


@pytest.mark.parametrize("difference", ["/1", "?prefix=other"])
async def test_installations_that_share_a_server_do_not_hear_each_other(
    server: ValkeyServer, broker: EventBroker, other: EventBroker, difference: str
) -> None:
    job = running()
    ours, theirs = Watcher(job), Watcher(job)
    async with open_event_broker(f"valkey://127.0.0.1:{server.port}{difference}") as stranger:
        async with (
            broker.subscribe(caller_topic(job.caller_id), ours.deliver),
            stranger.subscribe(caller_topic(job.caller_id), theirs.deliver),
        ):
            await stranger.publish(progressed(job, 1))
            await other.publish(progressed(job, 2))
            await eventually(lambda: ours.notices and theirs.notices)
        assert ours.notices == [progressed(job, 2)]
        assert theirs.notices == [progressed(job, 1)]
        assert await broker.latest_progress(job.id) == progressed(job, 2)
        assert await stranger.latest_progress(job.id) == progressed(job, 1)


# --- TLS -------------------------------------------------------------------------------------------------------------


async def test_notices_travel_through_tls(server: ValkeyServer, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    watcher = Watcher(running())
    async with CuttableProxy(server.port, tls=certificate.server_context()) as proxy:
        url = f"valkeys://127.0.0.1:{proxy.port}?ca={certificate.file}"
        async with open_event_broker(url) as broker, broker.subscribe(watcher.topic, watcher.deliver):
            await broker.check()
            await watcher.hears(broker)
            proxy.cut()
            proxy.mend()

            await watcher.reread()
            await watcher.hears(broker)


async def test_server_that_cannot_prove_who_it_is_is_not_used(
    server: ValkeyServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, stranger = Certificate(tmp_path / "own"), Certificate(tmp_path / "stranger")
    async with CuttableProxy(server.port, tls=stranger.server_context()) as proxy:
        for url in (
            f"valkeys://127.0.0.1:{proxy.port}?ca={certificate.file}",
            f"valkeys://127.0.0.1:{proxy.port}",
            f"valkeys://localhost:{proxy.port}?ca={stranger.file}",
        ):
            caplog.clear()
            async with open_event_broker(url) as broker:
                with pytest.raises(ServiceUnavailable):
                    await broker.check()
            assert "certificate" in caplog.text


# --- helpers ---------------------------------------------------------------------------------------------------------


async def _passes(broker: EventBroker) -> bool:
    try:
        await broker.check()
    except ServiceUnavailable:
        return False
    return True


def _channel(topic: str) -> str:
    kind, _, name = topic.partition(":")
    return f"text2image:{kind}:{{{name}}}"


def _topics(broker: EventBroker) -> Iterator[str]:
    return (topic.channel.decode() for topic in broker._topics)  # type: ignore[attr-defined]


def _calls(server: ValkeyServer, command: str) -> int:
    with server.client() as client:
        return int(client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def _stand_still(seconds: float) -> None:
    time.sleep(seconds)
