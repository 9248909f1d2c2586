"""What grows: conifers in fog, leafy trees along a path, grass and flowers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from graphql_api.adapters.model_endpoint.sketch.colour import Colour, cover, glow, mixed, oklch, rgb, scaled
from graphql_api.adapters.model_endpoint.sketch.easel import Easel, Point
from graphql_api.adapters.model_endpoint.sketch.frame import Field, Frame, Paint
from graphql_api.adapters.model_endpoint.sketch.light import Light
from graphql_api.adapters.model_endpoint.sketch.noise import fbm, profile, smoothstep, unit

AUTUMN = tuple(rgb(code) for code in ("c8401c", "e07820", "f0a028", "d85a1a", "a83018", "f4c040", "8c5a20"))
BLOSSOM = tuple(rgb(code) for code in ("f8c8d4", "f4a8c0", "fce0e4", "e890b0", "fff0f0"))
SUMMER = tuple(rgb(code) for code in ("2f6a2c", "4c8a34", "6ca03c", "3c7838", "8cb04c"))
WINTER = tuple(rgb(code) for code in ("dce6ee", "c4d2de", "eef4f8", "a8b8c8"))

_FLOWERS = tuple(
    rgb(code) for code in ("e8384c", "f46c8c", "ffffff", "ffc83c", "b060d8", "7c6cf0", "ff8c3c", "f0a0d0", "5c8cf4")
)


def paint_forest(paint: Paint, frame: Frame, light: Light, line: float, *, fog: float, is_snowy: bool) -> None:
    """Rows of conifers from pale and far to dark and near, fog lying between the rows."""
    rows = 6
    for row in range(rows):
        near = row / (rows - 1)
        ground = (
            line
            + (frame.tall - line) * (0.02 + 0.86 * near * near)
            + 0.03 * profile(frame, f"rise {row}", cells=1.2, octaves=3)
        )
        air = (1 - near) ** 1.3 * (0.62 + 0.3 * fog) * (0.55 if light.is_night else 1.0)
        dark = mixed(light.leaf, light.shadow, 0.25 + 0.55 * near)
        if is_snowy:
            dark = mixed(dark, (0.8, 0.86, 0.94), 0.28)
        tint = mixed(dark, light.haze, air)
        easel = Easel(frame)
        _stand_conifers(easel, frame, f"conifers {row}", ground, height=0.1 + 0.42 * near, tint=tint)
        mask = np.maximum(easel.coverage(), _below(frame, ground))
        depth = unit((frame.rows - (ground[None, :] - np.float32(0.12 + 0.2 * near))) / np.float32(0.16 + 0.22 * near))
        settle = depth * np.float32((0.3 + 0.5 * fog) * (1 - 0.75 * near) * (0.6 if light.is_night else 1.0))
        colours = [
            np.float32(tone) + (np.float32(mist) - np.float32(tone)) * settle
            for tone, mist in zip(tint, light.haze, strict=True)
        ]
        cover(paint, colours, mask)
        if is_snowy:
            drift = mixed(
                mixed(
                    (0.86, 0.94, 1.0) if not light.is_night else (0.5, 0.68, 0.98),
                    light.shadow,
                    0.4 if light.is_night else 0.1,
                ),
                light.haze,
                air * 0.8,
            )
            cover(paint, drift, _below(frame, ground))


def _below(frame: Frame, ground: Field) -> Field:
    return unit((frame.rows - ground[None, :]) * np.float32(frame.pixels_per_unit) + np.float32(0.5))


def _stand_conifers(easel: Easel, frame: Frame, name: str, ground: Field, *, height: float, tint: Colour) -> None:
    rng = frame.random(name)
    count = max(int(frame.wide * 4.6 / height**0.9), 5)
    for across in np.sort(rng.uniform(-0.05, frame.wide + 0.05, count)):
        column = min(max(int(across / frame.wide * frame.width), 0), frame.width - 1)
        tall = height * float(rng.uniform(0.45, 1.15))
        easel.polygon(conifer(rng, float(across), float(ground[column]) + 0.02, tall), tint)


def conifer(rng: np.random.Generator, across: float, foot: float, height: float) -> list[Point]:
    """The outline of a fir: tiers of boughs that droop, wider toward the foot."""
    tiers = 9 + int(height * 14)
    sway = rng.uniform(0.75, 1.2, (2, tiers))
    right: list[Point] = [(across, foot - height)]
    left: list[Point] = []
    for tier in range(1, tiers):
        part = tier / tiers
        down = foot - height * (1 - part * 0.94)
        reach = height * (0.012 + 0.19 * part**0.9)
        right += [
            (across + reach * float(sway[0, tier]), down + height * 0.018),
            (across + reach * 0.42, down - height * 0.004),
        ]
        left += [
            (across - reach * float(sway[1, tier]), down + height * 0.018),
            (across - reach * 0.42, down - height * 0.004),
        ]
    trunk = height * 0.014
    return [*right, (across + trunk, foot), (across - trunk, foot), *left[::-1]]


def paint_grove(paint: Paint, frame: Frame, light: Light, line: float, leaves: Sequence[Colour]) -> None:
    """Leafy trees on both sides, smaller toward the vanishing point, their crowns meeting over the way."""
    vanish = frame.wide * float(frame.random("vanish").uniform(0.42, 0.58))
    ranks = 7
    for rank in range(ranks):
        near = ((rank + 1) / ranks) ** 1.8
        easel = Easel(frame)
        rng = frame.random(f"grove {rank}")
        air = (1 - near) * 0.62
        for side in (-1, 1):
            size = 0.16 + 0.82 * near
            across = vanish + side * (0.045 + 0.6 * near * max(frame.wide, 0.8) + float(rng.uniform(0, 0.05)))
            foot = line + (frame.tall - line) * 0.72 * near**1.1
            _stand_tree(easel, rng, (across, foot), size, light, leaves, air, dabs=int(260 + 700 * near))
        easel.hang(paint)
    _paint_shafts(paint, frame, light)


def paint_lone_tree(paint: Paint, frame: Frame, light: Light, line: float, leaves: Sequence[Colour]) -> None:
    rng = frame.random("lone tree")
    across = frame.wide * float(rng.uniform(0.28, 0.72))
    easel = Easel(frame)
    _stand_tree(easel, rng, (across, line + 0.14), 0.62, light, leaves, 0.0, dabs=1900)
    easel.hang(paint)


def _stand_tree(
    easel: Easel,
    rng: np.random.Generator,
    foot: Point,
    size: float,
    light: Light,
    leaves: Sequence[Colour],
    air: float,
    *,
    dabs: int,
) -> None:
    bark = mixed(mixed(light.shadow, rgb("2c1c12"), 0.7), light.haze, air * 0.75)
    _grow_branches(easel, rng, foot, size, bark)
    crown = (foot[0], foot[1] - size * 0.68)
    clumps = np.clip(rng.normal(0, 1, (22, 2)), -1.7, 1.7) * (size * 0.19, size * 0.13)
    owner = rng.integers(0, len(clumps), dabs)
    places = clumps[owner] + rng.normal(0, 1, (dabs, 2)) * (size * 0.075, size * 0.055)
    tones = rng.integers(0, len(leaves), dabs)
    radius = rng.uniform(0.007, 0.017, dabs) * size
    turn = rng.integers(0, len(_LEAF_TURNS), dabs)
    # Low leaves first and darker, so that the crown is lit from above; each clump has its own shade underneath.
    high = np.clip(0.5 - places[:, 1] / (size * 0.5) - (places - clumps[owner])[:, 1] / (size * 0.2), 0, 1)
    bright = 0.34 + 0.72 * high * (0.4 + 0.6 * light.strength) + rng.normal(0, 0.07, dabs)
    tints = np.array(leaves)[tones]
    tints += (np.array(light.sun) - tints) * (0.16 * high)[:, None]
    tints *= bright[:, None]
    tints += (np.array(light.haze) - tints) * air
    outlines = np.array(_LEAF_TURNS)[turn] * radius[:, None, None] + (places + crown)[:, None, :]
    order = np.argsort(high, kind="stable")
    easel.polygons(outlines[order], tints[order])


_LEAF_TURNS: tuple[tuple[Point, ...], ...] = (
    ((-1.5, 0.1), (-0.4, -0.8), (1.0, -0.7), (1.5, 0.2), (0.3, 0.9)),
    ((-0.9, -1.1), (0.6, -1.2), (1.2, 0.3), (0.4, 1.2), (-0.9, 0.7)),
    ((-1.3, -0.5), (0.2, -1.0), (1.4, -0.2), (0.8, 0.8), (-0.8, 0.7)),
)


def _grow_branches(easel: Easel, rng: np.random.Generator, foot: Point, size: float, bark: Colour) -> None:
    x, y = foot
    lean = float(rng.uniform(-0.05, 0.05)) * size
    width = 0.024 * size
    fork = (x + lean, y - size * 0.46)
    easel.polygon(
        [
            (x - width * 1.9, y),
            (x - width, y - size * 0.12),
            (fork[0] - width * 0.7, fork[1]),
            (fork[0] + width * 0.7, fork[1]),
            (x + width, y - size * 0.12),
            (x + width * 1.9, y),
        ],
        bark,
    )
    for _ in range(6):
        tip = (fork[0] + float(rng.uniform(-0.3, 0.3)) * size, fork[1] - float(rng.uniform(0.14, 0.36)) * size)
        bend = (fork[0] + (tip[0] - fork[0]) * 0.35, fork[1] + (tip[1] - fork[1]) * 0.6)
        easel.line([fork, bend, tip], 0.011 * size, bark)


def _paint_shafts(paint: Paint, frame: Frame, light: Light) -> None:
    """Sunlight falling through the crowns, in slanted bands."""
    slant = (frame.columns + frame.rows * np.float32(0.55)) * np.float32(7 / max(frame.wide, 1))
    rng = frame.random("shafts")
    table = np.interp(np.linspace(0, 15, 512), np.arange(16), rng.random(16)).astype(np.float32)
    bands = table.take(np.clip(slant * 48, 0, 511).astype(np.int32))
    fade = unit(1.1 - frame.rows / np.float32(frame.tall))
    glow(paint, light.sun, np.square(bands) * fade * np.float32(0.26 * light.strength))


def paint_path(paint: Paint, frame: Frame, light: Light, line: float, leaves: Sequence[Colour] | None) -> None:
    """A way that winds from the foreground to the vanishing point, leaves scattered on and beside it."""
    depth = unit((frame.rows - np.float32(line)) / np.float32(max(frame.tall - line, 0.05)))
    vanish = frame.wide * float(frame.random("vanish").uniform(0.42, 0.58))
    rng = frame.random("path")
    bend = float(rng.uniform(-0.16, 0.16))
    middle = (
        np.float32(vanish) + np.float32(bend) * depth * (1 - depth) * 4 + np.float32(frame.wide / 2 - vanish) * depth
    )
    half = np.float32(0.008) + np.float32(0.34) * depth * np.sqrt(depth) * np.float32(max(frame.wide, 0.7))
    ragged = fbm(frame, "path edge", cells=9, octaves=4, stretch=(0.35, 1.0)) * (
        np.float32(0.1) * half + np.float32(0.002)
    )
    aside = np.abs(frame.columns - middle + ragged) / half
    mask = smoothstep(1.0, 0.86, aside) * (frame.rows > line)
    texture = fbm(frame, "path dirt", cells=10, octaves=6, gain=0.65, stretch=(0.35, 1.4))
    tone = np.float32(0.82) + texture * np.float32(0.22) - smoothstep(0.4, 1.0, aside) * np.float32(0.16)
    dirt = mixed(mixed(rgb("b49a7c"), light.sun, 0.25 * light.strength), light.shadow, 0.42 - 0.3 * light.strength)
    cover(paint, [np.float32(channel) * tone for channel in dirt], mask)
    if leaves is not None:
        _scatter_leaves(paint, frame, line, leaves)


def _scatter_leaves(paint: Paint, frame: Frame, line: float, leaves: Sequence[Colour]) -> None:
    rng = frame.random("fallen leaves")
    count = int(1300 * min(frame.wide, 2))
    depth = np.sort(_toward_far(rng, count))
    size = 0.0012 + 0.008 * depth * rng.uniform(0.6, 1.3, count)
    tints = np.array(leaves)[rng.integers(len(leaves), size=count)] * rng.uniform(0.55, 1.05, count)[:, None]
    places = np.stack([rng.uniform(0, frame.wide, count), line + (frame.tall - line) * depth], axis=1)
    flat = np.array(_LEAF_TURNS)[rng.integers(len(_LEAF_TURNS), size=count)] * (1.0, 0.55)
    easel = Easel(frame)
    easel.polygons(flat * size[:, None, None] + places[:, None, :], tints)
    easel.hang(paint, 0.92)


def _toward_far(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Depths from 0 to 1, somewhat more of them far away (near 0)."""
    even = rng.random(count)
    return np.asarray(even * (0.7 + 0.3 * even))


