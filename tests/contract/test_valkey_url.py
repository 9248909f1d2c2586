"""URLs of Valkey: what they mean, and what the errors say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graphql_api.adapters.event_broker import open_event_broker
from graphql_api.adapters.valkey_url import Node, ValkeyUrl, parse_valkey_url


def test_host_alone_is_enough() -> None:
    assert parse_valkey_url("valkey://cache.internal") == ValkeyUrl(node=Node("cache.internal", 6379))


def test_every_part_is_read(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("")

    url = parse_valkey_url(f"valkeys://us%40er:p%2Fa%3Ass@cache.internal:7000/3?ca={authority}&prefix=staging")

    assert url == ValkeyUrl(
        node=Node("cache.internal", 7000),
        db=3,
        username="us@er",
        password="p/a:ss",
        is_tls=True,
        ca_file=authority,
        prefix="staging:3:",
    )


def test_password_alone_and_cluster_are_read() -> None:
    assert parse_valkey_url("valkeys://:secret@cache.internal?cluster=true") == ValkeyUrl(
        node=Node("cache.internal", 6379), password="secret", is_tls=True, is_cluster=True
    )


def test_password_may_be_given_apart() -> None:
    url = parse_valkey_url("valkey://shop@cache", password="p/a:ss")
    assert (url.username, url.password) == ("shop", "p/a:ss")
    assert parse_valkey_url("valkey://:secret@cache", password="").password == "secret"


def test_password_is_given_once() -> None:
    with pytest.raises(ValueError, match="TEXT2IMAGE_EVENTS_PASSWORD") as refused:
        parse_valkey_url("valkey://:hush@cache", password="quiet")
    assert "hush" not in str(refused.value) and "quiet" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_redis_is_another_name_for_it(scheme: str) -> None:
    assert parse_valkey_url(f"{scheme}://cache") == parse_valkey_url(f"{scheme.replace('redis', 'valkey')}://cache")


def test_address_of_version_6_is_read() -> None:
    node = parse_valkey_url("valkey://[::1]:7000").node

    assert node == Node("::1", 7000)
    assert str(node) == "[::1]:7000"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("valkey:", "needs a host"),
        ("valkey://", "needs a host"),
        ("valkey://:6379", "needs a host"),
        ("valkey://cache:port", "a port that is a number"),
        ("valkey://cache:0", "a port that is a number"),
        ("valkey://user:hush/hush@cache", "written as %2F"),
        ("valkey://user:hush#hush@cache", "needs a host"),
        ("valkey://cache/1#hush", "written %23"),
        ("valkey://cache/zero", "number of a database"),
        ("valkey://cache/-1", "number of a database"),
        ("valkey://cache?cluster=yes", "true or false"),
        ("valkey://cache?clustered=true", r"takes \?cluster=true"),
        ("valkey://cache?cluster=true&cluster=true", "each once"),
        ("valkey://cache?cluster", r"\?name=value"),
        ("valkey://cache/2?cluster=true", "only one database"),
        ("valkey://cache?ca=x.pem", "write valkeys://"),
        ("valkeys://cache?ca=/no/such.pem", "names no file"),
        ("valkey://cache?prefix=a:b", "up to 64 letters"),
    ],
)
async def test_error_says_what_to_write_and_holds_no_password(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        async with open_event_broker(url):
            pass

    assert "hush" not in str(caught.value)


def test_password_is_not_shown() -> None:
    assert "hush" not in repr(parse_valkey_url("valkey://user:hush@cache"))


def test_broker_in_memory_does_without_the_client_of_valkey() -> None:
    program = (
        "import asyncio, sys\n"
        "from graphql_api.adapters.event_broker import open_event_broker\n"
        "async def main():\n"
        "    async with open_event_broker('memory:'):\n"
        "        assert 'redis' not in sys.modules\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
