"""The contract of rate limiters, in memory and in Valkey, and what they do while Valkey is away."""

from __future__ import annotations

import asyncio
import logging
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from graphql_api.adapters.rate_limiter import memory, open_rate_limiter, valkey
from graphql_api.adapters.rate_limiter.memory import MemoryRateLimiter
from graphql_api.ports import RateLimiter, Window
from tests.clients.tls_proxy import Certificate, CuttableProxy
from tests.clients.valkey_server import ValkeyCluster, ValkeyServer
from tests.clients.waiting import PATIENCE_SECONDS, eventually

HOUR = 3600
LOG = "graphql_api.adapters.rate_limiter"


@pytest.fixture(scope="module")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One server for all tests here."""
    started = ValkeyServer(tmp_path_factory.mktemp("valkey")).start()
    yield started
    started.stop()


@pytest.fixture
def server(server_process: ValkeyServer) -> Iterator[ValkeyServer]:
    """The server, which answers before and after."""
    yield server_process
    server_process.resume()
    server_process.start_if_ended()


@pytest_asyncio.fixture(params=["memory", "valkey"])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[RateLimiter]:
    """A limiter of each kind."""
    url = "memory:" if request.param == "memory" else request.getfixturevalue("server").url
    async with open_rate_limiter(url) as opened:
        yield opened


def a_window(limit: int, seconds: int = HOUR) -> Window:
    """A window that no other test has."""
    return Window(name=f"test-{secrets.token_hex(4)}", limit=limit, seconds=seconds)


async def taken_at_once(limiter: RateLimiter, window: Window, *, calls: int, amount: int = 1) -> int:
    """How many of so many concurrent calls were let through."""
    waits = await asyncio.gather(*(limiter.take(window, "alice", amount) for _ in range(calls)))
    return waits.count(None)


async def test_limit_is_what_can_be_taken(limiter: RateLimiter) -> None:
    window = a_window(3)

    assert [await limiter.take(window, "alice") is None for _ in range(5)] == [True, True, True, False, False]


async def test_keys_and_windows_do_not_share(limiter: RateLimiter) -> None:
    window = a_window(1)

    assert await limiter.take(window, "alice") is None
    assert await limiter.take(window, "bob") is None
    assert await limiter.take(a_window(1), "alice") is None
    assert await limiter.take(window, "alice") is not None


async def test_concurrent_calls_get_the_limit_and_no_more(limiter: RateLimiter) -> None:
    for limit in (50, 1000):
        assert await taken_at_once(limiter, a_window(limit), calls=2 * limit) == limit


async def test_amounts_are_taken_whole_or_not_at_all(limiter: RateLimiter) -> None:
    window = a_window(10)

    assert await limiter.take(window, "alice", 6) is None
    assert await limiter.take(window, "alice", 6) is not None
    assert await limiter.take(window, "alice", 4) is None
    assert await limiter.take(window, "alice", 1) is not None


async def test_large_amounts_of_a_large_limit_use_it_up(limiter: RateLimiter) -> None:
    assert await taken_at_once(limiter, a_window(1_000_000), calls=40, amount=30_000) == 33


async def test_what_is_more_than_the_limit_is_refused_for_ever_and_costs_nothing(limiter: RateLimiter) -> None:
    window = a_window(10)

    assert await limiter.take(window, "alice", 11) == HOUR
    assert await limiter.take(window, "alice", 10) is None


async def test_limit_of_nothing_lets_nothing_through(limiter: RateLimiter) -> None:
    assert await limiter.take(a_window(0), "alice") == HOUR


async def test_refused_who_waits_as_long_as_was_said_is_let_through(limiter: RateLimiter) -> None:
    window = a_window(2, seconds=1)
    await limiter.take(window, "alice", 2)
    wait_seconds = await limiter.take(window, "alice", 2)

    assert wait_seconds is not None
    assert 0.1 <= wait_seconds <= 2.01
    await asyncio.sleep(wait_seconds)
    assert await limiter.take(window, "alice", 2) is None


async def test_wait_for_little_is_shorter_than_for_much(limiter: RateLimiter) -> None:
    window = a_window(10)
    await limiter.take(window, "alice", 10)
    much, little = await limiter.take(window, "alice", 10), await limiter.take(window, "alice", 1)

    assert much is not None
    assert little is not None
    assert little < much


async def test_time_gives_units_back_one_by_one(limiter: RateLimiter) -> None:
    window = a_window(4, seconds=1)
    await limiter.take(window, "alice", 4)

    async def is_let_through() -> bool:
        return await limiter.take(window, "alice") is None

    for _ in range(8):
        await eventually(is_let_through)


@pytest.mark.parametrize(("limit", "amount"), [(50, 20), (1000, 5), (1_000_000, 30_000), (2**53, 2**52)])
async def test_what_is_given_back_can_be_taken_again(limiter: RateLimiter, limit: int, amount: int) -> None:
    window = a_window(limit)
    await limiter.take(window, "alice", amount)
    await limiter.give_back(window, "alice", amount)
    unused = await limiter.use(window, "alice")
    all_of_it = await limiter.take(window, "alice", limit)
    refused = await limiter.take(window, "alice", amount)
    await limiter.give_back(window, "alice", amount)

    assert (unused.used, all_of_it) == (0, None)
    assert refused is not None
    # The refusal is not repeated when there is room again.
    assert await limiter.take(window, "alice", amount) is None
    assert await limiter.take(window, "alice", amount) is not None


async def test_giving_back_more_than_was_taken_is_no_credit(limiter: RateLimiter) -> None:
    window = a_window(50)
    await limiter.give_back(window, "alice", 10)
    await limiter.take(window, "alice", 5)
    await limiter.give_back(window, "alice", 10)

    assert (await limiter.use(window, "alice")).used == 0
    assert await limiter.take(window, "alice", 50) is None
    assert await limiter.take(window, "alice") is not None


async def test_units_of_the_window_before_are_given_back_too(limiter: RateLimiter) -> None:
    window = a_window(1000, seconds=1)
    await limiter.take(window, "alice", 1000)

    async def is_the_window_before() -> bool:
        return (await limiter.use(window, "alice")).used < 1000

    await eventually(is_the_window_before)
    await limiter.give_back(window, "alice", 1000)
    assert (await limiter.use(window, "alice")).used == 0


async def test_what_one_process_gives_back_another_can_take(server: ValkeyServer) -> None:
    window = a_window(50)
    async with open_rate_limiter(server.url) as limiter, open_rate_limiter(server.url) as other:
        await limiter.take(window, "alice", 50)
        await limiter.give_back(window, "alice", 20)

        assert await other.take(window, "alice", 20) is None
        assert await other.take(window, "alice", 1) is not None


async def test_units_of_the_advance_are_given_back_without_asking(server: ValkeyServer) -> None:
    async with open_rate_limiter(server.url) as limiter:
        window = a_window(1000)
        await limiter.take(window, "alice", 5)
        before = _calls(server)
        for _ in range(20):
            await limiter.give_back(window, "alice", 5)
            await limiter.take(window, "alice", 5)

        assert _calls(server) == before
        assert (await limiter.use(window, "alice")).used == 5


async def test_use_is_told_with_its_end(limiter: RateLimiter) -> None:
    window = a_window(1000)
    unused = await limiter.use(window, "alice")
    await limiter.take(window, "alice")
    used = await limiter.use(window, "alice")
    seconds = (used.resets_at - datetime.now(UTC)).total_seconds()

    assert (unused.used, used.used) == (0, 1)
    assert 0 < seconds <= 2 * HOUR


@pytest.mark.parametrize("key", ["", "a b", "x" * 1000, "a}{b", "a/b", "naïve", "\ud800", "a\r\nDEL *", "\0"])
async def test_any_key_can_be_counted(limiter: RateLimiter, key: str) -> None:
    window = a_window(1)

    assert await limiter.take(window, key) is None
    assert await limiter.take(window, key) is not None
    assert (await limiter.use(window, key)).used == 1


async def test_memory_comes_back_when_windows_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SWEEP_SECONDS", 0.05)
    limiter, window = MemoryRateLimiter(), a_window(10, seconds=1)
    for number in range(1000):
        await limiter.take(window, f"caller-{number}")
    assert limiter.size >= 1000

    async def is_small() -> bool:
        await limiter.take(window, "alice")
        return limiter.size < 10

    await eventually(is_small)


TAKER = """
import asyncio, sys
from graphql_api.adapters.rate_limiter import open_rate_limiter, valkey
from graphql_api.ports import Window

