"""Callers at the door: the one caller of a server without sign-in, and what is open for longer than a request.

A stream ends with the credential that it was opened with: within a second when the credential ends by itself, within
CHECK_SECONDS when it is revoked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from graphql_api.domain.caller import LOCAL, Caller
from graphql_api.domain.errors import NotAuthenticated, ServiceUnavailable
from graphql_api.ports import Authenticator
from graphql_api.service.clock import Clock, utc_now

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
CHECK_SECONDS = 10.0

OnEnd = Callable[[NotAuthenticated], None]
"""What a session is told when its credential counts no more."""


class OneCaller:
    """An Authenticator for a server without sign-in: everybody is the local caller."""

    async def authenticate(self, token: str | None) -> Caller:
        """The local caller, whatever is shown."""
        return LOCAL


class Session:
    """Something that is open by the right of a credential."""

    __slots__ = ("on_end", "token")

    def __init__(self, token: str, on_end: OnEnd) -> None:
        self.token = token
        self.on_end = on_end


class Sessions:
    """Everything that is open by the right of a credential, by credential: many streams may share one."""

    def __init__(self, authenticator: Authenticator, *, clock: Clock = utc_now) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._open: dict[str, dict[Session, None]] = {}
        self._ends: dict[str, datetime] = {}

    def __len__(self) -> int:
        return sum(len(sessions) for sessions in self._open.values())

    def add(self, token: str | None, caller: Caller, on_end: OnEnd) -> Session | None:
        """Have `on_end` called once, when the credential counts no more. None where there is no credential to end."""
        if token is None:
            return None
        session = Session(token, on_end)
        self._open.setdefault(token, {})[session] = None
        if caller.expires_at is not None:
            self._ends[token] = caller.expires_at
        return session

    def remove(self, session: Session | None) -> None:
        """It is closed."""
        if session is None or (sessions := self._open.get(session.token)) is None:
            return
        sessions.pop(session, None)
        if not sessions:
            self._forget(session.token)

    async def run(self) -> None:
        """Look after credentials until cancelled."""
        loop = asyncio.get_running_loop()
        check_at = loop.time() + CHECK_SECONDS
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.end_expired()
            if loop.time() >= check_at:
                await self.check()
                check_at = loop.time() + CHECK_SECONDS

    def end_expired(self) -> None:
        """End what was opened with a credential whose time is over."""
        now = self._clock()
        for token in [token for token, ends_at in self._ends.items() if ends_at <= now]:
            self._end(token, NotAuthenticated("Token expired", is_expired=True))

    async def check(self) -> None:
        """End what was opened with a credential that was revoked since."""
        for token in tuple(self._open):
            try:
                await self._authenticator.authenticate(token)
            except NotAuthenticated as error:
                self._end(token, error)
            except ServiceUnavailable as error:
                logger.warning("credentials of open streams could not be checked: %s", error)
                return

    def _end(self, token: str, error: NotAuthenticated) -> None:
        sessions = self._open.get(token, {})
        self._forget(token)
        for session in tuple(sessions):
            session.on_end(error)

    def _forget(self, token: str) -> None:
        self._open.pop(token, None)
        self._ends.pop(token, None)
