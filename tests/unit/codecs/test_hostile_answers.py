"""What a codec does with what no model should send: it raises a GenerationFailed, and keeps the content to itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_api.codecs import CODECS
from graphql_api.domain.errors import AnswerNotUnderstood, ContentBlocked, ModelFailed
from graphql_api.ports import BlockedPicture, EncodedPicture, RawPicture
from tests.unit.codecs.samples import SECRET, VARIANTS, decoded

EVERY_CODEC = pytest.mark.parametrize("codec", CODECS)
EVERY_VARIANT = pytest.mark.parametrize(("name", "options"), VARIANTS)
KEYS = ("generated_images", "generated_image", "predictions", "artifacts", "body", "images", "finish_reasons")
MANY = 16 << 20

HOSTILE: Mapping[str, bytes] = {
    "HTML": f"<!doctype html><title>{SECRET}</title>".encode(),
    "nothing": b"",
    "blanks": b" \n ",
    "the text of moto": b"body",
    "null": b"null",
    "true": b"true",
    "a number": b"7",
    "NaN": b'{"generated_images": NaN}',
    "infinity": b'{"images": [Infinity]}',
    "a string that is no Base64": f'"{SECRET}!"'.encode(),
    "a string that is no ASCII": '"é猫"'.encode(),
    "half a surrogate pair": b'{"generated_image": "\\ud800"}',
    "an empty object": b"{}",
    "an object of other things": json.dumps({SECRET: SECRET}).encode(),
    "an array": b"[]",
    "not UTF-8": b'{"generated_images": ["\xff\xfe"]}',
    "UTF-16": '{"generated_images": []}'.encode("utf-16"),
    "truncated": b'{"generated_images": ["aGVsbG8',
    "truncated numbers": b'{"generated_images": [[[[1, 2, 3], [4, ',
    "trailing text": b'{"generated_images": []} x',
    "a huge integer": b'{"generated_images": [' + b"9" * 5000 + b"]}",
    "a huge integer elsewhere": b'{"generated_images": [], "seed": ' + b"9" * 50 + b"}",
    "a huge float": b'{"images": [1e999]}',
    "deep arrays": b'{"images": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "deep arrays of pixels": b'{"generated_images": ' + b"[" * 5000 + b"1" + b"]" * 5000 + b"}",
    "deep objects": b'{"body": ' * 5000 + b"1" + b"}" * 5000,
    **{f"{key}: {value}": f'{{"{key}": {value}}}'.encode() for key in KEYS for value in ("null", "7", "true", '"!"')},
    **{f"{key}: array of {value}": f'{{"{key}": [{value}]}}'.encode() for key in KEYS for value in ("null", "7", "{}")},
    **{f"{key}: object": f'{{"{key}": {{"{SECRET}": "{SECRET}"}}}}'.encode() for key in KEYS},
    **{f"{key}: arrays": f'{{"{key}": [[["{SECRET}"]], 7]}}'.encode() for key in KEYS},
}

LARGE: Mapping[str, bytes] = {
    "bytes": b"\xff" * MANY,
    "brackets": b"[" * MANY,
    "text": b'"' + b"!" * MANY + b'"',
    "a number": b'{"generated_images": [[' + b"9" * MANY + b"]]}",
    "numbers": b'{"generated_images": [[' + b"9," * (MANY // 2) + b"9]]}",
    "blanks between numbers": b'{"generated_images": [[' + b"9 " * (MANY // 2) + b"9]]}",
    "brackets for pixels": b'{"generated_images": ' + b"[" * MANY + b"]}",
}


@EVERY_VARIANT
@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in HOSTILE.items()])
def test_a_hostile_answer_is_refused_by_its_shape(name: str, options: Mapping[str, object], body: bytes) -> None:
    with pytest.raises(AnswerNotUnderstood) as refusal:
        decoded(name, body, options)

    assert refusal.value.codec == name
    assert refusal.value.shape
    assert len(refusal.value.shape) < 200
    assert refusal.value.message == "The model's answer could not be read."
    assert SECRET not in refusal.value.shape


@EVERY_CODEC
@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in LARGE.items()])
def test_a_large_answer_of_garbage_is_refused(codec: str, body: bytes) -> None:
    with pytest.raises(AnswerNotUnderstood) as refusal:
        decoded(codec, body)

    assert len(refusal.value.shape) < 200


@EVERY_CODEC
def test_the_type_of_an_answer_is_told_only_if_it_is_a_usual_one(codec: str) -> None:
    with pytest.raises(AnswerNotUnderstood, match="could not be read") as usual:
        decoded(codec, b"<html>", content_type="Text/HTML; charset=utf-8")
    with pytest.raises(AnswerNotUnderstood) as other:
        decoded(codec, b"<html>", content_type=SECRET)

    assert usual.value.shape == "6 bytes of text/html that are not JSON"
    assert other.value.shape == "6 bytes of another type that are not JSON"


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
base64_text = st.binary(max_size=30).map(lambda body: base64.b64encode(body).decode())
reasons = st.sampled_from(["SUCCESS", "CONTENT_FILTERED", "ERROR", "Filter reason: prompt", "Inference error"])
documents = st.recursive(
    leaves | base64_text | reasons,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*KEYS, "base64", "finishReason"]) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@EVERY_VARIANT
@given(document=documents)
def test_any_json_is_read_or_refused(name: str, options: Mapping[str, object], document: object) -> None:
    for body in (document, dict.fromkeys(KEYS, document), {"body": {"images": document}}):
        try:
            pictures = decoded(name, body, options)
        except (AnswerNotUnderstood, ModelFailed, ContentBlocked):
            continue
        assert all(isinstance(picture, EncodedPicture | RawPicture | BlockedPicture) for picture in pictures)


@EVERY_VARIANT
@given(body=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(name: str, options: Mapping[str, object], body: bytes) -> None:
    try:
        decoded(name, body, options)
    except AnswerNotUnderstood as refusal:
        assert refusal.shape
