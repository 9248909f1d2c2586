"""Images as nested JSON arrays: height by width by 3 integers from 0 to 255.

An image of 768 by 768 pixels is 9 MB of that. A JSON parser turns it into millions of values, holding Python's global
lock all the while, so nothing else in the process moves. Here numpy finds the numbers, mostly without the lock, in
slices that are small enough for the processor's cache and for an event loop that waits its turn.

It is exact nevertheless. Without digits and white space, such an array is a pattern of brackets and commas, known once
its width is, and compared byte by byte. What may still be wrong is where the numbers are: none may stand behind a
bracket that closes or in front of one that opens, no two in one place, and there must be as many as places.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphql_api.ports import RawPicture

SLICE_BYTES = 1 << 17
CHANNELS = 3

_DIGITS, _WHITE_SPACE = b"0123456789", b" \t\r\n"
_NOT_INTEGERS = "with values that are not integers from 0 to 255"


class NotRgb(ValueError):
    """The text is something else. Tells its shape."""


def read_rgb(body: bytes, start: int, stop: int) -> list[RawPicture]:
    """The images in the array at `body[start:stop]`, which holds several or is one. Raises NotRgb.

    The text must end with a bracket that closes.
    """
    values, pattern = [], []
    for text in _slices(body, start, stop):
        pattern.append(text.translate(None, _DIGITS + _WHITE_SPACE))
        values.append(_values(text))
    rgb = b"".join(values)
    pictures, at = [], 0
    for width, height in _sizes(b"".join(pattern)):
        size = width * height * CHANNELS
        pictures.append(RawPicture(width=width, height=height, rgb=rgb[at : at + size]))
        at += size
    if at != len(rgb):
        raise NotRgb(f"array of {at} places with {len(rgb)} numbers")
    return pictures


def _slices(body: bytes, start: int, stop: int) -> Iterator[bytes]:
    """The text in parts, each of which ends with a comma, the last one with the end."""
    while start < stop:
        end = body.find(b",", start + SLICE_BYTES, stop) + 1 or stop
        yield body[start:end]
        start = end


def _values(text: bytes) -> bytes:
    """The numbers in a text that does not end with a digit, one a byte."""
    # Imported at the first answer of this form, which few endpoints send: it takes long to load.
    import numpy as np

    # Nothing before the first number is a digit, however far one looks back.
    codes = np.frombuffer(b",,," + text, np.uint8)
    digits = codes - np.uint8(ord("0"))  # Anything but a digit wraps around to 10 or more.
    is_digit = digits < 10
    is_end = is_digit[3:-1] > is_digit[4:]
    if ((codes[1:] <= ord(" ")) & (codes[:-1] != ord(","))).any():
        return _values_without_white_space(text, int(np.count_nonzero(is_end)))
    # For each place, what its digit and those before would be as a number; of these, what stands where numbers end.
    has_two = is_digit[3:-1] & is_digit[2:-2]
    has_three = has_two & is_digit[1:-3]
    has_four = has_three & is_digit[:-4]
    tens, hundreds = digits[2:-2] * has_two.view(np.uint8), digits[1:-3] * has_three.view(np.uint8)
    below_hundred = digits[3:-1] + tens * np.uint8(10)
    values = below_hundred + hundreds * np.uint8(100)
    is_too_large = has_four | (hundreds > 2) | (has_three & (values < below_hundred))  # The last one wrapped around.
    has_leading_zero = (has_two > is_digit[1:-3]) & (tens == 0)
    is_beside_array = is_digit[3:-1] & ((codes[2:-2] == ord("]")) | (codes[4:] == ord("[")))
    if (is_too_large | has_leading_zero | is_beside_array).any():
        raise NotRgb(f"array {_NOT_INTEGERS}")
    numbers: bytes = values.take(np.flatnonzero(is_end)).tobytes()
    return numbers


def _values_without_white_space(text: bytes, count: int) -> bytes:
    """The numbers where white space is elsewhere than behind commas, which is where `json.dumps` puts it."""
    dense = text.translate(None, _WHITE_SPACE)
    if len(dense) == len(text):
        raise NotRgb(f"array {_NOT_INTEGERS}, but control characters")
    values = _values(dense)
    if len(values) != count:
        raise NotRgb("array with white space inside of numbers")
    return values


def _sizes(pattern: bytes) -> Iterator[tuple[int, int]]:
    """Width and height of each image in an array, given its brackets and commas."""
    depth = len(pattern[:9]) - len(pattern[:9].lstrip(b"["))
    # A pixel is `[,,]`; the first row ends with that of its last pixel and its own bracket.
    row_start, row_end = depth - 2, pattern.find(b"]]") + 2
    width = (row_end - row_start) // len(b"[,,],")
    if depth not in (3, 4) or row_end < row_start or not width:
        raise NotRgb(f"array of {len(pattern)} brackets and commas, nested {depth} deep")
    row = b"[" + b",".join([b"[,,]"] * width) + b"]"
    at = depth - 3
    while height := _height(pattern, at, row):
        yield width, height
        # Its own bracket, and its rows, each with what follows it: a comma, or the image's other bracket.
        at += 1 + height * (len(row) + 1)
        if depth == 3 or pattern[at : at + 1] != b",":
            break
        at += 1
    if not height or pattern[at:] != b"]" * (depth - 3):
        raise _ragged(pattern, width)


def _height(pattern: bytes, at: int, row: bytes) -> int:
    """How many rows the image has whose brackets begin at an offset; 0 when there is none of just such rows."""
    if pattern[at : at + 1] != b"[":
        return 0
    height, inner_row, last_row = 1, row + b",", row + b"]"
    at += 1
    while pattern.startswith(inner_row, at):
        at += len(inner_row)
        height += 1
    return height if pattern.startswith(last_row, at) else 0


def _ragged(pattern: bytes, width: int) -> NotRgb:
    if pattern.translate(None, b"[],"):
        return NotRgb(f"array {_NOT_INTEGERS}")
    return NotRgb(f"ragged array, the first row of {width} pixels")
