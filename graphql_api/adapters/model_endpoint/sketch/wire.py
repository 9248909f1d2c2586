"""The JumpStart Stable Diffusion contract from the container's side: bytes to sketches, pictures to bytes.

Requests are `application/json`, or `application/x-text` with the prompt alone as raw UTF-8 (older clients send it as
a JSON string). Answers are `application/json`, nested RGB integers, or `application/json;jpeg`, base64 JPEG of
quality 90. A text request is answered under the singular key `generated_image`, a JSON request under the plural
`generated_images`. Source: the notebooks of aws/amazon-sagemaker-examples, and what their comments say of the
parameters. A missing seed is 0 here, so that every answer can be drawn again."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from graphql_api.adapters.model_endpoint.sketch.renderer import Sketch

JSON = "application/json"
JSON_WITH_JPEG = "application/json;jpeg"
TEXT = "application/x-text"

JPEG_QUALITY = 90
PREVIEW_QUALITY = 70
LARGEST_SIDE = 1536
MOST_STEPS = 1000
MOST_IMAGES = 16
_SEEDS = 2**32


class WireError(ValueError):
    """The request cannot be read, or the answer not given in the form asked for. The message is for the log."""


def parse_request(body: bytes, content_type: str) -> list[Sketch]:
    """One sketch per image. Image i has seed + i, modulo 2**32. Raises WireError."""
    kind = _media_type(content_type)
    if kind not in (JSON, TEXT):
        raise WireError(f"content type {content_type!r} is not supported")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError("the body is not UTF-8") from error
    return _sketches(_fields_of_text(text) if kind == TEXT else _fields_of_json(text))


def is_text_request(content_type: str) -> bool:
    """Whether the answer goes under the singular key."""
    return _media_type(content_type) == TEXT


def encode_answer(
    pictures: Sequence[NDArray[np.uint8]], prompt: str, accept: str, *, is_singular: bool = False
) -> tuple[bytes, str]:
    """The body and its content type. `is_singular` answers a text request: the first picture under `generated_image`.

    Raises WireError if `accept` names neither form.
    """
    form = accept.replace(" ", "").casefold()
    if form == JSON_WITH_JPEG:
        encoded = [b'"' + base64.b64encode(encode_jpeg(picture)) + b'"' for picture in pictures]
    elif form in (JSON, "*/*", ""):
        form, encoded = JSON, [_nested_integers(picture) for picture in pictures]
    else:
        raise WireError(f"accept {accept!r} is not supported")
    images = (
        b'"generated_image": ' + encoded[0] if is_singular else b'"generated_images": [' + b", ".join(encoded) + b"]"
    )
    return b"{" + images + b', "prompt": ' + json.dumps(prompt).encode("ascii") + b"}", form


def encode_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """The same pixels always give the same bytes."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "JPEG", quality=JPEG_QUALITY)
    return target.getvalue()


def encode_preview(pixels: NDArray[np.uint8]) -> bytes:
    """WebP, a few kilobytes for 256 pixels."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "WEBP", quality=PREVIEW_QUALITY, method=1)
    return target.getvalue()


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().casefold()


def _fields_of_json(text: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError("the body is not JSON") from error
    if not isinstance(fields, dict):
        raise WireError("the body is not a JSON object")
    return fields


def _fields_of_text(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"prompt": text}
    # Some published clients send JSON under this content type.
    if isinstance(value, dict) and "prompt" in value:
        return value
    return {"prompt": value if isinstance(value, str) else text}


def _sketches(fields: Mapping[str, Any]) -> list[Sketch]:
    prompts, negatives = _prompts(fields)
    width, height = _side(fields, "width"), _side(fields, "height")
    steps = _integer(fields, "num_inference_steps", 50, least=1, most=MOST_STEPS)
    seed = _integer(fields, "seed", 0, least=-(2**63), most=2**64)
    count = _integer(fields, "num_images_per_prompt", 1, least=1, most=MOST_IMAGES)
    guidance_scale = _guidance(fields)
    drawn = [pair for pair in zip(prompts, negatives, strict=True) for _ in range(count)]
    if len(drawn) > MOST_IMAGES:
        raise WireError(f"more than {MOST_IMAGES} images in one request")
    return [
        Sketch(
            prompt=prompt,
            negative_prompt=negative,
            width=width,
            height=height,
            steps=steps,
            guidance_scale=guidance_scale,
            seed=(seed + index) % _SEEDS,
        )
        for index, (prompt, negative) in enumerate(drawn)
    ]


def _prompts(fields: Mapping[str, Any]) -> tuple[list[str], list[str | None]]:
    """Prompts and their negative prompts, of equal number."""
    prompt, negative = fields.get("prompt"), fields.get("negative_prompt")
    prompts: list[Any] = prompt if isinstance(prompt, list) else [prompt]
    negatives: list[Any] = negative if isinstance(negative, list) else [negative] * len(prompts)
    if not prompts or not all(isinstance(text, str) for text in prompts):
        raise WireError("prompt is neither a text nor a list of texts")
    if len(negatives) != len(prompts) or not all(text is None or isinstance(text, str) for text in negatives):
        raise WireError("negative_prompt does not go with prompt")
    return prompts, negatives


def _side(fields: Mapping[str, Any], name: str) -> int:
    side = _integer(fields, name, 512, least=8, most=LARGEST_SIDE)
    if side % 8:
        raise WireError(f"{name} is not divisible by 8")
    return side


def _integer(fields: Mapping[str, Any], name: str, default: int, *, least: int, most: int) -> int:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise WireError(f"{name} is not an integer from {least} to {most}")
    return value


def _guidance(fields: Mapping[str, Any]) -> float:
    value = fields.get("guidance_scale")
    if value is None:
        return 7.5
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WireError("guidance_scale is not a number")
    return float(value)


def _nested_integers(pixels: NDArray[np.uint8]) -> bytes:
    """The picture as JSON rows of [r,g,b].

    Numbers are padded with spaces, which JSON allows, so that numpy can lay them out at once.
    """
    height, width, _ = pixels.shape
    digits = np.frombuffer("".join(f"{value:3d}" for value in range(256)).encode("ascii"), dtype=np.uint8).reshape(
        256, 3
    )
    template = np.frombuffer(b"[   ,   ,   ],", dtype=np.uint8)
    cells = np.empty((height, width, len(template)), dtype=np.uint8)
    cells[:] = template
    for channel in range(3):
        cells[:, :, 1 + 4 * channel : 4 + 4 * channel] = digits[pixels[:, :, channel]]
    rows = (row[:-1].tobytes() for row in cells.reshape(height, -1))
    return b"[[" + b"],[".join(rows) + b"]]"