def paint_flowers(paint: Paint, frame: Frame, light: Light, line: float) -> None:
    """A field of grass and wild flowers, from specks in the distance to single heads near the eye."""
    _paint_meadow(paint, frame, light, line)
    rng = frame.random("flowers")
    kinds = [_FLOWERS[int(i)] for i in rng.permutation(len(_FLOWERS))[:5]]
    easel = Easel(frame)
    depths = np.sort(_toward_far(rng, int(620 * min(frame.wide, 2))))
    for depth in depths:
        near = float(depth)
        place = (float(rng.uniform(-0.02, frame.wide + 0.02)), line + (frame.tall - line) * (0.02 + 1.05 * near))
        tint = mixed(kinds[int(rng.choice(5, p=[0.36, 0.24, 0.18, 0.12, 0.1]))], light.haze, 0.35 * (1 - near) ** 2)
        _grow_flower(
            easel,
            rng,
            place,
            0.004 + 0.05 * near * near * float(rng.uniform(0.6, 1.2)),
            scaled(tint, 0.55 + 0.45 * light.strength),
            light,
        )
    easel.hang(paint)


def _paint_meadow(paint: Paint, frame: Frame, light: Light, line: float) -> None:
    rng = frame.random("grass")
    count = int(2400 * min(frame.wide, 2))
    near = np.sort(_toward_far(rng, count))
    x, y = rng.uniform(-0.02, frame.wide + 0.02, count), line + (frame.tall - line) * (0.03 + 1.1 * near)
    tall, lean = 0.012 + 0.12 * near * rng.uniform(0.5, 1.2, count), rng.uniform(-0.4, 0.4, count)
    green = np.array(SUMMER)[rng.integers(len(SUMMER), size=count)] * 0.7 + np.array(light.land) * 0.3
    green *= (rng.uniform(0.45, 1.05, count) * (0.5 + 0.5 * light.strength))[:, None]
    green += (np.array(light.haze) - green) * (0.4 * np.square(1 - near))[:, None]
    wide = 0.001 + 0.005 * near
    blades = np.stack([x - wide, y, x + lean * tall, y - tall, x + wide, y], axis=1).reshape(count, 3, 2)
    # Blades thinner than a pixel are not worth their time while the picture is small.
    kept = slice(None) if frame.is_final else slice(None, None, 3)
    easel = Easel(frame)
    easel.polygons(blades[kept], green[kept])
    easel.hang(paint)


