"""The SageMaker Runtime: the three ways to invoke an endpoint."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from graphql_api.adapters.aws import Aws
from graphql_api.adapters.model_endpoint.sketch.wire import WireError
from graphql_api.ports import Answer
from graphql_api.sagemaker_local.asynchronous import AsyncInvocations, AsyncOutput
from graphql_api.sagemaker_local.connections import NoResponse, client_left, cut
from graphql_api.sagemaker_local.containers import FAMILIES
from graphql_api.sagemaker_local.endpoints import VARIANT, DeclaredEndpoint, EndpointKind
from graphql_api.sagemaker_local.errors import (
    ContainerFailed,
    ServiceError,
    constraint_violated,
    container_error,
    container_timed_out,
    endpoint_not_found,
    service_error,
)
from graphql_api.sagemaker_local.event_stream import MEDIA_TYPE
from graphql_api.sagemaker_local.faults import ActiveFaults, Disconnect, Fail, Hang, Plan, Throttle, When
from graphql_api.sagemaker_local.instances import Instance, Task, task_of
from graphql_api.sagemaker_local.invocations import Ending, InvocationLog, InvocationRecord
from graphql_api.sagemaker_local.streaming import StreamedAnswer, in_parts, one_chunk

logger = logging.getLogger(__name__)

REAL_TIME_SECONDS = 60.0
STREAM_SECONDS = 480.0
"""Documented: how long an invocation may take."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeOptions:
    """What can be set. `time_limit` in seconds stands for both of AWS' limits; `part_bytes` see `in_parts`."""

    endpoints: Sequence[DeclaredEndpoint]
    region: str
    output: AsyncOutput | None = None
    workers: int = 1
    step_seconds: float = 0.0
    part_bytes: int | None = None
    time_limit: float | None = None


