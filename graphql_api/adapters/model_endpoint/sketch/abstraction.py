"""Pictures of nothing in particular: folded colour, layered paper, and geometry.

Palettes come from chance and are harmonious by design.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from graphql_api.adapters.model_endpoint.sketch.colour import Colour, cover, dim, mixed, oklch, ramp, rgb, scaled
from graphql_api.adapters.model_endpoint.sketch.easel import Easel
from graphql_api.adapters.model_endpoint.sketch.frame import Field, Frame, Paint
from graphql_api.adapters.model_endpoint.sketch.noise import (
    bell,
    blurred,
    fbm,
    relief,
    resized,
    sample,
    sine,
    smoothstep,
    tile,
    unit,
)

HUES = {
    "red": 0.07,
    "orange": 0.14,
    "yellow": 0.25,
    "green": 0.39,
    "teal": 0.54,
    "blue": 0.71,
    "purple": 0.83,
    "pink": 0.98,
}


def palette(frame: Frame, hue: float | None = None) -> list[Colour]:
    """Six colours from dark to light around one to three related hues; `hue` in turns fixes the first."""
    rng = frame.random("palette")
    first = float(rng.random()) if hue is None else hue
    scheme = ((0.0, 0.05, 0.1), (0.0, 0.42, 0.5), (0.0, 0.08, 0.55), (0.0, 0.33, 0.66), (0.0, -0.12, 0.38))
    turns = scheme[int(rng.integers(len(scheme)))]
    levels = ((0.2, 0.06, 0), (0.36, 0.11, 0), (0.53, 0.15, 1), (0.68, 0.15, 0), (0.81, 0.12, 2), (0.94, 0.04, 1))
    return [oklch(light, chroma, first + turns[which]) for light, chroma, which in levels]


def paint_abstract(paint: Paint, frame: Frame, hue: float | None) -> None:
    """One of three kinds, by chance."""
    kinds: tuple[Callable[[Paint, Frame, float | None], None], ...] = (paint_folds, paint_layers, paint_folds)
    kinds[int(frame.random("abstract kind").integers(len(kinds)))](paint, frame, hue)


def paint_folds(paint: Paint, frame: Frame, hue: float | None) -> None:
    """Noise bent by noise, like pigment poured into pigment, with light on its folds and gold in its veins."""
    fold, bent = _folded(frame)
    colours = palette(frame, hue)
    order = [colours[i] for i in (0, 1, 3, 5, 2, 4, 1, 0)]
    position = unit(fold * np.float32(0.44) + bent * np.float32(0.16) + np.float32(0.5))
    for plane, values in zip(paint, ramp(order, position), strict=True):
        plane[:] = values
    step = frame.pixels_per_unit / 768
    soft = blurred(fold, 3 * step)
    slope = relief(soft, 30 / max(step, 0.2))
    dim(paint, np.clip(1 + slope * np.float32(0.16), 0.5, 1.5))
    veins = bell(sine(fold * np.float32(2.6) + bent * np.float32(0.8)) * np.float32(16)) * smoothstep(-0.1, 0.7, bent)
    cover(paint, oklch(0.86, 0.1, 0.23), unit(veins) * np.float32(0.62) * unit(1 + slope * np.float32(0.8)))


def _folded(frame: Frame) -> tuple[Field, Field]:
    # The bending is worked out at half the size: it is smooth, and the look-ups are the dearest part.
    half = Frame(
        height=max(frame.height // 2, 2),
        width=max(frame.width // 2, 2),
        tall=frame.tall,
        wide=frame.wide,
        key=frame.key,
    )
    rng = frame.random("folds")
    texture = tile(frame, "fold texture", cells=6, octaves=4, gain=0.42)
    scale = np.float32(rng.uniform(110, 170))
    turn = float(rng.random())
    cos, sin = np.float32(round(math.cos(turn * math.tau), 5)), np.float32(round(math.sin(turn * math.tau), 5))
    down = (half.rows * cos + half.columns * sin) * scale + 300
    across = (half.columns * cos - half.rows * sin) * scale * np.float32(rng.uniform(0.45, 1.0)) + 300
    first = sample(texture, down, across)
    second = sample(texture, down + 170, across + 90)
    third = sample(texture, down + first * 62, across + second * 62 + 40)
    fold = sample(texture, down + third * 58 + 30, across + second * 44)
    return resized(fold, frame.height, frame.width), resized(third, frame.height, frame.width)


def paint_layers(paint: Paint, frame: Frame, hue: float | None) -> None:
    """Sheets of cut paper, each throwing a soft shadow on the one behind."""
    colours = palette(frame, hue)
    rng = frame.random("layers")
    count = 8
    tilt = float(rng.uniform(-0.5, 0.5))
    for plane, value in zip(paint, colours[5], strict=True):
        plane[:] = np.float32(value)
    glow_place = (float(rng.uniform(0.2, 0.8)) * frame.wide, 0.22 * frame.tall)
    away = np.sqrt(
        np.square(frame.columns - np.float32(glow_place[0])) + np.square(frame.rows - np.float32(glow_place[1]))
    )
    cover(paint, colours[4], smoothstep(0.165, 0.16, away))
    grain = fbm(frame, "paper", cells=90, octaves=3, gain=0.7)
    for layer in range(count):
        part = layer / (count - 1)
        stops = [colours[5], colours[4], colours[3], colours[2], colours[1], colours[0]]
        at = part * 4.4 + 0.6
        tint = mixed(stops[int(at)], stops[min(int(at) + 1, 5)], at - int(at))
        edge = fbm(frame, f"sheet {layer}", cells=1.1, octaves=3, gain=0.4, stretch=(1.6, 1.0)) * np.float32(
            0.15 + 0.05 * part
        )
        line = np.float32(frame.tall * (0.24 + 0.72 * part)) + (
            frame.columns - np.float32(frame.wide / 2)
        ) * np.float32(tilt * 0.3)
        inside = frame.rows - line + edge
        dim(paint, 1 - smoothstep(-0.075, 0.0, inside) * np.float32(0.34) * (inside < 0))
        body = unit(inside * np.float32(frame.pixels_per_unit) + np.float32(0.5))
        tone = 1 + grain * np.float32(0.05) + bell(inside * 90) * np.float32(0.14)
        cover(paint, [np.float32(channel) * tone for channel in tint], body)


def paint_geometric(paint: Paint, frame: Frame, hue: float | None) -> None:
    """A Bauhaus poster: a grid of quarter discs, rings, bars and dots in a few flat colours on paper."""
    rng = frame.random("geometric")
    paper = rgb("f0e6d2")
    inks = [rgb(code) for code in ("d8342c", "1f4e8c", "f0b323", "1c1c1e", "e8825a", "5aa0a8")]
    if hue is not None:
        inks = [
            oklch(light, 0.14, hue + turn)
            for light, turn in ((0.58, 0), (0.42, 0.05), (0.8, 0.1), (0.2, 0), (0.7, 0.5), (0.66, -0.06))
        ]
    for plane, value in zip(paint, paper, strict=True):
        plane[:] = np.float32(value)
    cells = int(rng.integers(4, 6))
    size = 1 / cells
    easel = Easel(frame)
    for row in range(math.ceil(frame.tall / size)):
        for column in range(math.ceil(frame.wide / size)):
            order = [inks[int(i)] for i in rng.permutation(len(inks))]
            _draw_tile(easel, rng, column * size, row * size, size, order, paper)
    _draw_accent(easel, frame, rng, inks, size)
    easel.hang(paint)
    dim(paint, 1 + fbm(frame, "print grain", cells=110, octaves=3, gain=0.8) * np.float32(0.05))
    dim(paint, 1 + fbm(frame, "print wear", cells=3, octaves=5) * np.float32(0.05))


def _draw_tile(
    easel: Easel, rng: np.random.Generator, x: float, y: float, s: float, inks: list[Colour], paper: Colour
) -> None:
    ground = paper if rng.random() < 0.45 else inks[0]
    easel.box(x, y, x + s, y + s, ground)
    corner = int(rng.integers(4))
    at = (x + s * (corner % 2), y + s * (corner // 2))
    start = (0, 90, 270, 180)[corner]
    kind = int(rng.integers(8))
    if kind in (0, 1):
        easel.pie(at, s, start, start + 90, inks[1])
        if kind == 1:
            easel.pie(at, s * 0.66, start, start + 90, inks[2])
            easel.pie(at, s * 0.33, start, start + 90, ground)
    elif kind == 2:
        easel.pie(
            (x + s / 2, y + s * (corner % 2)),
            s / 2,
            180 * (1 - corner % 2) + 180,
            180 * (1 - corner % 2) + 360,
            inks[1],
        )
    elif kind == 3:
        easel.ellipse((x + s / 2, y + s / 2), s * 0.42, s * 0.42, inks[1])
        easel.ellipse((x + s / 2, y + s / 2), s * 0.2, s * 0.2, inks[2])
    elif kind == 4:
        for i in range(4):
            easel.box(x, y + s * i / 4, x + s, y + s * (i / 4 + 0.125), inks[1])
    elif kind == 5:
        easel.polygon(
            [(x, y), (x + s, y + s), (x, y + s)] if corner % 2 else [(x + s, y), (x + s, y + s), (x, y)], inks[1]
        )
    elif kind == 6:
        for i in range(9):
            easel.ellipse((x + s * (i % 3 + 0.5) / 3, y + s * (i // 3 + 0.5) / 3), s * 0.07, s * 0.07, inks[1])


def _draw_accent(easel: Easel, frame: Frame, rng: np.random.Generator, inks: list[Colour], s: float) -> None:
    x, y = frame.wide * float(rng.uniform(0.3, 0.7)), frame.tall * float(rng.uniform(0.3, 0.7))
    easel.ellipse((x, y), s * 0.98, s * 0.98, inks[0])
    easel.pie((x, y), s * 0.98, 45, 225, scaled(inks[0], 0.82))
    easel.line([(x - s * 1.7, y + s * 1.5), (x + s * 1.7, y - s * 1.5)], s * 0.07, inks[3])


def paint_wash(paint: Paint, frame: Frame, hue: float | None) -> None:
    """The seed's own idea: soft folds without veins or edges; what a picture falls back to when guidance is low."""
    fold, bent = _folded(frame)
    position = unit(fold * np.float32(0.4) + bent * np.float32(0.2) + np.float32(0.5))
    for plane, values in zip(paint, ramp(palette(frame, hue), position), strict=True):
        plane[:] = values
