"""Answers of a model to decode and finish, for the benchmarks of that."""

from __future__ import annotations

import base64
import json
from functools import cache

import numpy as np

from graphql_api.adapters.model_endpoint.sketch.renderer import Sketch, draw
from graphql_api.adapters.model_endpoint.sketch.wire import encode_jpeg
from graphql_api.codecs import codec_named
from graphql_api.domain.generation import GenerationParameters, ImageFormat
from graphql_api.ports import Answer, BlockedPicture, ModelRequest
from graphql_api.service.pictures import FinishedPicture, finish

PROMPT = "a city at night in the rain, neon"
GRAIN = 6.0
"""Standard deviation of the noise that makes a drawing as hard to compress as a photograph."""


def parameters(side: int) -> GenerationParameters:
    """A request for one square JPEG."""
    return GenerationParameters(
        prompt=PROMPT,
        rendered_prompt=PROMPT,
        negative_prompt=None,
        style_name=None,
        width=side,
        height=side,
        steps=50,
        guidance_scale=7.5,
        seed=1,
        count=1,
        format=ImageFormat.JPEG,
    )


@cache
def pixels(side: int) -> np.ndarray:
    """A picture by the built-in renderer with some grain, height by width by 3."""
    sketch = Sketch(prompt=PROMPT, negative_prompt=None, width=side, height=side, steps=50, guidance_scale=7.5, seed=1)
    *_, last = draw(sketch)
    grain = np.random.default_rng(1).normal(0, GRAIN, (side, side, 3))
    return np.clip(last.pixels() + grain, 0, 255).astype(np.uint8)


def rgb_answer(side: int) -> Answer:
    """The picture as nested integers."""
    body = json.dumps({"generated_images": [pixels(side).tolist()], "prompt": PROMPT})
    return Answer(body=body.encode(), content_type="application/json")


def jpeg_answer(side: int) -> Answer:
    """The picture as the Base64 of a JPEG."""
    file = base64.b64encode(encode_jpeg(pixels(side))).decode()
    body = json.dumps({"generated_images": [file], "prompt": PROMPT})
    return Answer(body=body.encode(), content_type="application/json;jpeg")


def finished(answer: Answer, side: int) -> FinishedPicture:
    """What a worker makes of an answer, up to the files that it stores."""
    request = ModelRequest(body=b"", content_type="", accept="")
    (picture,) = codec_named("jumpstart-sd").decode(request, answer)
    assert not isinstance(picture, BlockedPicture)
    return finish(picture, parameters=parameters(side), index=0, model_name="bench", embed_parameters=True)
