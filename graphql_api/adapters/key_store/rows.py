"""Keys as rows. Instants are microseconds since 1970, limits a JSON object of those that there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from graphql_api.domain.api_key import ApiKey
from graphql_api.domain.caller import CallerLimits, CallerRole
from graphql_api.domain.errors import Text2ImageError
from graphql_api.domain.ids import CallerId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIMITS = frozenset(field.name for field in fields(CallerLimits))


class KeySchemaTooNew(Text2ImageError):
    """The keys were last used by a later version of the program."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"The key store has schema {found}, and this version of the program knows schemas up to {known}."
        )


def columns_of(key: ApiKey) -> tuple[Any, ...]:
    """A key as the columns of its row, in the order of the table."""
    limits = {name: value for name, value in asdict(key.limits).items() if value is not None}
    return (
        key.id,
        key.caller_id,
        key.name,
        key.account,
        key.secret_sha256,
        key.role.value,
        json.dumps(limits),
        _microseconds(key.created_at),
        None if key.expires_at is None else _microseconds(key.expires_at),
        None if key.revoked_at is None else _microseconds(key.revoked_at),
    )


def key_of_row(row: Sequence[Any]) -> ApiKey:
    """The key of a row whose columns are in the order of the table."""
    key_id, caller_id, name, account, secret_sha256, role, limits, created_at, expires_at, revoked_at = row
    known = {name: value for name, value in json.loads(limits).items() if name in _LIMITS}
    return ApiKey(
        id=key_id,
        caller_id=CallerId(caller_id),
        name=name,
        account=account,
        secret_sha256=secret_sha256,
        created_at=_instant(created_at),
        role=CallerRole(role),
        limits=CallerLimits(**known),
        expires_at=None if expires_at is None else _instant(expires_at),
        revoked_at=None if revoked_at is None else _instant(revoked_at),
    )


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
