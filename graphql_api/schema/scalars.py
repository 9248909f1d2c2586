"""Scalars of the schema."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NewType

from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition, scalar

from graphql_api.domain.generation import MAX_SEED

UInt32 = NewType("UInt32", int)
URL = NewType("URL", str)


def _format_datetime(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _parse_datetime(value: Any) -> datetime:
    try:
        parsed = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _bad_input("DateTime", value) from None
    if parsed.tzinfo is None:
        raise GraphQLError("A DateTime needs an offset from UTC, such as a trailing Z.")
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        raise _bad_input("DateTime", value) from None


def _parse_uint32(value: Any) -> UInt32:
    is_whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    if not is_whole or not 0 <= value <= MAX_SEED:
        raise _bad_input("UInt32", value)
    return UInt32(int(value))


def _parse_url(value: Any) -> URL:
    if not isinstance(value, str):
        raise _bad_input("URL", value)
    return URL(value)


def _bad_input(scalar_name: str, value: Any) -> GraphQLError:
    return GraphQLError(f"{scalar_name} cannot represent this {type(value).__name__}.")


SCALARS: dict[object, ScalarDefinition] = {
    datetime: scalar(
        name="DateTime",
        description="An instant in UTC, RFC 3339 with a trailing Z.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time.html",
        serialize=_format_datetime,
        parse_value=_parse_datetime,
    ),
    UInt32: scalar(
        name="UInt32",
        description="An unsigned 32-bit integer sent as a JSON number, used for sampler seeds.",
        serialize=int,
        parse_value=_parse_uint32,
    ),
    URL: scalar(
        name="URL",
        description="An absolute URL, or one relative to the origin of the API.",
        specified_by_url="https://url.spec.whatwg.org/",
        serialize=str,
        parse_value=_parse_url,
    ),
}
