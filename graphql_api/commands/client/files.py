"""Where images are written."""

from __future__ import annotations

import os
from pathlib import Path

from graphql_api.commands.client.views import Picture
from graphql_api.commands.usage import Exit, Stopped
from graphql_api.domain.generation import ImageFormat

FORMATS = {".jpg": ImageFormat.JPEG, ".jpeg": ImageFormat.JPEG, ".png": ImageFormat.PNG, ".webp": ImageFormat.WEBP}
_PLACES = ("{n}", "{seed}")


def format_of(output: Path) -> ImageFormat:
    """The format that the ending says. Raises Stopped."""
    try:
        return FORMATS[output.suffix.lower()]
    except KeyError:
        raise Stopped(f"{output} must end in {', '.join(FORMATS)}.", Exit.WRONG_USAGE) from None


def check_folder(output: Path) -> None:
    """Find out that nothing can be written there before an image is paid for. Raises Stopped."""
    if not output.parent.is_dir():
        raise Stopped(f"{output} cannot be written: there is no folder {output.parent}.", Exit.WRONG_USAGE)
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise Stopped(f"{output} cannot be written.", Exit.WRONG_USAGE)


def path_of(output: Path, picture: Picture, count: int) -> Path:
    """The file of an image of `count`. `{n}` and `{seed}` in the name stand for its number and seed; where there are
    neither, and several images, the number goes before the ending."""
    name = output.name
    if count > 1 and not any(place in name for place in _PLACES):
        name = f"{output.stem}-{{n}}{output.suffix}"
    return output.with_name(name.replace("{n}", str(picture.number)).replace("{seed}", str(picture.seed)))


def write(path: Path, body: bytes) -> None:
    """Write an image. Raises Stopped."""
    try:
        path.write_bytes(body)
    except OSError as error:
        raise Stopped(f"{path} cannot be written: {error.strerror}.") from error
