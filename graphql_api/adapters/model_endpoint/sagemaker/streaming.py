"""`sagemaker-stream:<endpoint>`: InvokeEndpointWithResponseStream, which tells of every step, for up to 8 minutes.

The service hands on the bytes of the container in parts that are cut anywhere. What the bytes mean is between the
container and us; ours sends JSON lines:

    {"step": 3, "total_steps": 50, "preview": "<Base64 of a small WebP>"}     any number; the preview may be left out
    {"error": {"code": "...", "message": "..."}}                              it failed; nothing follows
    {"result": <what the model family answers>}                               the last line; it has no other key
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from botocore.eventstream import ParserError

from graphql_api.adapters.aws import Aws
from graphql_api.adapters.model_endpoint.sagemaker.faults import failure_of_report
from graphql_api.adapters.model_endpoint.sagemaker.target import MAX_ANSWER_BYTES, Endpoint, Target
from graphql_api.adapters.sdk_errors import SDK_ERRORS
from graphql_api.domain.errors import AnswerNotUnderstood, GenerationFailed, ModelFailed
from graphql_api.domain.generation import ModelAvailability
from graphql_api.ports import Answer, Invocation, StepDone

logger = logging.getLogger(__name__)

MAX_PREVIEW_CHARS = 256 * 1024
MAX_STEP_LINE_BYTES = 2 * MAX_PREVIEW_CHARS

# The result may have megabytes: its line is cut open rather than parsed, and the codec looks at what is inside.
_RESULT = re.compile(rb'\s*\{\s*"result"\s*:')
_END = re.compile(rb"\}\s*\Z")


class SageMakerStreamEndpoint:
    """A real-time endpoint whose container streams. Leaving the stream does not stop the container for certain."""

    can_stop = False
    reports_steps = True

    def __init__(self, aws: Aws, target: Target) -> None:
        self._endpoint = Endpoint(aws, target)

    async def invoke(self, invocation: Invocation) -> AsyncIterator[StepDone | Answer]:
        """See ModelEndpoint."""
        deadline = asyncio.get_running_loop().time() + invocation.timeout_seconds
        try:
            client = await self._endpoint.aws.sagemaker_runtime()
            async with asyncio.timeout_at(deadline):
                response = await client.invoke_endpoint_with_response_stream(
                    **self._endpoint.target.parameters,
                    Body=invocation.request.body,
                    ContentType=invocation.request.content_type,
                    Accept=invocation.request.accept,
                    InferenceId=invocation.id,
                )
            async for update in _updates(response["Body"], invocation, deadline):
                yield update
                if isinstance(update, Answer):
                    return
        except (*SDK_ERRORS, ParserError) as error:
            raise await self._endpoint.failure(error, invocation.id) from error
        raise ModelFailed("The model's answer broke off.", retryable=True)

    async def availability(self) -> ModelAvailability:
        """See ModelEndpoint."""
        return await self._endpoint.availability()


async def _updates(stream: Any, invocation: Invocation, deadline: float) -> AsyncIterator[StepDone | Answer]:
    lines = Lines()
    events = aiter(stream)
    try:
        while True:
            # Around each part rather than around the whole: whoever takes the steps may be slow, and that is not the
            # model's time.
            async with asyncio.timeout_at(deadline):
                event = await anext(events, None)
            if event is None:
                for line in lines.rest():
                    yield read_line(line, invocation)
                return
            for line in lines.cut(event.get("PayloadPart", {}).get("Bytes", b"")):
                yield read_line(line, invocation)
    finally:
        stream.close()


class Lines:
    """Puts lines together from parts that are cut anywhere."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def cut(self, part: bytes) -> Iterator[bytes]:
        """The lines that this part completes. Raises ModelFailed when one has more than MAX_ANSWER_BYTES."""
        *complete, rest = part.split(b"\n")
        for end in complete:
            yield from self._joined(end)
        if rest:
            self._keep(rest)

    def rest(self) -> Iterator[bytes]:
        """What is left at the end of the stream: a last line may lack its line break."""
        yield from self._joined(b"")

    def _joined(self, end: bytes) -> Iterator[bytes]:
        self._keep(end)
        line = b"".join(self._parts)
        self._parts, self._size = [], 0
        if line.strip(b" \t\r"):
            yield line

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > MAX_ANSWER_BYTES:
            raise ModelFailed("The model's answer was too large.")
        self._parts.append(part)


def read_line(line: bytes, invocation: Invocation) -> StepDone | Answer:
    """What a line says. Raises AnswerNotUnderstood, or the failure that the line reports."""
    opening = _RESULT.match(line[:64])
    if opening is not None:
        ending = _END.search(line[-64:])
        if ending is None:
            raise _not_understood(f"result of {len(line)} bytes that does not end")
        body = line[opening.end() : len(line) - len(ending[0])]
        return Answer(body=body.strip(), content_type=invocation.request.accept)
    if len(line) > MAX_STEP_LINE_BYTES:
        raise _not_understood(f"line of {len(line)} bytes that is no result")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _not_understood(f"line of {len(line)} bytes that is not JSON") from error
    if isinstance(fields, dict) and "error" in fields:
        raise _reported(fields["error"], invocation.id)
    return _step(fields)


def _step(fields: Any) -> StepDone:
    step, total = (fields.get("step"), fields.get("total_steps")) if isinstance(fields, dict) else (None, None)
    if type(step) is not int or type(total) is not int or not 1 <= step <= total:
        raise _not_understood(f"line that is a {type(fields).__name__} without step and total_steps")
    return StepDone(step=step, total_steps=total, preview=_preview(fields.get("preview")))


def _preview(text: Any) -> bytes | None:
    """The picture of a step. One that cannot be read is left out: a preview is not worth a job."""
    if not isinstance(text, str) or len(text) > MAX_PREVIEW_CHARS:
        return None
    try:
        body = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    # It is handed out as WebP, so it must at least begin like one.
    return body if body[:4] == b"RIFF" and body[8:12] == b"WEBP" else None


def _reported(report: Any, invocation_id: str) -> GenerationFailed:
    text = json.dumps(report)[:2000]
    logger.warning("invocation %s failed in its container, which reported: %s", invocation_id, text)
    return failure_of_report(text)


def _not_understood(shape: str) -> AnswerNotUnderstood:
    return AnswerNotUnderstood(codec="sagemaker-stream", shape=shape)
