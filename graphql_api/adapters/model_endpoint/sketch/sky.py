"""What is above the horizon: gradient, clouds, sun or moon, stars, aurora, and deep space."""

from __future__ import annotations

import numpy as np

from graphql_api.adapters.model_endpoint.sketch.colour import cover, dim, glow, mixed, oklch, ramp, rgb
from graphql_api.adapters.model_endpoint.sketch.frame import Field, Frame, Paint, as_field
from graphql_api.adapters.model_endpoint.sketch.light import Light
from graphql_api.adapters.model_endpoint.sketch.noise import (
    BILINEAR,
    bell,
    fbm,
    profile,
    resized,
    sample,
    shared_tile,
    sine,
    smoothstep,
    spot,
    unit,
)


def paint_gradient(paint: Paint, frame: Frame, light: Light, horizon: float) -> None:
    drift = fbm(frame, "sky drift", cells=1.5, octaves=2, stretch=(1.0, 2.0)) * np.float32(0.03)
    for plane, values in zip(paint, ramp(light.sky, unit(frame.rows / np.float32(horizon) + drift)), strict=True):
        plane[:] = values


def sun_place(frame: Frame, light: Light, horizon: float) -> tuple[float, float]:
    """(down, across) of sun or moon, off the middle by a third to either side."""
    rng = frame.random("sun place")
    across = frame.wide * (0.5 + float(rng.choice([-1, 1])) * float(rng.uniform(0.06, 0.24)))
    return max(horizon - light.sun_height, 0.13), across


def distance(frame: Frame, down: float, across: float) -> Field:
    """From every pixel to one place, in scene units."""
    return as_field(np.sqrt(np.square(frame.rows - np.float32(down)) + np.square(frame.columns - np.float32(across))))


def paint_sun(paint: Paint, frame: Frame, light: Light, place: tuple[float, float]) -> None:
    away = distance(frame, *place)
    glow(
        paint,
        light.haze,
        bell(away * np.float32(2.6)) * np.float32((0.55 if light.sun_height < 0.35 else 0.2) * light.strength),
    )
    glow(paint, light.sun, bell(away * np.float32(9)) * np.float32(0.8 * light.strength))
    radius = 0.032 + 0.02 * unit(1 - light.sun_height * 2)
    disc = smoothstep(float(radius) + 1.2 / frame.pixels_per_unit, float(radius) - 1.2 / frame.pixels_per_unit, away)
    if light.name in ("overcast", "storm"):
        disc *= np.float32(0.35)
    cover(paint, mixed(light.sun, (1.0, 1.0, 1.0), 0.5), disc)


def paint_moon(paint: Paint, frame: Frame, light: Light, place: tuple[float, float]) -> None:
    radius = 0.06
    away = distance(frame, *place)
    glow(paint, light.sun, bell(away * np.float32(5)) * np.float32(0.4))
    edge = 1.2 / frame.pixels_per_unit
    disc = smoothstep(radius + edge, radius - edge, away)
    maria = 0.86 + 0.16 * fbm(frame, "maria", cells=11, octaves=3)
    face = [np.float32(channel) * maria for channel in (0.98, 0.97, 0.92)]
    cover(paint, face, disc)


def paint_stars(paint: Paint, frame: Frame, horizon: float, density: float = 1.0) -> None:
    """Points of light that keep their place at every resolution; the brightest have a halo."""
    rng = frame.random("stars")
    count = int(620 * density * frame.wide * horizon)
    down, across = rng.uniform(0, horizon, count), rng.uniform(0, frame.wide, count)
    rarely_bright = np.square(np.square(rng.random(count)))
    bright = (rarely_bright * 0.9 + 0.12) * np.clip((horizon - down) / 0.3, 0.1, 1)
    layer = np.zeros((frame.height, frame.width), dtype=np.float32)
    per_unit = frame.pixels_per_unit
    y = np.clip((down * per_unit).astype(np.intp), 0, frame.height - 1)
    x = np.clip((across * per_unit).astype(np.intp), 0, frame.width - 1)
    np.maximum.at(layer, (y, x), as_field(bright) * np.float32(min(1.0, per_unit / 500)))
    glow(paint, (0.95, 0.97, 1.0), layer)
    warm = rng.random(count)
    for i in np.argsort(-bright)[: 7 + int(6 * density)]:
        hue = rgb("ffd9b0") if warm[i] > 0.6 else rgb("cfe0ff")
        _paint_halo(paint, frame, (float(down[i]), float(across[i])), float(bright[i]), hue)


