"""What holds for the requests of every codec."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_api.codecs import codec_named
from graphql_api.domain.generation import MAX_SEED, GenerationParameters, ImageFormat
from tests.unit.codecs.samples import VARIANTS, parameters

EVERY_VARIANT = pytest.mark.parametrize(("name", "options"), VARIANTS)

text = st.text(st.characters(codec="utf-8"), max_size=50)
any_parameters = st.builds(
    parameters,
    rendered_prompt=text,
    negative_prompt=st.none() | text,
    width=st.integers(64, 2048),
    height=st.integers(64, 2048),
    steps=st.integers(1, 200),
    guidance_scale=st.floats(0, 30),
    seed=st.integers(0, MAX_SEED),
    count=st.integers(1, 12),
    format=st.sampled_from(ImageFormat),
)


def bodies(name: str, asked: GenerationParameters, **options: object) -> list[dict[str, object]]:
    return [json.loads(request.body) for request in codec_named(name, options).encode(asked)]


@EVERY_VARIANT
@given(asked=any_parameters)
def test_every_image_is_asked_for_once(name: str, options: Mapping[str, object], asked: GenerationParameters) -> None:
    requests = codec_named(name, options).encode(asked)
    covered = [index for each in requests for index in range(each.first_index, each.first_index + each.count)]

    assert covered == list(range(asked.count))


@EVERY_VARIANT
@given(asked=any_parameters)
def test_requests_carry_the_rendered_prompt_and_are_always_the_same(
    name: str, options: Mapping[str, object], asked: GenerationParameters
) -> None:
    requests = codec_named(name, options).encode(asked)

    for request in requests:
        if request.content_type == "application/json":
            assert json.dumps(asked.rendered_prompt) in request.body.decode()
        else:
            assert request.body.decode() == asked.rendered_prompt
    assert codec_named(name, options).encode(asked) == requests


@EVERY_VARIANT
def test_a_negative_prompt_that_was_not_given_is_not_sent(name: str, options: Mapping[str, object]) -> None:
    asked = parameters(negative_prompt=None)
    with_one = codec_named(name, options).encode(parameters(negative_prompt="blurry"))

    for request, other in zip(codec_named(name, options).encode(asked), with_one, strict=True):
        assert b"negative" not in request.body
        assert b'"weight": -1' not in request.body
        assert (b"blurry" in other.body) == (request.body != other.body)


def test_each_image_has_a_seed_of_its_own() -> None:
    asked = parameters(seed=MAX_SEED - 1, count=4)

    assert [body["seed"] for body in bodies("jumpstart-imagegeneration", asked)] == [MAX_SEED - 1, MAX_SEED, 0, 1]


@pytest.mark.parametrize("name", ["stability-sd3", "stability-sdk"])
def test_seeds_that_stand_for_chance_are_replaced_by_fixed_ones(name: str) -> None:
    seeds = [body["seed"] for body in bodies(name, parameters(seed=MAX_SEED - 1, count=4))]

    assert seeds == [MAX_SEED - 1, 2**31 - 1, 2**31, 1]


def test_each_size_of_sd3_has_a_ratio_of_its_own() -> None:
    sizes = codec_named("stability-sd3").sizes
    asked = [parameters(width=each.width, height=each.height, count=1) for each in sizes]
    ratios = [bodies("stability-sd3", each)[0]["aspect_ratio"] for each in asked]

    assert len(set(ratios)) == len(sizes)
    for each, ratio in zip(sizes, ratios, strict=True):
        width, height = map(int, str(ratio).split(":"))
        assert each.width / each.height == pytest.approx(width / height, rel=0.05)


@pytest.mark.parametrize(
    ("wanted", "spelled"), [(ImageFormat.JPEG, "jpeg"), (ImageFormat.PNG, "png"), (ImageFormat.WEBP, "png")]
)
def test_sd3_sends_jpeg_where_that_is_wanted_and_else_a_file_without_loss(wanted: ImageFormat, spelled: str) -> None:
    assert bodies("stability-sd3", parameters(format=wanted))[0]["output_format"] == spelled
