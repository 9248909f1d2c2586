"""Figures: a portrait bust modelled as a relief and lit from one side, a cat, an astronaut, a flock of birds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphql_api.adapters.model_endpoint.sketch.colour import Colour, cover, glow, mixed, oklch, ramp, rgb, scaled
from graphql_api.adapters.model_endpoint.sketch.easel import Easel, Point
from graphql_api.adapters.model_endpoint.sketch.frame import Field, Frame, Paint, as_field
from graphql_api.adapters.model_endpoint.sketch.light import Light
from graphql_api.adapters.model_endpoint.sketch.noise import bell, blurred, fbm, shifted, sine, smoothstep, spot, unit

_SKINS = tuple(rgb(code) for code in ("f0c8a8", "dca888", "b87c58", "8c5a3c", "5c3a28"))
_HAIR = tuple(rgb(code) for code in ("241a16", "4a2c1a", "8c5a2c", "c89a50", "6c2c1c"))


def paint_backdrop(paint: Paint, frame: Frame, hue: float) -> None:
    """A studio wall, lighter behind the shoulder that is in shadow."""
    cloud = fbm(frame, "backdrop", cells=2, octaves=5) * np.float32(0.13)
    away = np.sqrt(
        np.square(frame.columns - np.float32(frame.wide * 0.68)) + np.square(frame.rows - np.float32(frame.tall * 0.42))
    )
    stops = [oklch(0.2, 0.03, hue), oklch(0.36, 0.05, hue + 0.03), oklch(0.58, 0.06, hue + 0.08)]
    for plane, values in zip(paint, ramp(stops, unit(bell(away * 2.0) + cloud)), strict=True):
        plane[:] = values


class _Sitter:
    """The coordinates of a head: `x` and `y` in head widths from its centre, y downward."""

    def __init__(self, frame: Frame) -> None:
        rng = frame.random("sitter")
        self.size = min(0.235, frame.wide * 0.24, frame.tall * 0.2)
        self.turn = float(rng.choice([-1, 1])) * float(rng.uniform(0.1, 0.2))
        centre = (frame.wide * 0.5, max(frame.tall * 0.41, self.size * 1.75))
        self.x: Field = (frame.columns - np.float32(centre[0])) / np.float32(self.size)
        self.y: Field = (frame.rows - np.float32(centre[1])) / np.float32(self.size)
        self.soft = 1.5 / (frame.pixels_per_unit * self.size)

    def oval(self, x: float, y: float, across: float, down: float) -> Field:
        """Distance from a place in radii of an ellipse: 1 on its rim."""
        return as_field(
            np.sqrt(
                np.square((self.x - np.float32(x)) / np.float32(across))
                + np.square((self.y - np.float32(y)) / np.float32(down))
            )
        )

    def inside(self, distance: Field, softness: float = 1.0) -> Field:
        return smoothstep(1 + self.soft * softness, 1 - self.soft * softness, distance)


def paint_portrait(paint: Paint, frame: Frame, *, is_old: bool, is_sailor: bool) -> None:
    rng = frame.random("likeness")
    sitter = _Sitter(frame)
    skin = _SKINS[int(rng.integers(len(_SKINS) - 1))]
    hair = rgb("a8a39a") if is_old else _HAIR[int(rng.integers(len(_HAIR)))]
    cloth = rgb("22304a") if is_sailor else oklch(0.38, 0.1, float(rng.random()))
    has_long_hair = not is_old and rng.random() < 0.6
    strands = _strands(frame, sitter)
    if has_long_hair:
        _paint_mane(paint, sitter, hair, strands)
    _paint_body(paint, frame, sitter, cloth, skin)
    _paint_head(paint, frame, sitter, skin, is_old)
    _paint_features(paint, frame, sitter, hair, skin)
    _paint_hair(paint, sitter, hair, strands, is_old)
    if is_old:
        _paint_beard(paint, sitter, hair, strands)
    if is_sailor:
        _paint_cap(paint, sitter)


def _strands(frame: Frame, sitter: _Sitter) -> Field:
    fine = fbm(frame, "strands", cells=30, octaves=4, gain=0.8, stretch=(5.0, 0.7))
    return as_field(fine * np.float32(0.7) + sine(sitter.x * 3.1 + fine * 0.4) * np.float32(0.12))


def _paint_body(paint: Paint, frame: Frame, sitter: _Sitter, cloth: Colour, skin: Colour) -> None:
    x, y = sitter.x, sitter.y
    slope = 1.28 + 0.34 * np.square(x) * bell(x * 0.5) + 0.12 * np.abs(x)
    shoulders = smoothstep(-sitter.soft * 2, sitter.soft * 2, y - slope) * sitter.inside(sitter.oval(0, 3.6, 2.35, 2.9))
    folds = fbm(frame, "folds", cells=5, octaves=4, stretch=(1.8, 1.0))
    lit = unit(0.52 - x * np.float32(0.2) + folds * np.float32(0.22) - unit(y - 2.4) * np.float32(0.2))
    neck = sitter.inside(sitter.oval(0.02, 1.05, 0.46, 0.75), 2)
    neck_lit = unit(0.42 - x * np.float32(0.55) - bell((y - 0.78) * 3.4) * np.float32(0.3))
    cover(paint, [np.float32(channel) * (neck_lit + np.float32(0.1)) for channel in skin], neck)
    cover(paint, [np.float32(channel) * (lit * np.float32(1.3) + np.float32(0.12)) for channel in cloth], shoulders)
    collar = smoothstep(0.09, 0.03, np.abs(y - slope - 0.05 + np.abs(x) * 0.0)) * sitter.inside(
        sitter.oval(0, 1.35, 0.75, 0.5), 3
    )
    cover(
        paint,
        [np.float32(channel) * (lit + np.float32(0.35)) for channel in mixed(cloth, (1, 1, 1), 0.35)],
        collar * np.float32(0.8),
    )


def _paint_head(paint: Paint, frame: Frame, sitter: _Sitter, skin: Colour, is_old: bool) -> None:
    """Skull and jaw as one relief with brow, nose, cheeks and lips; its slopes take light from the upper left."""
    relief = _face_relief(sitter)
    if is_old:
        relief += fbm(frame, "wrinkles", cells=9, octaves=4, stretch=(0.55, 1.6)) * np.float32(0.018)
    step = max(round(frame.pixels_per_unit * sitter.size * 0.02), 1)
    spacing = np.float32(step / (frame.pixels_per_unit * sitter.size))
    across = (shifted(relief, 0, -step) - shifted(relief, 0, step)) / (2 * spacing)
    down = (shifted(relief, -step, 0) - shifted(relief, step, 0)) / (2 * spacing)
    facing = (np.float32(0.6) + across * np.float32(0.62) + down * np.float32(0.42)) / np.sqrt(
        1 + across * across + down * down
    )
    lit = unit(blurred(as_field(facing), step * 1.5) * np.float32(0.85) + np.float32(0.27))
    warm = [
        scaled(skin, 0.14),
        mixed(scaled(skin, 0.5), rgb("7c2c20"), 0.25),
        scaled(skin, 0.92),
        mixed(skin, (1.0, 0.97, 0.92), 0.45),
    ]
    head = sitter.inside(
        np.minimum(sitter.oval(0, -0.16, 0.84, 0.98), sitter.oval(sitter.turn * 0.3, 0.3, 0.68, 0.86)), 2
    )
    ear = sitter.inside(sitter.oval(-0.86 if sitter.turn > 0 else 0.86, 0.08, 0.12, 0.24), 2)
    cover(paint, scaled(skin, 0.6), ear)
    cover(paint, ramp(warm, lit), head)


def _face_relief(sitter: _Sitter) -> Field:
    turn = sitter.turn
    skull = np.sqrt(np.maximum(1.03 - np.square(sitter.oval(0, -0.1, 0.88, 1.05)), 0))
    jaw = np.sqrt(np.maximum(1.03 - np.square(sitter.oval(turn * 0.3, 0.34, 0.72, 0.88)), 0))
    face = np.maximum(skull, jaw) * np.float32(0.8)
    bumps: Sequence[tuple[float, float, float, float, float]] = (
        (0.0, 0.1, 0.13, 0.42, 0.09),
        (0.0, 0.34, 0.19, 0.15, 0.11),
        (-0.33, -0.17, 0.3, 0.1, 0.05),
        (0.33, -0.17, 0.3, 0.1, 0.05),
        (-0.34, 0.02, 0.21, 0.14, -0.12),
        (0.34, 0.02, 0.21, 0.14, -0.12),
        (-0.42, 0.3, 0.26, 0.22, 0.05),
        (0.42, 0.3, 0.26, 0.22, 0.05),
        (0.0, 0.66, 0.26, 0.06, 0.05),
        (0.0, 0.75, 0.3, 0.05, -0.045),
        (0.0, 0.84, 0.22, 0.07, 0.05),
        (0.0, 1.06, 0.24, 0.16, 0.07),
    )
    for x, y, across, down, height in bumps:
        face = face + spot(sitter.oval(x + turn, y, across * 1.5, down * 1.5)) * np.float32(height)
    return as_field(face)


def _paint_features(paint: Paint, frame: Frame, sitter: _Sitter, hair: Colour, skin: Colour) -> None:
    turn = sitter.turn
    iris = oklch(0.45, 0.08, float(frame.random("iris").random()))
    dark = scaled(mixed(skin, rgb("401810"), 0.6), 0.32)
    for side in (-1, 1):
        x = turn + side * 0.34
        almond = np.maximum(sitter.oval(x, 0.11, 0.19, 0.15), sitter.oval(x, -0.03, 0.19, 0.15))
        cover(paint, dark, smoothstep(1.35, 0.95, almond) * np.float32(0.75))
        cover(paint, scaled((0.86, 0.82, 0.78), 0.8 if side < 0 else 0.55), smoothstep(1.0, 0.82, almond))
        look = x + turn * 0.15
        eye = smoothstep(1.0, 0.85, almond)
        cover(paint, iris, sitter.inside(sitter.oval(look, 0.035, 0.085, 0.085), 1.5) * eye)
        cover(paint, (0.03, 0.02, 0.02), sitter.inside(sitter.oval(look, 0.035, 0.042, 0.042), 1.5) * eye)
        cover(paint, (1.0, 1.0, 1.0), sitter.inside(sitter.oval(look - 0.03, 0.005, 0.022, 0.022), 1.5))
        brow = sitter.oval(x + side * 0.02, -0.19 + 0.0, 0.27, 0.055)
        arch = np.square(sitter.x - np.float32(x)) * np.float32(0.9)
        brow = as_field(
            np.sqrt(
                np.square((sitter.x - np.float32(x)) / np.float32(0.27))
                + np.square((sitter.y + np.float32(0.23) - arch) / np.float32(0.055))
            )
        )
        cover(paint, scaled(hair, 0.45), smoothstep(1.1, 0.6, brow) * np.float32(0.8))
        cover(paint, dark, spot(sitter.oval(turn + side * 0.085, 0.43, 0.07, 0.045)) * np.float32(0.85))
    lip = mixed(skin, rgb("8c2c30"), 0.6)
    cover(paint, scaled(lip, 0.62), smoothstep(1.1, 0.7, sitter.oval(turn, 0.685, 0.25, 0.055)) * np.float32(0.7))
    cover(paint, scaled(lip, 0.85), smoothstep(1.1, 0.6, sitter.oval(turn, 0.79, 0.2, 0.06)) * np.float32(0.6))
    cover(paint, dark, smoothstep(1.0, 0.4, sitter.oval(turn, 0.735, 0.26, 0.022)) * np.float32(0.85))


def _tinted_hair(sitter: _Sitter, hair: Colour, strands: Field) -> list[Field]:
    tone = unit(
        np.float32(0.62) - sitter.x * np.float32(0.3) - sitter.y * np.float32(0.14) + strands * np.float32(0.55)
    ) + np.float32(0.16)
    return [np.float32(channel) * tone * np.float32(1.1) for channel in hair]


def _paint_mane(paint: Paint, sitter: _Sitter, hair: Colour, strands: Field) -> None:
    mass = sitter.inside(
        np.minimum(sitter.oval(0, -0.25, 1.08, 1.12), sitter.oval(0, 0.85, 1.22, 1.25)) + strands * np.float32(0.05), 3
    )
    cover(paint, _tinted_hair(sitter, scaled(hair, 0.8), strands), mass)


def _paint_hair(paint: Paint, sitter: _Sitter, hair: Colour, strands: Field, is_old: bool) -> None:
    turn = sitter.turn
    crown = sitter.inside(sitter.oval(0, -0.3, 0.98, 0.98) + strands * np.float32(0.05), 3)
    hollow = 0.8 if is_old else 1.0
    face = sitter.oval(turn * 1.2, 0.28, 0.76, 0.86 + 0.22 * (1 - hollow)) + strands * np.float32(0.06)
    cover(
        paint,
        _tinted_hair(sitter, hair, strands),
        crown * smoothstep(0.97, 1.06, face) * smoothstep(0.75, 0.35, sitter.y),
    )


def _paint_beard(paint: Paint, sitter: _Sitter, hair: Colour, strands: Field) -> None:
    turn = sitter.turn
    mass = sitter.oval(turn * 0.8, 0.82, 0.66, 0.72) + strands * np.float32(0.06)
    mouth = np.minimum(sitter.oval(turn, 0.75, 0.2, 0.09), sitter.oval(turn, 0.18, 0.62, 0.42)) + strands * np.float32(
        0.1
    )
    cover(
        paint,
        _tinted_hair(sitter, hair, strands),
        smoothstep(1.05, 0.9, mass) * smoothstep(0.95, 1.2, mouth) * np.float32(0.96),
    )


def _paint_cap(paint: Paint, sitter: _Sitter) -> None:
    lit = unit(
        np.float32(0.6) - sitter.x * np.float32(0.42) - (sitter.y + np.float32(0.8)) * np.float32(0.25)
    ) + np.float32(0.15)
    top = sitter.inside(sitter.oval(0, -0.98, 1.12, 0.44), 2)
    band = sitter.inside(sitter.oval(0, -0.62, 0.94, 0.34), 2) * smoothstep(
        -0.42, -0.48, sitter.y - np.square(sitter.x) * 0.1
    )
    peak = sitter.inside(
        np.maximum(sitter.oval(sitter.turn, -0.36, 0.86, 0.24), sitter.oval(sitter.turn, -0.95, 1.6, 0.68)), 2
    )
    for colour, mask in (((0.13, 0.18, 0.3), top), ((0.07, 0.09, 0.15), band), ((0.04, 0.045, 0.06), peak)):
        cover(paint, [np.float32(channel) * lit * np.float32(1.5) for channel in colour], mask)
    cover(paint, rgb("d8b050"), sitter.inside(sitter.oval(sitter.turn, -0.68, 0.1, 0.1), 2))


def paint_cat(paint: Paint, frame: Frame) -> None:
    """A cat that looks at you."""
    rng = frame.random("cat")
    s, x, y = min(0.23, frame.wide * 0.23), frame.wide / 2, frame.tall * 0.46
    fur = (rgb("2a2428"), rgb("8c8480"), rgb("c8803c"), rgb("e8dccc"))[int(rng.integers(4))]
    iris = (rgb("a8d84c"), rgb("f0c040"), rgb("5cb8e8"))[int(rng.integers(3))]
    easel = Easel(frame)
    easel.ellipse((x, y + s * 2.5), s * 1.35, s * 1.9, scaled(fur, 0.72))
    for side in (-1, 1):
        easel.polygon(
            [(x + side * s * 0.98, y - s * 1.45), (x + side * s * 0.2, y - s * 0.7), (x + side * s * 1.0, y - s * 0.2)],
            scaled(fur, 0.85),
        )
        easel.polygon(
            [
                (x + side * s * 0.9, y - s * 1.22),
                (x + side * s * 0.42, y - s * 0.72),
                (x + side * s * 0.88, y - s * 0.4),
            ],
            rgb("c88880"),
        )
    easel.ellipse((x, y), s * 1.08, s * 0.94, fur)
    easel.ellipse((x, y + s * 0.42), s * 0.5, s * 0.36, mixed(fur, (1, 1, 1), 0.4))
    for side in (-1, 1):
        _draw_cat_eye(easel, (x + side * s * 0.46, y - s * 0.08), s, iris)
    easel.polygon([(x - s * 0.12, y + s * 0.24), (x + s * 0.12, y + s * 0.24), (x, y + s * 0.37)], rgb("d07c78"))
    easel.line([(x, y + s * 0.36), (x, y + s * 0.5)], s * 0.03, scaled(fur, 0.35))
    for side in (-1, 1):
        easel.line(
            [(x, y + s * 0.5), (x + side * s * 0.12, y + s * 0.58), (x + side * s * 0.25, y + s * 0.54)],
            s * 0.03,
            scaled(fur, 0.35),
        )
        for lift in (-0.14, 0.0, 0.12):
            easel.line(
                [(x + side * s * 0.3, y + s * 0.42), (x + side * s * 1.4, y + s * (0.42 + lift * 2))],
                s * 0.012,
                (0.95, 0.95, 0.95),
            )
    body = easel.coverage()
    easel.hang(paint)
    stripes = fbm(frame, "fur", cells=26, octaves=4, gain=0.75, stretch=(2.2, 0.8)) * np.float32(0.2) + np.float32(0.95)
    shade = unit(np.float32(0.78) - (frame.columns - np.float32(x)) * np.float32(0.9)) + np.float32(0.22)
    for plane in paint:
        plane *= 1 + (stripes * shade - 1) * body


def _draw_cat_eye(easel: Easel, centre: Point, s: float, iris: Colour) -> None:
    easel.ellipse(centre, s * 0.25, s * 0.2, (0.04, 0.03, 0.03))
    easel.ellipse(centre, s * 0.21, s * 0.17, iris)
    easel.ellipse(centre, s * 0.055, s * 0.16, (0.02, 0.02, 0.02))
    easel.ellipse((centre[0] - s * 0.07, centre[1] - s * 0.07), s * 0.04, s * 0.04, (1, 1, 1))


def paint_astronaut(paint: Paint, frame: Frame, hue: float) -> None:
    """A small figure adrift, tilted, with a visor that mirrors the nebula."""
    rng = frame.random("astronaut")
    centre = (frame.wide * float(rng.uniform(0.4, 0.6)), frame.tall * float(rng.uniform(0.42, 0.55)))
    pose = _Pose(centre, min(0.13, frame.wide * 0.13), float(rng.uniform(-0.6, 0.6)))
    suit, shade = rgb("e8e8ec"), rgb("8a8ca4")
    easel = Easel(frame)
    easel.polygon(pose.at((-0.62, -0.75), (0.62, -0.75), (0.62, 0.75), (-0.62, 0.75)), rgb("6c6e84"))
    for limb, thick in _LIMBS:
        easel.line(pose.at(*limb), thick * pose.size, shade)
        easel.line(
            [(x - 0.05 * pose.size, y - 0.05 * pose.size) for x, y in pose.at(*limb)], thick * pose.size * 0.74, suit
        )
        for tip in limb:
            easel.ellipse(pose.at(tip)[0], thick * pose.size / 2, thick * pose.size / 2, shade)
    _draw_torso(easel, pose, suit, shade, hue)
    easel.hang(paint)
    away = np.sqrt(np.square(frame.columns - np.float32(centre[0])) + np.square(frame.rows - np.float32(centre[1])))
    glow(paint, oklch(0.7, 0.15, hue), spot(away / np.float32(0.42)) * np.float32(0.12))


_LIMBS: tuple[tuple[tuple[Point, ...], float], ...] = (
    (((-0.5, -0.55), (-1.15, -0.35), (-1.5, -0.95)), 0.4),
    (((0.5, -0.55), (1.1, -0.1), (1.6, -0.4)), 0.4),
    (((-0.25, 0.7), (-0.5, 1.35), (-0.35, 2.0)), 0.5),
    (((0.28, 0.7), (0.75, 1.2), (0.7, 1.85)), 0.5),
)


class _Pose:
    """Places on a body, turned and moved to where the body is."""

    def __init__(self, centre: Point, size: float, turn: float) -> None:
        self.centre, self.size = centre, size
        self._cos, self._sin = round(math.cos(turn), 6), round(math.sin(turn), 6)

    def at(self, *points: Point) -> list[Point]:
        return [
            (
                self.centre[0] + self.size * (x * self._cos - y * self._sin),
                self.centre[1] + self.size * (x * self._sin + y * self._cos),
            )
            for x, y in points
        ]


def _draw_torso(easel: Easel, pose: _Pose, suit: Colour, shade: Colour, hue: float) -> None:
    size = pose.size
    easel.polygon(pose.at((-0.52, -0.72), (0.52, -0.72), (0.56, 0.2), (0.42, 0.85), (-0.42, 0.85), (-0.56, 0.2)), shade)
    easel.polygon(pose.at((-0.52, -0.72), (0.34, -0.72), (0.36, 0.2), (0.24, 0.82), (-0.4, 0.82), (-0.54, 0.2)), suit)
    easel.polygon(pose.at((-0.3, -0.2), (0.3, -0.2), (0.3, 0.25), (-0.3, 0.25)), rgb("4a4c60"))
    easel.ellipse(pose.at((-0.14, 0.02))[0], size * 0.07, size * 0.07, rgb("e84c4c"))
    easel.ellipse(pose.at((0.12, 0.02))[0], size * 0.07, size * 0.07, rgb("4cd0e8"))
    helmet = pose.at((0.0, -1.18))[0]
    easel.ellipse(helmet, size * 0.64, size * 0.64, shade)
    easel.ellipse(pose.at((-0.05, -1.21))[0], size * 0.59, size * 0.59, suit)
    visor = pose.at((0.04, -1.14))[0]
    easel.ellipse(visor, size * 0.47, size * 0.42, rgb("14101c"))
    easel.ellipse((visor[0], visor[1] + size * 0.05), size * 0.42, size * 0.32, oklch(0.34, 0.12, hue))
    easel.ellipse(
        (visor[0] + size * 0.08, visor[1] + size * 0.12), size * 0.28, size * 0.18, oklch(0.6, 0.15, hue + 0.12)
    )
    easel.ellipse((visor[0] - size * 0.18, visor[1] - size * 0.16), size * 0.09, size * 0.06, (1, 1, 1))


def paint_birds(paint: Paint, frame: Frame, light: Light, horizon: float, count: int) -> None:
    rng = frame.random("birds")
    x0, y0 = frame.wide * float(rng.uniform(0.2, 0.7)), horizon * float(rng.uniform(0.3, 0.6))
    easel = Easel(frame)
    for _ in range(count):
        x, y = x0 + float(rng.normal(0, 0.1)), y0 + float(rng.normal(0, 0.05))
        s, flap = float(rng.uniform(0.008, 0.018)), float(rng.uniform(0.15, 0.7))
        wing: list[Point] = [
            (x - s, y - s * flap),
            (x - s * 0.4, y - s * 0.55 * flap),
            (x, y),
            (x + s * 0.4, y - s * 0.55 * flap),
            (x + s, y - s * flap),
        ]
        easel.line(wing, 0.0028, scaled(light.shadow, 0.8))
    easel.hang(paint, 0.85)