def _paint_halo(
    paint: Paint, frame: Frame, place: tuple[float, float], bright: float, hue: tuple[float, float, float]
) -> None:
    reach = 0.022 * bright + 0.003
    per_unit = frame.pixels_per_unit
    top, bottom = (min(max(int((place[0] + side * reach) * per_unit), 0), frame.height) for side in (-1, 1))
    left, right = (min(max(int((place[1] + side * reach) * per_unit), 0), frame.width) for side in (-1, 1))
    if top >= bottom or left >= right:
        return
    down = (np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5) / per_unit - place[0]
    across = (np.arange(left, right, dtype=np.float32)[None, :] + 0.5) / per_unit - place[1]
    away = as_field(np.sqrt(down * down + across * across)) / np.float32(reach)
    mask = (bell(away * 9) + 0.35 * bell(away * 3.5)) * spot(away) * np.float32(bright)
    glow(paint[:, top:bottom, left:right], hue, mask)


def paint_clouds(paint: Paint, frame: Frame, light: Light, horizon: float, amount: float) -> None:
    """Clouds flat toward the horizon, lit from the sun's side."""
    rows = frame.row_of(horizon)
    if rows < 2:
        return
    depth = np.float32(horizon * 1.12) - frame.rows[:rows]
    rng = frame.random("cloud offset")
    texture = shared_tile(frame)
    across = (frame.columns - np.float32(frame.wide / 2)) / (depth + 0.16) * 84 + np.float32(rng.uniform(200, 800))
    down = np.float32(66) / (depth + 0.16) + np.float32(rng.uniform(100, 500)) + 0 * across
    body = sample(texture, down, across)
    lit = body - sample(texture, down + 7, across - 5)
    edge = 0.36 - 0.6 * amount
    thick = smoothstep(edge, edge + 0.65, body) * np.float32(0.92)
    bottom = mixed(mixed(light.cloud, light.sky[-2], 0.45), light.shadow, 0.22 if light.sun_height > 0.16 else 0.5)
    tone = unit(0.55 + lit * 1.3)
    colours = [np.float32(low) + tone * np.float32(high - low) for low, high in zip(bottom, light.cloud, strict=True)]
    fade = smoothstep(0.0, 0.22, depth - np.float32(horizon * 0.12))
    cover(paint[:, :rows], colours, thick * fade)


def paint_aurora(paint: Paint, frame: Frame, horizon: float) -> None:
    """Curtains of light that hang from wavering lower edges, with fine vertical rays."""
    for curtain in range(3):
        rng = frame.random(f"curtain {curtain}")
        base = horizon * float(rng.uniform(0.52, 0.8)) + 0.13 * profile_smooth(frame, f"fold {curtain}")
        reach = np.float32(rng.uniform(0.26, 0.5))
        above = (base[None, :] - frame.rows) / reach
        rays = 0.62 + 0.5 * profile(frame, f"rays {curtain}", cells=14, octaves=3, gain=0.7)
        presence = smoothstep(-0.5, 0.6, profile_smooth(frame, f"presence {curtain}"))
        body = smoothstep(-0.06, 0.07, above) * np.square(unit(1 - above)) * (rays * presence)[None, :]
        height = unit(above)
        glow(paint, (0.16, 1.0, 0.55), body * (1 - height) * np.float32(0.85))
        glow(paint, (0.55, 0.25, 0.95), body * height * np.float32(1.3))


def profile_smooth(frame: Frame, name: str) -> Field:
    """A slow curve over the columns without corners, about -1 to 1."""
    rng = frame.random(name)
    points = as_field(rng.uniform(-1, 1, (1, max(int(3 * frame.wide) + 1, 3))))
    curve: Field = resized(np.repeat(points, 2, axis=0), 2, frame.width)[0]
    return curve


