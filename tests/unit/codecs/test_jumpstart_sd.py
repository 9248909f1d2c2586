"""Answers of JumpStart's Stable Diffusion, in all the forms that its containers send."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_api.domain.errors import AnswerNotUnderstood
from graphql_api.ports import EncodedPicture, Picture, RawPicture
from tests.unit.codecs.samples import SECRET, decoded

ENCODED = base64.b64encode(b"a file").decode()
PIXELS = [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 255]]]
RAW = RawPicture(width=2, height=2, rgb=bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255]))
KEYS = ("generated_images", "generated_image")


def decode(body: object) -> list[Picture]:
    return decoded("jumpstart-sd", body)


@pytest.mark.parametrize("key", KEYS)
def test_files_are_read_under_either_key(key: str) -> None:
    assert decode({key: [ENCODED, ENCODED], "prompt": "x"}) == [EncodedPicture(body=b"a file")] * 2


@pytest.mark.parametrize("key", KEYS)
def test_pixels_are_read_under_either_key(key: str) -> None:
    assert decode({key: [PIXELS, PIXELS], "prompt": "x"}) == [RAW, RAW]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("sent", "read"), [(ENCODED, EncodedPicture(body=b"a file")), (PIXELS, RAW)])
def test_one_image_is_read_without_a_list_around_it(key: str, sent: object, read: Picture) -> None:
    assert decode({key: sent}) == [read]


@pytest.mark.parametrize(("sent", "read"), [([ENCODED], EncodedPicture(body=b"a file")), ([PIXELS], RAW)])
@pytest.mark.parametrize("wrap", [False, True])
def test_an_answer_is_read_with_and_without_a_wrapper(sent: object, read: Picture, wrap: bool) -> None:
    plain = {"generated_images": sent, "prompt": "x"}

    assert decoded("jumpstart-sd", plain, {"wrap_predictions": wrap}) == [read]
    assert decoded("jumpstart-sd", {"predictions": [plain]}, {"wrap_predictions": wrap}) == [read]


@pytest.mark.parametrize("predictions", [[], [{"generated_images": []}] * 2])
def test_there_must_be_one_prediction(predictions: object) -> None:
    with pytest.raises(AnswerNotUnderstood) as refusal:
        decode({"predictions": predictions})

    assert refusal.value.shape.endswith("predictions in place of one")


@pytest.mark.parametrize("key", KEYS)
def test_no_images_are_no_pictures(key: str) -> None:
    assert decode({key: []}) == []


@pytest.mark.parametrize(
    "prompt",
    [
        '"generated_images": [[[1, 2, 3]]]',
        "]]]",
        '"',
        "\\",
        '\\"',
        "{}",
        "}",
        '"generated_images"',
        "[[[[1,2,3]]]]",
        "猫",
    ],
)
@pytest.mark.parametrize("prompt_first", [False, True])
def test_whatever_the_prompt_is_its_echo_is_not_taken_for_pixels(prompt: str, prompt_first: bool) -> None:
    document = {"prompt": prompt, "generated_images": [PIXELS]} if prompt_first else {"generated_images": [PIXELS]}

    assert decode({**document, "prompt": prompt}) == [RAW]
    assert decode({"generated_images": [], "prompt": prompt}) == []


@given(prompt=st.text(), key=st.sampled_from(KEYS))
def test_any_prompt_may_be_echoed(prompt: str, key: str) -> None:
    assert decode({"prompt": prompt, key: [PIXELS], "other": prompt}) == [RAW]


@pytest.mark.parametrize(
    "body",
    [
        b'{"meta": {"generated_images": [[[1, 2, 3]]]}, "prompt": "x"}',
        b'{"a\\"generated_images": [[[1, 2, 3]]]}',
        b'["generated_images", [[[1, 2, 3]]]]',
        b'"generated_images": [[[1, 2, 3]]]',
        b'{"generated_images": [[[1, 2, 3]]] 5}',
        b'{"generated_images": [[[1, 2, 3]]]',
        b'{"generated_images": [[[1, 2, 3]]]}}',
        b'{"generated_images": 20}',
        b'{"generated_images": 20, "meta": {"generated_images": [[[1, 2, 3]]]}}',
    ],
)
def test_pixels_in_any_other_place_are_not_the_images(body: bytes) -> None:
    with pytest.raises(AnswerNotUnderstood):
        decode(body)


@pytest.mark.parametrize(
    ("document", "shape"),
    [
        (b"<html>Gateway</html>", "20 bytes of application/json that are not JSON"),
        ([], "answer is array of 0 in place of an object"),
        ("text", "answer is string of 4 characters in place of an object"),
        ({"prompt": SECRET}, "object with 1 keys, but no generated_images"),
        ({"generated_images": None}, "generated_images is null in place of an array"),
        ({"generated_images": {"a": 1}}, "generated_images is object with 1 keys in place of an array"),
        ({"generated_images": [7]}, "image is number in place of a string"),
        ({"generated_images": ["not base64!"]}, "string of 11 characters that is not Base64"),
        ({"generated_images": [[]]}, "array of 4 brackets and commas, nested 2 deep"),
        ({"generated_images": [[[[1, 2, 3]], [[1, 2, 3], [4, 5, 6]]]]}, "ragged array, the first row of 1 pixels"),
        ({"generated_images": [[[[1, 2, 256]]]]}, "array with values that are not integers from 0 to 255"),
        ({"generated_images": [[[[1, 2, -1]]]]}, "array with values that are not integers from 0 to 255"),
        ({"generated_images": [[[[1, 2, SECRET]]]]}, "image is array of 1 in place of a string"),
    ],
)
def test_what_is_not_understood_is_described(document: object, shape: str) -> None:
    with pytest.raises(AnswerNotUnderstood) as refusal:
        decode(document)

    assert refusal.value.shape == shape


@given(body=st.binary(max_size=100), size=st.sampled_from([8, 16, 1 << 20]))
def test_base64_is_read_in_slices_as_in_one(body: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphql_api.codecs._reading.BASE64_SLICE_CHARS", size)

        assert decode({"generated_images": base64.b64encode(body).decode()}) == [EncodedPicture(body=body)]


@given(text=st.text("AQgw=+/\n", max_size=40) | st.text(max_size=20), size=st.sampled_from([4, 8]))
def test_what_is_no_base64_in_one_is_none_in_slices(text: str, size: int) -> None:
    try:
        body = base64.b64decode(text, validate=True)
    except ValueError:
        body = b"?"
    # Python lets too much padding pass.
    expected = [EncodedPicture(body=body)] if len(base64.b64encode(body)) == len(text) and body != b"?" else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphql_api.codecs._reading.BASE64_SLICE_CHARS", size)
        try:
            pictures = decode(json.dumps({"generated_images": text}).encode())
        except AnswerNotUnderstood:
            pictures = []

    assert pictures == expected
