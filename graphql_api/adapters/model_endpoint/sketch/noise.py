"""Fields of chance and the few curves that shape them, in float32 and without transcendental functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from graphql_api.adapters.model_endpoint.sketch.frame import Field, Frame, as_field

BICUBIC = Image.Resampling.BICUBIC
BILINEAR = Image.Resampling.BILINEAR
_TILE = 512


def resized(field: Field, height: int, width: int, how: Image.Resampling = BICUBIC) -> Field:
    """`field` at another size; Pillow filters it when it shrinks."""
    if field.shape == (height, width):
        return field
    return np.asarray(Image.fromarray(field).resize((width, height), how))


def blurred(field: Field, radius: float) -> Field:
    """`field` softened over about `radius` pixels, by shrinking and enlarging it."""
    height, width = field.shape
    factor = max(radius, 1.0)
    small = resized(field, max(int(height / factor), 1), max(int(width / factor), 1), BILINEAR)
    return resized(small, height, width)


def fbm(
    frame: Frame, name: str, *, cells: float, octaves: int, gain: float = 0.5, stretch: tuple[float, float] = (1.0, 1.0)
) -> Field:
    """Fractal noise, about -1 to 1; `cells` per scene unit in its coarsest octave, over `stretch` (down, across)."""
    return _octaves(
        frame.random(name),
        coarse=(_cells(cells * frame.tall / stretch[0]), _cells(cells * frame.wide / stretch[1])),
        size=(frame.height, frame.width),
        octaves=octaves,
        gain=gain,
    )


def tile(frame: Frame, name: str, *, cells: int, octaves: int, gain: float = 0.5) -> Field:
    """A square of fractal noise, 512 x 512, to be looked up with `sample`. Must not be changed: it is kept."""
    if name not in frame.tiles:
        rng = frame.random(name)
        frame.tiles[name] = _octaves(rng, coarse=(cells, cells), size=(_TILE, _TILE), octaves=octaves, gain=gain)
    return frame.tiles[name]


def shared_tile(frame: Frame) -> Field:
    """The tile that clouds, gases and waves all look into."""
    return tile(frame, "tile", cells=8, octaves=6, gain=0.52)


def _cells(count: float) -> int:
    return max(math.ceil(count), 2)


def _octaves(
    rng: np.random.Generator, *, coarse: tuple[int, int], size: tuple[int, int], octaves: int, gain: float
) -> Field:
    # Each octave is added at its own resolution and enlarged with the rest, so the whole costs little more than its
    # last enlargement.
    high, wide = coarse
    field = as_field(rng.random((high, wide), dtype=np.float32) * 2 - 1)
    weight, power = 1.0, 1.0
    for _ in range(octaves - 1):
        if high >= size[0] and wide >= size[1]:
            break
        high, wide, weight = high * 2, wide * 2, weight * gain
        power += weight * weight
        octave = (rng.random((high, wide), dtype=np.float32) * 2 - 1) * np.float32(weight)
        field = resized(field, high, wide) + octave
    return resized(field, *size) * np.float32(1.25 / math.sqrt(power))


def profile(frame: Frame, name: str, *, cells: float, octaves: int, gain: float = 0.5) -> Field:
    """Fractal noise along the columns, shape (width,), about -1 to 1, with straight pieces between its points."""
    rng = frame.random(name)
    across = (np.arange(frame.width) + 0.5) / frame.width
    total, weight, power = np.zeros(frame.width), 1.0, 0.0
    for octave in range(octaves):
        count = _cells(cells * frame.wide * 2**octave) + 1
        total += weight * np.interp(across * (count - 1), np.arange(count), rng.uniform(-1, 1, count))
        power += weight * weight
        weight *= gain
    return as_field(total * 1.25 / math.sqrt(power))


def sample(texture: Field, down: Field, across: Field) -> Field:
    """`texture` at (down, across) in its own pixels, bilinear, mirrored beyond its edges."""
    height, width = texture.shape
    down, across = _mirrored(down, height), _mirrored(across, width)
    top, left = down.astype(np.int32), across.astype(np.int32)
    down, across = down - top, across - left
    corner = top * width + left
    flat = texture.ravel()
    upper = _between(flat.take(corner), flat.take(corner + 1), across)
    corner += width
    lower = _between(flat.take(corner), flat.take(corner + 1), across)
    return _between(upper, lower, down)


def _mirrored(position: Field, size: int) -> Field:
    span = np.float32(size - 1.01)
    folded: Field = position - np.floor(position / (2 * span)) * (2 * span)
    return as_field(np.clip(span - np.abs(folded - span), np.float32(0), span))


def _between(a: Field, b: Field, t: Field) -> Field:
    b -= a
    b *= t
    b += a
    return b


def smoothstep(low: float, high: float, x: Any) -> Field:
    """0 below `low`, 1 above `high` (either order), smooth between."""
    t = np.clip((as_field(x) - np.float32(low)) * np.float32(1 / (high - low)), np.float32(0), np.float32(1))
    return as_field(t * t * (3 - 2 * t))


def unit(x: Any) -> Field:
    return np.clip(as_field(x), np.float32(0), np.float32(1))


def bell(x: Any) -> Field:
    """1 at 0, a half at 1, long tails; stands in for exp(-x^2)."""
    squared = np.square(as_field(x))
    return as_field(1 / (1 + squared))


def spot(x: Any) -> Field:
    """1 at 0, exactly 0 from 1 on, smooth."""
    t = np.clip(1 - np.square(as_field(x)), np.float32(0), np.float32(1))
    return as_field(t * t)


def sine(turns: Any) -> Field:
    """About sin(2 pi turns), error below 0.001, from exact operations only."""
    x = as_field(turns)
    t = x - np.rint(x)
    y = t * (8 - 16 * np.abs(t))
    return as_field(y * (np.float32(0.775) + np.float32(0.225) * np.abs(y)))


def shifted(field: Field, down: int, across: int) -> Field:
    """`field` moved, with its edge rows and columns repeated."""
    rows: NDArray[np.intp] = np.clip(np.arange(field.shape[0]) - down, 0, field.shape[0] - 1)
    columns: NDArray[np.intp] = np.clip(np.arange(field.shape[1]) - across, 0, field.shape[1] - 1)
    return field.take(rows, axis=0).take(columns, axis=1)


def relief(height: Field, strength: float) -> Field:
    """Light from the upper left on a surface: positive on slopes that face it."""
    return as_field((height - shifted(height, 1, 1)) * np.float32(-strength))