def paint_space(paint: Paint, frame: Frame, hue: float) -> None:
    """A nebula of three gases over black: noise looked up through noise, brighter where two of them meet."""
    high, wide = max(frame.height // 2, 2), max(frame.width // 2, 2)
    half = Frame(height=high, width=wide, tall=frame.tall, wide=frame.wide, key=frame.key)
    texture = shared_tile(frame)
    bend = [fbm(half, f"bend {axis}", cells=1.6, octaves=4) for axis in "yx"]
    clouds = [_gas(half, texture, bend, offset, 70.0 if offset else 110.0) for offset in (0.0, 190.0, 410.0)]
    lane = fbm(half, "lane", cells=1.3, octaves=3)
    band = bell(
        (half.rows - np.float32(frame.tall / 2) + (half.columns - np.float32(frame.wide / 2)) * 0.55 + lane * 0.22)
        * 2.6
    )
    paint[:] = as_field((0.012, 0.014, 0.035))[:, None, None]
    for gas, turn, strength in zip(clouds, (0.0, 0.17, -0.2), (1.1, 1.0, 0.9), strict=True):
        body = resized(np.square(unit(gas * 0.85 + 0.32)) * (0.16 + band * 1.05), frame.height, frame.width, BILINEAR)
        glow(paint, oklch(0.66, 0.19, hue + turn), body * np.float32(strength * 0.8))
    core = np.square(unit(clouds[0] * 0.6 + clouds[1] * 0.5 + 0.1)) * band
    glow(paint, oklch(0.9, 0.08, hue + 0.2), resized(core, frame.height, frame.width, BILINEAR) * np.float32(0.9))
    dust = smoothstep(0.15, 0.75, clouds[2] - 0.5 * clouds[1])
    dim(paint, resized(1 - dust * np.float32(0.72), frame.height, frame.width, BILINEAR))


def _gas(half: Frame, texture: Field, bend: list[Field], offset: float, scale: float) -> Field:
    down = half.rows * np.float32(scale) + bend[0] * 26 + np.float32(offset)
    across = half.columns * np.float32(scale) + bend[1] * 26 + np.float32(offset * 1.7)
    return sample(texture, down, across)


def paint_planet(paint: Paint, frame: Frame, hue: float) -> None:
    """A banded planet with a terminator, its ring behind and before it."""
    rng = frame.random("planet")
    radius = float(rng.uniform(0.17, 0.24))
    place = (frame.tall * float(rng.uniform(0.35, 0.5)), frame.wide * float(rng.uniform(0.3, 0.7)))
    away = distance(frame, *place) / np.float32(radius)
    down, across = (frame.rows - np.float32(place[0])) / radius, (frame.columns - np.float32(place[1])) / radius
    bulge = np.sqrt(np.maximum(1 - away * away, np.float32(0)))
    bands = down * 3.1 + across * 0.5 + 0.16 * fbm(frame, "bands", cells=9, octaves=4, stretch=(1.0, 3.0))
    stripes = ramp(
        [oklch(0.45, 0.1, hue), oklch(0.72, 0.11, hue + 0.06), oklch(0.86, 0.06, hue + 0.1)], 0.5 + 0.5 * sine(bands)
    )
    lit = unit((bulge * 0.55 - across * 0.62 - down * 0.5) * 1.25) + np.float32(0.03)
    edge = 1.5 / (frame.pixels_per_unit * radius)
    ring = _ring(down, across)
    glow(paint, oklch(0.85, 0.06, hue + 0.1), ring * np.float32(0.8))
    cover(paint, [stripe * lit for stripe in stripes], smoothstep(1 + edge, 1 - edge, away))
    before = smoothstep(-0.02, 0.02, down + across * 0.35)
    glow(paint, oklch(0.85, 0.06, hue + 0.1), ring * before * np.float32(0.8))
    glow(paint, oklch(0.75, 0.1, hue + 0.5), bell((away - 1) * 16) * lit * np.float32(0.3))


def _ring(down: Field, across: Field) -> Field:
    tilted, along = (down + across * 0.35) * 3.6, across - down * 0.35
    span = as_field(np.sqrt(tilted * tilted + along * along))
    grooves = 0.72 + 0.28 * sine(span * 7.3)
    return smoothstep(1.3, 1.38, span) * smoothstep(2.1, 1.98, span) * grooves
