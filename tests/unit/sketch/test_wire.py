"""The JumpStart contract, as its clients read it."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graphql_api.adapters.model_endpoint.sketch.wire import (
    WireError,
    encode_answer,
    encode_preview,
    is_text_request,
    parse_request,
)

PICTURE = np.random.Generator(np.random.PCG64(5)).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def body(**fields: Any) -> bytes:
    return json.dumps({"prompt": "astronaut on a horse", **fields}).encode()


def test_a_full_request_is_read_field_by_field() -> None:
    (sketch,) = parse_request(
        body(width=640, height=384, num_inference_steps=12, guidance_scale=9, negative_prompt="fog", seed=3),
        "application/json",
    )

    assert (sketch.prompt, sketch.negative_prompt) == ("astronaut on a horse", "fog")
    assert (sketch.width, sketch.height, sketch.steps) == (640, 384, 12)
    assert (sketch.guidance_scale, sketch.seed) == (9.0, 3)


def test_missing_fields_take_the_defaults_of_the_contract() -> None:
    (sketch,) = parse_request(body(), "application/json; charset=utf-8")

    assert (sketch.width, sketch.height, sketch.steps, sketch.guidance_scale) == (512, 512, 50, 7.5)
    assert (sketch.seed, sketch.negative_prompt) == (0, None)


def test_each_image_has_the_next_seed_and_the_last_wraps_around() -> None:
    sketches = parse_request(body(num_images_per_prompt=3, seed=2**32 - 2), "application/json")

    assert [sketch.seed for sketch in sketches] == [2**32 - 2, 2**32 - 1, 0]


def test_a_list_of_prompts_goes_with_a_list_of_negative_prompts() -> None:
    sketches = parse_request(
        body(prompt=["sea", "wood"], negative_prompt=["fog", "snow"], num_images_per_prompt=2), "application/json"
    )

    assert [(s.prompt, s.negative_prompt) for s in sketches] == [("sea", "fog")] * 2 + [("wood", "snow")] * 2


@pytest.mark.parametrize(
    ("raw", "prompt"),
    [
        ("ein Schloß".encode(), "ein Schloß"),
        (b'"quoted"', "quoted"),
        (b"42", "42"),
        (b'{"prompt": "mixed up"}', "mixed up"),
    ],
)
def test_a_text_request_is_the_prompt_alone(raw: bytes, prompt: str) -> None:
    (sketch,) = parse_request(raw, "application/x-text")

    assert sketch.prompt == prompt
    assert is_text_request("application/x-text")


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 500},
        {"width": 0},
        {"height": 4096},
        {"height": "512"},
        {"num_inference_steps": 0},
        {"num_inference_steps": True},
        {"num_images_per_prompt": 0},
        {"num_images_per_prompt": 17},
        {"guidance_scale": "high"},
        {"guidance_scale": float("nan")},
        {"prompt": None},
        {"prompt": []},
        {"prompt": ["a", 1]},
        {"negative_prompt": ["one", "two"]},
        {"seed": 1.5},
    ],
)
def test_a_field_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        parse_request(body(**fields), "application/json")


@pytest.mark.parametrize("raw", [b"", b"not json", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(WireError):
        parse_request(raw, "application/json")


def test_a_foreign_content_type_is_refused() -> None:
    with pytest.raises(WireError, match="image/png"):
        parse_request(b"x", "image/png")


def test_a_foreign_accept_is_refused() -> None:
    with pytest.raises(WireError, match="image/png"):
        encode_answer([PICTURE], "p", "image/png")


def test_nested_integers_give_back_every_pixel() -> None:
    answer, content_type = encode_answer([PICTURE, PICTURE[::-1]], 'a "quoted" prompt', "application/json")

    decoded = json.loads(answer)
    assert content_type == "application/json"
    assert decoded["prompt"] == 'a "quoted" prompt'
    assert np.array_equal(np.array(decoded["generated_images"]), [PICTURE, PICTURE[::-1]])


def test_a_text_request_is_answered_under_the_singular_key() -> None:
    answer, _ = encode_answer([PICTURE], "p", "application/json", is_singular=True)

    decoded = json.loads(answer)
    assert set(decoded) == {"generated_image", "prompt"}
    assert np.array_equal(np.array(decoded["generated_image"]), PICTURE)


def test_jpeg_answers_are_close_to_the_picture_and_repeat_to_the_byte() -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (64, 48, 3)).copy()
    answer, content_type = encode_answer([smooth], "p", "application/json;jpeg")
    again, _ = encode_answer([smooth], "p", "application/json; jpeg")

    (encoded,) = json.loads(answer)["generated_images"]
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert (content_type, answer) == ("application/json;jpeg", again)
    assert (image.format, image.size) == ("JPEG", (48, 64))
    assert np.abs(np.asarray(image).astype(int) - smooth).max() < 8


def test_previews_are_small_webp() -> None:
    encoded = encode_preview(np.full((256, 256, 3), 90, dtype=np.uint8))

    image = Image.open(io.BytesIO(encoded))
    assert (image.format, image.size) == ("WEBP", (256, 256))
    assert len(encoded) < 2000
