"""Stability AI's Stable Diffusion 3.5 Large as a model package from AWS Marketplace.

Documented, by the notebook `sd3.5/sd3-5-jumpstart` in Stability-AI/aws-jumpstart-examples: `application/json` with
prompt, seed, aspect_ratio (one of nine) and output_format "jpeg". Answer: `body.images`, files in Base64.

Documented for the same model on Amazon Bedrock only (AWS docs, `model-parameters-diffusion-3-5-large`), and inferred
here: `images` at the top of the answer; `finish_reasons` beside it, one an image, null where all is well, else a text
that begins with "Filter reason" or is "Inference error", and then without `images`; what `_stability.py` says of seeds.

Inferred: the pixels of each ratio, which are the model's usual sizes of about a megapixel; and output_format "png".
There is a negative prompt in Stability AI's API, but not in the notebook, and a container that ignores what it does not
know would make another image than was asked for. So it counts among what cannot be said, like steps and guidance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import simdjson

from graphql_api.codecs._reading import AnswerReader, kind_of
from graphql_api.codecs._requests import one_each
from graphql_api.codecs._stability import failed, seed_of, withheld
from graphql_api.domain.generation import Choice, Dimensions, GenerationParameters, ImageFormat
from graphql_api.ports import Answer, ModelRequest, Picture

SIZES: Mapping[str, Dimensions] = {
    "1:1": Dimensions(width=1024, height=1024),
    "5:4": Dimensions(width=1088, height=896),
    "4:5": Dimensions(width=896, height=1088),
    "3:2": Dimensions(width=1216, height=832),
    "2:3": Dimensions(width=832, height=1216),
    "16:9": Dimensions(width=1344, height=768),
    "9:16": Dimensions(width=768, height=1344),
    "21:9": Dimensions(width=1536, height=640),
    "9:21": Dimensions(width=640, height=1536),
}
"""By aspect_ratio."""


@dataclass(frozen=True, slots=True)
class StabilitySd3Codec:
    """One image a call, in one of nine sizes."""

    name: ClassVar[str] = "stability-sd3"
    sizes: ClassVar[Sequence[Dimensions]] = tuple(SIZES.values())
    without: ClassVar[frozenset[Choice]] = frozenset({Choice.GUIDANCE_SCALE, Choice.NEGATIVE_PROMPT, Choice.STEPS})

    def encode(self, parameters: GenerationParameters) -> Sequence[ModelRequest]:
        """See ModelCodec."""

        def body_of(index: int) -> Mapping[str, Any]:
            return {
                "prompt": parameters.rendered_prompt,
                "seed": seed_of(parameters, index),
                "aspect_ratio": _nearest_ratio(parameters),
                # Other formats than these are made here, from what has lost nothing yet.
                "output_format": "jpeg" if parameters.format is ImageFormat.JPEG else "png",
            }

        return one_each(parameters, body_of)

    def decode(self, request: ModelRequest, answer: Answer) -> Sequence[Picture]:
        """See ModelCodec. Raises ModelFailed where a finish reason is an error."""
        reader = AnswerReader(self.name, answer)
        document = reader.object(reader.document())
        if "body" in document:
            document = reader.object(document["body"], "body")
        reasons = _reasons(reader, document)
        if reasons and None not in reasons and not document.get("images"):
            return [_picture(reader, reason, None) for reason in reasons]
        images = list(reader.items(reader.member(document, "images"), "images"))
        if reasons and len(reasons) != len(images):
            reader.refuse(f"{len(images)} images with {len(reasons)} finish reasons")
        return [
            _picture(reader, reason, image)
            for reason, image in zip(reasons or [None] * len(images), images, strict=True)
        ]


def _reasons(reader: AnswerReader, document: simdjson.Object) -> Sequence[Any]:
    reasons = document.get("finish_reasons")
    return [] if reasons is None else list(reader.items(reasons, "finish_reasons"))


def _picture(reader: AnswerReader, reason: Any, image: Any) -> Picture:
    match reason:
        case None:
            return reader.encoded(image)
        case "Inference error":
            raise failed()
        case str() if reason.startswith("Filter reason"):
            return withheld()
    reader.refuse(f"finish reason is an unknown {kind_of(reason)}")


def _nearest_ratio(parameters: GenerationParameters) -> str:
    asked = parameters.width / parameters.height
    return min(SIZES, key=lambda ratio: abs(math.log(SIZES[ratio].width / SIZES[ratio].height / asked)))