def _grow_flower(easel: Easel, rng: np.random.Generator, head: Point, size: float, tint: Colour, light: Light) -> None:
    x, y = head
    if size < 0.008:
        easel.ellipse(head, size, size * 0.8, tint)
        return
    stem = scaled(mixed(light.leaf, rgb("4c8a34"), 0.5), 0.8)
    easel.line([head, (x + float(rng.uniform(-0.4, 0.4)) * size, y + size * 1.8), (x, y + size * 4)], size * 0.12, stem)
    petals = int(rng.integers(5, 9))
    turn, tilt = float(rng.random()), float(rng.uniform(0.55, 0.95))
    for petal in range(petals):
        angle = (petal / petals + turn) * math.tau
        shade = 0.78 + 0.3 * (0.5 - 0.5 * math.sin(angle))
        easel.polygon(_petal(x, y, size, angle, tilt, math.pi / petals), scaled(tint, shade))
    easel.ellipse(head, size * 0.24, size * 0.24 * tilt, oklch(0.78, 0.15, 0.23))
    easel.ellipse((x + size * 0.04, y + size * 0.05 * tilt), size * 0.13, size * 0.13 * tilt, oklch(0.55, 0.12, 0.17))


def _petal(x: float, y: float, size: float, angle: float, tilt: float, half: float) -> list[Point]:
    outline = ((0.1, -0.2), (0.6, -0.95), (0.92, -0.7), (1.0, 0.0), (0.92, 0.7), (0.6, 0.95), (0.1, 0.2))
    return [
        (x + size * reach * math.cos(angle + half * aside), y + size * reach * math.sin(angle + half * aside) * tilt)
        for reach, aside in outline
    ]
