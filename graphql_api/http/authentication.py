"""Who asks: the credential of a request or of a socket. Cookies are never looked at, so that no page can use them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from graphql_api import log_context
from graphql_api.domain.caller import Caller
from graphql_api.domain.errors import NotAuthenticated, RateLimited, ServiceUnavailable
from graphql_api.http.addresses import place_of
from graphql_api.http.errors import hold_back
from graphql_api.ports import Authenticator
from graphql_api.service.callers import Sessions
from graphql_api.service.fair_use import FairUse

LOOKUPS_AT_A_TIME = 4
"""Credentials of one address that are looked up at a time, of those that were not seen before."""
FAILURES_A_MINUTE = 10
"""Credentials of one address that were wrong, after which no other is looked up for the rest of the minute."""
MINUTE_SECONDS = 60.0
TURN_SECONDS = 3.0
"""How long a credential waits for its turn."""
MAX_SEEN = 10_000
MAX_PLACES = 10_000

_HEADER = "authorization"


@dataclass(slots=True)
class _Line:
    """Who stands at the door from one address."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOOKUPS_AT_A_TIME))
    people: int = 0


@dataclass(slots=True)
class _Failures:
    """Which credentials of one address were wrong, by their hashes, in the minute that ends at `until`."""

    until: float
    shown: set[int] = field(default_factory=set)


class Newcomers:
    """Keeps those who guess from crowding out those whose credential was not seen before: everybody, after a start.

    What has come in before passes at once. All else waits for its turn among those of its address, a few at a time, and
    when too many of them were wrong, the others are refused unseen for the rest of the minute. One that is wrong again
    and again counts once: a client that never learns shuts nobody out. Credentials are kept as hashes with this
    process's own salt, which nobody outside can make two of the same of.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seen: dict[int, None] = {}
        self._lines: dict[str, _Line] = {}
        self._failures: dict[str, _Failures] = {}

    @property
    def size(self) -> int:
        """How much is kept of addresses."""
        return len(self._lines) + len(self._failures)

    async def identify(self, authenticator: Authenticator, token: str, place: str) -> Caller:
        """Who shows a credential at an address. Raises NotAuthenticated, and ServiceUnavailable also when its turn does
        not come."""
        shown = hash(token)
        if shown in self._seen:
            return await self._let_in(authenticator, token, shown, place)
        line = self._lines.setdefault(place, _Line())
        line.people += 1
        try:
            await _turn(line)
            try:
                if self._is_shut(place, shown):
                    raise NotAuthenticated
                return await self._let_in(authenticator, token, shown, place)
            finally:
                line.turns.release()
        finally:
            line.people -= 1
            if not line.people:
                del self._lines[place]

    async def _let_in(self, authenticator: Authenticator, token: str, shown: int, place: str) -> Caller:
        try:
            caller = await authenticator.authenticate(token)
        except NotAuthenticated as error:
            self._seen.pop(shown, None)
            if not error.is_expired:
                self._count(place, shown)
            raise
        if shown not in self._seen:
            if len(self._seen) >= MAX_SEEN:
                del self._seen[next(iter(self._seen))]
            self._seen[shown] = None
            self._failures.pop(place, None)
        return caller

    def _is_shut(self, place: str, shown: int) -> bool:
        self._forget_old()
        failures = self._failures.get(place)
        return failures is not None and len(failures.shown) >= FAILURES_A_MINUTE and shown not in failures.shown

    def _count(self, place: str, shown: int) -> None:
        self._forget_old()
        failures = self._failures.get(place)
        if failures is None:
            if len(self._failures) >= MAX_PLACES:
                del self._failures[next(iter(self._failures))]
            failures = self._failures[place] = _Failures(self._monotonic() + MINUTE_SECONDS)
        if len(failures.shown) < FAILURES_A_MINUTE:
            failures.shown.add(shown)

    def _forget_old(self) -> None:
        # The oldest is the first.
        now = self._monotonic()
        while self._failures and next(iter(self._failures.values())).until <= now:
            del self._failures[next(iter(self._failures))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where callers come in. Without sign-in (`asks` is False) nobody's credential is looked at."""

    authenticator: Authenticator
    fair_use: FairUse
    sessions: Sessions
    asks: bool
    newcomers: Newcomers = field(default_factory=Newcomers)

    def token_of(self, connection: HTTPConnection, params: Mapping[str, object] | None = None) -> str | None:
        """The credential that a connection shows, in its headers or in the payload of its connection_init."""
        if not self.asks:
            return None
        shown = _value_of(params or {}) or connection.headers.get(_HEADER)
        return None if shown is None else _bearer(shown)

    async def identify(self, token: str | None, connection: HTTPConnection | None = None) -> Caller:
        """Who shows a credential on a connection. Connections that have no address count as one address.

        Raises NotAuthenticated, ServiceUnavailable.
        """
        try:
            if token is None:
                caller = await self.authenticator.authenticate(None)
            else:
                caller = await self.newcomers.identify(self.authenticator, token, _place(connection))
        except NotAuthenticated as error:
            if token is not None and not error.is_expired:
                await hold_back()
            raise
        log_context.bind(caller_id=caller.id)
        return caller

    async def admit(self, connection: HTTPConnection) -> Caller:
        """Who sends a request, which is counted. Raises NotAuthenticated, RateLimited, ServiceUnavailable."""
        caller = await self.identify(self.token_of(connection), connection)
        await self.count_request(caller)
        return caller

    async def count_request(self, caller: Caller) -> None:
        """Count a request of a caller. Raises RateLimited."""
        try:
            await self.fair_use.admit_request(caller)
        except RateLimited:
            await hold_back()
            raise


class Stay:
    """How long one stream may last by the right of its credential."""

    def __init__(self, door: Door, token: str | None, caller: Caller) -> None:
        self._sessions = door.sessions
        self._limit: asyncio.Timeout | None = None
        self._is_over = False
        self._session = door.sessions.add(token, caller, self._end)

    @asynccontextmanager
    async def lasting(self) -> AsyncIterator[None]:
        """Raise TimeoutError as soon as the credential counts no more."""
        if self._session is None:
            yield
            return
        async with asyncio.timeout(0 if self._is_over else None) as self._limit:
            try:
                yield
            finally:
                self._limit = None

    def close(self) -> None:
        """The stream is over."""
        self._sessions.remove(self._session)

    def _end(self, error: NotAuthenticated) -> None:
        self._is_over = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())


async def _turn(line: _Line) -> None:
    try:
        async with asyncio.timeout(TURN_SECONDS):
            await line.turns.acquire()
    except TimeoutError as error:
        raise ServiceUnavailable from error


def _place(connection: HTTPConnection | None) -> str:
    client = None if connection is None else connection.client
    return "" if client is None else place_of(client.host)


def _value_of(params: Mapping[str, object]) -> str | None:
    """What stands under `Authorization`, at the top or in `headers`, in whatever case: clients differ in that."""
    inner = params.get("headers")
    for fields in (params, inner if isinstance(inner, dict) else {}):
        for name, value in fields.items():
            if name.lower() == _HEADER and isinstance(value, str):
                return value
    return None


def _bearer(shown: str) -> str:
    """The token of an Authorization value; what is of another scheme is no token of ours, which is told later."""
    scheme, _, token = shown.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else shown
