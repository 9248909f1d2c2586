"""What people build: skylines with lit windows, a castle, a cottage, a sailing boat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphql_api.adapters.model_endpoint.sketch.colour import Colour, cover, glow, mixed, rgb, scaled
from graphql_api.adapters.model_endpoint.sketch.easel import Easel, Point
from graphql_api.adapters.model_endpoint.sketch.frame import Field, Frame, Paint, as_field
from graphql_api.adapters.model_endpoint.sketch.light import Light
from graphql_api.adapters.model_endpoint.sketch.noise import fbm, smoothstep, spot, unit

_WINDOW_LIGHTS = tuple(rgb(code) for code in ("ffd890", "ffc870", "fff0d0", "b8e0ff"))
_SIGNS = tuple(rgb(code) for code in ("ff3ca0", "30e8ff", "b060ff", "ff8040", "40ffb0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Skyline:
    """Per column: the row of the roof, which building it is, and where in its facade the column lies (scene units)."""

    roof: Field
    building: np.ndarray[tuple[int, ...], np.dtype[np.int32]]
    inside: Field
    edges: Field


def paint_city(paint: Paint, frame: Frame, light: Light, line: float, *, is_neon: bool) -> None:
    """Four rows of buildings; the nearer, the darker and the larger their windows."""
    for row in range(4):
        near = row / 3
        skyline = _skyline(frame, f"skyline {row}", line, tall=0.2 + 0.26 * near, broad=0.035 + 0.06 * near, near=near)
        air = (1 - near) * 0.72
        wall = mixed(mixed(light.shadow, light.land, 0.3 if not light.is_night else 0.12), light.haze, air)
        _paint_row(paint, frame, light, skyline, wall, line, f"windows {row}", cell=0.006 + 0.0055 * near, near=near)
        if is_neon and row > 0:
            _hang_signs(paint, frame, f"signs {row}", skyline, line, near)


def _skyline(frame: Frame, name: str, line: float, *, tall: float, broad: float, near: float) -> _Skyline:
    rng = frame.random(name)
    count = int(frame.wide / broad * 1.7) + 4
    widths = rng.uniform(0.55, 1.6, count) * broad
    starts = np.cumsum(widths) - widths.sum() / 2 + frame.wide / 2
    heights = tall * (0.3 + np.square(rng.random(count)) * 1.1)
    centre = np.abs(starts / frame.wide - 0.5)
    heights *= 1.15 - 0.7 * centre if near < 0.9 else 0.62 + 1.1 * centre
    across = frame.columns[0].astype(np.float64)
    building = np.clip(np.searchsorted(starts, across), 0, count - 1).astype(np.int32)
    inside = across - (starts - widths)[building]
    gap = (rng.random(count) < 0.22)[building] * 0.5
    step = (inside / widths[building] < 0.3) * (rng.random(count) < 0.4)[building]
    roof = line - heights[building] * (1 - gap * 0.25) * (1 - 0.14 * step)
    mast = (np.abs(inside / widths[building] - 0.5) < 0.02) * (rng.random(count) < 0.3)[building]
    return _Skyline(
        roof=as_field(roof - 0.05 * mast * tall * 4),
        building=building,
        inside=as_field(inside),
        edges=as_field(inside / widths[building]),
    )


def _paint_row(
    paint: Paint,
    frame: Frame,
    light: Light,
    skyline: _Skyline,
    wall: Colour,
    line: float,
    name: str,
    *,
    cell: float,
    near: float,
) -> None:
    top, bottom = max(frame.row_of(float(skyline.roof.min())) - 1, 0), frame.row_of(line) + 1
    rows = frame.rows[top:bottom]
    if len(rows) == 0:
        return
    below = rows - skyline.roof[None, :]
    mask = unit(below * np.float32(frame.pixels_per_unit) + np.float32(0.5))
    side = np.float32(0.8) + np.float32(0.28) * (skyline.edges < 0.62).astype(np.float32) + unit(below * 1.2)[:, :1] * 0
    haze = unit(below * np.float32(1.3)) * np.float32(0.4 * (1 - near) + 0.06)
    region = paint[:, top:bottom]
    colours = [
        np.float32(tone) * side + (np.float32(air) - np.float32(tone)) * haze
        for tone, air in zip(wall, light.haze, strict=True)
    ]
    cover(region, colours, mask)
    _light_windows(region, frame, light, skyline, below, name, cell=cell, near=near)


def _light_windows(
    region: Paint, frame: Frame, light: Light, skyline: _Skyline, below: Field, name: str, *, cell: float, near: float
) -> None:
    rng = frame.random(name)
    share = 0.34 if light.is_night else (0.22 if light.strength < 0.95 else 0.06)
    table = (rng.random((128, 128)) < share) * rng.uniform(0.45, 1.0, (128, 128))
    floors, bays = below / np.float32(cell * 1.25), skyline.inside / np.float32(cell)
    floor, bay = np.floor(floors), np.floor(bays)
    lookup = (floor.astype(np.int32) % 128) * 128 + ((bay.astype(np.int32) + skyline.building * 17) % 128)[None, :]
    lit = as_field(table).ravel().take(lookup)
    soft = 0.9 / (cell * frame.pixels_per_unit)
    pane = _pane(floors - floor, 0.24, soft) * _pane(bays - bay, 0.2, soft)[None, :] * (floor >= 1)
    # Where a window is smaller than a pixel its light spreads over the cell.
    pane = pane if soft < 0.9 else np.full_like(pane, np.float32(0.4))
    body_share = as_field(0.3 + rng.random(512) * 0.75)[skyline.building % 512]
    hue = (skyline.building * 7) % len(_WINDOW_LIGHTS)
    body = lit * pane * body_share[None, :] * np.float32((0.5 + 0.5 * near) * (1.0 if light.is_night else 0.7))
    lamps = as_field(_WINDOW_LIGHTS)[hue]
    for channel, plane in enumerate(region):
        plane += (lamps[:, channel][None, :] - plane) * body


def _pane(part: Field, margin: float, soft: float) -> Field:
    return smoothstep(margin - soft / 2, margin + soft / 2, part) * smoothstep(
        1 - margin + soft / 2, 1 - margin - soft / 2, part
    )


def _hang_signs(paint: Paint, frame: Frame, name: str, skyline: _Skyline, line: float, near: float) -> None:
    rng = frame.random(name)
    easel, halo = Easel(frame), np.zeros((3, frame.height, frame.width), dtype=np.float32)
    for _ in range(int((5 + 5 * near) * frame.wide)):
        across = float(rng.uniform(0.02, frame.wide - 0.02))
        roof = float(skyline.roof[min(int(across * frame.pixels_per_unit), frame.width - 1)])
        if line - roof < 0.1:
            continue
        top = float(rng.uniform(roof + 0.03, line - 0.07))
        is_upright = rng.random() < 0.6
        wide, high = (0.007, 0.05) if is_upright else (0.035, 0.008)
        hue = _SIGNS[int(rng.integers(len(_SIGNS)))]
        size = 0.6 + 0.7 * near
        easel.box(across, top, across + wide * size, top + high * size, mixed(hue, (1, 1, 1), 0.25))
        _add_halo(halo, frame, (across + wide * size / 2, top + high * size / 2), 0.062 * size, hue)
    easel.hang(paint)
    for plane, light in zip(paint, halo, strict=True):
        plane += light * (1 - np.minimum(plane, 1)) * np.float32(0.8)


def _add_halo(halo: Paint, frame: Frame, place: Point, reach: float, hue: Colour) -> None:
    per_unit = frame.pixels_per_unit
    top, bottom = max(int((place[1] - reach) * per_unit), 0), min(int((place[1] + reach) * per_unit), frame.height)
    left, right = max(int((place[0] - reach) * per_unit), 0), min(int((place[0] + reach) * per_unit), frame.width)
    if top >= bottom or left >= right:
        return
    down = frame.rows[top:bottom] - np.float32(place[1])
    across = frame.columns[:, left:right] - np.float32(place[0])
    mask = spot(np.sqrt(down * down + across * across) / np.float32(reach)) * np.float32(0.5)
    for plane, value in zip(halo[:, top:bottom, left:right], hue, strict=True):
        plane += mask * np.float32(value)


def paint_castle(paint: Paint, frame: Frame, light: Light, line: float) -> None:
    """A castle with pointed towers on a hill, its windows lit."""
    rng = frame.random("castle")
    middle, size = frame.wide * float(rng.uniform(0.42, 0.58)), min(0.62, frame.tall * 0.5)
    foot = line - 0.03
    _raise_hill(paint, frame, light, middle, foot, line)
    stone = mixed(mixed(rgb("9a8c88"), light.land, 0.25), light.shadow, 0.3 if not light.is_night else 0.62)
    roof = mixed(rgb("3c5a8c"), light.shadow, 0.25) if rng.random() < 0.5 else mixed(rgb("a0402c"), light.shadow, 0.25)
    easel = Easel(frame)
    towers = ((-0.30, 0.34, 0.05), (0.32, 0.38, 0.05), (-0.14, 0.5, 0.045), (0.17, 0.46, 0.05), (0.01, 0.68, 0.07))
    for offset, tall, half in towers:
        _raise_tower(
            easel,
            (middle + offset * size, foot),
            tall * size * float(rng.uniform(0.92, 1.08)),
            half * size,
            stone,
            roof,
            light,
        )
    _raise_wall(easel, middle, foot, size, stone, light)
    easel.hang(paint)


def _raise_hill(paint: Paint, frame: Frame, light: Light, middle: float, foot: float, line: float) -> None:
    aside = (frame.columns - np.float32(middle)) / np.float32(0.62)
    rough = fbm(frame, "castle hill", cells=4, octaves=5)
    top = np.float32(foot) + np.square(aside) * np.float32(0.3) - np.float32(0.01)
    body = unit((frame.rows - top + rough * np.float32(0.012)) * np.float32(frame.pixels_per_unit))
    tone = np.float32(0.75) + rough * np.float32(0.3)
    grass = mixed(light.leaf, light.land, 0.35)
    cover(paint, [np.float32(channel) * tone for channel in grass], body)


def _raise_tower(
    easel: Easel, foot: Point, tall: float, half: float, stone: Colour, roof: Colour, light: Light
) -> None:
    x, y = foot
    top = y - tall
    easel.box(x - half, top, x + half, y + 0.03, scaled(stone, 1.12))
    easel.box(x + half * 0.2, top, x + half, y + 0.03, scaled(stone, 0.74))
    easel.box(x - half * 1.25, top - half * 0.5, x + half * 1.25, top + half * 0.35, scaled(stone, 1.2))
    easel.box(x + half * 0.25, top - half * 0.5, x + half * 1.25, top + half * 0.35, scaled(stone, 0.82))
    peak = (x, top - half * 4.2)
    easel.polygon([(x - half * 1.4, top - half * 0.5), peak, (x + half * 1.4, top - half * 0.5)], roof)
    easel.polygon([(x + half * 0.2, top - half * 0.5), peak, (x + half * 1.4, top - half * 0.5)], scaled(roof, 0.7))
    easel.line([peak, (x, peak[1] - half * 1.4)], half * 0.12, scaled(stone, 0.6))
    easel.polygon(
        [(x, peak[1] - half * 1.4), (x + half * 1.1, peak[1] - half * 1.05), (x, peak[1] - half * 0.7)], rgb("e0483c")
    )
    lamp = rgb("ffd070") if light.strength < 0.95 else rgb("2c2430")
    for level in (0.22, 0.5, 0.76):
        easel.box(x - half * 0.22, y - tall * level - half * 0.4, x + half * 0.16, y - tall * level + half * 0.3, lamp)


def _raise_wall(easel: Easel, middle: float, foot: float, size: float, stone: Colour, light: Light) -> None:
    left, right, top = middle - 0.36 * size, middle + 0.38 * size, foot - 0.17 * size
    easel.box(left, top, right, foot + 0.05, scaled(stone, 0.96))
    merlon = 0.026 * size
    for i in range(int((right - left) / (2 * merlon))):
        easel.box(left + 2 * i * merlon, top - merlon, left + (2 * i + 1) * merlon, top + 0.002, scaled(stone, 0.96))
    gate, arch = 0.05 * size, foot - 0.07 * size
    dark = scaled(light.shadow, 0.7)
    easel.ellipse((middle, arch), gate, gate, dark)
    easel.box(middle - gate, arch, middle + gate, foot + 0.05, dark)


def paint_house(paint: Paint, frame: Frame, light: Light, line: float, *, is_snowy: bool) -> None:
    rng = frame.random("house")
    x, y, s = frame.wide * float(rng.uniform(0.25, 0.7)), line + 0.09, 0.12
    wall = mixed(rgb("c8b49c"), light.shadow, 0.55 - 0.4 * light.strength)
    roof = (0.92, 0.95, 0.99) if is_snowy else mixed(rgb("8c3c2c"), light.shadow, 0.3)
    lamp = rgb("ffd27a") if light.strength < 0.95 else rgb("3c4454")
    easel = Easel(frame)
    easel.box(x + s * 0.95, y - s * 1.45, x + s * 1.15, y - s * 0.7, scaled(wall, 0.6))
    easel.box(x, y - s * 0.7, x + s * 1.5, y, wall)
    easel.box(x + s * 0.9, y - s * 0.7, x + s * 1.5, y, scaled(wall, 0.78))
    easel.polygon(
        [
            (x - s * 0.12, y - s * 0.66),
            (x + s * 0.3, y - s * 1.3),
            (x + s * 1.3, y - s * 1.3),
            (x + s * 1.62, y - s * 0.66),
        ],
        roof,
    )
    easel.box(x + s * 0.38, y - s * 0.46, x + s * 0.58, y, scaled(wall, 0.4))
    for left in (0.1, 0.7, 1.1):
        easel.box(x + s * left, y - s * 0.5, x + s * (left + 0.18), y - s * 0.26, lamp)
    easel.hang(paint)
    if light.strength < 0.95:
        away = np.sqrt(
            np.square(frame.columns - np.float32(x + s * 0.7)) + np.square(frame.rows - np.float32(y - s * 0.3))
        )
        glow(paint, rgb("ffb050"), spot(away / np.float32(0.3)) * np.float32(0.22))


def paint_boat(paint: Paint, frame: Frame, light: Light, line: float) -> None:
    rng = frame.random("boat")
    x, y, s = frame.wide * float(rng.uniform(0.25, 0.75)), line + 0.055, 0.1
    hull = mixed(rgb("4a2c20"), light.shadow, 0.5)
    sail = mixed(mixed((1.0, 0.97, 0.92), light.sun, 0.4), light.shadow, 0.5 - 0.45 * light.strength)
    easel = Easel(frame)
    easel.line([(x, y), (x, y - s * 1.9)], s * 0.04, hull)
    easel.polygon([(x + s * 0.05, y - s * 1.85), (x + s * 0.8, y - s * 0.22), (x + s * 0.05, y - s * 0.22)], sail)
    easel.polygon(
        [(x - s * 0.06, y - s * 1.6), (x - s * 0.55, y - s * 0.22), (x - s * 0.06, y - s * 0.22)], scaled(sail, 0.84)
    )
    easel.polygon(
        [
            (x - s * 0.7, y - s * 0.12),
            (x + s * 0.8, y - s * 0.16),
            (x + s * 0.55, y + s * 0.12),
            (x - s * 0.5, y + s * 0.12),
        ],
        hull,
    )
    easel.hang(paint)
    shade = Easel(frame)
    for i in range(9):
        wobble = float(rng.uniform(-0.06, 0.06)) * s
        half = s * (0.62 - 0.05 * i)
        shade.line(
            [(x - half + wobble, y + s * (0.16 + 0.13 * i)), (x + half + wobble, y + s * (0.16 + 0.13 * i))],
            s * 0.06,
            hull,
        )
    shade.hang(paint, 0.4)
