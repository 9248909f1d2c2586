"""Stability AI's SDXL 1.0 as a model package from AWS Marketplace, which speaks the types of its SDK.

Documented, by the notebook `sdxl-v1-0` in Stability-AI/aws-jumpstart-examples: `application/json` with text_prompts,
width, height, cfg_scale, steps, seed; nine sizes; answer: `artifacts`, each with a file in `base64`.

Inferred from Stability AI's API v1, whose types these are: a negative weight makes a prompt negative; `finishReason` is
SUCCESS, CONTENT_FILTERED, where the file is a blurred image, or ERROR; and what `_stability.py` says of seeds. An
artifact with another reason is not understood, since it may be one that was to be withheld. None at all is fine.

That API can be asked for several samples, but the notebook never does: each image is an invocation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from graphql_api.codecs._reading import AnswerReader, kind_of
from graphql_api.codecs._requests import one_each, weighted_prompts
from graphql_api.codecs._stability import failed, seed_of, withheld
from graphql_api.domain.generation import Choice, Dimensions, GenerationParameters
from graphql_api.ports import Answer, ModelRequest, Picture

# The notebook lists pairs of height and width; each stands there the other way round, too.
SIZES = tuple(
    Dimensions(width=width, height=height)
    for width, height in (
        (1024, 1024),
        (1152, 896),
        (896, 1152),
        (1216, 832),
        (832, 1216),
        (1344, 768),
        (768, 1344),
        (1536, 640),
        (640, 1536),
    )
)


@dataclass(frozen=True, slots=True)
class StabilitySdkCodec:
    """One image a call, in one of nine sizes."""

    name: ClassVar[str] = "stability-sdk"
    sizes: ClassVar[Sequence[Dimensions]] = SIZES
    without: ClassVar[frozenset[Choice]] = frozenset()

    def encode(self, parameters: GenerationParameters) -> Sequence[ModelRequest]:
        """See ModelCodec."""

        def body_of(index: int) -> Mapping[str, Any]:
            return {
                "text_prompts": weighted_prompts(parameters),
                "width": parameters.width,
                "height": parameters.height,
                "cfg_scale": parameters.guidance_scale,
                "steps": parameters.steps,
                "seed": seed_of(parameters, index),
            }

        return one_each(parameters, body_of)

    def decode(self, request: ModelRequest, answer: Answer) -> Sequence[Picture]:
        """See ModelCodec. Raises ModelFailed where an artifact is an error."""
        reader = AnswerReader(self.name, answer)
        artifacts = reader.member(reader.object(reader.document()), "artifacts")
        return [_picture(reader, artifact) for artifact in reader.items(artifacts, "artifacts")]


def _picture(reader: AnswerReader, value: Any) -> Picture:
    artifact = reader.object(value, "artifact")
    match artifact.get("finishReason"):
        case None | "SUCCESS":
            return reader.encoded(reader.member(artifact, "base64"))
        case "CONTENT_FILTERED":
            return withheld()
        case "ERROR":
            raise failed()
        case reason:
            reader.refuse(f"artifact with {len(artifact)} keys, its reason is an unknown {kind_of(reason)}")
