"""SageMaker's control plane, as far as a client of endpoints needs it: its JSON protocol, version 1.1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from graphql_api.sagemaker_local.descriptions import describe_endpoint, describe_endpoint_config, not_described
from graphql_api.sagemaker_local.faults import ActiveFaults
from graphql_api.sagemaker_local.runtime import RuntimeOptions

MEDIA_TYPE = "application/x-amz-json-1.1"


class ControlPlane:
    """Describes the endpoints."""

    def __init__(self, options: RuntimeOptions, *, faults: ActiveFaults, created_at: datetime) -> None:
        self._options = options
        self._faults = faults
        self._created_at = created_at
        self._endpoints = {each.name: each for each in options.endpoints}

    async def answer(self, request: Request) -> Response:
        """Do what X-Amz-Target names."""
        target = request.headers.get("x-amz-target", "")
        try:
            fields = json.loads(await request.body())
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            return _error("SerializationException", "The body is not a JSON object.")
        match target:
            case "SageMaker.DescribeEndpoint":
                return self._describe_endpoint(str(fields.get("EndpointName", "")))
            case "SageMaker.DescribeEndpointConfig":
                return self._describe_endpoint_config(str(fields.get("EndpointConfigName", "")))
            case _:
                return _error("UnknownOperationException", f"{target or 'The operation'} is not known here.")

    def _describe_endpoint(self, name: str) -> Response:
        endpoint = self._endpoints.get(name)
        status = "Missing" if endpoint is None else self._faults.status_of(endpoint)
        if endpoint is None or status == "Missing":
            return _error("ValidationException", not_described("endpoint", name, region=self._options.region))
        return _ok(describe_endpoint(endpoint, status, region=self._options.region, created_at=self._created_at))

    def _describe_endpoint_config(self, name: str) -> Response:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            return _error("ValidationException", not_described("endpoint-config", name, region=self._options.region))
        return _ok(
            describe_endpoint_config(
                endpoint,
                self._options.output,
                region=self._options.region,
                workers=self._options.workers,
                created_at=self._created_at,
            )
        )


def _ok(fields: Mapping[str, Any]) -> Response:
    return Response(json.dumps(fields), media_type=MEDIA_TYPE)


def _error(code: str, message: str) -> Response:
    return Response(json.dumps({"__type": code, "message": message}), status_code=400, media_type=MEDIA_TYPE)
