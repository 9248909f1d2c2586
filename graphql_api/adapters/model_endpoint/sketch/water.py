"""Water: a sea or lake that mirrors what is already painted above it, and the shine of wet ground."""

from __future__ import annotations

import numpy as np

from graphql_api.adapters.model_endpoint.sketch.colour import cover, glow, mixed
from graphql_api.adapters.model_endpoint.sketch.frame import Field, Frame, Paint, as_field
from graphql_api.adapters.model_endpoint.sketch.light import Light
from graphql_api.adapters.model_endpoint.sketch.noise import bell, sample, shared_tile, smoothstep, unit


def paint_water(
    paint: Paint, frame: Frame, light: Light, line: float, *, rough: float, sun: tuple[float, float] | None
) -> None:
    """Mirror everything above `line` into what is below it. `rough` 0 is a mirror, 1 an open sea."""
    top = frame.row_of(line)
    if top >= frame.height or top < 2:
        return
    depth = frame.rows[top:] - np.float32(line)
    waves = _waves(frame, depth, rough)
    mirrored = _mirror(paint, frame, top, waves, rough)
    near = unit(depth / np.float32(max(frame.tall - line, 0.05)))
    tint = unit(
        np.float32(0.14 + 0.2 * rough) + near * np.float32(0.30 + 0.25 * rough) - waves * np.float32(0.34 * rough)
    )
    region = paint[:, top:]
    for plane, mirror, water in zip(region, mirrored, light.water, strict=True):
        plane[:] = mirror + (np.float32(water) - mirror) * tint
    _paint_crests(region, light, waves, near, rough)
    if sun is not None:
        _paint_glitter(region, frame, light, waves, depth, sun[1], rough)


def _waves(frame: Frame, depth: Field, rough: float) -> Field:
    """Two trains of waves, wide and flat far away, larger near the eye; about -1 to 1."""
    rng = frame.random("waves")
    texture = shared_tile(frame)
    away = np.float32(0.42) / (depth + np.float32(0.018))
    across = (frame.columns - np.float32(frame.wide / 2)) * away
    offset = rng.uniform(50, 450, 4)
    long = sample(texture, away * 62 + across * 4 + np.float32(offset[0]), across * 16 + np.float32(offset[1]))
    short = sample(texture, away * 150 - across * 8 + np.float32(offset[2]), across * 52 + np.float32(offset[3]))
    calm = smoothstep(0.0, 0.08, depth)
    return as_field((long * np.float32(0.75) + short * np.float32(0.5)) * (np.float32(0.35) + calm * np.float32(0.65)))


def _mirror(paint: Paint, frame: Frame, top: int, waves: Field, rough: float) -> list[Field]:
    per_unit = frame.pixels_per_unit
    rows = np.arange(frame.height - top, dtype=np.float32)[:, None]
    stretch = top / max(frame.height - top, 1)
    sway = (
        waves
        * np.float32((0.012 + 0.085 * rough) * per_unit)
        * (np.float32(0.25) + unit(rows / np.float32(0.3 * per_unit)))
    )
    source = np.float32(top - 1) - rows * np.float32(min(1.0, stretch)) - sway
    down = np.clip(source, 0, top - 1).astype(np.int32)
    across = np.arange(frame.width, dtype=np.float32)[None, :] + waves * np.float32((0.004 + 0.012 * rough) * per_unit)
    lookup = down * frame.width + np.clip(across, 0, frame.width - 1).astype(np.int32)
    return [plane.ravel().take(lookup) for plane in paint[:, :top]]


def _paint_crests(region: Paint, light: Light, waves: Field, near: Field, rough: float) -> None:
    if rough < 0.3:
        return
    foam = smoothstep(0.75, 1.25, waves + near * 0.12) * near
    cover(region, mixed(light.cloud, (1.0, 1.0, 1.0), 0.5), foam * np.float32(0.4 * rough))


def _paint_glitter(
    region: Paint, frame: Frame, light: Light, waves: Field, depth: Field, across: float, rough: float
) -> None:
    """The path of light under sun or moon: glints where a wave faces the eye."""
    aside = (frame.columns - np.float32(across)) / (np.float32(0.05) + depth * np.float32(0.25))
    glints = smoothstep(0.12, 0.62, waves + bell(aside) * np.float32(0.42)) * bell(aside * np.float32(1.3))
    glow(region, light.sun, glints * np.float32(0.95 * (0.45 + 0.55 * rough)))


def paint_wet_ground(paint: Paint, frame: Frame, light: Light, line: float) -> None:
    """Asphalt after rain: a dark mirror that smears downward, broken by dry patches."""
    top = frame.row_of(line)
    if top >= frame.height or top < 2:
        return
    depth = frame.rows[top:] - np.float32(line)
    texture = shared_tile(frame)
    away = np.float32(0.42) / (depth + np.float32(0.05))
    across = (frame.columns - np.float32(frame.wide / 2)) * away
    puddles = sample(texture, away * 30 + across * 0 + 77, across * 22 + 200)
    ripples = sample(texture, away * 170 + across * 0, across * 60 + 40)
    mirrored = _mirror(paint, frame, top, ripples, 0.55)
    wet = smoothstep(-0.5, 0.4, puddles) * np.float32(0.55) + np.float32(0.3)
    for plane, mirror, ground in zip(paint[:, top:], mirrored, light.shadow, strict=True):
        asphalt = np.float32(ground * 0.6 + 0.02) * (1 + ripples * np.float32(0.5))
        plane[:] = asphalt + mirror * wet
