"""Answers of Hugging Face's containers: a JSON string, or the file itself."""

from __future__ import annotations

import base64

import pytest

from graphql_api.domain.errors import AnswerNotUnderstood
from graphql_api.ports import EncodedPicture
from tests.unit.codecs.samples import decoded

FILE = EncodedPicture(body=b"\x89PNG a file")


@pytest.mark.parametrize("asked", ["json", "image"])
@pytest.mark.parametrize("content_type", ["image/png", "IMAGE/JPEG", "image/x-image; q=1"])
def test_the_file_itself_is_read_whatever_was_asked_for(asked: str, content_type: str) -> None:
    assert decoded("huggingface", FILE.body, {"answer": asked}, content_type=content_type) == [FILE]


@pytest.mark.parametrize("asked", ["json", "image"])
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", ""])
def test_a_json_string_is_read_whatever_was_asked_for(asked: str, content_type: str) -> None:
    encoded = base64.b64encode(FILE.body).decode()

    assert decoded("huggingface", encoded, {"answer": asked}, content_type=content_type) == [FILE]


def test_a_file_that_is_announced_as_json_is_refused() -> None:
    with pytest.raises(AnswerNotUnderstood) as refusal:
        decoded("huggingface", FILE.body)

    assert refusal.value.shape == "11 bytes of application/json that are not JSON"
