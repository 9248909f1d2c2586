"""Errors of the transport, in the shape of GraphQL errors."""

from __future__ import annotations

import asyncio
import math

from starlette.responses import Response

from graphql_api.domain.errors import (
    NotAuthenticated,
    NotPermitted,
    RefusedForNow,
    RequestRefused,
    ServiceUnavailable,
    Text2ImageError,
)
from graphql_api.http import json
from graphql_api.schema.errors import ErrorCode

CODES = {
    401: ErrorCode.UNAUTHENTICATED,
    403: ErrorCode.FORBIDDEN,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.SERVICE_UNAVAILABLE,
    500: ErrorCode.INTERNAL_SERVER_ERROR,
}
RETRY_WHEN_AWAY_SECONDS = 5.0
HELD_BACK_SECONDS = 0.5
REFUSALS = (NotAuthenticated, NotPermitted, RequestRefused, ServiceUnavailable)
"""What a request may be refused with before it is executed."""


def error_response(
    status: int,
    message: str,
    *,
    media_type: str = "application/json",
    headers: dict[str, str] | None = None,
    extensions: dict[str, object] | None = None,
) -> Response:
    """A response that holds one error and nothing else."""
    error = {"message": message, "extensions": {"code": CODES.get(status, ErrorCode.BAD_REQUEST), **(extensions or {})}}
    return Response(
        json.encode({"errors": [error]}),
        status_code=status,
        media_type=f"{media_type}; charset=utf-8",
        headers=headers,
    )


def refusal_response(error: Text2ImageError) -> Response:
    """The response that refuses a request before it is executed, with one of REFUSALS."""
    seconds = retry_after(error)
    extensions: dict[str, object] = {} if seconds is None else {"retryAfterSeconds": seconds}
    return error_response(
        status_of(error), error.message, headers=refusal_headers(error) or None, extensions=extensions
    )


def status_of(error: Text2ImageError) -> int:
    """The status of a response that tells of one of REFUSALS."""
    match error:
        case NotAuthenticated():
            return 401
        case NotPermitted():
            return 403
        case RefusedForNow():
            return 429
        case ServiceUnavailable():
            return 503
        case _:
            return 400


def refusal_headers(error: Text2ImageError) -> dict[str, str]:
    """What a response that tells of one of REFUSALS says in its headers: who may ask (RFC 6750), or when to ask."""
    seconds = retry_after(error)
    if seconds is not None:
        return retry_header(seconds)
    if not isinstance(error, NotAuthenticated):
        return {}
    ended = ' error="invalid_token", error_description="The token has expired"' if error.is_expired else ""
    return {"WWW-Authenticate": f"Bearer{ended}"}


def retry_header(seconds: float) -> dict[str, str]:
    """The header that says when to try again, in whole seconds."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def retry_after(error: Text2ImageError) -> float | None:
    """In how many seconds to try again, where that helps."""
    if isinstance(error, RefusedForNow):
        return error.retry_after_seconds
    return RETRY_WHEN_AWAY_SECONDS if isinstance(error, ServiceUnavailable) else None


async def hold_back() -> None:
    """Wait before a refusal that somebody gets who sends more than they may, or who guesses: it slows them down, and
    they wait for their answer rather than the others."""
    await asyncio.sleep(HELD_BACK_SECONDS)
