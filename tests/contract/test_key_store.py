"""What every key store does."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from graphql_api.adapters.key_store import key_store_url, open_key_store
from graphql_api.adapters.key_store.rows import KeySchemaTooNew
from graphql_api.domain.api_key import ApiKey
from graphql_api.domain.caller import CallerLimits, CallerRole
from graphql_api.domain.errors import NotAuthenticated, ServiceUnavailable
from graphql_api.domain.ids import CallerId
from graphql_api.ports import KeyStore
from graphql_api.service.api_keys import FRESH_SECONDS, STALE_SECONDS, ApiKeys, KeyAuthenticator
from tests.clients.postgres_server import PostgresServer
from tests.clients.waiting import eventually

NOW = datetime(2026, 11, 24, 12, 30, 15, 123_456, tzinfo=UTC)

KEY_STORES: Mapping[str, Callable[[pytest.FixtureRequest, Path], str]] = {
    "sqlite": lambda request, folder: f"sqlite:{folder / 'data' / 'keys.sqlite3'}",
    "postgres": lambda request, folder: str(request.getfixturevalue("postgres_url")),
}
"""Name -> the URL of an empty store."""

ADD_KEYS = """
import asyncio, sys
from graphql_api.adapters.key_store import open_key_store
from graphql_api.service.api_keys import ApiKeys

async def main() -> None:
    async with open_key_store(sys.argv[1]) as store:
        for number in range(20):
            await ApiKeys(store).create(None, f"{sys.argv[2]} {number}")

asyncio.run(main())
"""
"""A program that adds 20 keys."""


@pytest.fixture(params=KEY_STORES)
def keys_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty key store of each kind is."""
    return KEY_STORES[request.param](request, tmp_path)


@pytest_asyncio.fixture
async def store(keys_url: str) -> AsyncIterator[KeyStore]:
    """An empty key store of each kind."""
    async with open_key_store(keys_url) as opened:
        yield opened


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    server = PostgresServer(tmp_path).start()
    yield server
    server.resume_if_paused()
    server.stop()


