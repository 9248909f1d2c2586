"""Codecs by name and options, as model files give them."""

from __future__ import annotations

import re

import pytest

from graphql_api.codecs import CODECS, codec_named
from graphql_api.domain.generation import Choice
from tests.unit.codecs.samples import VARIANTS


@pytest.mark.parametrize("name", CODECS)
def test_a_codec_needs_no_options_and_knows_its_name(name: str) -> None:
    assert codec_named(name).name == name


def test_the_samples_cover_every_codec() -> None:
    assert {name for name, _ in VARIANTS} == set(CODECS)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("jumpstart", {}, "no codec 'jumpstart'; known are 'huggingface', 'jumpstart-imagegeneration', 'jumpstart-sd'"),
        ("jumpstart-sd", {"accept": "jpeg"}, "no option 'accept'; known are 'answer', 'request', 'wrap_predictions'."),
        ("jumpstart-sd", {"name": "x"}, "no option 'name'; known are"),
        ("stability-sdk", {"seed": True}, "The codec 'stability-sdk' has no option 'seed'; it has none."),
        (
            "jumpstart-sd",
            {"answer": "png"},
            "option 'answer' of the codec 'jumpstart-sd' is 'jpeg' or 'rgb', not 'png'",
        ),
        ("jumpstart-sd", {"answer": True}, "is 'jpeg' or 'rgb', not True"),
        ("jumpstart-sd", {"wrap_predictions": "yes"}, "is true or false, not 'yes'"),
        ("jumpstart-sd", {"wrap_predictions": 1}, "is true or false, not 1"),
        ("huggingface", {"seed": 1}, "is true or false, not 1"),
        ("jumpstart-sd", {"request": "text", "wrap_predictions": True}, "do not go together. A request as text cannot"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        codec_named(name, options)


@pytest.mark.parametrize(
    ("name", "options", "without"),
    [
        ("huggingface", {}, {Choice.SEED}),
        ("huggingface", {"seed": True}, set()),
        ("jumpstart-imagegeneration", {}, set()),
        ("jumpstart-sd", {}, set()),
        ("jumpstart-sd", {"request": "text"}, set(Choice)),
        ("stability-sd3", {}, {Choice.GUIDANCE_SCALE, Choice.NEGATIVE_PROMPT, Choice.STEPS}),
        ("stability-sdk", {}, set()),
    ],
)
def test_what_a_request_cannot_say_is_told(name: str, options: dict[str, object], without: set[Choice]) -> None:
    assert codec_named(name, options).without == without


def test_families_of_fixed_sizes_list_them() -> None:
    fixed = {name for name in CODECS if codec_named(name).sizes}

    assert fixed == {"stability-sd3", "stability-sdk"}
    assert all(len(set(codec_named(name).sizes)) == 9 for name in fixed)
