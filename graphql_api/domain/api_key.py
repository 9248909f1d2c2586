"""API keys: what a caller shows, and what the server keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from graphql_api.domain.caller import UNLIMITED, Caller, CallerLimits, CallerRole
from graphql_api.domain.ids import CallerId


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is kept of a key: everything but its secret, of which only the SHA-256 is.

    Several keys may belong to one caller. `account` is what its jobs are charged to; a key that was rotated hands it on
    to its successor, together with caller, role and limits. Instants are aware and in UTC.
    """

    id: str
    caller_id: CallerId
    name: str
    account: str
    secret_sha256: str
    created_at: datetime
    role: CallerRole = CallerRole.MEMBER
    limits: CallerLimits = UNLIMITED
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def caller(self) -> Caller:
        """Who shows this key."""
        return Caller(
            id=self.caller_id,
            name=self.name,
            account=self.account,
            role=self.role,
            limits=self.limits,
            expires_at=self.expires_at,
        )
