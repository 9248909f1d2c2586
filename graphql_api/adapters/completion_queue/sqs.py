"""SageMaker's notifications of asynchronous invocations, by SNS into an SQS queue.

SNS and SQS deliver at least once and in any order. The notice of a success is documented; that of a failure is put
together from what users have recorded (`failureReason`, sometimes `responseParameters.failureLocation`), so everything
but the ID and the status is taken as optional. `Expired` was seen for invocations that waited too long in the queue.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from graphql_api.adapters.aws import Aws, error_code
from graphql_api.adapters.s3_place import S3Place
from graphql_api.adapters.sdk_errors import SDK_ERRORS
from graphql_api.domain.errors import ServiceUnavailable
from graphql_api.domain.job import InvocationEnd, Placement
from graphql_api.ports import CompletionNotice

logger = logging.getLogger(__name__)

WAIT_SECONDS = 20
MOST_MESSAGES = 10

_ENDS: Mapping[str, InvocationEnd] = {
    "Completed": InvocationEnd.COMPLETED,
    "Failed": InvocationEnd.FAILED,
    "Expired": InvocationEnd.EXPIRED,
}


class SqsCompletionQueue:
    """A queue that is subscribed to the topics of the endpoints, with or without raw delivery."""

    def __init__(self, aws: Aws, queue_url: str) -> None:
        self._aws = aws
        self._queue_url = queue_url

    async def receive(self) -> Sequence[CompletionNotice]:
        """See CompletionQueue."""
        try:
            client = await self._aws.sqs()
            answer = await client.receive_message(
                QueueUrl=self._queue_url, MaxNumberOfMessages=MOST_MESSAGES, WaitTimeSeconds=WAIT_SECONDS
            )
        except SDK_ERRORS as error:
            raise ServiceUnavailable(f"The completion queue does not answer ({error_code(error)}).") from error
        return [read_notice(each["ReceiptHandle"], each["Body"]) for each in answer.get("Messages", ())]

    async def forget(self, receipts: Sequence[str]) -> None:
        """See CompletionQueue. What could not be deleted comes again, and is met again."""
        entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)]
        if not entries:
            return
        try:
            client = await self._aws.sqs()
            answer = await client.delete_message_batch(QueueUrl=self._queue_url, Entries=entries)  # type: ignore[arg-type]
        except SDK_ERRORS as error:
            raise ServiceUnavailable(f"The completion queue does not answer ({error_code(error)}).") from error
        for failed in answer.get("Failed", ()):
            logger.warning("a message of the completion queue was not deleted: %s", failed.get("Code"))


def read_notice(receipt: str, body: str) -> CompletionNotice:
    """What a message says. Never raises: anything can be in a queue."""
    message = _json(body)
    if isinstance(message, dict) and message.get("Type") == "Notification" and isinstance(message.get("Message"), str):
        message = _json(message["Message"])
    if not isinstance(message, dict):
        return _unknown(receipt, f"{type(message).__name__} in {len(body)} characters")
    invocation_id, status = message.get("inferenceId"), message.get("invocationStatus")
    end = _ENDS.get(status) if isinstance(status, str) else None
    if not isinstance(invocation_id, str) or end is None:
        return _unknown(receipt, f"object with {len(message)} keys")
    if end is not InvocationEnd.COMPLETED:
        logger.warning("invocation %s ended as %s: %s", invocation_id, end, str(message.get("failureReason"))[:2000])
    return CompletionNotice(
        receipt=receipt, invocation_id=invocation_id, ended=end, placement=_placement(message.get("responseParameters"))
    )


def _unknown(receipt: str, shape: str) -> CompletionNotice:
    return CompletionNotice(receipt=receipt, invocation_id=None, shape=shape)


def _placement(parameters: Any) -> Placement | None:
    if not isinstance(parameters, dict):
        return None
    output_url, failure_url = _s3_url(parameters.get("outputLocation")), _s3_url(parameters.get("failureLocation"))
    return Placement(output_url=output_url, failure_url=failure_url) if output_url or failure_url else None


def _s3_url(value: Any) -> str | None:
    try:
        S3Place.parse(value if isinstance(value, str) else "")
    except ValueError:
        return None
    return str(value)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
