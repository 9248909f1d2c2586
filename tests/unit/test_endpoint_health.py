"""What DescribeEndpoint tells, and how often it is asked."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from graphql_api.adapters.aws import Aws
from graphql_api.adapters.model_endpoint.sagemaker.health import FRESH_SECONDS, EndpointHealth, availability_of
from graphql_api.domain.generation import ModelAvailability


class Describing:
    """As much of the clients as is asked for."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self.answer = answer
        self.asked = 0

    async def sagemaker(self) -> Describing:
        return self

    async def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("status", "counts", "expected"),
    [
        ("InService", [1], ModelAvailability.READY),
        ("InService", [], ModelAvailability.READY),
        ("InService", [0, 1], ModelAvailability.READY),
        ("InService", [0], ModelAvailability.SCALED_TO_ZERO),
        ("Creating", [], ModelAvailability.STARTING),
        ("Updating", [1], ModelAvailability.STARTING),
        ("SystemUpdating", [1], ModelAvailability.STARTING),
        ("RollingBack", [1], ModelAvailability.STARTING),
        ("OutOfService", [1], ModelAvailability.UNAVAILABLE),
        ("Deleting", [1], ModelAvailability.UNAVAILABLE),
        ("Failed", [], ModelAvailability.UNAVAILABLE),
        ("UpdateRollbackFailed", [1], ModelAvailability.UNAVAILABLE),
        ("SomethingNew", [1], ModelAvailability.UNAVAILABLE),
    ],
)
def test_each_status_means_something(status: str, counts: list[int], expected: ModelAvailability) -> None:
    variants = [{"CurrentInstanceCount": count} for count in counts]

    assert availability_of({"EndpointStatus": status, "ProductionVariants": variants}) is expected


async def test_it_is_asked_once_in_thirty_seconds_however_many_want_to_know() -> None:
    now = [0.0]
    aws = Describing({"EndpointStatus": "InService"})
    health = EndpointHealth(cast(Aws, aws), "sd", monotonic=lambda: now[0])
    await asyncio.gather(*(health.availability() for _ in range(100)))
    now[0] = FRESH_SECONDS - 1
    await health.availability()
    assert aws.asked == 1

    now[0] = FRESH_SECONDS
    aws.answer = {"EndpointStatus": "Updating"}

    assert FRESH_SECONDS == 30
    assert await health.availability() is ModelAvailability.STARTING
    assert aws.asked == 2


async def test_an_endpoint_that_is_not_there_is_unavailable() -> None:
    error = ClientError({"Error": {"Code": "ValidationException", "Message": "Could not find"}}, "DescribeEndpoint")

    assert await EndpointHealth(cast(Aws, Describing(error)), "sd").availability() is ModelAvailability.UNAVAILABLE