class Runtime:
    """Answers invocations. `close` ends what still goes on."""

    def __init__(
        self, options: RuntimeOptions, *, faults: ActiveFaults, log: InvocationLog, aws: Aws, executor: Executor
    ) -> None:
        self._options = options
        self._faults = faults
        self._log = log
        self._endpoints = {each.name: each for each in options.endpoints}
        self._instances = {
            name: Instance(executor, workers=options.workers, step_seconds=options.step_seconds)
            for name in self._endpoints
        }
        self._asynchronous = (
            None
            if options.output is None
            else AsyncInvocations(aws, options.output, region=options.region, has_instance=self._has_instance)
        )
        self._running: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Drop everything that is being drawn."""
        for each in self._running:
            each.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # --- operations --------------------------------------------------------------------------------------------------

    async def invoke(self, request: Request) -> Response:
        """InvokeEndpoint."""
        endpoint, body = self._endpoint(request), await request.body()
        record = self._begin(endpoint, EndpointKind.REAL_TIME, request)
        with self._recorded(endpoint, record):
            plan = self._plan(endpoint, EndpointKind.REAL_TIME, record)
            met = await self._meet(request, endpoint, plan, "before", record)
            if met is not None:
                return met
            accept = request.headers.get("accept", "")
            task = self._task(endpoint, plan, record, body, request.headers.get("content-type", ""), accept)
            answer = await self._wait_for_answer(request, endpoint, task)
            if answer is None:
                return NoResponse()
            met = await self._meet(request, endpoint, plan, "after", record)
            if met is not None:
                return met
            record.end(Ending.DRAWN)
            return Response(
                answer.body, headers={"Content-Type": answer.content_type, "x-Amzn-Invoked-Production-Variant": VARIANT}
            )

    async def invoke_with_response_stream(self, request: Request) -> Response:
        """InvokeEndpointWithResponseStream. Of a container that does not stream, the answer comes as a whole."""
        endpoint, body = self._endpoint(request), await request.body()
        record = self._begin(endpoint, EndpointKind.STREAM, request)
        with self._recorded(endpoint, record):
            plan = self._plan(endpoint, EndpointKind.STREAM, record)
            met = await self._meet(request, endpoint, plan, "before", record)
            if met is not None:
                return met
            accept = request.headers.get("x-amzn-sagemaker-accept", "")
            task = self._task(endpoint, plan, record, body, request.headers.get("content-type", ""), accept)
            if endpoint.kind is EndpointKind.STREAM:
                chunks, content_type = self._instances[endpoint.name].lines(task), "application/jsonlines"
            else:
                answer = await self._wait_for_answer(request, endpoint, task)
                if answer is None:
                    return NoResponse()
                met = await self._meet(request, endpoint, plan, "after", record)
                if met is not None:
                    return met
                chunks, content_type = one_chunk(answer.body), answer.content_type
            streamed = StreamedAnswer(
                parts=in_parts(chunks, self._options.part_bytes),
                ending=plan.ending,
                record=record,
                seconds=self._options.time_limit or STREAM_SECONDS,
                cut=lambda: cut(request),
            )
            headers = {
                "X-Amzn-SageMaker-Content-Type": content_type,
                "x-Amzn-Invoked-Production-Variant": VARIANT,
            }
            return StreamingResponse(streamed.frames(), media_type=MEDIA_TYPE, headers=headers)

    async def invoke_async(self, request: Request) -> Response:
        """InvokeEndpointAsync."""
        endpoint, body = self._endpoint(request), await request.body()
        record = self._begin(endpoint, EndpointKind.ASYNC, request)
        with self._recorded(endpoint, record):
            plan = self._plan(endpoint, EndpointKind.ASYNC, record)
            assert self._asynchronous is not None
            ticket = self._asynchronous.take(
                endpoint=endpoint, plan=plan, record=record, headers=request.headers, body=body
            )
            met = await self._meet(request, endpoint, plan, "before", record)
            if met is not None:
                return met
        running = self._in_background(self._asynchronous.run(ticket, self._instances[endpoint.name]))
        if plan.notify is not None and plan.notify.deliver == "before-answer":
            await asyncio.wait({running})
        # From here on the record follows the run, whatever the caller learns of it.
        met = await self._meet(request, endpoint, plan, "after", None)
        if met is not None:
            return met
        answer = json.dumps({"InferenceId": ticket.inference_id})
        return Response(answer, status_code=202, media_type="application/json", headers=ticket.headers)

    # --- before the model ---------------------------------------------------------------------------------------------

    def _endpoint(self, request: Request) -> DeclaredEndpoint:
        name = request.path_params["name"]
        if name not in self._endpoints:
            raise endpoint_not_found(name)
        return self._endpoints[name]

    def _begin(self, endpoint: DeclaredEndpoint, called: EndpointKind, request: Request) -> InvocationRecord:
        inference_id = request.headers.get("x-amzn-sagemaker-inference-id")
        return self._log.begin(endpoint=endpoint.name, kind=called, inference_id=inference_id)

    def _plan(self, endpoint: DeclaredEndpoint, called: EndpointKind, record: InvocationRecord) -> Plan:
        """What will happen. Raises ServiceError when the invocation is not taken."""
        _check_inference_id(record.inference_id)
        if (endpoint.kind is EndpointKind.ASYNC) is not (called is EndpointKind.ASYNC):
            # Documented that it is refused; the words are inferred.
            takes = "takes only" if endpoint.kind is EndpointKind.ASYNC else "does not take"
            raise service_error(
                "ValidationError", message=f"Endpoint {endpoint.name} {takes} asynchronous invocations."
            )
        plan, record.faults = self._faults.take(endpoint)
        if plan.status == "ScaledToZero":
            # Documented that an inference component without a copy refuses; the words are inferred.
            raise service_error(
                "ValidationError",
                message="Inference Component has no capacity to process this request. ApplicationAutoScaling may be "
                "in-progress (if configured) or try to increase the capacity by invoking "
                "UpdateInferenceComponentRuntimeConfig API.",
            )
        if plan.status is not None:
            raise endpoint_not_found(endpoint.name)
        return plan

    async def _meet(
        self, request: Request, endpoint: DeclaredEndpoint, plan: Plan, when: When, record: InvocationRecord | None
    ) -> Response | None:
        """Let the fault of this moment happen. Returns what to respond, None to go on, or raises the error."""
        match plan.ending:
            case Throttle() as throttle if when == "before":
                raise service_error("ThrottlingException", status=throttle.status)
            case Fail() as fail if fail.when == when:
                failure = fail.failure()
                # An asynchronous invocation meets the container's errors later.
                if isinstance(failure, ServiceError) or endpoint.kind is not EndpointKind.ASYNC:
                    raise failure
            case Hang() as hang if hang.when == when:
                await client_left(request)
                return _gone(record, Ending.ABANDONED)
            case Disconnect() as disconnect if disconnect.when == when:
                cut(request)
                await client_left(request)
                return _gone(record, Ending.DROPPED)
        return None

    def _task(
        self,
        endpoint: DeclaredEndpoint,
        plan: Plan,
        record: InvocationRecord,
        body: bytes,
        content_type: str,
        accept: str,
    ) -> Task:
        try:
            order = FAMILIES[endpoint.family](body, content_type, accept)
        except WireError as error:
            raise container_error(400, str(error)) from error
        return task_of(order, plan, record, endpoint.kind)

    # --- around the model ---------------------------------------------------------------------------------------------

    async def _wait_for_answer(self, request: Request, endpoint: DeclaredEndpoint, task: Task) -> Answer | None:
        """The answer, or None when the client has left. The model goes on without whoever has stopped to wait."""
        running = self._in_background(_answer_of(self._instances[endpoint.name], endpoint, task))
        left = asyncio.ensure_future(client_left(request))
        try:
            await asyncio.wait(
                {running, left},
                timeout=self._options.time_limit or REAL_TIME_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            left.cancel()
        if running.done():
            return running.result()
        if left.done():
            task.record.end(Ending.ABANDONED)
            return None
        raise container_timed_out()

    def _has_instance(self, endpoint: DeclaredEndpoint) -> bool:
        return self._faults.status_of(endpoint) != "ScaledToZero"

    def _in_background(self, work: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
        running = asyncio.get_running_loop().create_task(work)
        self._running.add(running)
        running.add_done_callback(self._over)
        return running

    def _over(self, running: asyncio.Task[Any]) -> None:
        self._running.discard(running)
        error = None if running.cancelled() else running.exception()
        if error is not None and not isinstance(error, ServiceError | ContainerFailed):
            logger.error("an invocation broke", exc_info=error)

    @contextmanager
    def _recorded(self, endpoint: DeclaredEndpoint, record: InvocationRecord) -> Iterator[None]:
        """End the record with the error that is raised, and spell the container's as the service does."""
        try:
            yield
        except ContainerFailed as error:
            record.end(Ending.FAILED, "ModelError")
            raise error.as_service_error(endpoint.name, self._options.region) from error
        except ServiceError as error:
            record.end(Ending.FAILED if record.model_ran else Ending.REFUSED, error.code)
            raise


