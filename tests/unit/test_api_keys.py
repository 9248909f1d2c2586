"""API keys, kept in a real file."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from graphql_api.adapters.key_store import open_key_store
from graphql_api.domain.caller import UNLIMITED, CallerLimits, CallerRole
from graphql_api.domain.errors import InvalidInput, NotAuthenticated
from graphql_api.ports import KeyStore
from graphql_api.service.api_keys import (
    FRESH_SECONDS,
    MAX_UNKNOWN,
    ApiKeys,
    KeyAuthenticator,
    KeyEnded,
    KeyNotFound,
)

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Time:
    """Both clocks of a test, which go together."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def utc(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    """What time it is."""
    return Time()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[KeyStore]:
    """An empty store."""
    async with open_key_store(f"sqlite:{tmp_path / 'keys.sqlite3'}") as opened:
        yield opened


@pytest.fixture
def keys(store: KeyStore, time: Time) -> ApiKeys:
    """What those who run the server do with keys."""
    return ApiKeys(store, clock=time.utc)


@pytest.fixture
def authenticator(store: KeyStore, time: Time) -> KeyAuthenticator:
    """Who asks callers for their keys."""
    return KeyAuthenticator(store, clock=time.utc, monotonic=time.monotonic)


async def refusal(authenticator: KeyAuthenticator, token: str | None) -> NotAuthenticated:
    """How a token is refused."""
    with pytest.raises(NotAuthenticated) as refused:
        await authenticator.authenticate(token)
    return refused.value


# --- making ----------------------------------------------------------------------------------------------------------


async def test_token_holds_the_id_and_a_secret_of_which_only_the_hash_is_kept(keys: ApiKeys, store: KeyStore) -> None:
    key, token = await keys.create("ada", "phone")
    match = re.fullmatch(r"t2i_([0-9a-f]{12})_([0-9a-f]{48})", token)
    assert match is not None
    assert key.id == match[1]
    kept = await store.find(key.id)
    assert kept == key
    assert kept.secret_sha256 == hashlib.sha256(match[2].encode()).hexdigest()
    assert match[2] not in repr(kept)


async def test_key_says_who_its_caller_is(keys: ApiKeys, authenticator: KeyAuthenticator) -> None:
    limits = CallerLimits(jobs_per_minute=5, dollars_per_month=1.5)
    ends_at = START + timedelta(days=1)
    key, token = await keys.create("auth0|ada", "phone", role=CallerRole.READER, limits=limits, expires_at=ends_at)
    caller = await authenticator.authenticate(token)
    assert caller == key.caller
    assert (caller.id, caller.name, caller.role) == ("auth0|ada", "phone", CallerRole.READER)
    assert (caller.limits, caller.expires_at) == (limits, ends_at)


async def test_key_without_a_caller_is_that_of_a_new_one(keys: ApiKeys) -> None:
    first, _ = await keys.create(None, "phone")
    second, _ = await keys.create(None, "phone")
    assert first.caller_id != second.caller_id
    assert first.account != second.account
    assert first.limits == UNLIMITED


async def test_keys_of_one_caller_are_charged_apart(keys: ApiKeys) -> None:
    first, _ = await keys.create("ada", "phone")
    second, _ = await keys.create("ada", "tablet")
    assert first.caller_id == second.caller_id
    assert first.account != second.account


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\r\nSet-Cookie: b"}, "name"),
        ({"name": "\x1b[31mred"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"caller_id": ""}, "callerId"),
        ({"caller_id": "a b"}, "callerId"),
        ({"caller_id": "a\n"}, "callerId"),
        ({"caller_id": "é"}, "callerId"),
        ({"caller_id": "x" * 201}, "callerId"),
        ({"limits": CallerLimits(jobs_per_minute=-1)}, "limits.jobsPerMinute"),
        ({"limits": CallerLimits(dollars_per_month=float("nan"))}, "limits.dollarsPerMonth"),
        ({"limits": CallerLimits(dollars_per_month=float("inf"))}, "limits.dollarsPerMonth"),
        ({"limits": CallerLimits(sockets=-5)}, "limits.sockets"),
        ({"limits": CallerLimits(jobs_in_flight=2**53 + 1)}, "limits.jobsInFlight"),
        ({"limits": CallerLimits(pixels_per_day=10**400)}, "limits.pixelsPerDay"),
        ({"limits": CallerLimits(dollars_per_month=1.1e9)}, "limits.dollarsPerMonth"),
        ({"expires_at": START}, "expiresAt"),
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused_by_its_path(keys: ApiKeys, change: dict[str, object], path: str) -> None:
    wanted: dict[str, object] = {"caller_id": "ada", "name": "phone", **change}
    with pytest.raises(InvalidInput) as refused:
        await keys.create(**wanted)  # type: ignore[arg-type]
    assert ".".join(refused.value.path or ()) == path
    assert await keys.all() == []


# --- asking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: None,
        lambda token: "",
        lambda token: token[:-1],
        lambda token: token + "0",
        lambda token: token.upper(),
        lambda token: f" {token}"[:65],
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: "t2i_000000000000" + token[16:],
        lambda token: "t3i" + token[3:],
        lambda token: token[:-1] + "\n",
        lambda token: token[:-1] + "é",
        lambda token: token[:-1] + "\ud800",
        lambda token: token * 100_000,
    ],
    ids=range(13),
)
async def test_what_is_no_key_is_refused_without_a_hint(
    keys: ApiKeys, authenticator: KeyAuthenticator, spoil: Callable[[str], str | None]
) -> None:
    _, token = await keys.create("ada", "phone")
    error = await refusal(authenticator, spoil(token))
    assert not error.is_expired
    assert error.message == NotAuthenticated().message
    assert await authenticator.authenticate(token)


async def test_end_of_a_key_is_noticed_in_time(keys: ApiKeys, authenticator: KeyAuthenticator, time: Time) -> None:
    _, token = await keys.create("ada", "phone", expires_at=START + timedelta(seconds=5))
    time.seconds = 4.9
    assert await authenticator.authenticate(token)
    time.seconds = 5
    assert (await refusal(authenticator, token)).is_expired
    time.seconds = 5 + FRESH_SECONDS
    assert (await refusal(authenticator, token)).is_expired


async def test_expired_key_tells_those_without_its_secret_nothing(
    keys: ApiKeys, authenticator: KeyAuthenticator, time: Time
) -> None:
    _, token = await keys.create("ada", "phone", expires_at=START + timedelta(seconds=5))
    time.seconds = 10
    assert not (await refusal(authenticator, token[:17] + "0" * 48)).is_expired


async def test_revocation_works_within_the_fresh_time_and_not_for_others(
    keys: ApiKeys, authenticator: KeyAuthenticator, time: Time
) -> None:
    key, token = await keys.create("ada", "phone")
    _, other = await keys.create("ada", "tablet")
    assert await authenticator.authenticate(token)
    await keys.revoke(key.id)
    time.seconds = FRESH_SECONDS
    assert not (await refusal(authenticator, token)).is_expired
    assert await authenticator.authenticate(other)


async def test_store_is_asked_once_for_a_token_that_is_fresh(
    keys: ApiKeys, authenticator: KeyAuthenticator, store: KeyStore, time: Time
) -> None:
    key, token = await keys.create("ada", "phone")
    await asyncio.gather(*(authenticator.authenticate(token) for _ in range(100)))
    await store.update(replace(key, name="changed"))
    assert (await authenticator.authenticate(token)).name == "phone"
    time.seconds = FRESH_SECONDS
    callers = await asyncio.gather(*(authenticator.authenticate(token) for _ in range(100)))
    assert {caller.name for caller in callers} == {"changed"}


async def test_caller_who_gives_up_does_not_take_the_answer_from_others(
    keys: ApiKeys, authenticator: KeyAuthenticator
) -> None:
    _, token = await keys.create("ada", "phone")
    gone, stays = (asyncio.create_task(authenticator.authenticate(token)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).id == "ada"


async def test_greatest_limits_are_limits(keys: ApiKeys) -> None:
    limits = CallerLimits(jobs_in_flight=2**53, pixels_per_day=0, dollars_per_month=1e9)
    key, _ = await keys.create("ada", "phone", limits=limits)
    assert key.limits == limits


async def test_guesses_drive_no_key_out(
    keys: ApiKeys, authenticator: KeyAuthenticator, store: KeyStore, time: Time
) -> None:
    key, token = await keys.create("ada", "phone")
    assert await authenticator.authenticate(token)
    # What is remembered is told from what is asked for by a change that is not seen yet.
    await store.update(replace(key, name="changed"))
    guesses = [f"t2i_{number:012x}_{'0' * 48}" for number in range(MAX_UNKNOWN + 100)]
    answers = await asyncio.gather(*map(authenticator.authenticate, guesses), return_exceptions=True)
    assert {type(answer) for answer in answers} == {NotAuthenticated}
    assert (await authenticator.authenticate(token)).name == "phone"


# --- rotating and revoking -------------------------------------------------------------------------------------------


async def test_rotated_key_goes_on_for_the_grace_time(
    keys: ApiKeys, authenticator: KeyAuthenticator, time: Time
) -> None:
    limits = CallerLimits(jobs_in_flight=3)
    old, old_token = await keys.create("ada", "phone", role=CallerRole.READER, limits=limits)
    new, new_token = await keys.rotate(old.id, 3600)
    assert new == replace(old, id=new.id, secret_sha256=new.secret_sha256)
    assert (new.id, new.secret_sha256) != (old.id, old.secret_sha256)
    for token in (old_token, new_token):
        assert (await authenticator.authenticate(token)).account == old.account
    time.seconds = 3600
    assert (await refusal(authenticator, old_token)).is_expired
    assert await authenticator.authenticate(new_token)


async def test_rotation_gives_a_day_unless_told_otherwise(keys: ApiKeys, store: KeyStore) -> None:
    old, _ = await keys.create("ada", "phone")
    await keys.rotate(old.id)
    ending = await store.find(old.id)
    assert ending is not None
    assert ending.expires_at == START + timedelta(days=1)


async def test_rotation_lets_no_key_live_longer_and_renews_its_life(keys: ApiKeys, store: KeyStore, time: Time) -> None:
    old, _ = await keys.create("ada", "phone", expires_at=START + timedelta(hours=2))
    time.seconds = 3600
    new, _ = await keys.rotate(old.id)
    assert new.expires_at == START + timedelta(hours=3)
    assert await store.find(old.id) == old


async def test_key_that_has_ended_is_not_rotated(keys: ApiKeys, time: Time) -> None:
    revoked, _ = await keys.create("ada", "phone")
    await keys.revoke(revoked.id)
    expired, _ = await keys.create("ada", "phone", expires_at=START + timedelta(seconds=1))
    time.seconds = 1
    for key in (revoked, expired):
        with pytest.raises(KeyEnded):
            await keys.rotate(key.id)
    assert len(await keys.all()) == 2


@pytest.mark.parametrize("grace_seconds", [-1, float("nan"), float("inf"), 1e12])
async def test_grace_time_is_sensible(keys: ApiKeys, grace_seconds: float) -> None:
    key, _ = await keys.create("ada", "phone")
    with pytest.raises(InvalidInput):
        await keys.rotate(key.id, grace_seconds)


async def test_revoking_twice_changes_nothing(keys: ApiKeys, time: Time) -> None:
    key, _ = await keys.create("ada", "phone")
    revoked = await keys.revoke(key.id)
    assert revoked.revoked_at == START
    time.seconds = 60
    assert await keys.revoke(key.id) == revoked
    assert await keys.all() == [revoked]


@pytest.mark.parametrize("key_id", ["000000000000", "", "abc", "a\0b", "\ud800", "'; DROP TABLE api_keys; --"])
async def test_key_that_is_not_there_is_not_found(keys: ApiKeys, key_id: str) -> None:
    with pytest.raises(KeyNotFound):
        await keys.revoke(key_id)
    with pytest.raises(KeyNotFound):
        await keys.rotate(key_id)
