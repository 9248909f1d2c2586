"""The whole picture after its parts: colour words, lens and lab, guidance, and colours that are not wanted.

Guidance (`guidance_scale`, 7.5 by default) says how much the words weigh against the seed's own free abstraction:

| scale | effect |
|---|---|
| 0 | the seed's abstraction alone; the words choose only chance |
| below 7.5 | the scene dissolves into the abstraction, in patches, the more the lower |
| 7.5 | the scene as described |
| above 7.5, to 30 | contrast and saturation rise, as an over-guided diffusion model's do |

At 1 and below guidance counts as off, and the negative prompt is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from graphql_api.adapters.model_endpoint.sketch.abstraction import HUES, paint_wash
from graphql_api.adapters.model_endpoint.sketch.colour import dim, excess, luminance, oklch
from graphql_api.adapters.model_endpoint.sketch.frame import Frame, Paint
from graphql_api.adapters.model_endpoint.sketch.noise import fbm, resized, smoothstep, unit

DEFAULT_GUIDANCE = 7.5
_HIGHEST_GUIDANCE = 30.0


def tint(paint: Paint, colours: Iterable[str]) -> None:
    """Colour words lean the whole picture toward their hue, keeping light and dark."""
    for name in colours:
        tone = luminance(paint)
        red, green, blue = oklch(0.7, 0.16, HUES[name])
        weight = 0.299 * red + 0.587 * green + 0.114 * blue
        for plane, value in zip(paint, (red, green, blue), strict=True):
            plane += (tone * np.float32(value / weight) - plane) * np.float32(0.42)


def grade(paint: Paint, frame: Frame) -> None:
    """Bloom around lights, a gentle shoulder and toe, and a vignette: what a lens and a lab would add."""
    high, wide = max(frame.height // 12, 1), max(frame.width // 12, 1)
    small = [np.maximum(resized(plane, high, wide) - np.float32(0.62), np.float32(0)) for plane in paint]
    for plane, light in zip(paint, small, strict=True):
        bloom = resized(resized(light, max(high // 3, 1), max(wide // 3, 1)), frame.height, frame.width)
        plane += (1 - np.minimum(plane, np.float32(1))) * np.maximum(bloom, np.float32(0)) * np.float32(0.75)
        np.clip(plane, 0, 1, out=plane)
        curve = plane * plane * (3 - 2 * plane)
        plane += (curve - plane) * np.float32(0.32)
    down = (frame.rows / np.float32(frame.tall) - np.float32(0.5)) * 2
    across = (frame.columns / np.float32(frame.wide) - np.float32(0.5)) * 2
    corner = down * down + across * across
    dim(paint, 1 - np.float32(0.11) * corner)


def guided(paint: Paint, frame: Frame, guidance_scale: float) -> Paint:
    """`paint` as far as guidance lets the words have their way."""
    if guidance_scale < DEFAULT_GUIDANCE:
        _dissolve(paint, frame, 1 - max(guidance_scale, 0.0) / DEFAULT_GUIDANCE)
    elif guidance_scale > DEFAULT_GUIDANCE:
        span = _HIGHEST_GUIDANCE - DEFAULT_GUIDANCE
        _force(paint, (min(guidance_scale, _HIGHEST_GUIDANCE) - DEFAULT_GUIDANCE) / span)
    return paint


def _dissolve(paint: Paint, frame: Frame, share: float) -> None:
    free = frame.blank()
    paint_wash(free, frame, None)
    if share >= 1:
        paint[:] = free
        return
    patches = fbm(frame, "dissolve", cells=2.5, octaves=5) * np.float32(0.5) + np.float32(0.5)
    torn = smoothstep(1.15 - 1.3 * share, 1.75 - 1.9 * share, patches)
    paint += (free - paint) * unit(torn * np.float32(0.7 + 0.3 * share) + np.float32(share * share * 0.5))


def _force(paint: Paint, share: float) -> None:
    tone = luminance(paint)
    for plane in paint:
        plane += (plane - tone) * np.float32(0.7 * share)
        plane += (plane - np.float32(0.47)) * np.float32(0.45 * share)


def remove_colours(paint: Paint, names: Iterable[str]) -> None:
    """What still leans to an unwanted colour loses that lean and turns grey."""
    for name in sorted(names):
        channels, amount = excess(paint, name)
        for channel in channels:
            paint[channel] -= amount * np.float32(0.92)
