"""A picture as a terminal can show it: as an image where it knows how, or else as coloured half blocks.

The kitty graphics protocol: https://sw.kovidgoyal.net/kitty/graphics-protocol/
Inline images of iTerm2: https://iterm2.com/documentation-images.html
Sixels are not written: no library for them is kept up.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

MAX_COLUMNS = 48
MAX_ROWS = 20
CELL_ASPECT = 2.0
"""About how much higher than wide a character is."""
LONGEST_SIDE = 512
"""Larger pictures are made smaller before they are sent: finished images may have megabytes."""

_KITTY_CHUNK = 4096
_KITTY_ID = 0x7432
"""Any number: the next picture with the same one takes the place of the last."""


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the terminal, in characters."""

    columns: int
    rows: int

    @classmethod
    def for_picture(cls, width: int, height: int, *, columns: int, rows: int) -> Area | None:
        """The area for a picture of so many pixels in a terminal of so many characters; None where there is no room."""
        most_columns, most_rows = min(MAX_COLUMNS, columns - 1), min(MAX_ROWS, rows - 4)
        if most_columns < 8 or most_rows < 4:
            return None
        fitting = min(most_columns, most_rows * CELL_ASPECT * width / height)
        fitting_rows = round(fitting * height / width / CELL_ASPECT)
        return cls(columns=max(1, int(fitting)), rows=max(1, min(most_rows, fitting_rows)))


class Painter(Protocol):
    """A way to show pictures."""

    def paint(self, picture: Image.Image, area: Area) -> str:
        """What to write where the upper left corner is. The cursor ends up anywhere in the area, or right below."""
        ...


class Kitty:
    """The kitty graphics protocol, which ghostty speaks too."""

    def paint(self, picture: Image.Image, area: Area) -> str:
        """See Painter."""
        data = base64.standard_b64encode(_png(picture)).decode()
        chunks = [data[start : start + _KITTY_CHUNK] for start in range(0, len(data), _KITTY_CHUNK)]
        # Transmit and display PNG in so many cells, leave the cursor alone (C=1), answer nothing (q=2).
        head = f"a=T,f=100,i={_KITTY_ID},p=1,c={area.columns},r={area.rows},C=1,q=2,"
        parts = []
        for number, chunk in enumerate(chunks):
            more = int(number < len(chunks) - 1)
            parts.append(f"\x1b_G{head if number == 0 else ''}m={more};{chunk}\x1b\\")
        return "".join(parts)


class Iterm:
    """Inline images of iTerm2, which WezTerm and mintty speak too."""

    def paint(self, picture: Image.Image, area: Area) -> str:
        """See Painter."""
        body = _png(picture)
        size = f"width={area.columns};height={area.rows};preserveAspectRatio=1"
        return f"\x1b]1337;File=inline=1;size={len(body)};{size}:{base64.standard_b64encode(body).decode()}\a"


class HalfBlocks:
    """Characters whose upper half has one colour and whose lower half has another, of 16 million each."""

    def paint(self, picture: Image.Image, area: Area) -> str:
        """See Painter."""
        small = picture.convert("RGB").resize((area.columns, area.rows * 2), Image.Resampling.BOX)
        pixels = small.tobytes()
        width = area.columns * 3
        lines = []
        for row in range(area.rows):
            upper = pixels[2 * row * width : (2 * row + 1) * width]
            lower = pixels[(2 * row + 1) * width : (2 * row + 2) * width]
            lines.append("".join(_cells(upper, lower)) + "\x1b[0m")
        # Down by a move: a line feed would scroll at the end of the screen.
        return "\r\x1b[B".join(lines)


def _cells(upper: bytes, lower: bytes) -> Iterator[str]:
    for at in range(0, len(upper), 3):
        top = ";".join(map(str, upper[at : at + 3]))
        bottom = ";".join(map(str, lower[at : at + 3]))
        yield f"\x1b[38;2;{top};48;2;{bottom}m\N{UPPER HALF BLOCK}"


def painter_for(environment: Mapping[str, str], *, has_true_color: bool) -> Painter | None:
    """What a terminal can show, as its environment tells; None where it can show nothing.

    tmux and screen do not pass pictures on, whatever terminal is around them.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    is_multiplexed = "TMUX" in environment or term.startswith(("screen", "tmux"))
    if not is_multiplexed:
        if "KITTY_WINDOW_ID" in environment or program == "ghostty" or term in ("xterm-kitty", "xterm-ghostty"):
            return Kitty()
        if program in ("iTerm.app", "WezTerm", "mintty") or environment.get("LC_TERMINAL") == "iTerm2":
            return Iterm()
    return HalfBlocks() if has_true_color else None


def open_picture(body: bytes) -> Image.Image | None:
    """A picture from its file, at most LONGEST_SIDE pixels long; None when it is none."""
    try:
        picture = Image.open(io.BytesIO(body)).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return picture


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()
