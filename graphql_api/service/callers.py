"""Callers at the door: the one caller of a server without sign-in, and what is open for longer than a request.

A stream ends with the credential that it was opened with: within a second when the credential ends by itself, and in
the next round of checks when it is revoked, CHECK_SECONDS after the round before.
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
CHECKS_AT_A_TIME = 50

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
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep())
            # Apart: a round of checks may take long, and what expires does not wait for it.
            group.create_task(self._check_on())

    def end_expired(self) -> None:
        """End what was opened with a credential whose time is over."""
        now = self._clock()
        for token in [token for token, ends_at in self._ends.items() if ends_at <= now]:
            self._end(token, NotAuthenticated("Token expired", is_expired=True))

    async def check(self) -> None:
        """End what was opened with a credential that was revoked since. Does not raise."""
        left = list(self._open)
        failures: list[Exception] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(min(CHECKS_AT_A_TIME, len(left))):
                group.create_task(self._check_all(left, failures))
        if failures:
            # By its type alone: the text of an error that nobody expects might hold a credential.
            error = type(failures[0]).__name__
            logger.warning("%d credentials of open streams could not be checked: %s", len(failures), error)

    async def _check_all(self, left: list[str], failures: list[Exception]) -> None:
        """Check the credentials that are left, which others take from at the same time."""
        while left:
            token = left.pop()
            try:
                await self._authenticator.authenticate(token)
            except NotAuthenticated as error:
                self._end(token, error)
            except ServiceUnavailable as error:
                failures.append(error)
                left.clear()
            except Exception as error:
                # One that cannot be checked keeps no other from it.
                failures.append(error)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.end_expired()

    async def _check_on(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self.check()

    def _end(self, token: str, error: NotAuthenticated) -> None:
        sessions = self._open.get(token, {})
        self._forget(token)
        for session in tuple(sessions):
            try:
                session.on_end(error)
            except Exception:
                # The others end all the same.
                logger.exception("a stream could not be ended with its credential")

    def _forget(self, token: str) -> None:
        self._open.pop(token, None)
        self._ends.pop(token, None)
