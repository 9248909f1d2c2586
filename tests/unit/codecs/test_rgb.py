"""Nested arrays of pixels, against what `json.loads` makes of them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphql_api.codecs import _rgb
from graphql_api.codecs._rgb import NotRgb, read_rgb
from graphql_api.ports import RawPicture


def by_the_book(text: bytes) -> list[RawPicture] | None:
    """The images in a text, the slow way; None when it is something else."""
    try:
        found = json.loads(text)
        images = found if isinstance(found[0][0][0], list) else [found]
        pictures = [_picture(image) for image in images]
    except (ValueError, TypeError, IndexError, AssertionError):
        return None
    # One request asks for one size, and a negative zero is nothing that a container writes.
    return pictures if len({each.width for each in pictures}) == 1 and b"-" not in text else None


def _picture(image: Sequence[Sequence[Sequence[int]]]) -> RawPicture:
    width = len(image[0])
    assert width
    assert all(len(row) == width for row in image)
    assert all(len(pixel) == 3 and all(type(value) is int for value in pixel) for row in image for pixel in row)
    rgb = bytes(value for row in image for pixel in row for value in pixel)
    return RawPicture(width=width, height=len(image), rgb=rgb)


def read(text: bytes) -> list[RawPicture] | None:
    try:
        return read_rgb(text, 0, len(text))
    except NotRgb as refusal:
        assert not re.search(r'["{}:]', str(refusal))
        return None


@pytest.fixture(params=[1, 7, 64, 1 << 17])
def _slices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices so small that every text is cut, and some that are not."""
    monkeypatch.setattr(_rgb, "SLICE_BYTES", request.param)


in_small_slices = pytest.mark.usefixtures("_slices")

blanks = st.sampled_from(["", "", " ", "  ", "\n", "\t", "\r\n", "\n   "])
values = st.integers(0, 255)


@st.composite
def images(draw: st.DrawFn) -> list[list[list[list[int]]]]:
    height, width, count = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    pixel = st.lists(values, min_size=3, max_size=3)
    row = st.lists(pixel, min_size=width, max_size=width)
    return draw(st.lists(st.lists(row, min_size=height, max_size=height), min_size=count, max_size=count))


@in_small_slices
@given(nested=images(), separators=st.sampled_from([(", ", ": "), (",", ":")]), indent=st.sampled_from([None, 0, 2]))
@settings(max_examples=50)
def test_pixels_are_read_however_they_are_laid_out(
    nested: list[list[list[list[int]]]], separators: tuple[str, str], indent: int | None
) -> None:
    for found in (nested, nested[0]):
        text = json.dumps(found, separators=separators, indent=indent).encode()
        expected = by_the_book(text)

        assert expected is not None
        assert read(text) == expected


@in_small_slices
@given(nested=images(), data=st.data())
@settings(max_examples=50)
def test_white_space_may_be_anywhere_between_numbers(nested: list[list[list[list[int]]]], data: st.DataObject) -> None:
    tokens = re.findall(r"\d+|.", json.dumps(nested, separators=(",", ":")))
    text = "".join(token + data.draw(blanks) for token in tokens[:-1]).encode() + b"]"

    assert read(text) == by_the_book(json.dumps(nested).encode())


@in_small_slices
@given(nested=images(), data=st.data())
@settings(max_examples=150)
def test_damaged_pixels_are_refused_unless_they_are_sound(
    nested: list[list[list[list[int]]]], data: st.DataObject
) -> None:
    text = bytearray(json.dumps(nested).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 2))
        cut = data.draw(st.integers(0, 2))
        noise = data.draw(
            st.sampled_from([b"", b"0", b"5", b"9", b",", b" ", b"[", b"]", b"-", b".", b"e", b"\0", b"], ["])
        )
        text[place : min(place + cut, len(text) - 1)] = noise
    damaged = bytes(text)

    assert read(damaged) == by_the_book(damaged)


@in_small_slices
@given(text=st.text("[], 0125", max_size=40))
@settings(max_examples=150)
def test_any_brackets_and_numbers_are_read_or_refused_as_json_is(text: str) -> None:
    body = f"[[[{text}]]]".encode()

    assert read(body) == by_the_book(body)


@in_small_slices
@pytest.mark.parametrize(
    "text",
    [
        b"[[[1, 2, 3], [4, 5], [6, 7, 8, 9]]]",
        b"[[[1, 2], [3, 4, 5, 6]]]",
        b"[[[1, 2, 3]], [[4, 5, 6], [7, 8, 9]]]",
        b"[[[1, 2, 3], 4, [5, 6]]]",
        b"[[[1, 2, [3]]]]",
        b"[[[[1, 2, 3]]], [[1, 2, 3]]]",
        b"[[[[1, 2, 3]]], [[[1, 2, 3], [4, 5, 6]]]]",
        b"[[[1, 2, 256]]]",
        b"[[[1, 2, 999]]]",
        b"[[[1, 2, 300]]]",
        b"[[[1, 2, 1000]]]",
        b"[[[1, 2, " + b"1" * 400 + b"]]]",
        b"[[[1, 2, -3]]]",
        b"[[[1, 2, 3.0]]]",
        b"[[[1, 2, 1e1]]]",
        b"[[[1, 2, 03]]]",
        b"[[[1, 2, 003]]]",
        b"[[[1, 2, 00]]]",
        b"[[[1, 2 2, 3]]]",
        b"[[[1 2, 2, ]]]",
        b"[[[1, 2, ]]]",
        b"[[[1, 2, 3]1]]",
        b"[[1[2, 3, ]]]",
        b"[[[1, 2, 3]] 1]",
        b"[1 [[2, 3, ]]]",
        b"[[[, , ]]]",
        b"[[[1, 2, null]]]",
        b"[[[1, 2, true]]]",
        b"[[[1, 2, x]]]",
        b"[[[1, 2, 3]], []]",
        b"[[], [[1, 2, 3]]]",
        b"[[[]]]",
        b"[[]]",
        b"[[1, 2, 3]]",
        b"[[[[[1, 2, 3]]]]]",
        b"[[[1, 2, 3]]",
        b"[[[1, 2, 3]]]]",
        b"[[[1, 2, 3]]],[[[1, 2, 3]]]",
        b"[[[1, 2, 3]],]",
        b"[[[1,\x0b2, 3]]]",
        b"[[[1\x0b, 2, 3]]]",
        b"[[[1\x00 , 2, 3]]]",
        b"[[[1,\xa02, 3]]]",
        b"[[[1,\x002, 3]]]",
    ],
)
def test_what_is_not_height_by_width_by_three_bytes_is_refused(text: bytes) -> None:
    assert read(text) is None


def test_a_picture_of_many_slices_is_read_as_it_was_sent() -> None:
    width, height = 160, 120
    rgb = random.Random(1).randbytes(width * height * 3)
    rows = [[list(rgb[at : at + 3]) for at in range(row, row + width * 3, 3)] for row in range(0, len(rgb), width * 3)]
    text = json.dumps([rows, rows]).encode()

    assert len(text) > 3 * _rgb.SLICE_BYTES
    assert read(text) == [RawPicture(width=width, height=height, rgb=rgb)] * 2


def test_only_the_given_part_of_a_text_is_read() -> None:
    body = b'{"x": [[[1, 2, 3]]], "y": [7]}'

    assert read_rgb(body, 6, 19) == [RawPicture(width=1, height=1, rgb=b"\1\2\3")]