async def _answer_of(instance: Instance, endpoint: DeclaredEndpoint, task: Task) -> Answer:
    if endpoint.kind is not EndpointKind.STREAM:
        return await instance.answer(task)
    # Whoever does not ask for a stream gets all of its lines at once.
    return Answer(body=b"".join([line async for line in instance.lines(task)]), content_type="application/jsonlines")


def _check_inference_id(inference_id: str | None) -> None:
    if inference_id is None:
        return
    if not 1 <= len(inference_id) <= 64:
        raise constraint_violated(
            "inferenceId", inference_id, "Member must have length less than or equal to 64, and at least 1"
        )
    if not inference_id.isprintable() or inference_id[0].isspace():
        raise constraint_violated(
            "inferenceId", inference_id, r"Member must satisfy regular expression pattern: \A\S[\p{Print}]*\z"
        )


def _gone(record: InvocationRecord | None, ending: Ending) -> Response:
    if record is not None:
        record.end(ending)
    return NoResponse()


def error_response(error: ServiceError) -> Response:
    """An error as the SDKs read it: the code in a header, the members of its shape as JSON."""
    return Response(
        json.dumps({"Message": error.message, **error.members}),
        status_code=error.status,
        media_type="application/json",
        headers={"x-amzn-ErrorType": error.code, "x-amzn-RequestId": str(uuid.uuid4())},
    )
