"""What the containers of Stability AI say of images that they withhold or fail to make."""

from __future__ import annotations

import base64

import pytest

from graphql_api.domain.errors import AnswerNotUnderstood, ModelFailed
from graphql_api.ports import BlockedPicture, EncodedPicture
from tests.unit.codecs.samples import SECRET, decoded

FILE = EncodedPicture(body=b"a file")
ENCODED = base64.b64encode(FILE.body).decode()
WITHHELD = BlockedPicture(message="The model's safety filter withheld the image.")


def artifact(reason: object) -> dict[str, object]:
    return {"base64": ENCODED, "seed": 1, "finishReason": reason}


def test_an_artifact_that_was_filtered_is_withheld_though_there_is_a_file() -> None:
    artifacts = [artifact("SUCCESS"), artifact("CONTENT_FILTERED"), artifact(None)]

    assert decoded("stability-sdk", {"artifacts": artifacts}) == [FILE, WITHHELD, FILE]


def test_an_artifact_that_is_an_error_is_a_failure_of_the_model() -> None:
    with pytest.raises(ModelFailed, match="reported an error") as failure:
        decoded("stability-sdk", {"artifacts": [artifact("ERROR")]})

    assert not isinstance(failure.value, AnswerNotUnderstood)
    assert not failure.value.retryable


@pytest.mark.parametrize("reason", [SECRET, 1, ["SUCCESS"]])
def test_an_artifact_with_an_unknown_reason_may_be_one_to_withhold(reason: object) -> None:
    with pytest.raises(AnswerNotUnderstood) as refusal:
        decoded("stability-sdk", {"artifacts": [artifact(reason)]})

    assert refusal.value.shape.startswith("artifact with 3 keys, its reason is an unknown ")
    assert SECRET not in refusal.value.shape


def test_no_artifacts_are_no_pictures() -> None:
    assert decoded("stability-sdk", {"artifacts": []}) == []


@pytest.mark.parametrize("level", ["body", "top"])
def test_sd3_withholds_what_has_a_filter_reason(level: str) -> None:
    def read(document: object) -> object:
        return decoded("stability-sd3", {"body": document} if level == "body" else document)

    filtered = "Filter reason: output image"
    assert read({"images": [ENCODED], "finish_reasons": [None]}) == [FILE]
    assert read({"images": [ENCODED], "finish_reasons": None}) == [FILE]
    assert read({"images": [ENCODED]}) == [FILE]
    assert read({"finish_reasons": [filtered]}) == [WITHHELD]
    assert read({"images": [], "finish_reasons": [filtered]}) == [WITHHELD]
    assert read({"images": [ENCODED, ENCODED], "finish_reasons": [filtered, None]}) == [WITHHELD, FILE]
    assert read({"images": []}) == []


def test_an_inference_error_of_sd3_is_a_failure_of_the_model() -> None:
    with pytest.raises(ModelFailed, match="reported an error") as failure:
        decoded("stability-sd3", {"finish_reasons": ["Inference error"]})

    assert not isinstance(failure.value, AnswerNotUnderstood)


@pytest.mark.parametrize(
    ("document", "shape"),
    [
        ({"finish_reasons": [SECRET]}, "finish reason is an unknown string of 15 characters"),
        ({"finish_reasons": [None]}, "object with 1 keys, but no images"),
        ({"finish_reasons": []}, "object with 1 keys, but no images"),
        ({"finish_reasons": [None, None], "images": [ENCODED]}, "1 images with 2 finish reasons"),
        ({"body": {"images": [{SECRET: 1}]}}, "image is object with 1 keys in place of a string"),
    ],
)
def test_what_sd3_should_not_say_is_refused(document: object, shape: str) -> None:
    with pytest.raises(AnswerNotUnderstood) as refusal:
        decoded("stability-sd3", document)

    assert refusal.value.shape == shape
