"""Where a picture is drawn: its size in pixels, its size in scene units, and its sources of chance.

Scene units do not depend on the resolution: the short side of the picture is 1, rows grow downward. The same scene
can therefore be drawn at a quarter of the size first and at full size later, and stays the same scene.

Bytes must not depend on the machine, so everything in this package keeps to operations that IEEE 754 rounds exactly
(add, multiply, divide, square root, compare), to tables, and to Pillow's C code. No BLAS and no vectorized
transcendental functions: their results differ by CPU."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = NDArray[np.float32]
"""One float32 plane of shape (height, width)."""
Paint: TypeAlias = NDArray[np.float32]
"""A picture as three planes, shape (3, height, width), display RGB, 0 to 1 with overshoot allowed until the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """`tall` and `wide` are the extents in scene units; `key` decides every random choice together with a name.

    `tiles` keeps the textures of one picture between its sizes, since they do not depend on the size.
    """

    height: int
    width: int
    tall: float
    wide: float
    key: str
    is_final: bool = True
    tiles: dict[str, Field] = field(default_factory=dict, compare=False, repr=False)

    @property
    def pixels_per_unit(self) -> float:
        return self.height / self.tall

    @property
    def rows(self) -> Field:
        """Centre of each row in scene units, shape (height, 1)."""
        return ((np.arange(self.height, dtype=np.float32) + np.float32(0.5)) * np.float32(self.tall / self.height))[
            :, None
        ]

    @property
    def columns(self) -> Field:
        """Centre of each column in scene units, shape (1, width)."""
        return ((np.arange(self.width, dtype=np.float32) + np.float32(0.5)) * np.float32(self.wide / self.width))[
            None, :
        ]

    def random(self, name: str) -> np.random.Generator:
        """A stream of chance of its own for each name, the same in every process."""
        digest = hashlib.sha256(f"{self.key}\0{name}".encode("utf-8", "surrogatepass")).digest()
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(int.from_bytes(digest, "big"))))

    def row_of(self, v: float) -> int:
        """The first row at or below `v`, inside the picture."""
        return min(max(round(v * self.pixels_per_unit), 0), self.height)

    def blank(self) -> Paint:
        return np.zeros((3, self.height, self.width), dtype=np.float32)


def frame_for(*, width: int, height: int, shrink: int, key: str, tiles: dict[str, Field]) -> Frame:
    """The frame of a picture of `width` x `height` drawn at 1/`shrink` of its size."""
    short = min(width, height)
    return Frame(
        height=max(height // shrink, 1),
        width=max(width // shrink, 1),
        tall=height / short,
        wide=width / short,
        key=key,
        is_final=shrink == 1,
        tiles=tiles,
    )


def as_field(values: Any) -> Field:
    return np.asarray(values, dtype=np.float32)
