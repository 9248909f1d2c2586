"""The built-in renderer as a model endpoint. It answers in the wire format of JumpStart's Stable Diffusion."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from graphql_api.domain.errors import InvocationTimedOut
from graphql_api.domain.generation import ModelAvailability
from graphql_api.ports import Answer, Invocation, StepDone

if TYPE_CHECKING:
    from graphql_api.adapters.model_endpoint.sketch.drawing import Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class SketchOptions:
    """What can be set behind `sketch:`.

    `step_seconds` is the least time that a step takes: the renderer is much faster than a diffusion model, and whoever
    builds a frontend wants to see progress. With `progress=off` it is as silent as a real-time endpoint.
    """

    step_seconds: float = 0.0
    reports_steps: bool = True

    @classmethod
    def parse(cls, text: str) -> SketchOptions:
        """Read `?step_seconds=0.1&progress=off`. Raises ValueError for anything else."""
        options = dict(parse_qsl(text.removeprefix("?"), keep_blank_values=True, strict_parsing=bool(text)))
        step_seconds = float(options.pop("step_seconds", "0"))
        progress = options.pop("progress", "on")
        if options or progress not in ("on", "off") or not 0 <= step_seconds <= 60:
            raise ValueError("sketch: takes step_seconds=<0 to 60> and progress=<on|off>")
        return cls(step_seconds=step_seconds, reports_steps=progress == "on")


class SketchEndpoint:
    """Draws step by step on the executor's threads; between two steps it can be stopped."""

    can_stop = True

    def __init__(self, executor: Executor, options: SketchOptions) -> None:
        self._executor = executor
        self._options = options
        self.reports_steps = options.reports_steps

    async def invoke(self, invocation: Invocation) -> AsyncIterator[StepDone | Answer]:
        """See ModelEndpoint."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + invocation.timeout_seconds
        drawing = await loop.run_in_executor(self._executor, _open, invocation)
        while not drawing.is_done:
            began = loop.time()
            if began > deadline:
                raise InvocationTimedOut("The model took too long.")
            step = await loop.run_in_executor(self._executor, drawing.advance)
            await asyncio.sleep(began + self._options.step_seconds - loop.time())
            if self.reports_steps:
                yield step
        yield await loop.run_in_executor(self._executor, drawing.answer)

    async def availability(self) -> ModelAvailability:
        """See ModelEndpoint."""
        return ModelAvailability.READY


def _open(invocation: Invocation) -> Drawing:
    # Imported at the first picture: numpy would take a tenth of the time that the server needs to start.
    from graphql_api.adapters.model_endpoint.sketch.drawing import Drawing

    return Drawing(invocation)
