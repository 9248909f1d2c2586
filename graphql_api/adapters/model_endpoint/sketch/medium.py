"""Media: each takes a finished scene and gives it the marks of a pencil, a brush, a press or a screen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from graphql_api.adapters.model_endpoint.sketch.colour import Colour, cover, dim, luminance, ramp, rgb
from graphql_api.adapters.model_endpoint.sketch.easel import Easel
from graphql_api.adapters.model_endpoint.sketch.frame import Field, Frame, Paint, as_field
from graphql_api.adapters.model_endpoint.sketch.noise import (
    blurred,
    fbm,
    relief,
    resized,
    sample,
    shifted,
    smoothstep,
    tile,
    unit,
)

_PAPER = rgb("f6f1e6")


def apply_medium(paint: Paint, frame: Frame, medium: str) -> Paint:
    return _MEDIA[medium](paint, frame)


def _unit_pixels(frame: Frame) -> float:
    """Pixels of this frame per pixel of a picture with a short side of 768."""
    return frame.pixels_per_unit / 768


def _edges(tone: Field, frame: Frame, reach: float) -> Field:
    step = max(round(reach * _unit_pixels(frame)), 1)
    across = tone - shifted(tone, 0, step)
    down = tone - shifted(tone, step, 0)
    return as_field(np.sqrt(across * across + down * down))


def _levelled(tone: Field, low: float = 3.0, high: float = 97.0) -> Field:
    """Tones stretched so that the darkest and lightest few become black and white."""
    ordered = np.sort(tone[::4, ::4], axis=None)
    dark, light = (float(ordered[int((len(ordered) - 1) * share / 100)]) for share in (low, high))
    return unit((tone - np.float32(dark)) * np.float32(1 / max(light - dark, 0.08)))


def _pencil(paint: Paint, frame: Frame) -> Paint:
    """Graphite on paper: three directions of hatching by tone, smudged shade below, contours on top."""
    tone = _levelled(luminance(paint), 1, 99)
    tone = tone * (np.float32(1.5) - np.float32(0.54) * tone)
    scale = 1 / _unit_pixels(frame)
    soft = blurred(tone, 2.2 / scale)
    texture = tile(frame, "graphite", cells=230, octaves=2, gain=0.6)
    wander = fbm(frame, "hand", cells=2.2, octaves=3) * np.float32(0.02)
    ink = (1 - soft) * (1 - soft) * np.float32(0.22) + (1 - soft) * np.float32(0.2)
    rows, columns = frame.rows + wander, frame.columns + wander * np.float32(0.7)
    for turn, (along, aside) in enumerate(((0.707, 0.707), (0.94, -0.34), (0.26, 0.97))):
        length = (columns * np.float32(along) - rows * np.float32(aside)) * np.float32(46)
        thick = (columns * np.float32(aside) + rows * np.float32(along)) * np.float32(1000)
        lines = sample(texture, as_field(thick + 90 * turn), as_field(length + 70 * turn))
        dark = smoothstep(0.86 - 0.24 * turn, 0.18 - 0.14 * turn, soft)
        ink += smoothstep(1.1, -1.1, lines + (1 - dark) * np.float32(1.1) - np.float32(0.1)) * dark * np.float32(0.33)
    grain = fbm(frame, "tooth", cells=150, octaves=2, gain=0.8)
    contour = smoothstep(0.05, 0.3, _edges(soft, frame, 2.5)) * (np.float32(0.75) + grain * np.float32(0.4))
    ink = unit(ink * (1 + grain * np.float32(0.4)) + contour * np.float32(0.6))
    return _on_paper(frame, ink * np.float32(0.86), (0.14, 0.14, 0.155), (0.955, 0.95, 0.935), margin=0.0)


def _on_paper(frame: Frame, ink: Field, dark: Colour, paper: Colour, margin: float) -> Paint:
    out = frame.blank()
    if margin:
        ink = ink * _margin(frame, margin)
    for plane, low, high in zip(out, dark, paper, strict=True):
        plane[:] = np.float32(high) + ink * np.float32(low - high)
    return out


def _margin(frame: Frame, width: float) -> Field:
    """1 inside the picture, 0 on the bare paper around it, with an edge the brush left ragged."""
    ragged = fbm(frame, "margin", cells=5, octaves=6, gain=0.62) * np.float32(width * 0.55)
    down = np.minimum(frame.rows, np.float32(frame.tall) - frame.rows)
    across = np.minimum(frame.columns, np.float32(frame.wide) - frame.columns)
    return smoothstep(width * 0.55, width * 0.72, np.minimum(down, across) + ragged)


def _watercolor(paint: Paint, frame: Frame) -> Paint:
    """Pigment in water: washes that bleed, settle in the paper's grain and gather at their rims."""
    bleed = [fbm(frame, f"bleed {axis}", cells=9, octaves=5, gain=0.6) for axis in "yx"]
    pixels = _unit_pixels(frame)
    reach = np.float32(11 * pixels)
    down = np.arange(frame.height, dtype=np.float32)[:, None] + bleed[0] * reach
    across = np.arange(frame.width, dtype=np.float32)[None, :] + bleed[1] * reach
    lookup = np.clip(down, 0, frame.height - 1).astype(np.int32) * frame.width
    lookup += np.clip(across, 0, frame.width - 1).astype(np.int32)
    bled = np.stack([blurred(plane, 3.2 * pixels).ravel().take(lookup) for plane in paint])
    tone = luminance(bled)
    washes = _washes(tone, bleed[0])
    rims = unit(np.abs(washes - blurred(washes, 7 * pixels)) * np.float32(2.4))
    density = fbm(frame, "density", cells=2.2, octaves=5)
    paper = fbm(frame, "paper", cells=120, octaves=3, gain=0.8)
    lift = np.float32(0.24) + density * np.float32(0.13)
    edge = _margin(frame, 0.075)
    for plane, bare in zip(bled, _PAPER, strict=True):
        plane += (washes - tone) * np.float32(0.65)
        plane += (np.float32(bare) - plane) * lift
        plane *= 1 - rims * np.float32(0.5) + paper * (np.float32(1.02) - tone) * np.float32(0.13)
        plane += (np.float32(bare) - plane) * (1 - edge)
    _push_colour(bled, 1.32)
    dim(bled, 1 + relief(paper, 0.035))
    return bled


