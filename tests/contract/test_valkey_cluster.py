"""What the broker does when nodes and slots of a cluster come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from graphql_api.adapters.event_broker import open_event_broker, valkey
from graphql_api.domain.errors import ServiceUnavailable
from graphql_api.ports import EventBroker, JobMoved, Notice, Reread, caller_topic
from tests.clients.tls_proxy import Certificate, CuttableProxy
from tests.clients.valkey_server import ValkeyCluster, ValkeyServer
from tests.clients.waiting import PATIENCE_SECONDS, eventually
from tests.contract.watcher import Watcher


@pytest.fixture(scope="module")
def started_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """One cluster for all tests here."""
    cluster = ValkeyCluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def cluster(started_cluster: ValkeyCluster) -> Iterator[ValkeyCluster]:
    """The cluster, whole before and after."""
    yield started_cluster
    for node in started_cluster.nodes:
        node.resume()
        node.start_if_ended()
    started_cluster.wait_until_whole()


@pytest.fixture
def broker_url(cluster: ValkeyCluster) -> str:
    """Where `broker` and `other` are."""
    return cluster.url


def watcher_at(cluster: ValkeyCluster, node: ValkeyServer) -> Watcher:
    """Somebody whose topic is on a node."""
    return next(watcher for watcher in (Watcher() for _ in range(1000)) if cluster.owner_of(watcher.channel) is node)


async def test_every_node_carries_its_share(cluster: ValkeyCluster, broker: EventBroker, other: EventBroker) -> None:
    watchers = [Watcher() for _ in range(300)]
    async with AsyncExitStack() as stack:
        await asyncio.gather(
            *(stack.enter_async_context(broker.subscribe(watcher.topic, watcher.deliver)) for watcher in watchers)
        )
        for watcher in watchers:
            await other.publish(watcher.move(3))
        for watcher in watchers:
            await eventually(lambda watcher=watcher: watcher.notices == [watcher.move(3)])  # type: ignore[misc]
        for node in cluster.nodes:
            assert len(node.command("PUBSUB", "SHARDCHANNELS", "text2image:job:*")) > 50


@pytest.mark.parametrize("number", range(3))
async def test_after_a_crash_of_a_node_its_topics_are_read_again_and_hear_on(
    cluster: ValkeyCluster, broker: EventBroker, other: EventBroker, number: int
) -> None:
    node = cluster.nodes[number]
    watcher = watcher_at(cluster, node)
    async with broker.subscribe(watcher.topic, watcher.deliver):
        await watcher.hears(other)
        node.kill()
        await other.publish(watcher.move(3))
        node.start()

        await watcher.reread()
        await watcher.hears(other)


async def test_replica_that_takes_over_takes_the_topics(tmp_path: Path) -> None:
    cluster = ValkeyCluster(tmp_path)
    try:
        cluster.start()
        primary = cluster.nodes[2]
        replica = cluster.add_replica(primary)
        async with open_event_broker(cluster.url) as broker, open_event_broker(cluster.url) as other:
            watcher = watcher_at(cluster, primary)
            async with broker.subscribe(watcher.topic, watcher.deliver):
                await watcher.hears(other)
                primary.kill()
                move = watcher.move(3)
                await other.publish(move)

                await watcher.reread()
                await watcher.hears(other)
                assert cluster.owner_of(watcher.channel) is replica
                await eventually(lambda: _passes(broker))
    finally:
        cluster.stop()


async def test_topics_of_other_nodes_hear_on_while_one_is_away(
    cluster: ValkeyCluster, broker: EventBroker, other: EventBroker
) -> None:
    lost, *rest = cluster.nodes
    away = watcher_at(cluster, lost)
    watchers = [watcher_at(cluster, node) for node in rest]
    async with AsyncExitStack() as stack:
        for watcher in (away, *watchers):
            await stack.enter_async_context(broker.subscribe(watcher.topic, watcher.deliver))
        lost.kill()
        for revision in range(3, 800):
            await other.publish(away.move(revision))
        for watcher in watchers:
            await watcher.hears(other)
            await watcher.hears(broker)
        with pytest.raises(ServiceUnavailable):
            await broker.check()
        lost.start()

        await away.reread()
        await away.hears(other)
        await eventually(lambda: _passes(broker))


async def test_node_that_falls_silent_counts_as_lost(
    cluster: ValkeyCluster, broker: EventBroker, other: EventBroker
) -> None:
    # Nobody listens there but to one topic, and the node in the URL is another.
    node = cluster.nodes[2]
    watcher = watcher_at(cluster, node)
    async with broker.subscribe(watcher.topic, watcher.deliver):
        node.pause()
        await other.publish(watcher.move(3))
        await eventually(lambda: watcher.topic not in _live(broker))
        node.resume()

        await watcher.reread()
        await watcher.hears(other)


async def test_slot_that_moves_takes_its_topics_with_it(
    cluster: ValkeyCluster, broker: EventBroker, other: EventBroker
) -> None:
    watcher = Watcher()
    async with broker.subscribe(watcher.topic, watcher.deliver):
        await watcher.hears(other)
        for _ in range(4):
            watcher.notices.clear()
            source = cluster.owner_of(watcher.channel)
            cluster.move_slot(watcher.channel, next(node for node in cluster.nodes if node is not source))

            await watcher.reread()
            await watcher.hears(other)
            await watcher.hears(broker)


async def test_slot_that_comes_back_at_once_has_its_topics_again(
    cluster: ValkeyCluster, broker: EventBroker, other: EventBroker
) -> None:
    watcher = Watcher()
    async with broker.subscribe(watcher.topic, watcher.deliver):
        source = cluster.owner_of(watcher.channel)
        cluster.move_slot(watcher.channel, next(node for node in cluster.nodes if node is not source))
        cluster.move_slot(watcher.channel, source)

        # The map looks as it did before, but the server has ended the subscription.
        await watcher.reread()
        await watcher.hears(other)


async def test_move_of_a_slot_does_not_trouble_the_other_topics_of_the_node(
    cluster: ValkeyCluster, broker: EventBroker, other: EventBroker
) -> None:
    source = cluster.nodes[1]
    moving, staying = watcher_at(cluster, source), watcher_at(cluster, source)
    async with (
        broker.subscribe(moving.topic, moving.deliver),
        broker.subscribe(staying.topic, staying.deliver),
    ):
        cluster.move_slot(moving.channel, cluster.nodes[2])
        await moving.reread()
        await moving.hears(other)
        await staying.hears(other)
    assert Reread() not in staying.notices


async def test_what_is_published_while_a_slot_moves_is_not_lost(
    cluster: ValkeyCluster, broker: EventBroker, other: EventBroker
) -> None:
    watcher = Watcher()
    read = 0
    async with broker.subscribe(watcher.topic, watcher.deliver):
        revision = 0
        for _ in range(6):
            source = cluster.owner_of(watcher.channel)
            target = next(node for node in cluster.nodes if node is not source)
            moving = asyncio.create_task(asyncio.to_thread(cluster.move_slot, watcher.channel, target))
            while not moving.done():
                revision += 1
                await other.publish(watcher.move(revision))
                await asyncio.sleep(0)
            await moving
            revision += 1
            last = watcher.move(revision)
            await other.publish(last)
            # By itself, or because there was a reason to read at or after its publication.
            await eventually(lambda last=last: _knows(watcher, last))  # type: ignore[misc]
            read += Reread() in watcher.notices
            watcher.notices.clear()
    assert read


async def test_whoever_enters_while_a_slot_moves_is_not_forgotten(
    cluster: ValkeyCluster, broker: EventBroker, other: EventBroker
) -> None:
    first = Watcher()
    async with broker.subscribe(first.topic, first.deliver):
        source = cluster.owner_of(first.channel)
        cluster.move_slot(first.channel, next(node for node in cluster.nodes if node is not source))
        second = Watcher(first.job)
        async with broker.subscribe(second.topic, second.deliver):
            move = second.move(3)
            await other.publish(move)

            await eventually(lambda: _knows(second, move))
            await first.reread()
            await second.hears(other)


async def test_broker_that_was_opened_before_its_cluster_needs_no_hand(tmp_path: Path) -> None:
    cluster = ValkeyCluster(tmp_path, size=2)
    watchers = [Watcher() for _ in range(20)]
    try:
        async with open_event_broker(cluster.url) as broker, AsyncExitStack() as stack:
            with pytest.raises(ServiceUnavailable):
                await broker.check()
            for watcher in watchers:
                await stack.enter_async_context(broker.subscribe(watcher.topic, watcher.deliver))
                await broker.publish(watcher.move(3))
            cluster.start()

            for watcher in watchers:
                await watcher.reread()
                await watcher.hears(broker)
            await eventually(lambda: _passes(broker))
    finally:
        cluster.stop()


async def test_close_sends_what_waits_for_all_nodes(
    cluster: ValkeyCluster, broker: EventBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It gives up soon, and a busy machine may take longer.
    monkeypatch.setattr(f"{valkey.__name__}.FLUSH_SECONDS", PATIENCE_SECONDS)
    watchers = [Watcher() for _ in range(100)]
    async with AsyncExitStack() as stack:
        for watcher in watchers:
            await stack.enter_async_context(broker.subscribe(watcher.topic, watcher.deliver))
        async with open_event_broker(cluster.url) as leaving:
            for revision in range(3, 23):
                for watcher in watchers:
                    await leaving.publish(watcher.move(revision))

        for watcher in watchers:
            expected = [watcher.move(revision) for revision in range(3, 23)]
            await eventually(lambda watcher=watcher, expected=expected: watcher.notices == expected)  # type: ignore[misc]


async def test_url_that_does_not_say_that_this_is_a_cluster_is_said(
    cluster: ValkeyCluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_event_broker(cluster.url.removesuffix("?cluster=true")) as broker:
        await broker.publish(Watcher().move(3))
        watchers = [Watcher() for _ in range(20)]
        async with asyncio.timeout(30):
            for watcher in watchers:
                async with broker.subscribe(watcher.topic, watcher.deliver):
                    await broker.publish(watcher.move(3))
        await eventually(lambda: "add ?cluster=true to the URL" in caplog.text)
    assert "Traceback" not in caplog.text


async def test_cluster_that_shows_itself_as_one_node_behind_tls_is_used(tmp_path: Path) -> None:
    # As ElastiCache Serverless does: all slots belong to the address in the URL.
    certificate = Certificate(tmp_path / "certificate")
    cluster = ValkeyCluster(tmp_path / "cluster", size=1)
    watchers = [Watcher() for _ in range(40)]
    try:
        cluster.start()
        async with CuttableProxy(cluster.nodes[0].port, tls=certificate.server_context()) as proxy:
            cluster.nodes[0].command("CONFIG", "SET", "cluster-announce-port", proxy.port)
            url = f"valkeys://127.0.0.1:{proxy.port}?cluster=true&ca={certificate.file}"
            async with open_event_broker(url) as broker, open_event_broker(url) as other, AsyncExitStack() as stack:
                await broker.check()
                for watcher in watchers:
                    await stack.enter_async_context(broker.subscribe(watcher.topic, watcher.deliver))
                    await watcher.hears(other)
                proxy.cut()
                proxy.mend()

                for watcher in watchers:
                    await watcher.reread()
                    await watcher.hears(other)
    finally:
        cluster.stop()


async def test_caller_and_job_of_a_notice_may_be_on_different_nodes(
    cluster: ValkeyCluster, broker: EventBroker, other: EventBroker
) -> None:
    for _ in range(20):
        watcher = Watcher()
        by_caller: list[Notice] = []
        async with (
            broker.subscribe(caller_topic(watcher.job.caller_id), by_caller.append),
            broker.subscribe(watcher.topic, watcher.deliver),
        ):
            await other.publish(watcher.move(3))
            await eventually(lambda heard=by_caller, watcher=watcher: heard and watcher.notices)  # type: ignore[misc]
        assert by_caller == watcher.notices == [watcher.move(3)]


def _knows(watcher: Watcher, move: JobMoved) -> bool:
    return move in watcher.notices or Reread() in watcher.notices


def _live(broker: EventBroker) -> set[str]:
    channels = [topic.channel.decode() for topic in broker._topics if topic.is_live]  # type: ignore[attr-defined]
    return {channel.removeprefix("text2image:").replace("{", "").replace("}", "") for channel in channels}


async def _passes(broker: EventBroker) -> bool:
    try:
        await broker.check()
    except ServiceUnavailable:
        return False
    return True
