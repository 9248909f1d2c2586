"""The door: credentials that were not seen before, and what is open by the right of a credential."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import HTTPConnection

from graphql_api.domain.caller import LOCAL, Caller
from graphql_api.domain.errors import NotAuthenticated, ServiceUnavailable
from graphql_api.http import authentication
from graphql_api.http import errors as http_errors
from graphql_api.http.authentication import FAILURES_A_MINUTE, LOOKUPS_AT_A_TIME, MINUTE_SECONDS, Door, Newcomers
from graphql_api.service import callers
from graphql_api.service.callers import CHECKS_AT_A_TIME, Sessions
from graphql_api.service.fair_use import FairUse
from tests.clients.waiting import eventually

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Keyring:
    """An Authenticator that knows the tokens it was given, and counts what it is asked."""

    def __init__(self, *tokens: str) -> None:
        self.known = set(tokens)
        self.errors: dict[str, Exception] = {}
        self.asked: list[str | None] = []
        self.asking = self.most_asking = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def authenticate(self, token: str | None) -> Caller:
        """LOCAL for what is known."""
        self.asked.append(token)
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        try:
            await self.may_answer.wait()
        finally:
            self.asking -= 1
        if token in self.errors:
            raise self.errors[token]
        if token not in self.known:
            raise NotAuthenticated
        return LOCAL


class Hands:
    """Both clocks, which a test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def utc(self) -> datetime:
        """What time it is."""
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """As time.monotonic."""
        return self.seconds


def opened(sessions: Sessions, token: str, caller: Caller = LOCAL) -> list[NotAuthenticated]:
    """Open something with a token. What is returned gets the error that it ends with."""
    ends: list[NotAuthenticated] = []
    assert sessions.add(token, caller, ends.append) is not None
    return ends


