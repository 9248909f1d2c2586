"""Every codec against files of what goes over the wire, in `golden/<codec>`.

`<case>.request.json` holds options and the requests that they lead to, `<case>.answer.json` an answer and what is in
it.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from graphql_api.codecs import CODECS, codec_named
from graphql_api.ports import Answer, BlockedPicture, EncodedPicture, ModelRequest, Picture
from tests.unit.codecs.samples import parameters

GOLDEN = Path(__file__).parent / "golden"


def cases(kind: str) -> list[Any]:
    files = sorted(GOLDEN.glob(f"*/*.{kind}.json"))
    return [pytest.param(file, id=f"{file.parent.name}-{file.name.partition('.')[0]}") for file in files]


def written(request: ModelRequest) -> dict[str, Any]:
    """A request as the golden files spell it."""
    text = request.body.decode()
    body = {"json": json.loads(text)} if request.content_type == "application/json" else {"text": text}
    return {
        "content_type": request.content_type,
        "accept": request.accept,
        "first_index": request.first_index,
        "count": request.count,
        **body,
    }


def described(picture: Picture) -> str:
    if isinstance(picture, BlockedPicture):
        return "withheld"
    if isinstance(picture, EncodedPicture):
        with Image.open(io.BytesIO(picture.body)) as image:
            image.load()
            return f"{image.format} {image.width}x{image.height}"
    raw = Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)
    return f"RGB {raw.width}x{raw.height}"


@pytest.mark.parametrize("file", cases("request"))
def test_requests_are_spelled_as_the_model_wants_them(file: Path) -> None:
    golden = json.loads(file.read_text())
    codec = codec_named(file.parent.name, golden["options"])

    assert [written(request) for request in codec.encode(parameters())] == golden["requests"]


@pytest.mark.parametrize("file", cases("answer"))
def test_answers_are_read_as_pictures_that_open(file: Path) -> None:
    golden = json.loads(file.read_text())
    sent = golden["answer"]
    body = base64.b64decode(sent["base64"]) if "base64" in sent else json.dumps(sent["body"]).encode()
    answer = Answer(body=body, content_type=sent["content_type"])
    request = ModelRequest(body=b"", content_type="", accept="")

    pictures = codec_named(file.parent.name).decode(request, answer)

    assert [described(picture) for picture in pictures] == golden["pictures"]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_has_golden_files(codec: str) -> None:
    assert list((GOLDEN / codec).glob("*.request.json"))
    assert list((GOLDEN / codec).glob("*.answer.json"))
