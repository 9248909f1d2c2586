"""The model families from the container's side: what a request asks for, and how pictures are answered.

| family | request | answer |
|---|---|---|
| jumpstart-sd | prompt, width, height, ..., or text | generated_images: Base64 JPEG or RGB integers |
| jumpstart-imagegeneration | text_prompts, width, height, cfg_scale, steps, seed | generated_image: Base64 PNG |
| stability-sdk | the same, in one of nine sizes | artifacts[]: base64 PNG, seed, finishReason |
| stability-sd3 | prompt, aspect_ratio, output_format, seed | body.images[]: Base64 |
| huggingface | inputs, parameters | a JSON string with Base64 PNG, or the file, as Accept says |

Sources are the notebooks of aws/amazon-sagemaker-examples and Stability-AI/aws-jumpstart-examples, and the code of
aws/sagemaker-huggingface-inference-toolkit. Other fields are ignored, except by huggingface, which hands them to the
pipeline as arguments. Inferred: defaults, PNG where the format is not said, and `seeds` and `finish_reasons` of
stability-sd3, which are documented for the same model on Bedrock. A missing seed is 0, and 0 is a seed like any other,
so that every answer can be drawn again.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from PIL import Image

from graphql_api.adapters.model_endpoint.sketch.renderer import Pixels, Sketch
from graphql_api.adapters.model_endpoint.sketch.wire import (
    JPEG_QUALITY,
    JSON,
    LARGEST_SIDE,
    MOST_STEPS,
    WireError,
    encode_answer,
    is_text_request,
    parse_request,
)
from graphql_api.ports import Answer

EncodePictures = Callable[[Sequence[Pixels]], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a request asks of a container: sketches to draw, and how their pictures are answered.

    `answer` raises WireError when the answer cannot be given in the form asked for. `filtered` is the answer when the
    family's safety filter has withheld everything.
    """

    sketches: Sequence[Sketch]
    answer: EncodePictures
    filtered: EncodePictures


ReadRequest = Callable[[bytes, str, str], Order]
"""Body, content type and accept to an order. Raises WireError when they make no sense."""


# --- jumpstart-sd ----------------------------------------------------------------------------------------------------


def _read_jumpstart_sd(body: bytes, content_type: str, accept: str) -> Order:
    sketches = parse_request(body, content_type)
    prompt, is_singular = sketches[0].prompt, is_text_request(content_type)

    def answer(pictures: Sequence[Pixels]) -> Answer:
        if not pictures:
            key = "generated_image" if is_singular else "generated_images"
            return _json_answer({key: [], "prompt": prompt})
        encoded, form = encode_answer(pictures, prompt, accept, is_singular=is_singular)
        return Answer(body=encoded, content_type=form)

    return Order(sketches=sketches, answer=answer, filtered=_black(answer))


# --- jumpstart-imagegeneration and stability-sdk ---------------------------------------------------------------------

_Side = Annotated[int, msgspec.Meta(ge=8, le=LARGEST_SIDE, multiple_of=8)]
_Steps = Annotated[int, msgspec.Meta(ge=1, le=MOST_STEPS)]
_Seed = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


class _TextPrompt(msgspec.Struct):
    text: str
    weight: float = 1.0


class _SdxlRequest(msgspec.Struct):
    text_prompts: Annotated[list[_TextPrompt], msgspec.Meta(min_length=1)]
    width: _Side = 1024
    height: _Side = 1024
    cfg_scale: float = 7.0
    steps: _Steps = 50
    seed: _Seed = 0

    def sketch(self) -> Sketch:
        prompts = [each.text for each in self.text_prompts if each.weight >= 0]
        if not prompts:
            raise WireError("every text prompt has a negative weight")
        return Sketch(
            prompt=", ".join(prompts),
            negative_prompt=", ".join(each.text for each in self.text_prompts if each.weight < 0) or None,
            width=self.width,
            height=self.height,
            steps=self.steps,
            guidance_scale=self.cfg_scale,
            seed=self.seed,
        )


def _read_jumpstart_imagegeneration(body: bytes, content_type: str, accept: str) -> Order:
    request = _decoded(body, content_type, _SdxlRequest)
    if request.width <= 256 or request.height <= 256:
        raise WireError("width and height must be larger than 256")

    def answer(pictures: Sequence[Pixels]) -> Answer:
        return _json_answer({"generated_image": _base64(pictures[0], "PNG") if pictures else ""})

    return Order(sketches=[request.sketch()], answer=answer, filtered=_black(answer))


_SDXL_SIZES = {(1024, 1024), (1152, 896), (896, 1152), (1216, 832), (832, 1216), (1344, 768), (768, 1344)} | {
    (1536, 640),
    (640, 1536),
}


def _read_stability_sdk(body: bytes, content_type: str, accept: str) -> Order:
    request = _decoded(body, content_type, _SdxlRequest)
    if (request.width, request.height) not in _SDXL_SIZES:
        raise WireError(f"for stable-diffusion-xl-1024-v1-0 the size cannot be {request.width}x{request.height}")

    def answered(pictures: Sequence[Pixels], reason: str) -> Answer:
        return _json_answer(
            {
                "artifacts": [
                    {"base64": _base64(picture, "PNG"), "seed": request.seed, "finishReason": reason}
                    for picture in pictures
                ]
            }
        )

    return Order(
        sketches=[request.sketch()],
        answer=lambda pictures: answered(pictures, "SUCCESS"),
        filtered=lambda pictures: answered([_blackened(each) for each in pictures], "CONTENT_FILTERED"),
    )


