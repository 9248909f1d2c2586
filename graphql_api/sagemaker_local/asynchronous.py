"""Asynchronous invocations: the request comes from S3, the answer goes there, and SNS hears of it.

The answer goes to `<prefix>/<UUID>.out` or, when the container failed, its report to `<prefix>/<UUID>-error.out`.
The notification of a success is documented (AWS guide, `async-inference-check-predictions`); that of a failure, and the
status `Expired`, are observed. Inferred: the name of the failure's object, and that nothing is put into S3 for an
invocation that expired.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from graphql_api.adapters.aws import Aws, error_code
from graphql_api.adapters.model_endpoint.sketch.wire import WireError
from graphql_api.adapters.s3_place import S3Place
from graphql_api.adapters.sdk_errors import SDK_ERRORS
from graphql_api.ports import Answer
from graphql_api.sagemaker_local.containers import FAMILIES
from graphql_api.sagemaker_local.endpoints import DeclaredEndpoint
from graphql_api.sagemaker_local.errors import (
    ContainerFailed,
    constraint_violated,
    container_error,
    container_timed_out,
    service_error,
)
from graphql_api.sagemaker_local.faults import Fail, Plan
from graphql_api.sagemaker_local.instances import Instance, task_of
from graphql_api.sagemaker_local.invocations import Ending, InvocationRecord

logger = logging.getLogger(__name__)

MAX_INLINE_BYTES = 128_000
_PREFIX = "x-amzn-sagemaker-"


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncOutput:
    """Where the answers of asynchronous endpoints go, and which topics hear of them."""

    place: S3Place
    success_topic: str | None = None
    error_topic: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An asynchronous invocation that was taken. One of `input_place` and `inline` is set."""

    endpoint: DeclaredEndpoint
    plan: Plan
    record: InvocationRecord
    inference_id: str
    input_place: S3Place | None
    inline: bytes
    content_type: str | None
    accept: str | None
    timeout_seconds: int
    output_place: S3Place
    failure_place: S3Place
    received_at: datetime

    @property
    def headers(self) -> Mapping[str, str]:
        """What the caller learns of the places."""
        return {
            "X-Amzn-SageMaker-OutputLocation": self.output_place.url,
            "X-Amzn-SageMaker-FailureLocation": self.failure_place.url,
        }