def _washes(tone: Field, wobble: Field) -> Field:
    levels = np.float32(7)
    wet = tone * levels + wobble * np.float32(0.3)
    floor = np.floor(wet)
    return as_field((floor + smoothstep(0.3, 0.7, wet - floor)) / levels)


def _push_colour(paint: Paint, factor: float) -> None:
    grey = luminance(paint)
    for plane in paint:
        plane += (plane - grey) * np.float32(factor - 1)


_STROKES = ((900, 0.09, 0.022), (2600, 0.055, 0.012), (4200, 0.032, 0.0068))


def _oil(paint: Paint, frame: Frame) -> Paint:
    """Strokes laid from broad to fine along the forms, with light on the ridges of the paint."""
    pixels = _unit_pixels(frame)
    tone = luminance(paint)
    soft = blurred(tone, 9 * pixels)
    flow = fbm(frame, "flow", cells=2.4, octaves=2)
    out = np.stack([blurred(plane, 10 * pixels) for plane in paint])
    _push_colour(out, 1.15)
    for layer, (count, length, thick) in enumerate(_STROKES[: 3 if frame.is_final else 2]):
        source = [blurred(plane, 26 * thick / 0.017 * pixels * 0.3) for plane in paint]
        easel = Easel(frame)
        _lay_strokes(
            easel, frame, source, soft, flow, (layer, int(count * min(frame.tall * frame.wide, 2.5)), length, thick)
        )
        easel.hang(out)
    texture = fbm(frame, "bristle", cells=60, octaves=3, gain=0.7)
    ridges = blurred(luminance(out), 1.0) + texture * np.float32(0.012)
    dim(out, np.clip(1 + relief(ridges, 1.1 / max(pixels, 0.25)), 0.8, 1.25))
    weave = fbm(frame, "weave", cells=180, octaves=1)
    dim(out, 1 + weave * np.float32(0.03))
    _push_colour(out, 1.12)
    return out


