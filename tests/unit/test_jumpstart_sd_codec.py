"""The wire format of JumpStart's Stable Diffusion, from the client's side."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_api.codecs import codec_named
from graphql_api.domain.errors import AnswerNotUnderstood
from graphql_api.ports import Answer, EncodedPicture, ModelRequest, RawPicture
from tests.contract.sample_jobs import a_job

CODEC = codec_named("jumpstart-sd")
PARAMETERS = a_job().parameters
REQUEST = ModelRequest(body=b"", content_type="", accept="")
PIXELS = [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 255]]]
RAW = RawPicture(width=2, height=2, rgb=bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255]))


def decode(document: object) -> object:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return list(CODEC.decode(REQUEST, Answer(body=body, content_type="application/json")))


def test_a_request_says_all_that_the_container_understands() -> None:
    (request,) = CODEC.encode(replace(PARAMETERS, negative_prompt="blur"))

    assert (request.content_type, request.accept, request.count) == ("application/json", "application/json;jpeg", 2)
    assert json.loads(request.body) == {
        "prompt": "A fox in the snow, highly detailed",
        "negative_prompt": "blur",
        "width": 512,
        "height": 256,
        "num_images_per_prompt": 2,
        "num_inference_steps": 20,
        "guidance_scale": 7.5,
        "seed": 2**32 - 1,
    }


def test_a_negative_prompt_that_was_not_given_is_not_sent() -> None:
    (request,) = CODEC.encode(PARAMETERS)

    assert "negative_prompt" not in json.loads(request.body)


@pytest.mark.parametrize("key", ["generated_images", "generated_image"])
def test_base64_files_are_read_under_either_key(key: str) -> None:
    encoded = base64.b64encode(b"a file").decode()

    assert decode({key: [encoded, encoded], "prompt": "x"}) == [EncodedPicture(body=b"a file")] * 2


def test_rgb_integers_are_read_as_a_list_of_images() -> None:
    assert decode({"generated_images": [PIXELS, PIXELS]}) == [RAW, RAW]


def test_rgb_integers_of_one_image_are_read_without_a_list_around_them() -> None:
    assert decode({"generated_image": PIXELS}) == [RAW]


@given(height=st.integers(1, 5), width=st.integers(1, 5), count=st.integers(1, 3), data=st.data())
def test_any_rgb_image_is_read_as_it_was_sent(height: int, width: int, count: int, data: st.DataObject) -> None:
    size = height * width * 3
    images = [data.draw(st.binary(min_size=size, max_size=size)) for _ in range(count)]
    nested = [np.frombuffer(each, np.uint8).reshape(height, width, 3).tolist() for each in images]

    assert decode({"generated_images": nested}) == [RawPicture(width=width, height=height, rgb=each) for each in images]


@pytest.mark.parametrize(
    ("document", "shape"),
    [
        (b"<html>Gateway</html>", "20 bytes of application/json that are not JSON"),
        (b"", "0 bytes"),
        (b'{"generated_images": ["', "not JSON"),
        ([], "array of 0 in place of an object"),
        ("text", "str in place of an object"),
        ({"prompt": "secret"}, "object with 1 keys, generated_images is missing"),
        ({"generated_images": {"a": 1}}, "is object"),
        ({"generated_images": [7]}, "image is int"),
        ({"generated_images": [None]}, "image is missing"),
        ({"generated_images": ["not base64!"]}, "string of 11 characters that is not Base64"),
        ({"generated_images": [[[[1, 2, 3]], [[1, 2, 3], [4, 5, 6]]]]}, "ragged array: 2 rows, the first of 1"),
        ({"generated_images": [[[[1, 2], [3, 4]]]]}, "ragged"),
        ({"generated_images": [[[[1, 2, 256]]]]}, "values outside of 0 to 255"),
        ({"generated_images": [[[[1, 2, -1]]]]}, "values outside of 0 to 255"),
        ({"generated_images": [[[[1, 2, "secret"]]]]}, "values that are not integers"),
        ({"generated_images": [[]]}, "ragged array: 0 rows"),
    ],
)
def test_what_is_not_understood_is_described_by_its_shape_and_never_by_its_content(
    document: object, shape: str
) -> None:
    with pytest.raises(AnswerNotUnderstood) as refusal:
        decode(document)

    assert shape in refusal.value.shape
    assert refusal.value.codec == "jumpstart-sd"
    assert "secret" not in refusal.value.shape
    assert refusal.value.message == "The model's answer could not be read."


def test_no_images_are_no_pictures() -> None:
    assert decode({"generated_images": []}) == []


@given(st.binary(max_size=200))
def test_any_bytes_are_either_read_or_refused(body: bytes) -> None:
    try:
        decode(body)
    except AnswerNotUnderstood as refusal:
        assert refusal.shape