class AsyncInvocations:
    """Takes asynchronous invocations and runs them. `has_instance` tells whether an endpoint is scaled up."""

    def __init__(self, aws: Aws, output: AsyncOutput, *, region: str, has_instance: Callable[[DeclaredEndpoint], bool]):
        self._aws = aws
        self._output = output
        self._region = region
        self._has_instance = has_instance

    def take(
        self,
        *,
        endpoint: DeclaredEndpoint,
        plan: Plan,
        record: InvocationRecord,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Ticket:
        """Check what was asked for. Raises ServiceError."""
        location = headers.get(f"{_PREFIX}inputlocation")
        if (location is None) == (not body) or len(body) > MAX_INLINE_BYTES:
            raise service_error(
                "ValidationError",
                message=f"Give either InputLocation or a Body of at most {MAX_INLINE_BYTES} bytes.",
            )
        _seconds(headers, "RequestTTLSeconds", "requestTTLSeconds", 21_600, least=60, most=21_600)
        name = str(uuid.uuid4())
        return Ticket(
            endpoint=endpoint,
            plan=plan,
            record=record,
            inference_id=record.inference_id or str(uuid.uuid4()),
            input_place=None if location is None else _input_place(location),
            inline=body,
            content_type=headers.get(f"{_PREFIX}content-type"),
            accept=headers.get(f"{_PREFIX}accept"),
            timeout_seconds=_seconds(
                headers, "InvocationTimeoutSeconds", "invocationTimeoutSeconds", 900, least=1, most=3600
            ),
            output_place=self._output.place.below(f"{name}.out"),
            failure_place=self._output.place.below(f"{name}-error.out"),
            received_at=datetime.now(UTC),
        )

    async def run(self, ticket: Ticket, instance: Instance) -> None:
        """Answer an invocation into S3, and tell SNS. Does not raise for what goes wrong with S3 and SNS."""
        try:
            await self._run(ticket, instance)
        except SDK_ERRORS as error:
            # AWS counts these as RequestDownloadFailures and ResponseUploadFailures. Inferred: what is told of them.
            logger.warning(
                "invocation %s: its input in S3 cannot be read, or its answer not be put there: %s",
                ticket.inference_id,
                error,
            )
            await self._notify(ticket, "Failed", failureReason=f"ClientError: S3 answered {error_code(error)}.")
            ticket.record.end(Ending.FAILED, error_code(error))

    async def _run(self, ticket: Ticket, instance: Instance) -> None:
        if ticket.plan.is_expired:
            await self._notify(ticket, "Expired", failureReason="The request stayed in the queue for too long.")
            ticket.record.end(Ending.EXPIRED)
            return
        # Nobody tells when a fault has lasted its time, so there is no event to wait for.
        while not self._has_instance(ticket.endpoint):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        try:
            answer = await self._answer(ticket, instance)
        except ContainerFailed as error:
            await self._put(ticket.failure_place, error.report.encode(), "application/json")
            await self._notify(
                ticket,
                "Failed",
                failureReason=error.reason,
                responseParameters={"contentType": "application/json", "failureLocation": ticket.failure_place.url},
            )
            ticket.record.end(Ending.FAILED, "ModelError")
            return
        await self._put(ticket.output_place, answer.body, answer.content_type)
        await self._notify(
            ticket,
            "Completed",
            responseParameters={"contentType": answer.content_type, "outputLocation": ticket.output_place.url},
        )
        ticket.record.end(Ending.DRAWN)

    async def _answer(self, ticket: Ticket, instance: Instance) -> Answer:
        failing = ticket.plan.ending
        failure = failing.failure() if isinstance(failing, Fail) and failing.when == "before" else None
        if failure is not None:
            raise failure
        body, content_type = await self._input(ticket)
        try:
            order = FAMILIES[ticket.endpoint.family](body, content_type, ticket.accept or "")
        except WireError as error:
            raise container_error(400, str(error)) from error
        try:
            async with asyncio.timeout(ticket.timeout_seconds):
                return await instance.answer(task_of(order, ticket.plan, ticket.record, ticket.endpoint.kind))
        except TimeoutError as error:
            raise container_timed_out() from error

    async def _input(self, ticket: Ticket) -> tuple[bytes, str]:
        if ticket.input_place is None:
            return ticket.inline, ticket.content_type or ""
        client = await self._aws.s3()
        found: Any = await client.get_object(Bucket=ticket.input_place.bucket, Key=ticket.input_place.key)
        async with found["Body"] as stream:
            return await stream.read(), ticket.content_type or found.get("ContentType", "")

    async def _put(self, place: S3Place, body: bytes, content_type: str) -> None:
        client = await self._aws.s3()
        await client.put_object(Bucket=place.bucket, Key=place.key, Body=body, ContentType=content_type)

    async def _notify(self, ticket: Ticket, status: str, **fields: Any) -> None:
        topic = self._output.success_topic if status == "Completed" else self._output.error_topic
        copies = {"never": 0, "twice": 2}.get(ticket.plan.notify.deliver, 1) if ticket.plan.notify is not None else 1
        if topic is None or not copies:
            return
        message = json.dumps(self._message(ticket, status, fields))
        try:
            client = await self._aws.sns()
            for _ in range(copies):
                await client.publish(TopicArn=topic, Message=message)
        except SDK_ERRORS as error:
            # AWS counts these as NotificationFailures.
            logger.warning("invocation %s: SNS cannot be told that it is %s: %s", ticket.inference_id, status, error)

    def _message(self, ticket: Ticket, status: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        parameters = {
            "accept": ticket.accept,
            "contentType": ticket.content_type,
            "endpointName": ticket.endpoint.name,
            "inputLocation": ticket.input_place.url if ticket.input_place is not None else None,
        }
        return {
            "awsRegion": self._region,
            "eventTime": _timestamp(datetime.now(UTC)),
            "receivedTime": _timestamp(ticket.received_at),
            "invocationStatus": status,
            # Optional keys appear only when they were sent.
            "requestParameters": {name: value for name, value in parameters.items() if value is not None},
            **fields,
            "inferenceId": ticket.inference_id,
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
        }


def _input_place(location: str) -> S3Place:
    try:
        place = S3Place.parse(location)
    except ValueError:
        place = None
    if place is None or not place.key:
        # AWS takes https://<bucket>.s3.amazonaws.com/<key> too.
        raise service_error("ValidationError", message=f"Invalid InputLocation {location}: here it is s3://bucket/key.")
    return place


def _seconds(headers: Mapping[str, str], header: str, member: str, default: int, *, least: int, most: int) -> int:
    text = headers.get(_PREFIX + header.lower())
    if text is None:
        return default
    if not text.isdecimal() or not text.isascii():
        raise constraint_violated(member, text, "Member must be an integer")
    if int(text) < least:
        raise constraint_violated(member, text, f"Member must have value greater than or equal to {least}")
    if int(text) > most:
        raise constraint_violated(member, text, f"Member must have value less than or equal to {most}")
    return int(text)


def _timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
