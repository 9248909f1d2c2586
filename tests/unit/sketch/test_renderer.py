"""What a caller may rely on of the pictures themselves."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphql_api.adapters.model_endpoint.sketch.prompt_reading import read_prompt
from graphql_api.adapters.model_endpoint.sketch.renderer import Canvas, Sketch, draw

Pixels = NDArray[np.uint8]

OCEAN = Sketch(
    prompt="a calm ocean by day",
    negative_prompt=None,
    width=96,
    height=96,
    steps=12,
    guidance_scale=7.5,
    seed=7,
)


def last(sketch: Sketch) -> Canvas:
    *_, canvas = draw(sketch)
    return canvas


def picture(prompt: str, base: Sketch = OCEAN, **changes: object) -> Pixels:
    return last(replace(base, prompt=prompt, **changes)).pixels()  # type: ignore[arg-type]


def distance(a: Pixels, b: Pixels) -> float:
    return float(np.abs(a.astype(np.float64) - b).mean())


def brightness(pixels: Pixels) -> float:
    return float(pixels.mean())


def colourfulness(pixels: Pixels) -> float:
    channels = pixels.astype(np.int16)
    return float((channels.max(axis=2) - channels.min(axis=2)).mean())


def warmth(pixels: Pixels) -> float:
    return float(pixels[..., 0].mean() - pixels[..., 2].mean())


def roughness(pixels: Pixels) -> float:
    """Differences between neighbours that their own neighbourhood does not explain: fine detail."""
    grey = pixels.mean(axis=2)
    return float(
        np.abs(grey[1:-1, 1:-1] - (grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]) / 4).mean()
    )


def test_the_same_sketch_gives_the_same_pixels() -> None:
    first, second = last(OCEAN).pixels(), last(OCEAN).pixels()

    assert first.tobytes() == second.tobytes()


def test_another_process_draws_the_same_pixels() -> None:
    sketch = replace(OCEAN, prompt="a castle on a hill, oil painting", width=64, height=64, steps=4)
    program = (
        "import hashlib\n"
        "from graphql_api.adapters.model_endpoint.sketch.renderer import Sketch, draw\n"
        f"*_, canvas = draw({sketch!r})\n"
        "print(hashlib.sha256(canvas.pixels().tobytes()).hexdigest())"
    )

    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()

    assert other == hashlib.sha256(last(sketch).pixels().tobytes()).hexdigest()


def test_another_seed_gives_another_picture() -> None:
    assert distance(last(OCEAN).pixels(), last(replace(OCEAN, seed=8)).pixels()) > 3


def test_an_unknown_word_changes_the_picture() -> None:
    assert distance(picture("blorptastic"), picture("florbinant")) > 10


@pytest.mark.parametrize(
    ("less", "more", "measure"),
    [
        ("mountains at night", "mountains by day", brightness),
        ("the ocean by day", "the ocean at sunset", warmth),
        ("portrait of a woman, pencil sketch", "portrait of a woman", colourfulness),
        ("calm lake, ink wash", "calm lake at sunset", colourfulness),
        ("a green forest", "autumn path with trees", warmth),
        ("a night sky", "snow in a bright winter", brightness),
        ("a blue dream", "a red dream", warmth),
    ],
)
def test_words_show_in_the_picture(less: str, more: str, measure: Callable[[Pixels], float]) -> None:
    assert measure(picture(less)) + 6 < measure(picture(more))


def test_pencil_is_nearly_grey() -> None:
    assert colourfulness(picture("a garden of flowers, pencil sketch")) < 12


def test_pixel_art_has_few_colours() -> None:
    pixels = picture("pixel art castle", steps=20)
    coarse = (pixels >> 4).reshape(-1, 3)

    assert len(np.unique(coarse, axis=0)) < len(np.unique((picture("castle", steps=20) >> 4).reshape(-1, 3), axis=0))


def test_plural_and_capitals_name_the_same_subject() -> None:
    assert read_prompt("MOUNTAINS, Cities and wolves", None).subjects == {"mountain", "city"}


def test_the_picture_approaches_its_end_step_by_step() -> None:
    canvases = {
        canvas.step: canvas.pixels() for canvas in draw(replace(OCEAN, steps=50)) if canvas.step in (1, 10, 30, 40, 50)
    }

    left = [distance(canvases[step], canvases[50]) for step in (1, 10, 30, 40)]
    assert left == sorted(left, reverse=True)
    assert left[-1] > 0.3


def test_every_step_is_announced_once_and_in_order() -> None:
    assert [(canvas.step, canvas.steps) for canvas in draw(replace(OCEAN, steps=9))] == [(k, 9) for k in range(1, 10)]


def test_few_steps_stay_further_from_the_scene_than_many() -> None:
    sketch = replace(OCEAN, prompt="a forest, oil painting", width=256, height=256)
    finished = last(replace(sketch, steps=80)).pixels()

    left = [distance(last(replace(sketch, steps=steps)).pixels(), finished) for steps in (1, 4, 12, 50)]
    assert left == sorted(left, reverse=True)
    assert left[1] > 3 * left[3]


def test_few_steps_leave_noise_in_a_flat_picture() -> None:
    rough, smooth = picture("calm ocean", steps=4), picture("calm ocean", steps=50)

    assert roughness(rough) > roughness(smooth) * 1.2


def test_a_kept_canvas_does_not_change_while_the_sampler_goes_on() -> None:
    sampler = draw(OCEAN)
    early = next(sampler)
    before = early.pixels()
    for _ in sampler:
        pass

    assert np.array_equal(early.pixels(), before)


def test_zero_guidance_leaves_the_words_only_to_chance() -> None:
    free = replace(OCEAN, guidance_scale=0.0)

    assert distance(picture("ocean", free), picture("ocean")) > 15


def test_more_guidance_gives_more_colour() -> None:
    sunset = replace(OCEAN, prompt="a sunset over the ocean")

    scales = (7.5, 15.0, 30.0)
    colours = [colourfulness(last(replace(sunset, guidance_scale=scale)).pixels()) for scale in scales]
    assert colours == sorted(colours)
    assert colours[-1] > colours[0] + 10


def test_low_guidance_moves_away_from_the_scene_gradually() -> None:
    scene = last(OCEAN).pixels()

    away = [distance(last(replace(OCEAN, guidance_scale=scale)).pixels(), scene) for scale in (0.0, 3.0, 6.0)]
    assert away == sorted(away, reverse=True)


def test_a_negative_colour_leaves_the_picture() -> None:
    def blueness(pixels: Pixels) -> float:
        channels = pixels.astype(np.float64)
        return float(np.maximum(channels[..., 2] - channels[..., :2].max(axis=2), 0).mean())

    with_blue, without = last(OCEAN).pixels(), last(replace(OCEAN, negative_prompt="blue")).pixels()

    assert blueness(without) < 0.35 * blueness(with_blue)


def test_a_negative_light_gives_way_to_another() -> None:
    night = replace(OCEAN, prompt="mountains at night")

    assert brightness(last(replace(night, negative_prompt="night")).pixels()) > brightness(last(night).pixels()) + 20


@pytest.mark.parametrize("negative", ["people", "sailors, persons"])
def test_negative_people_empty_the_portrait(negative: str) -> None:
    portrait = replace(OCEAN, prompt="portrait of a sailor")

    assert distance(last(replace(portrait, negative_prompt=negative)).pixels(), last(portrait).pixels()) > 10


def test_without_inside_the_prompt_is_a_negative() -> None:
    scene = read_prompt("a forest without fog, no people", None)

    assert scene.subjects == {"forest"}
    assert {"fog", "portrait"} <= scene.unwanted


def test_the_negative_prompt_is_ignored_when_guidance_is_off() -> None:
    off = replace(OCEAN, guidance_scale=1.0)

    assert np.array_equal(last(off).pixels(), last(replace(off, negative_prompt="ocean, blue, day")).pixels())


@pytest.mark.parametrize(("width", "height"), [(8, 8), (64, 64), (72, 200), (1536, 8), (8, 1536), (512, 136)])
def test_any_size_in_eights_is_drawn_at_that_size(width: int, height: int) -> None:
    canvas = last(replace(OCEAN, prompt="city by a lake with flowers", width=width, height=height, steps=6))

    assert canvas.pixels().shape == (height, width, 3)
    assert canvas.pixels().dtype == np.uint8
    assert max(canvas.preview(64).shape[:2]) == min(64, max(width, height))


def test_previews_keep_the_shape_of_the_picture() -> None:
    sketch = replace(OCEAN, width=512, height=256)

    shapes = {canvas.preview(128).shape for canvas in draw(sketch)}
    assert shapes == {(64, 128, 3)}


@pytest.mark.parametrize(
    "medium", ["pencil", "watercolor", "oil", "pixel art", "ink wash", "neon", "noir", "sepia", "poster"]
)
def test_every_medium_leaves_its_marks(medium: str) -> None:
    subject = "castle in autumn"
    sketch = replace(OCEAN, width=72, height=64, steps=10)

    assert distance(picture(f"{subject}, {medium}", sketch), picture(subject, sketch)) > 4


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    prompt=st.text(st.characters(), max_size=60),
    negative=st.none() | st.text(max_size=20),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_text_is_a_prompt(prompt: str, negative: str | None, seed: int) -> None:
    sketch = replace(OCEAN, prompt=prompt, negative_prompt=negative, seed=seed, width=32, height=24, steps=3)

    canvas = last(sketch)
    assert canvas.pixels().shape == (24, 32, 3)
    assert canvas.pixels().std() > 1


@pytest.mark.parametrize("prompt", ["", " ", "🌊🎨", "غروب الشمس", "דיוקן", "\ud800", "海の夕日", "\x00"])
def test_prompts_beyond_english_get_a_picture_of_their_own(prompt: str) -> None:
    assert picture(prompt, width=64, height=64).std() > 5
