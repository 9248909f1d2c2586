"""One invocation of the renderer, a step at a time. Runs on a thread; each call takes a few hundredths of a second."""

from __future__ import annotations

import time

import numpy as np

from graphql_api.adapters.model_endpoint.sketch.renderer import Canvas, draw
from graphql_api.adapters.model_endpoint.sketch.wire import (
    WireError,
    encode_answer,
    encode_preview,
    is_text_request,
    parse_request,
)
from graphql_api.domain.errors import ModelFailed
from graphql_api.ports import Answer, Invocation, StepDone

PREVIEW_INTERVAL_SECONDS = 0.2


class Drawing:
    """The pictures of one invocation, drawn one after the other."""

    def __init__(self, invocation: Invocation) -> None:
        """Raises ModelFailed for a request that makes no sense."""
        request = invocation.request
        try:
            self._sketches = parse_request(request.body, request.content_type)
        except WireError as error:
            raise ModelFailed("The built-in renderer cannot read the request.") from error
        self._accept = request.accept
        self._is_singular = is_text_request(request.content_type)
        self._prompt = self._sketches[0].prompt
        self._pictures: list[np.ndarray] = []
        self._canvases = draw(self._sketches[0])
        self._preview_due = time.monotonic()

    @property
    def is_done(self) -> bool:
        """Whether every picture is drawn."""
        return len(self._pictures) == len(self._sketches)

    def advance(self) -> StepDone:
        """Draw the next step."""
        canvas = next(self._canvases)
        done = len(self._pictures)
        step = StepDone(
            step=done * canvas.steps + canvas.step,
            total_steps=len(self._sketches) * canvas.steps,
            preview=self._preview(canvas),
        )
        if canvas.step == canvas.steps:
            self._pictures.append(canvas.pixels())
            if not self.is_done:
                self._canvases = draw(self._sketches[done + 1])
        return step

    def answer(self) -> Answer:
        """The pictures in the form that was asked for."""
        try:
            body, content_type = encode_answer(
                self._pictures, self._prompt, self._accept, is_singular=self._is_singular
            )
        except WireError as error:
            raise ModelFailed("The built-in renderer cannot answer in this form.") from error
        return Answer(body=body, content_type=content_type)

    def _preview(self, canvas: Canvas) -> bytes | None:
        if time.monotonic() < self._preview_due:
            return None
        preview = encode_preview(canvas.preview())
        self._preview_due = time.monotonic() + PREVIEW_INTERVAL_SECONDS
        return preview
