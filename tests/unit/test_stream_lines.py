"""The JSON lines of a streaming container, cut anywhere."""

from __future__ import annotations

import base64
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_api.adapters.model_endpoint.sagemaker import streaming
from graphql_api.adapters.model_endpoint.sagemaker.streaming import Lines, read_line
from graphql_api.domain.errors import AnswerNotUnderstood, ModelFailed, OutOfMemory
from graphql_api.domain.ids import JobId
from graphql_api.ports import Answer, Invocation, ModelRequest, StepDone

INVOCATION = Invocation(
    id="i",
    job_id=JobId("i"),
    request=ModelRequest(body=b"{}", content_type="application/json", accept="application/json;jpeg"),
    timeout_seconds=1,
)
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(8)
RESULT = {"generated_images": ["AAAA"], "prompt": 'a "result": }\n'}


def step(number: int, **more: object) -> bytes:
    return json.dumps({"step": number, "total_steps": 9, **more}).encode()


TEXT = b"\n".join([step(1), step(2, preview=base64.b64encode(WEBP).decode()), json.dumps({"result": RESULT}).encode()])


@given(cuts=st.lists(st.integers(0, len(TEXT))), ends=st.booleans())
def test_lines_are_put_together_wherever_they_are_cut(cuts: list[int], ends: bool) -> None:
    text = TEXT + b"\n" if ends else TEXT
    places = [0, *sorted(cuts), len(text)]
    lines = Lines()
    whole = [line for start, end in pairwise(places) for line in lines.cut(text[start:end])]
    whole += lines.rest()
    first, second, last = (read_line(line, INVOCATION) for line in whole)

    assert first == StepDone(step=1, total_steps=9)
    assert second == StepDone(step=2, total_steps=9, preview=WEBP)
    assert isinstance(last, Answer)
    assert json.loads(last.body) == RESULT


def test_blank_lines_and_carriage_returns_are_passed_over() -> None:
    lines = Lines()

    assert list(lines.cut(b"\r\n\n" + step(1) + b"\r\n")) == [step(1) + b"\r"]
    assert list(lines.rest()) == []


@pytest.mark.parametrize("text", ['{"result":{}}', '  { "result" : {} }  \r', '{"result":\t{}}'])
def test_a_result_is_what_stands_between_its_braces(text: str) -> None:
    assert read_line(text.encode(), INVOCATION) == Answer(body=b"{}", content_type="application/json;jpeg")


@pytest.mark.parametrize(
    "line",
    [
        b"<html>",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'"result"',
        b'{"result": 1',
        step(0),
        step(10),
        b'{"step": true, "total_steps": 3}',
        b'{"step": 1.5, "total_steps": 3}',
        b'{"step": 1}',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"step": 1, "total_steps": 3, "pad": "' + b"x" * streaming.MAX_STEP_LINE_BYTES + b'"}',
    ],
    ids=lambda line: str(line[:30]),
)
def test_what_is_no_line_of_ours_is_refused_without_its_content(line: bytes) -> None:
    with pytest.raises(AnswerNotUnderstood) as refusal:
        read_line(line, INVOCATION)

    assert "html" not in refusal.value.shape


@pytest.mark.parametrize("preview", [1, "no Base64!", "AAAA", "A" * (streaming.MAX_PREVIEW_CHARS + 4), None])
def test_a_preview_that_cannot_be_shown_is_left_out(preview: object) -> None:
    assert read_line(step(1, preview=preview), INVOCATION) == StepDone(step=1, total_steps=9)


def test_an_error_in_the_stream_is_the_models() -> None:
    with pytest.raises(OutOfMemory):
        read_line(b'{"error": {"code": "X", "message": "CUDA out of memory"}}', INVOCATION)
    with pytest.raises(ModelFailed) as failure:
        read_line(b'{"error": {"message": "a secret prompt"}}', INVOCATION)
    assert "secret" not in failure.value.message


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MAX_ANSWER_BYTES", 100)
    lines = Lines()
    with pytest.raises(ModelFailed):
        for _ in range(20):
            list(lines.cut(b"x" * 10))
