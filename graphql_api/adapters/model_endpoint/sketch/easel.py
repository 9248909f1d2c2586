"""Flat opaque shapes with smooth edges, drawn by Pillow at twice the size and laid over a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from graphql_api.adapters.model_endpoint.sketch.colour import Colour
from graphql_api.adapters.model_endpoint.sketch.frame import Field, Frame, Paint, as_field

Point: TypeAlias = tuple[float, float]
"""(across, down) in scene units."""

_FINER = 2


class Easel:
    """Collects shapes for one layer. Later shapes hide earlier ones."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._scale = frame.pixels_per_unit * _FINER
        self._image = Image.new("RGBX", (frame.width * _FINER, frame.height * _FINER))
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Iterable[Point], colour: Colour) -> None:
        scale = self._scale
        self._draw.polygon([(x * scale, y * scale) for x, y in points], fill=_ink(colour))

    def polygons(self, points: NDArray[np.floating[Any]], colours: NDArray[np.floating[Any]]) -> None:
        """Polygons of equally many corners, in order: `points` (count, corners, 2), `colours` (count, 3)."""
        placed = (points * self._scale).reshape(len(points), -1).tolist()
        inks = np.full((len(colours), 4), 255, dtype=np.uint8)
        inks[:, :3] = np.clip(colours * 255 + 0.5, 0, 255)
        draw = self._draw.polygon
        for corners, ink in zip(placed, inks.tolist(), strict=True):
            draw(corners, tuple(ink))

    def ellipse(self, centre: Point, across: float, down: float, colour: Colour) -> None:
        (x, y), scale = centre, self._scale
        self._draw.ellipse(
            ((x - across) * scale, (y - down) * scale, (x + across) * scale, (y + down) * scale), fill=_ink(colour)
        )

    def pie(self, centre: Point, radius: float, start: float, end: float, colour: Colour) -> None:
        (x, y), scale = centre, self._scale
        box = ((x - radius) * scale, (y - radius) * scale, (x + radius) * scale, (y + radius) * scale)
        self._draw.pieslice(box, start, end, fill=_ink(colour))

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        if right <= left or bottom <= top:
            return
        scale = self._scale
        self._draw.rectangle((left * scale, top * scale, right * scale, bottom * scale), fill=_ink(colour))

    def line(self, points: Sequence[Point], thickness: float, colour: Colour) -> None:
        scale = self._scale
        placed = [(x * scale, y * scale) for x, y in points]
        self._draw.line(placed, fill=_ink(colour), width=max(round(thickness * scale), 1), joint="curve")

    def hang(self, paint: Paint, opacity: Field | float = 1.0) -> None:
        """Lay the shapes over `paint`, in place."""
        planes = self._planes()
        # The fourth channel is coverage, but Pillow is not told so (RGBX): it would undo what the next line relies on.
        # The empty easel is transparent black and shapes are opaque, so averaging leaves colours multiplied by their
        # coverage.
        keep = 1 - planes[3] * opacity
        for plane, shape in zip(paint, planes, strict=False):
            plane *= keep
            plane += shape * opacity

    def coverage(self) -> Field:
        """How much of each pixel the shapes cover, 0 to 1."""
        coverage: Field = self._planes()[3]
        return coverage

    def _planes(self) -> Paint:
        pixels = np.asarray(self._image.reduce(_FINER))
        return as_field(np.ascontiguousarray(pixels.transpose(2, 0, 1))) * np.float32(1 / 255)


def _ink(colour: Colour) -> tuple[int, int, int, int]:
    red, green, blue = (min(max(int(channel * 255 + 0.5), 0), 255) for channel in colour)
    return red, green, blue, 255
