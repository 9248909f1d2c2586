"""Callers: who asks, what they may do, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum

from graphql_api.domain.ids import LOCAL_CALLER, CallerId

MAX_NAME_CHARS = 100


class CallerRole(StrEnum):
    """What a caller may do with jobs of their own; nobody ever sees those of others."""

    MEMBER = "MEMBER"
    """Everything."""
    READER = "READER"
    """Look and watch, but not generate, cancel, delete or replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerLimits:
    """The most that a caller may use; None is no limit.

    `dollars_per_month` is the budget: what jobs that are submitted in a calendar month (UTC) may cost, in US dollars.
    `sockets` and `streams` count what is open at a time, in one process.
    """

    requests_per_minute: int | None = None
    jobs_per_minute: int | None = None
    jobs_in_flight: int | None = None
    pixels_per_day: int | None = None
    sockets: int | None = None
    streams: int | None = None
    dollars_per_month: float | None = None

    def or_else(self, defaults: CallerLimits) -> CallerLimits:
        """These, and the default where there is none."""
        missing = {each.name: getattr(defaults, each.name) for each in fields(self) if getattr(self, each.name) is None}
        return replace(self, **missing)


UNLIMITED = CallerLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, as their credential says.

    `account` is what their jobs are charged to: a budget belongs to it. `expires_at` is when the credential ends, and
    with it every stream that was opened with it.
    """

    id: CallerId
    name: str
    account: str
    role: CallerRole = CallerRole.MEMBER
    limits: CallerLimits = UNLIMITED
    expires_at: datetime | None = None

    @property
    def may_write(self) -> bool:
        """Whether the caller may change anything."""
        return self.role is CallerRole.MEMBER


LOCAL = Caller(id=LOCAL_CALLER, name="local", account=LOCAL_CALLER)
"""Who asks when the server does not ask who asks."""
