"""The sampler: how a picture comes about in `steps` steps.

It is not a diffusion model, but it behaves like one from outside. Over n steps the picture is drawn three times, at a
quarter, a half and the full size; each size has its share of the steps:

| share of the steps | size | what happens |
|---|---|---|
| first 40 % | 1/4 | composition and colour come out of the noise |
| next 30 % | 1/2 | forms get their edges |
| last 30 % | 1/1 | texture, marks of the medium, and the last of the noise goes |

Each step moves the estimate a fixed part of the way to the picture of its size (`_RATE`), so what is missing shrinks
geometrically within a size, and the noise laid over it falls as sigma(k, n) = 0.85 * (1 - k / n) ^ 2 + 0.16 / n. A
job of 50 steps gets 15 steps at full size, which leave less than one grey level between it and the scene. A job of 4
gets one: it stays softer, and a little noise stays in it. With fewer than three steps some sizes are never reached.
The pixels of step n of n are exactly what the sampler reached; nothing is finished behind its back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from graphql_api.adapters.model_endpoint.sketch.frame import Field, Frame, Paint, frame_for
from graphql_api.adapters.model_endpoint.sketch.noise import BICUBIC, BILINEAR, resized
from graphql_api.adapters.model_endpoint.sketch.prompt_reading import SceneDescription, read_prompt
from graphql_api.adapters.model_endpoint.sketch.scene import paint_scene

_RATE = 0.36
_SIZES = ((0.4, 4), (0.7, 2), (1.0, 1))
"""Until which share of the steps the picture is drawn at 1/size."""
_GUIDANCE_IS_OFF = 1.0

Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """What to draw: `width` and `height` multiples of 8, `steps` from 1, `seed` from 0 to 2**32 - 1."""

    prompt: str
    negative_prompt: str | None
    width: int
    height: int
    steps: int
    guidance_scale: float
    seed: int


class Canvas:
    """The unfinished picture after one step. Valid also after the sampler has gone on."""

    __slots__ = ("_estimate", "_noise", "_sigma", "_size", "step", "steps")

    def __init__(self, sketch: Sketch, step: int, estimate: Paint, noise: Field) -> None:
        self.step = step
        self.steps = sketch.steps
        self._size = (sketch.height, sketch.width)
        self._estimate = estimate
        self._noise = noise
        self._sigma = np.float32(_sigma(step, sketch.steps))

    def pixels(self) -> Pixels:
        """RGB at full size, shape (height, width, 3)."""
        return _at_size(_quantized(self._estimate, self._noise, self._sigma), *self._size, BICUBIC)

    def preview(self, longest_side: int = 256) -> Pixels:
        """A small RGB picture whose longest side is `longest_side` pixels, or the picture's own if that is shorter."""
        height, width = self._size
        factor = min(longest_side / max(height, width), 1.0)
        # Thinning out before converting keeps this in a few milliseconds; the resize averages what is left.
        stride = max(round(max(self._estimate.shape[1:]) / (1.5 * longest_side)), 1)
        thin = _quantized(self._estimate[:, ::stride, ::stride], self._noise[::stride, ::stride], self._sigma)
        return _at_size(thin, max(round(height * factor), 1), max(round(width * factor), 1), BILINEAR)


def draw(sketch: Sketch) -> Iterator[Canvas]:
    """One canvas per step, 1 to `steps`. Stop between any two by leaving the iterator."""
    negative = sketch.negative_prompt if sketch.guidance_scale > _GUIDANCE_IS_OFF else None
    scene = read_prompt(sketch.prompt, negative)
    tiles: dict[str, Field] = {}
    shrink, target, noise, estimate = 0, None, None, None
    for step in range(1, sketch.steps + 1):
        wanted = _size_at(step, sketch.steps)
        if wanted != shrink or target is None or noise is None:
            shrink = wanted
            target, noise = _prepare(sketch, scene, shrink, tiles)
            estimate = _carried_over(estimate, target)
        assert estimate is not None
        estimate = _stepped(estimate, target, _RATE)
        yield Canvas(sketch, step, estimate, noise)


def _size_at(step: int, steps: int) -> int:
    share = (step - 0.5) / steps
    return next(size for until, size in _SIZES if share < until)


def _sigma(step: int, steps: int) -> float:
    left = 1 - step / steps
    return 0.85 * left * left + 0.16 / steps


def _prepare(sketch: Sketch, scene: SceneDescription, shrink: int, tiles: dict[str, Field]) -> tuple[Paint, Field]:
    key = f"{sketch.seed}\0{scene.text}"
    frame = frame_for(width=sketch.width, height=sketch.height, shrink=shrink, key=key, tiles=tiles)
    return paint_scene(frame, scene, sketch.guidance_scale), _white_noise(frame)


def _white_noise(frame: Frame) -> Field:
    """Noise of variance one half, near enough to normal: the sum of two uniforms, at a fifth of the price."""
    rng = frame.random(f"noise {frame.height}")
    shape = (frame.height, frame.width)
    return rng.random(shape, dtype=np.float32) + rng.random(shape, dtype=np.float32) - np.float32(1)


def _carried_over(estimate: Paint | None, target: Paint) -> Paint:
    if estimate is None:
        return np.full_like(target, np.float32(0.5))
    height, width = target.shape[1:]
    return np.stack([resized(plane, height, width) for plane in estimate])


def _stepped(estimate: Paint, target: Paint, rate: float) -> Paint:
    # A new array, so that a canvas which somebody kept does not change under them.
    moved = np.subtract(target, estimate)
    moved *= np.float32(rate)
    moved += estimate
    return moved


def _quantized(estimate: Paint, noise: Field, sigma: np.float32) -> Pixels:
    _, height, width = estimate.shape
    out = np.empty((height, width, 3), dtype=np.uint8)
    grain = noise * (sigma * np.float32(255)) + np.float32(0.5)
    for channel, plane in enumerate(estimate):
        values = plane * np.float32(255)
        values += grain if channel == 1 else np.roll(grain, 17 * (channel + 1), axis=1)
        np.clip(values, 0, 255, out=values)
        out[:, :, channel] = values
    return out


def _at_size(pixels: Pixels, height: int, width: int, how: Image.Resampling) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), how))
