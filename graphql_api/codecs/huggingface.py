"""Hugging Face's containers for SageMaker with HF_TASK=text-to-image, which run a diffusers pipeline.

Documented, by the source of sagemaker-huggingface-inference-toolkit 2.6.0 (`diffusers_utils.py`, `decoder_encoder.py`,
`handler_service.py`): `application/json` with the prompt as inputs, and parameters that become the pipeline's
arguments. num_images_per_prompt is dropped, so each image is an invocation. Answer: for `Accept: application/json` a
JSON string and nothing around it, the Base64 of a PNG; for `image/png` the file itself.

Inferred: the names of the parameters, which are those of the pipelines of Stable Diffusion; and that a pipeline fails
on a seed, since it takes a generator in its place. Handlers of one's own that make one from `seed` have an option here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from graphql_api.codecs._reading import AnswerReader, media_type_of
from graphql_api.codecs._requests import JSON, one_each
from graphql_api.domain.generation import Choice, Dimensions, GenerationParameters
from graphql_api.ports import Answer, EncodedPicture, ModelRequest, Picture

PNG = "image/png"


@dataclass(frozen=True, slots=True, kw_only=True)
class HuggingFaceCodec:
    """One image a call.

    Asks for JSON unless told otherwise: it is what the containers answer by default, and what handlers of one's own
    keep to. The file itself is a quarter smaller. Both are read, by the type that the answer says it has.
    """

    answer: Literal["json", "image"] = "json"
    seed: bool = False

    name: ClassVar[str] = "huggingface"
    sizes: ClassVar[Sequence[Dimensions]] = ()

    @property
    def without(self) -> frozenset[Choice]:
        """See ModelCodec."""
        return frozenset() if self.seed else frozenset({Choice.SEED})

    def encode(self, parameters: GenerationParameters) -> Sequence[ModelRequest]:
        """See ModelCodec."""

        def body_of(index: int) -> Mapping[str, Any]:
            arguments: dict[str, Any] = {
                "width": parameters.width,
                "height": parameters.height,
                "num_inference_steps": parameters.steps,
                "guidance_scale": parameters.guidance_scale,
            }
            if parameters.negative_prompt is not None:
                arguments["negative_prompt"] = parameters.negative_prompt
            if self.seed:
                arguments["seed"] = parameters.seed_of(index)
            return {"inputs": parameters.rendered_prompt, "parameters": arguments}

        return one_each(parameters, body_of, accept=JSON if self.answer == "json" else PNG)

    def decode(self, request: ModelRequest, answer: Answer) -> Sequence[Picture]:
        """See ModelCodec."""
        if media_type_of(answer).startswith("image/"):
            return [EncodedPicture(body=answer.body)]
        reader = AnswerReader(self.name, answer)
        return [reader.encoded(reader.document())]
