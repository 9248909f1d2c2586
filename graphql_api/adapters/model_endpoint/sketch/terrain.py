"""Land in perspective: a heightfield looked at from a little above the ground, with light, snow and aerial haze.

For every column a ray walks away from the eye. Where each step's ground would appear on the picture is kept as a
running minimum, so the first step that reaches a pixel is what the pixel shows. All shading happens on the (step,
column) grid and is then looked up once per pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphql_api.adapters.model_endpoint.sketch.colour import Colour, cover, mixed, ramp, scaled
from graphql_api.adapters.model_endpoint.sketch.frame import Field, Frame, Paint, as_field
from graphql_api.adapters.model_endpoint.sketch.light import Light
from graphql_api.adapters.model_endpoint.sketch.noise import sample, smoothstep, tile, unit

_FOCAL = 1.15
_EYE = 1.0
_NEAR = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Land:
    """A kind of land. World units: the eye is one above the plain. `colours` run from deep to high ground."""

    height: float
    start: float
    end: float
    feature: float
    ridged: float
    rough: float
    colours: tuple[Colour, ...]
    steep: Colour
    snow_line: float | None = None
    haze_distance: float = 18.0
    far: float = 46.0
    octaves: int = 5
    crest: float = 0.02
    near_texture: float = 0.25


def paint_land(paint: Paint, frame: Frame, light: Light, land: Land, horizon: float, sun: tuple[float, float]) -> Field:
    """Paint it below and above the horizon; returns the skyline, the row in pixels where land begins in each column."""
    distances = _distances(frame, land, horizon)
    across = (frame.columns - np.float32(frame.wide / 2)) * (distances / np.float32(_FOCAL))
    ground = _heights(frame, land, distances, across)
    rows = (np.float32(horizon) + np.float32(_FOCAL) * (np.float32(_EYE) - ground) / distances) * np.float32(
        frame.pixels_per_unit
    )
    colours = _shade(frame, light, land, distances, across, ground, sun)
    step, skyline = _first_hit(rows, frame.height)
    below = np.arange(frame.height, dtype=np.float32)[:, None] + 1 - skyline[None, :]
    top = max(int(skyline.min()) - 1, 0)
    lookup = np.minimum(step[top:], len(distances) - 1) * frame.width + np.arange(frame.width)[None, :]
    cover(paint[:, top:], [plane.ravel().take(lookup) for plane in colours], unit(below[top:]))
    return skyline


def _distances(frame: Frame, land: Land, horizon: float) -> Field:
    """Steps away from the eye, shape (steps, 1): some even on the picture for flat ground, some even in proportion."""
    span = max(frame.tall - horizon, 0.12)
    near = max(_FOCAL * _EYE / span * 0.8, 0.6)
    count = max(int(frame.pixels_per_unit * 0.85), 24)
    flat = 1 / np.linspace(1 / near, 1 / land.far, count // 2)
    # A geometric series by multiplication: pow would differ between CPUs.
    ratio = (land.far / max(near, land.start * 0.6)) ** (1 / (count - count // 2))
    ratio = round(ratio, 6)
    rising = max(near, land.start * 0.6) * np.cumprod(np.full(count - count // 2, ratio))
    return as_field(np.sort(np.concatenate([flat, rising])))[:, None]


def _heights(frame: Frame, land: Land, distances: Field, across: Field) -> Field:
    rng = frame.random("land place")
    broad, fine = (
        tile(frame, "land", cells=8, octaves=land.octaves, gain=0.42),
        tile(frame, "rough land", cells=10, octaves=6, gain=0.55),
    )
    offset = rng.uniform(0, 400, 4)
    scale = np.float32(64 / land.feature)
    far_down = distances * scale + np.float32(offset[0]) + across * 0
    base = sample(broad, far_down, across * scale + np.float32(offset[1]))
    body = (1 - land.ridged) * (0.5 + 0.55 * base) + land.ridged * np.square(
        1 - np.minimum((np.sqrt(base * base + np.float32(land.crest * land.crest)) - np.float32(land.crest)) * 1.25, 1)
    )
    detail_scale = np.float32(64 / land.feature * 2.6)
    detail = sample(
        fine,
        distances * detail_scale + across * 0 + np.float32(offset[2]),
        across * detail_scale + np.float32(offset[3]),
    )
    rise = smoothstep(land.start, land.end, distances)
    lie = body + np.float32(land.rough) * (np.float32(0.5) - np.abs(detail)) * (np.float32(0.08) + body)
    return as_field(np.float32(land.height) * rise * lie)


def _first_hit(rows: Field, height: int) -> tuple[NDArray[np.int32], Field]:
    steps, width = rows.shape
    highest = np.minimum.accumulate(rows, axis=0)
    limit = np.clip(np.floor(highest + np.float32(0.5)), 0, height).astype(np.int32)
    place = limit * width + np.arange(width, dtype=np.int32)[None, :]
    passed = np.bincount(place.ravel(), minlength=(height + 1) * width).astype(np.int32).reshape(height + 1, width)
    step = np.int32(steps) - np.cumsum(passed[:height], axis=0, dtype=np.int32)
    return step, highest[-1]


def _shade(
    frame: Frame, light: Light, land: Land, distances: Field, across: Field, ground: Field, sun: tuple[float, float]
) -> list[Field]:
    tilt_across, tilt_away = _slopes(distances, across, ground)
    side = np.float32(np.clip((sun[1] - frame.wide / 2) * 1.6, -1, 1))
    length = np.sqrt(1 + tilt_across * tilt_across + tilt_away * tilt_away)
    lit = unit((np.float32(0.5) - tilt_across * side * np.float32(1.1) - tilt_away * np.float32(0.25)) / length)
    grain = _grain(frame, land, distances, across)
    level = unit(ground / np.float32(land.height * 1.15) + grain * np.float32(0.14))
    colours = list(ramp(land.colours, level))
    flatness = 1 / length
    cover_rock = smoothstep(0.8, 0.55, flatness)
    colours = [
        plane + (np.float32(value) - plane) * cover_rock for plane, value in zip(colours, land.steep, strict=True)
    ]
    if land.snow_line is not None:
        snow = smoothstep(land.snow_line - 0.06, land.snow_line + 0.1, level + (flatness - 0.62) * 0.55 + grain * 0.12)
        colours = [
            plane + (np.float32(value) - plane) * snow for plane, value in zip(colours, (0.95, 0.97, 1.0), strict=True)
        ]
    return _lit(light, land, distances, colours, lit * (1 + grain * np.float32(land.near_texture)))


def _slopes(distances: Field, across: Field, ground: Field) -> tuple[Field, Field]:
    sideways = np.empty_like(ground)
    sideways[:, 1:] = (ground[:, 1:] - ground[:, :-1]) / np.maximum(across[:, 1:] - across[:, :-1], np.float32(1e-4))
    sideways[:, :1] = sideways[:, 1:2] if ground.shape[1] > 1 else 0
    away = np.empty_like(ground)
    away[1:] = (ground[1:] - ground[:-1]) / np.maximum(distances[1:] - distances[:-1], np.float32(2e-3))
    away[0] = away[1]
    return sideways, np.clip(away, -3, 3)


def _grain(frame: Frame, land: Land, distances: Field, across: Field) -> Field:
    """Grass, stones and rock faces: noise that stays as fine on the picture near and far."""
    texture = tile(frame, "grain", cells=16, octaves=6, gain=0.7)
    return sample(texture, distances * np.float32(30) + across * 0, across * np.float32(30)) * unit(
        1.2 - distances / np.float32(land.far)
    )


def _lit(light: Light, land: Land, distances: Field, colours: list[Field], lit: Field) -> list[Field]:
    direct = scaled(mixed(light.sun, light.land, 0.15), 1.05 * light.strength)
    ambient = mixed(light.shadow, light.sky[len(light.sky) // 2], 0.5 if not light.is_night else 0.85)
    ratio = distances / np.float32(land.haze_distance)
    haze = np.float32(0.92) * (1 - 1 / (1 + ratio * ratio))
    return [
        as_field(
            plane * (np.float32(sky * (0.75 if not light.is_night else 1.15)) + lit * np.float32(sun)) * (1 - haze)
            + np.float32(air) * haze
        )
        for plane, sky, sun, air in zip(colours, ambient, direct, light.haze, strict=True)
    ]
