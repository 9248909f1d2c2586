"""What the command line makes of jobs, names and pictures, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from graphql_api.commands.client.files import path_of
from graphql_api.commands.client.painting import Area, HalfBlocks, Iterm, Kitty, open_picture, painter_for
from graphql_api.commands.client.text import full_id, nearest, printable, short_id
from graphql_api.commands.client.views import Picture, pictures_with_numbers
from graphql_api.domain.ids import global_id, new_job_id


def picture(number: int = 1, seed: int = 7) -> Picture:
    return Picture(number=number, url=None, format="PNG", width=8, height=8, size_bytes=1, seed=seed, sha256="")


@pytest.mark.parametrize(
    ("output", "count", "name"),
    [
        ("a.png", 1, "a.png"),
        ("a.png", 2, "a-2.png"),
        ("a.b.png", 2, "a.b-2.png"),
        ("{n}.png", 1, "2.png"),
        ("{n} {seed}.png", 2, "2 7.png"),
        ("{seed}.png", 2, "7.png"),
        ("{other}.png", 1, "{other}.png"),
    ],
)
def test_name_of_a_file_is_made_from_number_and_seed(output: str, count: int, name: str) -> None:
    assert path_of(Path("{n}") / output, picture(number=2), count) == Path("{n}") / name


def test_images_keep_their_numbers_where_others_are_withheld() -> None:
    fields: dict[str, Any] = {name: getattr(picture(), name) for name in Picture.__dataclass_fields__}
    del fields["number"]
    numbered = pictures_with_numbers([fields, fields], [{"index": 0}, {"index": 2}])
    assert [each.number for each in numbered] == [2, 4]


def test_text_of_others_cannot_command_the_terminal() -> None:
    assert printable("a\x1b[31m\x9b2J\u202eb\r\n\tc") == "a\ufffd[31m\ufffd2J\ufffdb c"


def test_either_id_of_a_job_leads_to_the_other() -> None:
    job_id = new_job_id()
    opaque = global_id("GenerationJob", job_id)
    assert (short_id(opaque), full_id(job_id), full_id(opaque)) == (job_id, opaque, opaque)
    assert (short_id("else"), full_id("else")) == ("else", "else")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [("Watercolour", "Nearest: watercolor."), ("xyz", "There are: charcoal, watercolor.")],
)
def test_names_that_may_be_meant_are_told(asked: str, sentence: str) -> None:
    assert nearest(asked, ["watercolor", "charcoal"]) == sentence
    assert nearest(asked, []) == ""


@pytest.mark.parametrize(
    ("environment", "has_true_color", "painter"),
    [
        ({"KITTY_WINDOW_ID": "1"}, False, Kitty),
        ({"TERM": "xterm-kitty"}, False, Kitty),
        ({"TERM_PROGRAM": "ghostty"}, True, Kitty),
        ({"TERM_PROGRAM": "iTerm.app"}, True, Iterm),
        ({"TERM_PROGRAM": "WezTerm"}, True, Iterm),
        ({"LC_TERMINAL": "iTerm2"}, True, Iterm),
        ({"TERM_PROGRAM": "vscode"}, True, HalfBlocks),
        ({"TERM": "tmux-256color", "LC_TERMINAL": "iTerm2"}, True, HalfBlocks),
        ({"TERM": "screen", "KITTY_WINDOW_ID": "1"}, False, type(None)),
        ({}, False, type(None)),
    ],
    ids=str,
)
def test_terminal_is_known_by_its_environment(
    environment: dict[str, str], has_true_color: bool, painter: type[object]
) -> None:
    assert type(painter_for(environment, has_true_color=has_true_color)) is painter


@pytest.mark.parametrize(
    ("width", "height", "columns", "rows", "area"),
    [
        (768, 768, 120, 40, Area(40, 20)),
        (1024, 512, 120, 40, Area(48, 12)),
        (512, 1024, 120, 40, Area(20, 20)),
        (768, 768, 20, 40, Area(19, 10)),
        (768, 768, 120, 12, Area(16, 8)),
        (768, 768, 8, 40, None),
        (768, 768, 120, 7, None),
        (4096, 8, 120, 40, Area(48, 1)),
        (8, 4096, 120, 40, Area(1, 20)),
    ],
)
def test_picture_keeps_its_shape_in_the_room_that_there_is(
    width: int, height: int, columns: int, rows: int, area: Area | None
) -> None:
    assert Area.for_picture(width, height, columns=columns, rows=rows) == area


def test_half_blocks_have_the_colours_of_the_picture() -> None:
    halves = Image.new("RGB", (2, 2), (255, 0, 0))
    halves.putpixel((0, 1), (0, 0, 255))
    halves.putpixel((1, 1), (0, 255, 0))
    assert HalfBlocks().paint(halves, Area(2, 1)) == (
        "\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[38;2;255;0;0;48;2;0;255;0m▀\x1b[0m"
    )


def test_what_is_no_picture_is_not_shown() -> None:
    assert open_picture(b"") is None
    assert open_picture(b"<html>") is None
