"""Colours: hex and OKLCH to RGB, mixing on a picture, ramps, and the measure of a named colour in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from graphql_api.adapters.model_endpoint.sketch.frame import Field, Paint, as_field

Colour: TypeAlias = tuple[float, float, float]


def rgb(code: str) -> Colour:
    """'#f80' or 'ff8800' as three numbers from 0 to 1."""
    code = code.removeprefix("#")
    if len(code) == 3:
        code = "".join(2 * digit for digit in code)
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def mixed(a: Colour, b: Colour, share: float) -> Colour:
    """`a` at share 0, `b` at share 1."""
    red, green, blue = (x + (y - x) * share for x, y in zip(a, b, strict=True))
    return red, green, blue


def scaled(colour: Colour, factor: float) -> Colour:
    red, green, blue = (channel * factor for channel in colour)
    return red, green, blue


def oklch(lightness: float, chroma: float, hue_turns: float) -> Colour:
    """A colour of even perceived lightness (Ottosson, OKLab), clipped to what a display shows."""
    a, b = chroma * math.cos(hue_turns * math.tau), chroma * math.sin(hue_turns * math.tau)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    # Rounded, so that a libm that differs in the last bit cannot reach the bytes.
    red, green, blue = (round(_encoded(min(max(value, 0.0), 1.0)), 5) for value in linear)
    return red, green, blue


def _encoded(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def cover(paint: Paint, colour: Colour | Sequence[Field], mask: Field | float) -> None:
    """Mix `colour` (one colour, or three planes) into `paint` by `mask`, in place."""
    for plane, value in zip(paint, colour, strict=True):
        plane += (np.asarray(value, dtype=np.float32) - plane) * mask


def glow(paint: Paint, colour: Colour, mask: Field) -> None:
    """Add light: brightens by screen, so it never passes white by itself."""
    for plane, value in zip(paint, colour, strict=True):
        plane += (1 - np.minimum(plane, np.float32(1))) * (mask * np.float32(value))


def dim(paint: Paint, factor: Field | float) -> None:
    for plane in paint:
        plane *= factor


def ramp(stops: Sequence[Colour], position: Field) -> tuple[Field, Field, Field]:
    """Colours along evenly spaced `stops` at `position` (0 to 1), by a table of 1024 entries."""
    places = np.linspace(0, len(stops) - 1, 1024)
    index = np.clip(position * 1023, 0, 1023).astype(np.int32)
    red, green, blue = (
        as_field(np.interp(places, np.arange(len(stops)), [stop[channel] for stop in stops])).take(index)
        for channel in range(3)
    )
    return red, green, blue


def luminance(paint: Paint) -> Field:
    return as_field(paint[0] * np.float32(0.299) + paint[1] * np.float32(0.587) + paint[2] * np.float32(0.114))


def excess(paint: Paint, name: str) -> tuple[tuple[int, ...], Field]:
    """How far a picture leans to a named colour: the channels that carry it, and by how much they stand out."""
    red, green, blue = paint
    carriers: dict[str, tuple[tuple[int, ...], Field]] = {
        "red": ((0,), red - np.maximum(green, blue)),
        "green": ((1,), green - np.maximum(red, blue)),
        "blue": ((2,), blue - np.maximum(red, green)),
        "yellow": ((0, 1), np.minimum(red, green) - blue),
        "orange": ((0,), red - np.maximum(green, blue)),
        "purple": ((0, 2), np.minimum(red, blue) - green),
        "pink": ((0, 2), np.minimum(red, blue) - green),
        "teal": ((1, 2), np.minimum(green, blue) - red),
    }
    channels, amount = carriers[name]
    return channels, np.maximum(amount, np.float32(0))
