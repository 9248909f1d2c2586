"""Weather in front of everything: banks of fog, lightning, rain and falling snow."""

from __future__ import annotations

import numpy as np

from graphql_api.adapters.model_endpoint.sketch.colour import glow, mixed, rgb
from graphql_api.adapters.model_endpoint.sketch.easel import Easel
from graphql_api.adapters.model_endpoint.sketch.frame import Frame, Paint
from graphql_api.adapters.model_endpoint.sketch.light import Light
from graphql_api.adapters.model_endpoint.sketch.noise import bell, blurred, fbm, smoothstep, unit


def paint_fog(paint: Paint, frame: Frame, light: Light, line: float) -> None:
    """A bank that lies along `line`."""
    bank = fbm(frame, "fog bank", cells=1.6, octaves=5, stretch=(0.6, 2.2)) * np.float32(0.3)
    mist = unit(bell((frame.rows - np.float32(line)) * np.float32(4.5)) * (np.float32(0.8) + bank))
    for plane, value in zip(paint, light.haze, strict=True):
        plane += (np.float32(value) - plane) * mist


def paint_lightning(paint: Paint, frame: Frame, horizon: float) -> None:
    rng = frame.random("bolt")
    x, y = frame.wide * float(rng.uniform(0.25, 0.75)), 0.0
    points = [(x, y)]
    while y < horizon:
        x, y = x + float(rng.normal(0, 0.028)), y + float(rng.uniform(0.015, 0.05))
        points.append((x, y))
    easel = Easel(frame)
    easel.line(points, 0.006, (1.0, 1.0, 1.0))
    fork = points[len(points) // 3]
    easel.line(
        [fork, *[(fork[0] + 0.03 * i + float(rng.normal(0, 0.012)), fork[1] + 0.035 * i) for i in range(1, 7)]],
        0.003,
        (1, 1, 1),
    )
    bolt = easel.coverage()
    glow(paint, rgb("b8c4ff"), unit(blurred(bolt, 0.05 * frame.pixels_per_unit) * np.float32(3)) * np.float32(0.7))
    glow(paint, (1.0, 1.0, 1.0), bolt)


def paint_rain(paint: Paint, frame: Frame, light: Light) -> None:
    streaks = fbm(frame, "rain", cells=420, octaves=1, stretch=(22.0, 1.0))
    slanted = fbm(frame, "gusts", cells=2, octaves=3)
    glow(
        paint,
        mixed(light.haze, (1, 1, 1), 0.5),
        smoothstep(0.5, 1.25, streaks + slanted * 0.25) * np.float32(0.26),
    )


def paint_snowfall(paint: Paint, frame: Frame) -> None:
    rng = frame.random("snowfall")
    easel = Easel(frame)
    for _ in range(int(260 * min(frame.wide * frame.tall, 3))):
        size = 0.0012 + 0.0042 * float(rng.random()) ** 3
        easel.ellipse((float(rng.uniform(0, frame.wide)), float(rng.uniform(0, frame.tall))), size, size, (1, 1, 1))
    easel.hang(paint, 0.7)
