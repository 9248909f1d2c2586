"""From what was asked to complete parameters."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_api.bootstrap import SKETCH
from graphql_api.domain.errors import InvalidInput
from graphql_api.domain.generation import (
    MAX_SEED,
    AspectRatio,
    Dimensions,
    GenerationRequest,
    ModelDefaults,
    complete,
)
from graphql_api.domain.styles import STYLES

CAT = GenerationRequest(prompt="a cat")


def test_every_default_is_the_models() -> None:
    parameters = complete(CAT, SKETCH, None)

    assert (parameters.width, parameters.height) == (768, 768)
    assert (parameters.steps, parameters.guidance_scale, parameters.count) == (50, 7.5, 1)


def test_a_seed_is_drawn_when_none_was_given() -> None:
    seeds = {complete(CAT, SKETCH, None).seed for _ in range(20)}

    assert len(seeds) > 15
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


def test_the_seeds_of_a_batch_count_upward_and_wrap() -> None:
    parameters = complete(replace(CAT, seed=MAX_SEED, count=3), SKETCH, None)

    assert [parameters.seed_of(index) for index in range(3)] == [MAX_SEED, 0, 1]


def test_the_keywords_of_the_style_are_added_and_the_prompt_stays_as_it_was() -> None:
    parameters = complete(replace(CAT, prompt=" a cat "), SKETCH, STYLES["watercolor"])

    assert parameters.prompt == " a cat "
    assert parameters.rendered_prompt == f"a cat, {STYLES['watercolor'].keywords}"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"prompt": ""}, ("prompt",)),
        ({"prompt": " \n\t"}, ("prompt",)),
        ({"prompt": "x" * 2_001}, ("prompt",)),
        ({"prompt": "a\0b"}, ("prompt",)),
        ({"prompt": "\ud800"}, ("prompt",)),
        ({"negative_prompt": "x" * 2_001}, ("negativePrompt",)),
        ({"reference": "x" * 201}, ("reference",)),
        ({"idempotency_key": ""}, ("idempotencyKey",)),
        ({"idempotency_key": "x" * 256}, ("idempotencyKey",)),
        ({"size": Dimensions(width=100, height=64)}, ("size", "dimensions", "width")),
        ({"size": Dimensions(width=64, height=1544)}, ("size", "dimensions", "height")),
        ({"size": Dimensions(width=0, height=64)}, ("size", "dimensions", "width")),
        ({"size": Dimensions(width=64, height=-8)}, ("size", "dimensions", "height")),
        ({"steps": 0}, ("steps",)),
        ({"steps": 101}, ("steps",)),
        ({"count": 0}, ("count",)),
        ({"count": 5}, ("count",)),
        ({"guidance_scale": -0.1}, ("guidanceScale",)),
        ({"guidance_scale": 30.1}, ("guidanceScale",)),
        ({"guidance_scale": float("nan")}, ("guidanceScale",)),
        ({"guidance_scale": float("inf")}, ("guidanceScale",)),
        ({"seed": -1}, ("seed",)),
        ({"seed": MAX_SEED + 1}, ("seed",)),
    ],
)
def test_what_the_model_does_not_accept_is_refused_with_its_path(
    change: dict[str, object], path: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        complete(replace(CAT, **change), SKETCH, None)  # type: ignore[arg-type]

    assert refusal.value.path == path


def test_a_prompt_that_is_too_long_only_with_its_style_is_refused() -> None:
    with pytest.raises(InvalidInput, match="together with"):
        complete(replace(CAT, prompt="x" * 1_990), SKETCH, STYLES["anime"])


@given(
    ratio=st.sampled_from(AspectRatio),
    width=st.integers(8, 160).map(lambda n: n * 8),
    height=st.integers(8, 160).map(lambda n: n * 8),
)
def test_a_ratio_has_about_the_models_native_pixels_and_fits_its_limits(
    ratio: AspectRatio, width: int, height: int
) -> None:
    defaults = ModelDefaults(width=width, height=height, steps=1, guidance_scale=1)
    parameters = complete(replace(CAT, size=ratio), replace(SKETCH, defaults=defaults), None)

    assert parameters.width % 8 == parameters.height % 8 == 0
    assert max(parameters.width, parameters.height) <= SKETCH.limits.max_dimension
    assert parameters.width * parameters.height <= 1.25 * width * height
    # Eight pixels of rounding on each side.
    shorter = min(parameters.width, parameters.height)
    assert abs(parameters.width / parameters.height / ratio.ratio - 1) <= 10 / shorter


def test_equal_requests_have_equal_digests_and_others_do_not() -> None:
    assert replace(CAT, idempotency_key="a").digest() == replace(CAT, idempotency_key="b").digest()
    others = [replace(CAT, seed=1), replace(CAT, count=2), replace(CAT, prompt="a dog"), replace(CAT, reference="r")]

    assert len({CAT.digest(), *(other.digest() for other in others)}) == 5


def test_there_are_24_styles_and_each_says_something_else() -> None:
    assert len(STYLES) == 24
    assert len({style.keywords for style in STYLES.values()}) == 24
    assert all(name == style.name == name.lower() for name, style in STYLES.items())