@asynccontextmanager
async def running(sessions: Sessions) -> AsyncIterator[asyncio.Task[None]]:
    """While credentials are looked after."""
    task = asyncio.create_task(sessions.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def hands() -> Hands:
    return Hands()


# --- what is open ----------------------------------------------------------------------------------------------------


async def test_revoked_credential_ends_all_that_it_opened_and_nothing_else() -> None:
    keyring = Keyring("good", "bad")
    sessions = Sessions(keyring)
    first, second, other = opened(sessions, "bad"), opened(sessions, "bad"), opened(sessions, "good")
    keyring.known.remove("bad")
    await sessions.check()

    assert (len(first), len(second), len(other)) == (1, 1, 0)
    assert len(sessions) == 1


async def test_closed_sessions_are_not_checked() -> None:
    keyring = Keyring("good")
    sessions = Sessions(keyring)
    session = sessions.add("good", LOCAL, lambda error: None)
    sessions.remove(session)
    sessions.remove(session)
    await sessions.check()

    assert (keyring.asked, len(sessions)) == ([], 0)


async def test_credential_that_cannot_be_checked_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    keyring = Keyring("good", "odd")
    keyring.errors["odd"] = ZeroDivisionError("odd")
    sessions = Sessions(keyring)
    ends = {token: opened(sessions, token) for token in ("bad", "odd", "good", "worse")}
    await sessions.check()

    assert {token for token, errors in ends.items() if errors} == {"bad", "worse"}
    (line,) = [record.getMessage() for record in caplog.records]
    assert "ZeroDivisionError" in line
    assert "odd" not in line


async def test_round_of_checks_ends_when_nobody_can_tell(caplog: pytest.LogCaptureFixture) -> None:
    tokens = [f"token-{number}" for number in range(3 * CHECKS_AT_A_TIME)]
    keyring = Keyring()
    keyring.errors = dict.fromkeys(tokens, ServiceUnavailable())
    sessions = Sessions(keyring)
    for token in tokens:
        opened(sessions, token)
    await sessions.check()

    assert len(sessions) == len(tokens)
    assert len(keyring.asked) <= CHECKS_AT_A_TIME
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_many_credentials_are_checked_a_few_at_a_time() -> None:
    keyring = Keyring()
    keyring.may_answer.clear()
    sessions = Sessions(keyring)
    for number in range(3 * CHECKS_AT_A_TIME):
        opened(sessions, f"token-{number}")
    round_of_checks = asyncio.create_task(sessions.check())
    await eventually(lambda: keyring.asking == CHECKS_AT_A_TIME)
    keyring.may_answer.set()
    await round_of_checks

    assert keyring.most_asking == CHECKS_AT_A_TIME
    assert len(sessions) == 0


async def test_what_cannot_be_ended_keeps_nothing_else_open() -> None:
    def fails(error: NotAuthenticated) -> None:
        raise ZeroDivisionError

    sessions = Sessions(Keyring())
    sessions.add("bad", LOCAL, fails)
    ends = opened(sessions, "bad")
    await sessions.check()

    assert len(ends) == 1


async def test_credentials_expire_while_a_slow_round_of_checks_is_under_way(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(callers, "CHECK_SECONDS", 0.01)
    keyring = Keyring("slow", "short")
    keyring.may_answer.clear()
    sessions = Sessions(keyring, clock=hands.utc)
    opened(sessions, "slow")
    async with running(sessions) as task:
        await eventually(lambda: keyring.asking)
        ends = opened(sessions, "short", replace(LOCAL, expires_at=hands.utc() + timedelta(seconds=5)))
        hands.seconds += 5
        await eventually(lambda: ends)

        # The round that is under way is the only one.
        assert keyring.asked == ["slow"]
        assert not task.done()
    assert ends[0].is_expired
    # It was ended with the rest.
    assert keyring.asking == 0


async def test_checks_go_on_after_one_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "CHECK_SECONDS", 0.01)
    keyring = Keyring("odd")
    keyring.errors["odd"] = ZeroDivisionError()
    sessions = Sessions(keyring)
    ends = opened(sessions, "odd")
    async with running(sessions):
        await eventually(lambda: len(keyring.asked) > 2)
        keyring.errors["odd"] = NotAuthenticated()
        await eventually(lambda: ends)


# --- who is new ------------------------------------------------------------------------------------------------------


@pytest.fixture
def newcomers(hands: Hands) -> Newcomers:
    return Newcomers(monotonic=hands.monotonic)


async def guess(newcomers: Newcomers, keyring: Keyring, place: str = "attacker", *, times: int) -> None:
    """Show so many wrong credentials at once."""
    guesses = [secrets.token_hex(8) for _ in range(times)]
    answers = await asyncio.gather(
        *(newcomers.identify(keyring, each, place) for each in guesses), return_exceptions=True
    )
    assert {type(each) for each in answers} == {NotAuthenticated}


async def test_guesses_of_one_address_are_looked_up_a_few_at_a_time_and_a_few_in_all(newcomers: Newcomers) -> None:
    keyring = Keyring("honest")
    keyring.may_answer.clear()
    guesses = asyncio.create_task(guess(newcomers, keyring, times=2000))
    await eventually(lambda: keyring.asking == LOOKUPS_AT_A_TIME)
    honest = asyncio.create_task(newcomers.identify(keyring, "honest", "elsewhere"))
    # Somebody at another address does not stand in their line.
    await eventually(lambda: "honest" in keyring.asked)
    keyring.may_answer.set()
    await guesses

    assert await honest is LOCAL
    assert keyring.most_asking == LOOKUPS_AT_A_TIME + 1
    assert len(keyring.asked) <= FAILURES_A_MINUTE + LOOKUPS_AT_A_TIME + 1


async def test_credential_that_came_in_before_passes_where_others_guess(newcomers: Newcomers) -> None:
    keyring = Keyring("good")
    await newcomers.identify(keyring, "good", "elsewhere")
    await guess(newcomers, keyring, times=100)

    assert await newcomers.identify(keyring, "good", "attacker") is LOCAL


async def test_address_with_too_many_failures_is_shut_for_newcomers_for_a_minute(
    newcomers: Newcomers, hands: Hands
) -> None:
    keyring = Keyring("new")
    await guess(newcomers, keyring, times=FAILURES_A_MINUTE)
    with pytest.raises(NotAuthenticated):
        await newcomers.identify(keyring, "new", "attacker")
    assert await newcomers.identify(keyring, "new", "elsewhere") is LOCAL
    keyring.known.add("newer")
    hands.seconds += MINUTE_SECONDS

    assert await newcomers.identify(keyring, "newer", "attacker") is LOCAL
    assert newcomers.size == 0


async def test_client_that_shows_the_same_wrong_credential_again_and_again_shuts_nobody_out(
    newcomers: Newcomers,
) -> None:
    keyring = Keyring("new")
    for _ in range(3 * FAILURES_A_MINUTE):
        with pytest.raises(NotAuthenticated):
            await newcomers.identify(keyring, "old", "office")

    assert await newcomers.identify(keyring, "new", "office") is LOCAL


async def test_credential_that_counts_no_more_is_a_failure_and_new_again(newcomers: Newcomers, hands: Hands) -> None:
    keyring = Keyring("good")
    await newcomers.identify(keyring, "good", "attacker")
    keyring.known.clear()
    await guess(newcomers, keyring, times=FAILURES_A_MINUTE - 1)
    with pytest.raises(NotAuthenticated):
        await newcomers.identify(keyring, "good", "attacker")
    asked = len(keyring.asked)
    await guess(newcomers, keyring, times=5)
    assert len(keyring.asked) == asked

    hands.seconds += MINUTE_SECONDS
    await guess(newcomers, keyring, times=FAILURES_A_MINUTE)
    with pytest.raises(NotAuthenticated):
        await newcomers.identify(keyring, "good", "attacker")
    assert keyring.asked.count("good") == 2


@pytest.mark.parametrize("error", [ServiceUnavailable(), NotAuthenticated("Token expired", is_expired=True)], ids=repr)
async def test_what_is_no_guess_is_not_counted(newcomers: Newcomers, error: Exception) -> None:
    keyring = Keyring("new")
    for number in range(2 * FAILURES_A_MINUTE):
        keyring.errors[f"token-{number}"] = error
        with pytest.raises(type(error)):
            await newcomers.identify(keyring, f"token-{number}", "office")

    assert await newcomers.identify(keyring, "new", "office") is LOCAL


async def test_newcomer_whose_turn_does_not_come_is_told_to_try_again(
    newcomers: Newcomers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "TURN_SECONDS", 0.01)
    keyring = Keyring()
    keyring.may_answer.clear()
    others = asyncio.create_task(guess(newcomers, keyring, "office", times=LOOKUPS_AT_A_TIME))
    await eventually(lambda: keyring.asking == LOOKUPS_AT_A_TIME)
    with pytest.raises(ServiceUnavailable):
        await newcomers.identify(keyring, "new", "office")
    keyring.may_answer.set()
    await others


async def test_addresses_are_forgotten(newcomers: Newcomers, hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MAX_PLACES", 50)
    monkeypatch.setattr(authentication, "MAX_SEEN", 50)
    keyring = Keyring(*(f"good-{number}" for number in range(100)))
    for number in range(100):
        await guess(newcomers, keyring, f"place-{number}", times=1)
        await newcomers.identify(keyring, f"good-{number}", "office")
    assert newcomers.size == 50
    hands.seconds += MINUTE_SECONDS
    await guess(newcomers, keyring, "last", times=1)

    assert newcomers.size == 1


# --- the door --------------------------------------------------------------------------------------------------------


OpenDoor = Callable[[Keyring], Door]


@pytest.fixture
def open_door(monkeypatch: pytest.MonkeyPatch) -> OpenDoor:
    """A door that holds nobody back for long."""
    monkeypatch.setattr(http_errors, "HELD_BACK_SECONDS", 0.0)

    def opens(keyring: Keyring) -> Door:
        fair_use = FairUse(None, None)  # type: ignore[arg-type]  # Nobody has limits.
        return Door(authenticator=keyring, fair_use=fair_use, sessions=Sessions(keyring), asks=True)

    return opens


def a_connection(token: str, client: tuple[str, int] | None) -> HTTPConnection:
    """A request that shows a token."""
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return HTTPConnection({"type": "http", "headers": headers, "client": client})


async def test_door_tells_addresses_apart_and_takes_a_network_of_ipv6_for_one(open_door: OpenDoor) -> None:
    keyring = Keyring("first", "second", "third")
    door = open_door(keyring)
    for number in range(2 * FAILURES_A_MINUTE):
        with pytest.raises(NotAuthenticated):
            await door.admit(a_connection(f"wrong-{number}", (f"2001:db8::{number + 1:x}", 1)))
    with pytest.raises(NotAuthenticated):
        await door.admit(a_connection("first", ("2001:db8::ffff", 1)))

    assert len(keyring.asked) == FAILURES_A_MINUTE
    assert await door.admit(a_connection("second", ("2001:db8:1::1", 1))) is LOCAL
    assert await door.admit(a_connection("third", None)) is LOCAL
    assert await door.identify("third") is LOCAL