def _lay_strokes(
    easel: Easel, frame: Frame, source: list[Field], soft: Field, flow: Field, kind: tuple[int, int, float, float]
) -> None:
    layer, count, length, thick = kind
    rng = frame.random(f"strokes {layer}")
    down, across = rng.random(count) * frame.tall, rng.random(count) * frame.wide
    y = np.minimum((down * frame.pixels_per_unit).astype(np.intp), frame.height - 1)
    x = np.minimum((across * frame.pixels_per_unit).astype(np.intp), frame.width - 1)
    step = max(round(6 * _unit_pixels(frame)), 1)
    rise = soft[np.minimum(y + step, frame.height - 1), x] - soft[np.maximum(y - step, 0), x]
    run = soft[y, np.minimum(x + step, frame.width - 1)] - soft[y, np.maximum(x - step, 0)]
    bend = flow[y, x] * 0.035 + rng.normal(0, 0.012, count)
    # Along a form means across its slope; where there is no slope the flow decides.
    along_x, along_y = -rise - np.sign(rise + 1e-9) * 0.02, run + bend
    size = np.sqrt(along_x * along_x + along_y * along_y) + 1e-6
    span = length * rng.uniform(0.55, 1.25, count) / 2
    ux, uy = along_x / size, along_y / size
    half = thick * rng.uniform(0.6, 1.2, count) / 2
    bow = rng.normal(0, 0.12, count) * span
    tint = np.stack([plane[y, x] for plane in source], axis=1) * (1 + rng.normal(0, 0.04, count))[:, None]
    tint += rng.normal(0, 0.012, (count, 3))
    outline = (
        (-1.0, -0.5),
        (-0.8, -1.0),
        (0.0, -1.0),
        (0.8, -0.9),
        (1.0, -0.2),
        (0.95, 0.5),
        (0.0, 1.0),
        (-0.85, 0.9),
        (-1.0, 0.3),
    )
    xs = [across + ux * span * a - uy * (half * b + bow * (1 - a * a)) for a, b in outline]
    ys = [down + uy * span * a + ux * (half * b + bow * (1 - a * a)) for a, b in outline]
    easel.polygons(np.stack([np.stack(xs, axis=1), np.stack(ys, axis=1)], axis=2), tint)


_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], dtype=np.float32) / 16 - np.float32(
    0.47
)