valkey.ANSWER_SECONDS = 30

async def main(url, name, limit):
    window = Window(name=name, limit=int(limit), seconds=3600)
    async with open_rate_limiter(url) as limiter:
        waits = await asyncio.gather(*(limiter.take(window, "alice") for _ in range(window.limit)))
        print(waits.count(None))

asyncio.run(main(*sys.argv[1:]))
"""


async def taken_by_a_process(url: str, window: Window) -> int:
    """How much of a window another process gets that asks for all of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TAKER, url, window.name, str(window.limit), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return int(output)


@pytest.mark.parametrize("limit", [50, 1000])
async def test_processes_share_the_limit(server: ValkeyServer, limit: int) -> None:
    window = a_window(limit)
    taken = sum(await asyncio.gather(*(taken_by_a_process(server.url, window) for _ in range(2))))

    # Each process may have been left with 1 % of it.
    assert limit - 2 * (limit // 100) <= taken <= limit


async def test_valkey_is_asked_for_a_hundredth_at_a_time_and_not_again_when_it_refuses(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine it is slow, and would count as away.
    monkeypatch.setattr(valkey, "ANSWER_SECONDS", PATIENCE_SECONDS)
    async with open_rate_limiter(server.url) as limiter:
        window = a_window(1000)
        before = _calls(server)
        await taken_at_once(limiter, window, calls=1000)
        spent = _calls(server)
        await taken_at_once(limiter, window, calls=1000)

        assert 90 <= spent - before <= 110
        assert _calls(server) - spent <= 10


def _calls(server: ValkeyServer) -> int:
    return int(server.command("INFO", "commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_each_process_counts_by_itself_while_valkey_is_away(
    server: ValkeyServer, how: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey, "AWAY_SECONDS", 0.2)
    window = a_window(5)
    async with open_rate_limiter(server.url) as limiter:
        assert await limiter.take(window, "alice", 5) is None
        getattr(server, how)()
        with caplog.at_level(logging.WARNING, LOG):
            # What was refused before is not known here any more: nobody is shut out by mistake.
            assert await taken_at_once(limiter, window, calls=20) == 5
            assert (await limiter.use(window, "alice")).used == 5
            assert await limiter.take(window, "alice") is not None
        assert sum("is away" in record.message for record in caplog.records) == 1

        server.resume()
        server.start_if_ended()

        async def is_back() -> bool:
            await limiter.use(window, "alice")
            return "is back" in caplog.text

        await eventually(is_back)
        fresh = a_window(2)
        assert await limiter.take(fresh, "alice", 2) is None
        async with open_rate_limiter(server.url) as other:
            assert await other.take(fresh, "alice") is not None


async def test_giving_back_while_valkey_is_away_does_not_raise(server: ValkeyServer) -> None:
    window = a_window(50)
    async with open_rate_limiter(server.url) as limiter:
        await limiter.take(window, "alice", 50)
        server.kill()
        await limiter.give_back(window, "alice", 50)
        # Now it counts by itself.
        assert await limiter.take(window, "alice", 50) is None
        await limiter.give_back(window, "alice", 20)
        assert await limiter.take(window, "alice", 20) is None
        assert await limiter.take(window, "alice") is not None


async def test_call_that_valkey_refuses_is_counted_here_and_no_other(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    # More than the numbers of Valkey's scripts hold.
    window, fresh = a_window(10**20), a_window(2)
    async with open_rate_limiter(server.url) as limiter, open_rate_limiter(server.url) as other:
        for _ in range(3):
            assert await limiter.take(window, "alice", 10**19) is None
        await limiter.give_back(window, "alice", 10**19)
        assert await limiter.take(fresh, "alice", 2) is None

        assert await other.take(fresh, "alice") is not None
    assert sum("refuses a call" in record.message for record in caplog.records) == 1
    assert "is away" not in caplog.text


async def test_limiter_opens_and_counts_without_a_server(tmp_path: Path) -> None:
    async with open_rate_limiter(ValkeyServer(tmp_path).url) as limiter:
        assert await taken_at_once(limiter, a_window(3), calls=5) == 3


async def test_valkey_that_stands_still_delays_nobody_for_long(server: ValkeyServer) -> None:
    async with open_rate_limiter(server.url) as limiter:
        await limiter.take(a_window(5), "alice")
        server.pause()
        # Were each to wait for its answer, they would take many times as long.
        async with asyncio.timeout(200 * valkey.ANSWER_SECONDS / 5):
            for number in range(200):
                assert await limiter.take(a_window(5), f"caller-{number}") is None


async def test_prefix_and_database_keep_deployments_apart(server: ValkeyServer) -> None:
    window = a_window(1)
    for url in (server.url, f"{server.url}?prefix=staging", f"{server.url}/3"):
        async with open_rate_limiter(url) as limiter:
            assert await limiter.take(window, "alice") is None


async def test_password_may_be_apart_from_the_url(server: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    server.command("ACL", "SETUSER", "shop", "on", ">p/a:ss@", "+@all", "~*", "&*")
    window = a_window(1)
    async with open_rate_limiter(f"valkey://shop@127.0.0.1:{server.port}", password="p/a:ss@") as limiter:
        assert await limiter.take(window, "alice") is None
        async with open_rate_limiter(server.url) as other:
            assert await other.take(window, "alice") is not None
    assert "is away" not in caplog.text


async def test_password_is_given(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    guarded = ValkeyServer(tmp_path, password="hush/hush").start()
    try:
        window = a_window(1)
        async with (
            open_rate_limiter(guarded.url.replace("//", "//:hush%2Fhush@")) as limiter,
            open_rate_limiter(guarded.url.replace("//", "//:wrong-one@")) as wrong,
        ):
            assert await limiter.take(window, "alice") is None
            assert await limiter.take(window, "alice") is not None
            assert await wrong.take(window, "alice") is None
        assert "is away" in caplog.text
        assert "wrong-one" not in caplog.text
    finally:
        guarded.stop()


async def test_servers_of_a_cluster_count_each_their_share(tmp_path: Path) -> None:
    cluster = ValkeyCluster(tmp_path)
    try:
        cluster.start()
        window = a_window(2)
        async with open_rate_limiter(cluster.url) as limiter, open_rate_limiter(cluster.url) as other:
            for number in range(20):
                assert await limiter.take(window, f"caller-{number}", 2) is None
                assert await other.take(window, f"caller-{number}", 2) is not None
                await limiter.give_back(window, f"caller-{number}", 1)
                assert await other.take(window, f"caller-{number}", 1) is None
    finally:
        cluster.stop()


async def test_connection_may_be_encrypted(server: ValkeyServer, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    async with CuttableProxy(server.port, tls=certificate.server_context()) as proxy:
        url, window = f"valkeys://127.0.0.1:{proxy.port}?ca={certificate.file}", a_window(1)
        async with open_rate_limiter(url) as limiter, open_rate_limiter(server.url) as other:
            assert await limiter.take(window, "alice") is None
            assert await other.take(window, "alice") is not None


@pytest.mark.parametrize(
    ("url", "says"),
    [("sqlite:x", "is no rate limiter"), ("valkey://", "needs a host"), ("valkey://cache?x=1", "each once")],
)
async def test_bad_url_is_refused_with_what_to_write(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        async with open_rate_limiter(url):
            pass


def test_limiter_in_memory_does_without_the_client_of_valkey() -> None:
    program = (
        "import asyncio, sys\n"
        "from graphql_api.adapters.rate_limiter import open_rate_limiter\n"
        "async def main():\n"
        "    async with open_rate_limiter('memory:'):\n"
        "        assert 'redis' not in sys.modules\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
