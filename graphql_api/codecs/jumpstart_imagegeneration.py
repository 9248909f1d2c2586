"""SageMaker JumpStart's `model-imagegeneration-*`: SDXL 1.0 and Stable Diffusion 2.1 behind Stability AI's generator.

Documented, by the notebook `image-generation-stable-diffusion` in aws/amazon-sagemaker-examples: `application/json`
with text_prompts of text and weight, width, height, cfg_scale, steps, seed; a negative weight makes a prompt negative.
Answer: `generated_image`, the Base64 of one file. Sampler and refiner are left to the container's defaults.

Inferred: the weight -1, the format of the file, which is recognised by its first bytes, and `generated_images` with a
list, which is read in case a container makes several. No way to ask for several is known: each image is an invocation.

The notebook also says that images must be larger than 256 by 256 pixels, which is a limit of the model in model files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from graphql_api.codecs._reading import AnswerReader
from graphql_api.codecs._requests import one_each, weighted_prompts
from graphql_api.domain.generation import Choice, Dimensions, GenerationParameters
from graphql_api.ports import Answer, ModelRequest, Picture

KEYS = ("generated_image", "generated_images")


@dataclass(frozen=True, slots=True)
class JumpStartImageGenerationCodec:
    """One image a call."""

    name: ClassVar[str] = "jumpstart-imagegeneration"
    sizes: ClassVar[Sequence[Dimensions]] = ()
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
                "seed": parameters.seed_of(index),
            }

        return one_each(parameters, body_of)

    def decode(self, request: ModelRequest, answer: Answer) -> Sequence[Picture]:
        """See ModelCodec."""
        reader = AnswerReader(self.name, answer)
        document = reader.object(reader.document())
        return reader.encoded_list(reader.member(document, *KEYS), KEYS[0])