def _pixel(paint: Paint, frame: Frame) -> Paint:
    """Large square pixels in twenty-four colours with ordered dithering."""
    high, wide = max(round(frame.tall * 112), 2), max(round(frame.wide * 112), 2)
    high, wide = min(high, frame.height), min(wide, frame.width)
    small = np.stack([resized(np.ascontiguousarray(plane), high, wide, Image.Resampling.BOX) for plane in paint])
    _push_colour(small, 1.25)
    dither = np.tile(_BAYER, (high // 4 + 1, wide // 4 + 1))[:high, :wide]
    pixels = (np.clip(small + dither * np.float32(0.045), 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    few = image.quantize(24, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    large = few.resize((frame.width, frame.height), Image.Resampling.NEAREST)
    return as_field(np.ascontiguousarray(np.asarray(large).transpose(2, 0, 1))) * np.float32(1 / 255)


def _ink(paint: Paint, frame: Frame) -> Paint:
    """Ink wash: few tones of diluted black that bleed into the paper, dry brush in the darks, a red seal."""
    pixels = _unit_pixels(frame)
    bleed = [fbm(frame, f"ink {axis}", cells=7, octaves=5, gain=0.6) for axis in "yx"]
    down = np.arange(frame.height, dtype=np.float32)[:, None] + bleed[0] * np.float32(9 * pixels)
    across = np.arange(frame.width, dtype=np.float32)[None, :] + bleed[1] * np.float32(9 * pixels)
    tone = sample(blurred(_levelled(luminance(paint), 1, 72), 2.5 * pixels), as_field(down), as_field(across))
    dark = (1 - tone) * (np.float32(0.45) + np.float32(0.4) * (1 - tone))
    washes = _washes(dark, bleed[1])
    rims = unit((washes - blurred(washes, 8 * pixels)) * np.float32(1.1))
    dry = fbm(frame, "dry brush", cells=30, octaves=4, gain=0.8, stretch=(0.35, 3.0))
    paper = fbm(frame, "fibre", cells=60, octaves=4, gain=0.75)
    strength = dark * np.float32(0.45) + washes * np.float32(0.5) + rims * np.float32(0.35)
    strength *= 1 + dry * np.float32(0.16) * smoothstep(0.25, 0.8, dark) + paper * np.float32(0.1)
    fade = _margin(frame, 0.11)
    out = _on_paper(frame, unit(strength * fade), (0.07, 0.075, 0.09), (0.945, 0.93, 0.89), margin=0.0)
    dim(out, 1 + paper * np.float32(0.02))
    _stamp_seal(out, frame)
    return out


def _stamp_seal(paint: Paint, frame: Frame) -> None:
    size = 0.045
    x, y = frame.wide - 0.14, frame.tall - 0.17
    easel = Easel(frame)
    red, paper = rgb("b8281c"), (0.93, 0.9, 0.85)
    easel.box(x, y, x + size, y + size * 1.25, red)
    for left, top, right, bottom in (
        (0.2, 0.2, 0.8, 0.3),
        (0.2, 0.5, 0.8, 0.6),
        (0.45, 0.2, 0.55, 1.05),
        (0.2, 0.8, 0.3, 1.1),
        (0.7, 0.8, 0.8, 1.1),
    ):
        easel.box(x + left * size, y + top * size, x + right * size, y + bottom * size, paper)
    easel.hang(paint, 0.86)


def _neon(paint: Paint, frame: Frame) -> Paint:
    """Darkness deepened, contours that shine in two colours, and their bloom."""
    pixels = _unit_pixels(frame)
    tone = luminance(paint)
    edges = smoothstep(0.05, 0.26, _edges(blurred(tone, 1.5 * pixels), frame, 2.0))
    dim(paint, np.float32(0.5) + np.float32(0.5) * tone)
    _push_colour(paint, 1.45)
    place = unit(frame.rows / np.float32(frame.tall) + 0 * frame.columns)
    tints = ramp([rgb("38e8ff"), rgb("9a5cff"), rgb("ff3ca8")], place)
    haze = blurred(edges, 12 * pixels)
    for plane, tint in zip(paint, tints, strict=True):
        plane += (1 - np.minimum(plane, 1)) * tint * (edges * np.float32(0.3) + haze * np.float32(0.4))
    return paint


def _mono(paint: Paint, frame: Frame) -> Paint:
    tone = _levelled(luminance(paint), 1, 99)
    tone = tone * np.float32(0.45) + smoothstep(0.0, 1.0, tone) * np.float32(0.55)
    tone = tone * (1 + fbm(frame, "film", cells=260, octaves=1) * np.float32(0.06))
    return np.stack([tone, tone, tone])


def _sepia(paint: Paint, frame: Frame) -> Paint:
    tone = _mono(paint, frame)[0]
    out = np.stack(ramp([rgb("1c1008"), rgb("5c3c20"), rgb("b08a58"), rgb("f0dcb4")], tone))
    stains = fbm(frame, "stains", cells=2, octaves=5)
    dim(out, 1 + stains * np.float32(0.06))
    cover(out, rgb("f4e4c4"), (1 - _margin(frame, 0.05)) * np.float32(0.85))
    return out


def _poster(paint: Paint, frame: Frame) -> Paint:
    """Few flat tones and dark contours, as in a comic or a screen print."""
    pixels = _unit_pixels(frame)
    soft = np.stack([blurred(plane, 2.4 * pixels) for plane in paint])
    _push_colour(soft, 1.35)
    tone = luminance(soft)
    levels = np.float32(6)
    scaled = tone * levels
    floor = np.floor(scaled)
    flat = (floor + smoothstep(0.42, 0.58, scaled - floor)) / levels
    gain = flat / np.maximum(tone, np.float32(0.04))
    lines = smoothstep(0.1, 0.3, _edges(blurred(luminance(paint), 1.6 * pixels), frame, 2.0))
    for plane in soft:
        plane *= np.minimum(gain, np.float32(2.5))
        plane *= 1 - lines * np.float32(0.8)
    return soft


_MEDIA: dict[str, Callable[[Paint, Frame], Paint]] = {
    "pencil": _pencil,
    "watercolor": _watercolor,
    "oil": _oil,
    "pixel": _pixel,
    "ink": _ink,
    "neon": _neon,
    "mono": _mono,
    "sepia": _sepia,
    "poster": _poster,
}