def some_key(key_id: str = "0123456789ab", **changes: object) -> ApiKey:
    """A key with nothing but what it must have."""
    made = ApiKey(
        id=key_id,
        caller_id=CallerId("auth0|ada"),
        name="Ada's phone ☎",
        account=f"key-{key_id}",
        secret_sha256="ab" * 32,
        created_at=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def test_key_is_found_as_it_was_added(store: KeyStore) -> None:
    full = some_key(
        "ffffffffffff",
        role=CallerRole.READER,
        limits=CallerLimits(requests_per_minute=0, pixels_per_day=10**15, dollars_per_month=0.1),
        expires_at=NOW + timedelta(days=90),
        revoked_at=NOW + timedelta(microseconds=1),
    )
    for key in (some_key(), full):
        await store.add(key)
        assert await store.find(key.id) == key
    assert await store.find("000000000000") is None


async def test_all_keys_come_by_the_time_of_their_creation(store: KeyStore) -> None:
    assert list(await store.all()) == []
    keys = [some_key(f"{9 - number:012x}", created_at=NOW + timedelta(seconds=number)) for number in range(5)]
    for key in keys[::-1]:
        await store.add(key)
    assert list(await store.all()) == keys


async def test_id_is_used_once(store: KeyStore) -> None:
    await store.add(some_key())
    with pytest.raises(ValueError, match="this ID"):
        await store.add(some_key(name="another"))
    assert await store.all() == [some_key()]


async def test_key_is_replaced(store: KeyStore) -> None:
    await store.add(some_key())
    await store.add(some_key("ffffffffffff"))
    changed = some_key(name="new", role=CallerRole.READER, expires_at=NOW, limits=CallerLimits(streams=1))
    assert await store.update(changed)
    assert await store.find(changed.id) == changed
    assert await store.find("ffffffffffff") == some_key("ffffffffffff")
    assert not await store.update(some_key("000000000000"))


async def test_revocation_is_never_taken_back(store: KeyStore) -> None:
    await store.add(some_key())
    read_before = await store.find(some_key().id)
    assert read_before is not None
    await store.update(some_key(revoked_at=NOW))
    assert await store.update(replace(read_before, expires_at=NOW))
    assert await store.find(some_key().id) == some_key(revoked_at=NOW, expires_at=NOW)


async def test_other_processes_see_a_change_at_once(store: KeyStore, keys_url: str) -> None:
    async with open_key_store(keys_url) as other:
        await other.add(some_key())
        assert await store.find(some_key().id) == some_key()
        await store.update(some_key(revoked_at=NOW))
        assert await other.find(some_key().id) == some_key(revoked_at=NOW)


async def test_keys_are_kept_when_the_store_is_opened_again(keys_url: str) -> None:
    for number in range(3):
        async with open_key_store(keys_url) as store:
            assert len(await store.all()) == number
            await store.add(some_key(f"{number:012x}"))


async def test_many_may_open_an_empty_store_and_write_at_once(keys_url: str) -> None:
    def start(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", ADD_KEYS, keys_url, name], stderr=subprocess.PIPE)

    processes = [start(name) for name in ("a", "b", "c")]
    for process in processes:
        _, errors = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0, errors.decode()
    async with open_key_store(keys_url) as store:
        assert {key.name for key in await store.all()} == {f"{name} {n}" for name in "abc" for n in range(20)}


async def test_statements_at_once_do_not_get_in_each_others_way(store: KeyStore) -> None:
    keys = [some_key(f"{number:012x}") for number in range(50)]
    await asyncio.gather(*map(store.add, keys))
    assert list(await asyncio.gather(*(store.find(key.id) for key in keys))) == keys


async def test_revocation_elsewhere_works_here_within_the_fresh_time(store: KeyStore, keys_url: str) -> None:
    now = 0.0
    authenticator = KeyAuthenticator(store, monotonic=lambda: now)
    async with open_key_store(keys_url) as other:
        key, token = await ApiKeys(other).create(None, "phone")
        assert (await authenticator.authenticate(token)).id == key.caller_id
        await ApiKeys(other).revoke(key.id)
    now = FRESH_SECONDS
    with pytest.raises(NotAuthenticated) as refused:
        await authenticator.authenticate(token)
    assert not refused.value.is_expired


# --- SQLite ----------------------------------------------------------------------------------------------------------


async def test_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        async with open_key_store(f"sqlite:{tmp_path / 'keys.sqlite3'}") as store:
            await store.add(some_key())
            modes = _modes_in(tmp_path)
    finally:
        os.umask(mask)
    assert modes.keys() >= {"keys.sqlite3", "keys.sqlite3-wal"}
    assert set(modes.values()) == {0o600}


async def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    file = tmp_path / "keys.sqlite3"
    async with open_key_store(f"sqlite:{file}") as store:
        await store.add(some_key())
        writer = sqlite3.connect(file, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE api_keys SET name = 'half done'")
        assert await store.find(some_key().id) == some_key()
        writer.rollback()
        writer.close()


async def test_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.sqlite3"
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(ServiceUnavailable, match="API keys"):
        async with open_key_store(f"sqlite:{file}"):
            pass
    (tmp_path / "a file").write_text("")
    with pytest.raises(ServiceUnavailable, match="API keys"):
        async with open_key_store(f"sqlite:{tmp_path / 'a file' / 'keys.sqlite3'}"):
            pass


async def test_later_schema_is_refused(keys_url: str) -> None:
    async with open_key_store(keys_url):
        pass
    await _raise_version(keys_url)
    with pytest.raises(KeySchemaTooNew, match="schema 2"):
        async with open_key_store(keys_url):
            pass


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


async def test_keys_that_were_seen_lately_count_while_the_database_is_away(own_postgres: PostgresServer) -> None:
    now = 0.0
    async with open_key_store(own_postgres.url()) as store:
        authenticator = KeyAuthenticator(store, monotonic=lambda: now)
        key, token = await ApiKeys(store).create(None, "phone")
        _, unseen = await ApiKeys(store).create(None, "tablet")
        await authenticator.authenticate(token)
        await asyncio.to_thread(own_postgres.stop)

        now = STALE_SECONDS
        assert (await authenticator.authenticate(token)).id == key.caller_id
        with pytest.raises(ServiceUnavailable):
            await authenticator.authenticate(unseen)
        now = 2 * STALE_SECONDS
        with pytest.raises(ServiceUnavailable):
            await authenticator.authenticate(token)
        with pytest.raises(ServiceUnavailable):
            await store.all()

        await asyncio.to_thread(own_postgres.start)
        assert await eventually(lambda: _tried(authenticator, token))
        assert await authenticator.authenticate(unseen)


async def test_database_that_hangs_holds_callers_up_once(own_postgres: PostgresServer) -> None:
    now = 0.0
    async with open_key_store(own_postgres.url()) as store:
        authenticator = KeyAuthenticator(store, monotonic=lambda: now)
        key, token = await ApiKeys(store).create(None, "phone")
        await authenticator.authenticate(token)
        own_postgres.pause()
        now = FRESH_SECONDS
        for _ in range(5):
            assert (await authenticator.authenticate(token)).id == key.caller_id
            now += 5
        own_postgres.resume()
        await ApiKeys(store).revoke(key.id)

        async def is_refused() -> bool:
            nonlocal now
            now += FRESH_SECONDS
            with suppress(ServiceUnavailable):
                try:
                    await authenticator.authenticate(token)
                except NotAuthenticated:
                    return True
            return False

        assert await eventually(is_refused)


async def test_no_connection_is_kept_that_was_not_needed(postgres_url: str, postgres: PostgresServer) -> None:
    name = postgres_url.rpartition("/")[2]
    async with open_key_store(postgres_url) as store:
        await asyncio.gather(*(store.find(f"{number:012x}") for number in range(50)))
        connections = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
        assert int(postgres.execute(connections)) <= 4


async def test_password_is_not_in_the_error() -> None:
    for url in ("postgresql://ada:secret@127.0.0.1:port/a", "postgresql://ada:secret@127.0.0.1:1/a?sslmode=secret"):
        with pytest.raises(ValueError, match="cannot be read") as refused:
            async with open_key_store(url):
                pass
        assert "secret" not in str(refused.value)
    with pytest.raises(ServiceUnavailable) as away:
        async with open_key_store("postgresql://ada:secret@127.0.0.1:1/a"):
            pass
    assert "secret" not in str(away.value)


# --- URLs ------------------------------------------------------------------------------------------------------------


def test_keys_are_beside_the_jobs() -> None:
    assert key_store_url("sqlite:data/jobs.sqlite3") == "sqlite:data/keys.sqlite3"
    assert key_store_url("sqlite:/srv/jobs.db") == "sqlite:/srv/keys.sqlite3"
    assert key_store_url("postgresql://a@b/c") == "postgresql://a@b/c"
    assert key_store_url("sqlite:") == "sqlite:"


@pytest.mark.parametrize("url", ["", "sqlite:", "sqlite::memory:", "sqlite:a\0b", "mysql://a/b", "keys.sqlite3"])
async def test_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:"):
        async with open_key_store(url):
            pass


def _modes_in(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def _tried(authenticator: KeyAuthenticator, token: str) -> bool:
    try:
        await authenticator.authenticate(token)
    except ServiceUnavailable:
        return False
    return True


async def _raise_version(url: str) -> None:
    """Do to a store what the next version of the program would."""
    if url.startswith("sqlite:"):
        connection = sqlite3.connect(url.removeprefix("sqlite:"))
        connection.execute("PRAGMA user_version = 2")
        connection.close()
        return
    connected = await asyncpg.connect(url)
    await connected.execute("INSERT INTO api_keys_schema_version VALUES (2)")
    await connected.close()
