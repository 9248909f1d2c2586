"""Errors of the transport, in the shape of GraphQL errors."""

from __future__ import annotations

from starlette.responses import Response

from graphql_api.http import json
from graphql_api.schema.errors import ErrorCode

CODES = {429: ErrorCode.RATE_LIMITED, 503: ErrorCode.SERVICE_UNAVAILABLE, 500: ErrorCode.INTERNAL_SERVER_ERROR}


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
