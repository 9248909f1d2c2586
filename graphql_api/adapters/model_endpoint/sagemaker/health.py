"""Whether an endpoint takes invocations, as DescribeEndpoint tells."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from graphql_api.adapters.aws import Aws, error_code
from graphql_api.adapters.sdk_errors import SDK_ERRORS
from graphql_api.domain.generation import ModelAvailability

logger = logging.getLogger(__name__)

FRESH_SECONDS = 30.0

# Documented statuses. One that is being updated still answers with its old instances, but may also be growing new ones.
_STATUSES: Mapping[str, ModelAvailability] = {
    "InService": ModelAvailability.READY,
    "Creating": ModelAvailability.STARTING,
    "Updating": ModelAvailability.STARTING,
    "SystemUpdating": ModelAvailability.STARTING,
    "RollingBack": ModelAvailability.STARTING,
    "OutOfService": ModelAvailability.UNAVAILABLE,
    "Deleting": ModelAvailability.UNAVAILABLE,
    "Failed": ModelAvailability.UNAVAILABLE,
    "UpdateRollbackFailed": ModelAvailability.UNAVAILABLE,
}


class EndpointHealth:
    """What is known of one endpoint; asked again when it is older than whoever asks wants it to be."""

    def __init__(self, aws: Aws, endpoint_name: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._aws = aws
        self._endpoint_name = endpoint_name
        self._monotonic = monotonic
        self._known: ModelAvailability | None = None
        self._known_at = 0.0
        self._asking = asyncio.Lock()

    async def availability(self, *, max_age_seconds: float = FRESH_SECONDS) -> ModelAvailability:
        """The latest answer, at most so old. Any number of callers wait for one request. Does not raise."""
        async with self._asking:
            if self._known is None or self._monotonic() - self._known_at >= max_age_seconds:
                self._known = await self._ask()
                self._known_at = self._monotonic()
            return self._known

    async def _ask(self) -> ModelAvailability:
        try:
            client = await self._aws.sagemaker()
            description = await client.describe_endpoint(EndpointName=self._endpoint_name)
        except SDK_ERRORS as error:
            logger.warning(
                "endpoint %s cannot be described: %s", self._endpoint_name, error_code(error), exc_info=error
            )
            return ModelAvailability.UNAVAILABLE
        return availability_of(description)


def availability_of(description: Mapping[str, Any]) -> ModelAvailability:
    """What an answer of DescribeEndpoint means. An endpoint whose variants all have no instance is scaled to zero."""
    found = _STATUSES.get(str(description.get("EndpointStatus")), ModelAvailability.UNAVAILABLE)
    counts = [variant.get("CurrentInstanceCount") for variant in description.get("ProductionVariants") or ()]
    if found is ModelAvailability.READY and counts and all(count == 0 for count in counts):
        return ModelAvailability.SCALED_TO_ZERO
    return found
