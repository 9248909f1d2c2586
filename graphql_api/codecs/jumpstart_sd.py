"""SageMaker JumpStart's Stable Diffusion 1.x and 2.x, and the fine-tunes that share their container.

Documented, by the notebooks `sm-jumpstart_stable_diffusion_text_to_image` and
`JumpStart_Stable_Diffusion_Inference_Only` in aws/amazon-sagemaker-examples:

- `application/json` with prompt, width, height, num_images_per_prompt, num_inference_steps, guidance_scale,
  negative_prompt, seed. Answer: `generated_images`, with one entry an image: the Base64 of a JPEG for `Accept:
  application/json;jpeg`, nested RGB integers, height by width by 3, for `Accept: application/json`.
- `application/x-text` with the prompt as UTF-8, for `Accept: application/json`. Answer: `generated_image`, the nested
  RGB integers of one image without a list around them.

Observed in clients of these containers: either key with either kind of entry, so all of that is read. Inferred:
requests and answers in a list under `predictions`, as front ends that speak TensorFlow Serving's format wrap them.

The container seeds the batch once, and does not say how it seeds the images behind the first; our own renderer and the
API count upward. The answer holds no seed, so one is always sent where there is a place for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import simdjson

from graphql_api.codecs._reading import AnswerReader
from graphql_api.codecs._requests import JSON, json_request
from graphql_api.codecs._rgb import NotRgb, read_rgb
from graphql_api.domain.generation import Choice, Dimensions, GenerationParameters
from graphql_api.ports import Answer, ModelRequest, Picture, RawPicture

TEXT = "application/x-text"
JSON_WITH_JPEG = "application/json;jpeg"
KEYS = ("generated_images", "generated_image")
WRAPPER = "predictions"


@dataclass(frozen=True, slots=True, kw_only=True)
class JumpStartStableDiffusionCodec:
    """Asks for JPEG unless told otherwise, which is 20 times smaller than RGB integers, and reads both.

    A request as text is the prompt and nothing else, and is answered with RGB integers whatever `answer` says. With
    `wrap_predictions`, the body is the only item of a list under `predictions`; answers are read with and without.
    """

    request: Literal["json", "text"] = "json"
    answer: Literal["jpeg", "rgb"] = "jpeg"
    wrap_predictions: bool = False

    name: ClassVar[str] = "jumpstart-sd"
    sizes: ClassVar[Sequence[Dimensions]] = ()

    def __post_init__(self) -> None:
        if self.request == "text" and self.wrap_predictions:
            raise ValueError(
                "A request as text cannot be wrapped: leave out wrap_predictions, or set request to 'json'."
            )

    @property
    def without(self) -> frozenset[Choice]:
        """See ModelCodec."""
        return frozenset(Choice) if self.request == "text" else frozenset()

    def encode(self, parameters: GenerationParameters) -> Sequence[ModelRequest]:
        """See ModelCodec: one invocation makes the whole batch, one an image where the request is text."""
        if self.request == "text":
            text = ModelRequest(body=parameters.rendered_prompt.encode(), content_type=TEXT, accept=JSON)
            return [replace(text, first_index=index) for index in range(parameters.count)]
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
        if self.wrap_predictions:
            body = {WRAPPER: [body]}
        accept = JSON_WITH_JPEG if self.answer == "jpeg" else JSON
        return [json_request(body, accept=accept, count=parameters.count)]

    def decode(self, request: ModelRequest, answer: Answer) -> Sequence[Picture]:
        """See ModelCodec."""
        reader = AnswerReader(self.name, answer)
        rest, arrays = _without_arrays(answer.body)
        document = reader.object(reader.document(rest))
        if WRAPPER in document:
            document = _only_prediction(reader, document)
        images = reader.member(document, *KEYS)
        if isinstance(images, int) and images in arrays:
            return _rgb(reader, arrays[images])
        return reader.encoded_list(images, KEYS[0])


_ARRAY_UNDER_KEY = re.compile(rb'"generated_images?"[ \t\r\n]*:[ \t\r\n]*(?=\[[ \t\r\n]*\[)')


def _without_arrays(body: bytes) -> tuple[bytes, Mapping[int, slice]]:
    """The JSON with a number in place of every nested array under one of the keys, and where each array stood.

    The numbers are the offsets of the arrays. Arrays of numbers are as good as all of the answer; see `_rgb.py` for why
    the parser shall not see them. If the keys are found inside of something else, the rest is no JSON, or the number is
    not where the images are looked for.
    """
    parts, arrays, at = [], {}, 0
    while found := _ARRAY_UNDER_KEY.search(body, at):
        start = found.end()
        # Next in an object come a comma and another key, or its end. Neither a quote nor a brace is within numbers.
        quote, brace = body.find(b'"', start), body.find(b"}", start)
        stop = body.rfind(b"]", start, min(each if each >= 0 else len(body) for each in (quote, brace))) + 1
        if not stop:
            break
        parts += [body[at:start], b"%d" % start]
        arrays[start] = slice(start, stop)
        at = stop
    return b"".join([*parts, body[at:]]), arrays


def _only_prediction(reader: AnswerReader, document: simdjson.Object) -> simdjson.Object:
    predictions = list(reader.items(document[WRAPPER], WRAPPER))
    if len(predictions) != 1:
        reader.refuse(f"{len(predictions)} predictions in place of one")
    return reader.object(predictions[0], "prediction")


def _rgb(reader: AnswerReader, place: slice) -> Sequence[RawPicture]:
    try:
        return read_rgb(reader.answer.body, place.start, place.stop)
    except NotRgb as error:
        reader.refuse(str(error), error)
