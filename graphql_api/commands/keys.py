"""Making, listing, rotating and revoking API keys, also while a server runs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.markup import escape
from rich.table import Table

from graphql_api.adapters.aws import AwsOptions, open_aws
from graphql_api.adapters.key_store import key_store_url, open_key_store
from graphql_api.bootstrap import database_login
from graphql_api.domain.api_key import ApiKey
from graphql_api.domain.caller import CallerLimits
from graphql_api.service.api_keys import ApiKeys
from graphql_api.service.clock import utc_now
from graphql_api.settings import Settings

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")


@asynccontextmanager
async def open_keys(settings: Settings) -> AsyncIterator[ApiKeys]:
    """The keys of the server with these settings. Raises ValueError, Text2ImageError when they cannot be used."""
    async with open_aws(AwsOptions(region=settings.aws_region or None)) as aws:
        login = await database_login(settings, aws)
        async with open_key_store(key_store_url(settings.database_url), login=login) as store:
            yield ApiKeys(store)


def seconds_of(text: str) -> float:
    """How long `24h` is: a number of s, m, h, d or w. Raises ValueError, with a sentence for the user."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no length of time, such as 30m, 24h or 7d.")
    return float(int(match[1]) * _UNITS[match[2]])


def instant_of(text: str, *, now: datetime | None = None) -> datetime:
    """When `90d` from now is, or `2027-01-31`: a day begins at 00:00 UTC. Raises ValueError, as a sentence."""
    try:
        if _DURATION.fullmatch(text.strip()):
            return (now or utc_now()) + timedelta(seconds=seconds_of(text))
        instant = datetime.fromisoformat(text.strip())
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is neither a day, such as 2027-01-31, nor a length of time, such as 90d."
        ) from error


def as_json(key: ApiKey) -> dict[str, Any]:
    """What may be shown of a key. Instants are in ISO 8601."""
    return {
        "id": key.id,
        "name": key.name,
        "caller": key.caller_id,
        "account": key.account,
        "role": key.role.value.lower(),
        "limits": _limits_of(key.limits),
        "state": state_of(key),
        "created_at": key.created_at.isoformat(),
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
        "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(),
    }


def state_of(key: ApiKey) -> str:
    """Whether a key counts: `active`, `expired` or `revoked`."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= utc_now() else "active"


def table_of(keys: Sequence[ApiKey]) -> Table:
    """Keys as a table."""
    table = Table()
    # What is typed again is shown as a whole, however narrow the terminal.
    table.add_column("id", no_wrap=True, min_width=12)
    for title in ("name", "caller", "role", "limits", "state", "created", "ends"):
        table.add_column(title)
    for key in keys:
        limits = ", ".join(f"{name} {value:g}" for name, value in _limits_of(key.limits).items())
        ends_at = key.revoked_at or key.expires_at
        table.add_row(
            key.id,
            escape(key.name),
            escape(key.caller_id),
            key.role.value.lower(),
            limits,
            state_of(key),
            shown(key.created_at),
            "" if ends_at is None else shown(ends_at),
        )
    return table


def shown(instant: datetime) -> str:
    """An instant, to the minute."""
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _limits_of(limits: CallerLimits) -> dict[str, float]:
    named = {name: getattr(limits, name) for name in CallerLimits.__dataclass_fields__}
    return {name: value for name, value in named.items() if value is not None}
