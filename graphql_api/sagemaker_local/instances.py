"""Where requests are drawn: workers of an endpoint, and what its container writes.

The container of a `stream` endpoint writes JSON lines, as one of our own would. There is no standard for this; it is a
contract between the container and the server. Each line ends with a line feed:

    {"step": 3, "total_steps": 50, "preview": "<Base64 of a small WebP>"}    one a step; the preview may be left out
    {"result": <what the model family answers>}                              the last line; nothing follows
    {"error": {"code": "500", "message": "..."}}                             in its place, when it failed

`step` counts from 1 over all pictures of the request. A family that answers with a file answers here with a JSON string
of Base64. The SageMaker Runtime cuts the bytes into parts wherever it likes. Every other container writes its answer
and nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass

from graphql_api.adapters.model_endpoint.sketch.renderer import Pixels, Sketch, draw
from graphql_api.adapters.model_endpoint.sketch.wire import WireError, encode_preview
from graphql_api.ports import Answer, StepDone
from graphql_api.sagemaker_local.containers import Order
from graphql_api.sagemaker_local.endpoints import EndpointKind
from graphql_api.sagemaker_local.errors import ContainerFailed, ServiceError, container_error
from graphql_api.sagemaker_local.faults import CutStream, Disconnect, Fail, Hang, Plan, SpoilAnswer
from graphql_api.sagemaker_local.invocations import Ending, InvocationRecord
from graphql_api.sagemaker_local.spoiling import spoiled

PREVIEWS_A_REQUEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One request in a container, and what is to happen to it there.

    `failure` is raised when all is drawn. A stream ends after `cut_after_steps`, or when all is drawn if it `withholds`
    its result.
    """

    order: Order
    record: InvocationRecord
    slow_seconds: float = 0.0
    failure: ServiceError | ContainerFailed | None = None
    spoil: SpoilAnswer | None = None
    cut_after_steps: int | None = None
    withholds: bool = False


def task_of(order: Order, plan: Plan, record: InvocationRecord, kind: EndpointKind) -> Task:
    """The task of an invocation of an endpoint of this kind."""
    ending = plan.ending
    failure = ending.failure() if isinstance(ending, Fail) and ending.when == "after" else None
    if kind is EndpointKind.ASYNC and isinstance(failure, ServiceError):
        failure = None  # That is for the caller, not for the container.
    return Task(
        order=order,
        record=record,
        slow_seconds=plan.slow_seconds,
        failure=failure,
        spoil=ending if isinstance(ending, SpoilAnswer) else None,
        cut_after_steps=ending.after_steps if isinstance(ending, CutStream) else None,
        withholds=isinstance(ending, Hang | Disconnect),
    )


class Instance:
    """The machine of one endpoint. It draws as many requests at a time as it has workers; others wait in line."""

    def __init__(self, executor: Executor, *, workers: int, step_seconds: float) -> None:
        self._executor = executor
        self._workers = asyncio.Semaphore(workers)
        self._step_seconds = step_seconds

    async def answer(self, task: Task) -> Answer:
        """Draw, and answer as the family does.

        Raises ContainerFailed, or the ServiceError that a fault puts in the place of the answer.
        """
        async with aclosing(self._run(task, previews=False)) as updates:
            async for update in updates:
                if isinstance(update, Answer):
                    return update
        raise AssertionError("a run ends with an answer")

    async def lines(self, task: Task) -> AsyncGenerator[bytes, None]:
        """Draw, and write lines. An error of the container is the last one. Raises ServiceError."""
        cut_after = task.cut_after_steps
        if cut_after == 0:
            return
        try:
            async with aclosing(self._run(task, previews=True)) as updates:
                async for update in updates:
                    if isinstance(update, StepDone):
                        yield _step_line(update)
                        if update.step == cut_after:
                            return
                    elif cut_after is None and not task.withholds:
                        yield b'{"result": ' + _one_line(update) + b"}\n"
        except ContainerFailed as error:
            task.record.end(Ending.FAILED, "ModelError")
            yield json.dumps({"error": {"code": str(error.status), "message": error.report}}).encode("ascii") + b"\n"

    async def _run(self, task: Task, *, previews: bool) -> AsyncGenerator[StepDone | Answer, None]:
        """Every step, then the answer. Leaving the iterator stops the model."""
        loop = asyncio.get_running_loop()
        sitting = _Sitting(task.order.sketches, previews=previews)
        async with self._workers:
            task.record.model_ran = True
            await asyncio.sleep(task.slow_seconds)
            while True:
                began = loop.time()
                step = await loop.run_in_executor(self._executor, sitting.advance)
                if step is None:
                    break
                await asyncio.sleep(began + self._step_seconds - loop.time())
                yield step
            if task.failure is not None:
                raise task.failure
            yield await loop.run_in_executor(self._executor, _answer, task, sitting.pictures)


class _Sitting:
    """The pictures of one request, drawn one after the other. Each call runs on a thread."""

    def __init__(self, sketches: Sequence[Sketch], *, previews: bool) -> None:
        self.pictures: list[Pixels] = []
        self._sketches = sketches
        self._total = sum(each.steps for each in sketches)
        # By the number of the step and not by the clock: the same request shall have the same bytes.
        self._preview_interval = max(1, self._total // PREVIEWS_A_REQUEST) if previews else None
        self._steps = self._draw()

    def advance(self) -> StepDone | None:
        """Draw the next step; None when all is drawn."""
        return next(self._steps, None)

    def _draw(self) -> Iterator[StepDone]:
        number = 0
        for sketch in self._sketches:
            for canvas in draw(sketch):
                number += 1
                is_shown = self._preview_interval is not None and number % self._preview_interval == 0
                preview = encode_preview(canvas.preview()) if is_shown else None
                if canvas.step == canvas.steps:
                    self.pictures.append(canvas.pixels())
                yield StepDone(step=number, total_steps=self._total, preview=preview)


def _answer(task: Task, pictures: Sequence[Pixels]) -> Answer:
    try:
        return task.order.answer(pictures) if task.spoil is None else spoiled(task.spoil, task.order, pictures)
    except WireError as error:
        raise container_error(400, str(error)) from error


def _step_line(step: StepDone) -> bytes:
    fields: dict[str, int | str] = {"step": step.step, "total_steps": step.total_steps}
    if step.preview is not None:
        fields["preview"] = base64.b64encode(step.preview).decode("ascii")
    return json.dumps(fields).encode("ascii") + b"\n"


def _one_line(answer: Answer) -> bytes:
    """The answer as it stands behind `result`. One that is spoiled stays so."""
    if answer.content_type.startswith("image/"):
        return b'"' + base64.b64encode(answer.body) + b'"'
    return answer.body.replace(b"\n", b" ")
