"""JSON, fast, and with one kind of error."""

from __future__ import annotations

import json

import msgspec


def decode(data: bytes | str) -> object:
    """Parse JSON. Raises json.JSONDecodeError for everything that is wrong with it, such as nesting without end."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise json.JSONDecodeError(str(error), "", 0) from error


def encode(value: object) -> bytes:
    """Compact JSON, in UTF-8."""
    return msgspec.json.encode(value)
