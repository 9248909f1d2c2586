"""SageMaker JumpStart's Stable Diffusion 1.x and 2.x, and the fine-tunes that share their container.

Request, `application/json`: prompt, width, height, num_images_per_prompt, num_inference_steps, guidance_scale,
negative_prompt, seed. Answer: `generated_images`, or `generated_image` from older containers, with one entry an image:
the Base64 of a JPEG (`Accept: application/json;jpeg`) or nested RGB integers, height by width by 3
(`Accept: application/json`). Source: the notebooks `sm-jumpstart_stable_diffusion_text_to_image` and
`JumpStart_Stable_Diffusion_Inference_Only` in aws/amazon-sagemaker-examples.

The container seeds the batch once, and does not say how it seeds the images behind the first; our own renderer and the
API count upward. The answer holds no seed, so one is always sent.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, NoReturn

import simdjson

from graphql_api.domain.errors import AnswerNotUnderstood
from graphql_api.domain.generation import Choice, Dimensions, GenerationParameters
from graphql_api.ports import Answer, EncodedPicture, ModelRequest, Picture, RawPicture

KEYS = ("generated_images", "generated_image")
CHANNELS = 3


class JumpStartStableDiffusionCodec:
    """Asks for JPEG, which is 20 times smaller than RGB integers, and reads both."""

    name = "jumpstart-sd"
    sizes: Sequence[Dimensions] = ()
    without: frozenset[Choice] = frozenset()

    def encode(self, parameters: GenerationParameters) -> Sequence[ModelRequest]:
        """See ModelCodec: one invocation makes the whole batch."""
        body: dict[str, Any] = {
            "prompt": parameters.rendered_prompt,
            "width": parameters.width,
            "height": parameters.height,
            "num_images_per_prompt": parameters.count,
            "num_inference_steps": parameters.steps,
            "guidance_scale": parameters.guidance_scale,
            "seed": parameters.seed,
        }
        if parameters.negative_prompt is not None:
            body["negative_prompt"] = parameters.negative_prompt
        request = ModelRequest(
            body=json.dumps(body).encode(),
            content_type="application/json",
            accept="application/json;jpeg",
            count=parameters.count,
        )
        return (request,)

    def decode(self, request: ModelRequest, answer: Answer) -> Sequence[Picture]:
        """See ModelCodec."""
        # A parser of its own per answer: simdjson's values are views into their parser's buffer.
        try:
            document = simdjson.Parser().parse(answer.body)
        except ValueError as error:
            self._refuse(f"{len(answer.body)} bytes of {_media_type(answer)} that are not JSON", error)
        if not isinstance(document, simdjson.Object):
            self._refuse(f"JSON {_kind(document)} in place of an object")
        images = next((document[key] for key in KEYS if key in document), None)
        if not isinstance(images, simdjson.Array):
            self._refuse(f"object with {len(document)} keys, {KEYS[0]} is {_kind(images)}")
        # The singular key of an older container holds one image without a list around it.
        if len(images) and isinstance(images[0], simdjson.Array) and _depth(images) == CHANNELS:
            return (self._rgb(images),)
        return [self._picture(image) for image in images]

    def _picture(self, image: Any) -> Picture:
        if isinstance(image, str):
            try:
                return EncodedPicture(body=base64.b64decode(image, validate=True))
            except binascii.Error as error:
                self._refuse(f"string of {len(image)} characters that is not Base64", error)
        if isinstance(image, simdjson.Array):
            return self._rgb(image)
        self._refuse(f"image is {_kind(image)}")

    def _rgb(self, image: simdjson.Array) -> RawPicture:
        # Imported at the first answer of this form, which few endpoints send: it takes long to load.
        import numpy as np

        height = len(image)
        width = len(image[0]) if height and isinstance(image[0], simdjson.Array) else 0
        try:
            values = np.frombuffer(image.as_buffer(of_type="i"), dtype=np.int64)
        except (TypeError, ValueError) as error:
            self._refuse(f"nested array of {height} rows with values that are not integers", error)
        if not width or values.size != height * width * CHANNELS or not _is_rectangular(image, width):
            self._refuse(f"ragged array: {height} rows, the first of {width}, {values.size} values")
        if values.min() < 0 or values.max() > 255:
            self._refuse(f"array of {height} by {width} with values outside of 0 to 255")
        return RawPicture(width=width, height=height, rgb=values.astype(np.uint8).tobytes())

    def _refuse(self, shape: str, cause: Exception | None = None) -> NoReturn:
        raise AnswerNotUnderstood(codec=self.name, shape=shape) from cause


def _is_rectangular(image: simdjson.Array, width: int) -> bool:
    return all(isinstance(row, simdjson.Array) and len(row) == width and len(row[0]) == CHANNELS for row in image)


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, simdjson.Array):
        depth += 1
        if not len(value):
            return depth
        value = value[0]
    return depth


def _media_type(answer: Answer) -> str:
    return answer.content_type.partition(";")[0].strip()[:60] or "no type"


def _kind(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, simdjson.Array):
        return f"array of {len(value)}"
    return "object" if isinstance(value, simdjson.Object) else type(value).__name__