# --- stability-sd3 ---------------------------------------------------------------------------------------------------

_SD3_STEPS = 40
_SD3_SIZES: Mapping[str, tuple[int, int]] = {
    "1:1": (1024, 1024),
    "5:4": (1088, 896),
    "4:5": (896, 1088),
    "3:2": (1216, 832),
    "2:3": (832, 1216),
    "16:9": (1344, 768),
    "9:16": (768, 1344),
    "21:9": (1536, 640),
    "9:21": (640, 1536),
}


class _Sd3Request(msgspec.Struct):
    prompt: Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
    aspect_ratio: str = "1:1"
    output_format: Literal["jpeg", "png"] = "png"
    seed: _Seed = 0
    negative_prompt: str | None = None


def _read_stability_sd3(body: bytes, content_type: str, accept: str) -> Order:
    request = _decoded(body, content_type, _Sd3Request)
    if request.aspect_ratio not in _SD3_SIZES:
        raise WireError(f"aspect_ratio is none of {', '.join(_SD3_SIZES)}")
    width, height = _SD3_SIZES[request.aspect_ratio]
    sketch = Sketch(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        width=width,
        height=height,
        steps=_SD3_STEPS,
        guidance_scale=4.5,
        seed=request.seed,
    )

    def answer(pictures: Sequence[Pixels]) -> Answer:
        fields = {
            "images": [_base64(each, request.output_format.upper()) for each in pictures],
            "seeds": [request.seed] * len(pictures),
            "finish_reasons": [None] * len(pictures),
        }
        return _json_answer({"body": fields})

    def filtered(pictures: Sequence[Pixels]) -> Answer:
        return _json_answer({"body": {"finish_reasons": ["Filter reason: output image"] * len(pictures)}})

    return Order(sketches=[sketch], answer=answer, filtered=filtered)


# --- huggingface -----------------------------------------------------------------------------------------------------


class _PipelineArguments(msgspec.Struct, forbid_unknown_fields=True):
    """What StableDiffusionPipeline takes. It has no `seed`; `num_images_per_prompt` is dropped by the toolkit."""

    width: _Side = 512
    height: _Side = 512
    num_inference_steps: _Steps = 50
    guidance_scale: float = 7.5
    negative_prompt: str | None = None
    num_images_per_prompt: int = 1


class _HuggingFaceRequest(msgspec.Struct):
    inputs: str
    parameters: _PipelineArguments = msgspec.field(default_factory=_PipelineArguments)


_FILE_FORMATS: Mapping[str, str] = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/tiff": "TIFF",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/x-image": "PNG",
}


def _read_huggingface(body: bytes, content_type: str, accept: str) -> Order:
    request = _decoded(body, content_type, _HuggingFaceRequest)
    parameters = request.parameters
    sketch = Sketch(
        prompt=request.inputs,
        negative_prompt=parameters.negative_prompt,
        width=parameters.width,
        height=parameters.height,
        steps=parameters.num_inference_steps,
        guidance_scale=parameters.guidance_scale,
        seed=0,
    )
    form = accept.strip().casefold()

    def answer(pictures: Sequence[Pixels]) -> Answer:
        if form in ("", "*/*", JSON):
            return _json_answer(_base64(pictures[0], "PNG") if pictures else "")
        if form not in _FILE_FORMATS:
            raise WireError(f"Content type {accept} is not supported by this framework.")
        return Answer(body=_file(pictures[0], _FILE_FORMATS[form]) if pictures else b"", content_type=form)

    return Order(sketches=[sketch], answer=answer, filtered=_black(answer))


FAMILIES: Mapping[str, ReadRequest] = {
    "jumpstart-sd": _read_jumpstart_sd,
    "jumpstart-imagegeneration": _read_jumpstart_imagegeneration,
    "stability-sdk": _read_stability_sdk,
    "stability-sd3": _read_stability_sd3,
    "huggingface": _read_huggingface,
}


# --- what they share -------------------------------------------------------------------------------------------------

_Request = TypeVar("_Request", bound=msgspec.Struct)


def _decoded(body: bytes, content_type: str, shape: type[_Request]) -> _Request:
    if content_type.partition(";")[0].strip().casefold() != JSON:
        raise WireError(f"content type {content_type!r} is not supported")
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise WireError(str(error)) from error


def _json_answer(value: Any) -> Answer:
    return Answer(body=json.dumps(value).encode("ascii"), content_type=JSON)


def _base64(pixels: Pixels, file_format: str) -> str:
    return base64.b64encode(_file(pixels, file_format)).decode("ascii")


def _file(pixels: Pixels, file_format: str) -> bytes:
    target = io.BytesIO()
    # `compress_level` is PNG's, `quality` that of the others; each ignores the rest.
    Image.fromarray(pixels).save(target, file_format, quality=JPEG_QUALITY, compress_level=1)
    return target.getvalue()


def _black(answer: EncodePictures) -> EncodePictures:
    """Diffusers' safety checker puts black images in the place of those that it withholds, and says nothing."""
    return lambda pictures: answer([_blackened(each) for each in pictures])


def _blackened(pixels: Pixels) -> Pixels:
    return np.zeros_like(pixels)
