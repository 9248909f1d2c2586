"""Who asks: the credential of a request or of a socket. Cookies are never looked at, so that no page can use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from graphql_api import log_context
from graphql_api.domain.caller import Caller
from graphql_api.domain.errors import NotAuthenticated, RateLimited
from graphql_api.http.errors import hold_back
from graphql_api.ports import Authenticator
from graphql_api.service.callers import OnEnd, Session, Sessions
from graphql_api.service.fair_use import FairUse

_HEADER = "authorization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where callers come in. Without sign-in (`asks` is False) nobody's credential is looked at."""

    authenticator: Authenticator
    fair_use: FairUse
    sessions: Sessions
    asks: bool

    def token_of(self, connection: HTTPConnection, params: Mapping[str, object] | None = None) -> str | None:
        """The credential that a connection shows, in its headers or in the payload of its connection_init."""
        if not self.asks:
            return None
        shown = _value_of(params or {}) or connection.headers.get(_HEADER)
        return None if shown is None else _bearer(shown)

    async def identify(self, token: str | None) -> Caller:
        """Who shows a credential. Raises NotAuthenticated, ServiceUnavailable."""
        try:
            caller = await self.authenticator.authenticate(token)
        except NotAuthenticated as error:
            if token is not None and not error.is_expired:
                await hold_back()
            raise
        log_context.bind(caller_id=caller.id)
        return caller

    async def admit(self, connection: HTTPConnection) -> Caller:
        """Who sends a request, which is counted. Raises NotAuthenticated, RateLimited, ServiceUnavailable."""
        caller = await self.identify(self.token_of(connection))
        await self.count_request(caller)
        return caller

    async def count_request(self, caller: Caller) -> None:
        """Count a request of a caller. Raises RateLimited."""
        try:
            await self.fair_use.admit_request(caller)
        except RateLimited:
            await hold_back()
            raise

    def keep_open(self, token: str | None, caller: Caller, on_end: OnEnd) -> Session | None:
        """Have `on_end` called when the credential that something was opened with counts no more."""
        return self.sessions.add(token, caller, on_end)


class Stay:
    """How long one stream may last by the right of its credential."""

    def __init__(self, door: Door, token: str | None, caller: Caller) -> None:
        self._sessions = door.sessions
        self._limit: asyncio.Timeout | None = None
        self._is_over = False
        self._session = door.keep_open(token, caller, self._end)

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
