"""`sagemaker-async:<endpoint>?inputs=s3://bucket/prefix`: InvokeEndpointAsync.

The request is put into S3 and its place handed over; SageMaker queues it for up to six hours, runs it for up to one,
and puts the answer, or the container's report of an error, into S3. It can tell of that by SNS (see
completion_queue/), but publishing may fail, so the places are looked at as well. There is no way to cancel.
Documented: an endpoint with AsyncInferenceConfig takes asynchronous invocations only.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from graphql_api.adapters.aws import Aws, error_code, http_status
from graphql_api.adapters.model_endpoint.sagemaker.faults import AWAY, failure_of_report
from graphql_api.adapters.model_endpoint.sagemaker.target import MAX_ANSWER_BYTES, Endpoint, Target, read_up_to
from graphql_api.adapters.s3_place import S3Place
from graphql_api.adapters.sdk_errors import SDK_ERRORS
from graphql_api.domain.errors import ModelNotReady, ModelUnavailable, ServiceUnavailable
from graphql_api.domain.generation import ModelAvailability
from graphql_api.domain.job import Placement
from graphql_api.ports import Answer, Invocation

logger = logging.getLogger(__name__)

# Documented ranges, which the SDK does not check.
MAX_INVOCATION_SECONDS = 3600
MIN_TTL_SECONDS = 60
MAX_TTL_SECONDS = 21_600
UNHEARD_SECONDS = 900

MAX_REPORT_BYTES = 64 * 1024

_MISSING = ("NoSuchKey", "404", "NotFound")
_FORBIDDEN = ("AccessDenied", "403", "Forbidden", "NoSuchBucket")


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncOptions:
    """Where inputs are put, how long an invocation may wait in the endpoint's queue, and how long to wait for word of
    one of which nobody knows whether it was taken."""

    NAMES: ClassVar[frozenset[str]] = frozenset({"inputs", "queue_seconds", "unheard_seconds"})

    inputs: S3Place
    queue_seconds: int = MAX_TTL_SECONDS
    unheard_seconds: int = UNHEARD_SECONDS

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> AsyncOptions:
        """Read `inputs`, `queue_seconds` and `unheard_seconds`. Raises ValueError."""
        if "inputs" not in given:
            raise ValueError("sagemaker-async: needs a place for its inputs, such as ?inputs=s3://bucket/async-inputs.")
        return cls(
            inputs=S3Place.parse(given["inputs"]),
            queue_seconds=_seconds(given, "queue_seconds", MAX_TTL_SECONDS, least=MIN_TTL_SECONDS),
            unheard_seconds=_seconds(given, "unheard_seconds", UNHEARD_SECONDS, least=1),
        )


def _seconds(given: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = given.get(name, str(default))
    if not text.isdecimal() or not least <= int(text) <= MAX_TTL_SECONDS:
        raise ValueError(f"{name} of sagemaker-async: is {least} to {MAX_TTL_SECONDS}.")
    return int(text)


class SageMakerAsyncEndpoint:
    """An asynchronous endpoint: answers come to S3."""

    def __init__(self, aws: Aws, target: Target, options: AsyncOptions) -> None:
        self._endpoint = Endpoint(aws, target)
        self._options = options
        self.longest_seconds = float(options.queue_seconds + MAX_INVOCATION_SECONDS)
        self.unheard_seconds = float(options.unheard_seconds)

    async def submit(self, invocation: Invocation) -> Placement:
        """See DeferredEndpoint. The ID of the invocation is SageMaker's InferenceId."""
        place = self._options.inputs.below(f"{invocation.id}.request")
        await self._put_input(place, invocation)
        seconds = min(MAX_INVOCATION_SECONDS, max(1, math.ceil(invocation.timeout_seconds)))
        try:
            client = await self._endpoint.aws.sagemaker_runtime()
            answer = await client.invoke_endpoint_async(
                EndpointName=self._endpoint.target.name,
                InputLocation=place.url,
                InferenceId=invocation.id,
                ContentType=invocation.request.content_type,
                Accept=invocation.request.accept,
                RequestTTLSeconds=self._options.queue_seconds,
                InvocationTimeoutSeconds=seconds,
            )
        except SDK_ERRORS as error:
            raise await self._endpoint.failure(error, invocation.id) from error
        return Placement(output_url=answer.get("OutputLocation"), failure_url=answer.get("FailureLocation"))

    async def collect(self, placement: Placement) -> Answer | None:
        """See DeferredEndpoint."""
        if placement.output_url is not None:
            found = await self._get(placement.output_url, MAX_ANSWER_BYTES)
            if found is not None:
                if found.is_cut:
                    raise self._endpoint.too_large()
                return Answer(body=found.body, content_type=found.content_type)
        if placement.failure_url is not None:
            report = await self._get(placement.failure_url, MAX_REPORT_BYTES)
            if report is not None:
                text = report.body.decode(errors="replace")
                logger.warning(
                    "endpoint %s left a report of a failure: %s. Its log group says more.",
                    self._endpoint.target.name,
                    text[:2000],
                )
                raise failure_of_report(text)
        return None

    async def availability(self) -> ModelAvailability:
        """See DeferredEndpoint."""
        return await self._endpoint.availability()

    async def _put_input(self, place: S3Place, invocation: Invocation) -> None:
        request = invocation.request
        try:
            client = await self._endpoint.aws.s3()
            await client.put_object(
                Bucket=place.bucket, Key=place.key, Body=request.body, ContentType=request.content_type
            )
        except SDK_ERRORS as error:
            code = error_code(error)
            logger.warning(
                "the input of invocation %s could not be put into bucket %s: %s. Check that the bucket exists in this "
                "region and that the server may s3:PutObject there.",
                invocation.id,
                place.bucket,
                code,
                exc_info=error,
            )
            if code in _FORBIDDEN:
                raise ModelUnavailable(AWAY) from error
            raise ModelNotReady(AWAY, is_starting=False) from error

    async def _get(self, url: str, max_bytes: int) -> _Found | None:
        """The object at a place, or None when there is none. Raises ServiceUnavailable."""
        place = S3Place.parse(url)
        try:
            client = await self._endpoint.aws.s3()
            answer: Any = await client.get_object(Bucket=place.bucket, Key=place.key)
            body, is_cut = await read_up_to(answer["Body"], max_bytes)
        except SDK_ERRORS as error:
            if error_code(error) in _MISSING:
                return None
            logger.warning(
                "the answer in bucket %s cannot be looked at: %s (HTTP %s). The server needs s3:GetObject on it, and "
                "s3:ListBucket, without which a missing object looks like a forbidden one.",
                place.bucket,
                error_code(error),
                http_status(error) or "none",
            )
            raise ServiceUnavailable from error
        return _Found(
            body=body[:max_bytes],
            content_type=answer.get("ContentType", ""),
            is_cut=is_cut,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    body: bytes
    content_type: str
    is_cut: bool
