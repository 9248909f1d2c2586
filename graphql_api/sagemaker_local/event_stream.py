"""Frames of `application/vnd.amazon.eventstream`, in which streamed answers travel.

A frame is the total length and the length of its headers (both u32, big-endian), the CRC-32 of those eight bytes, the
headers, the payload, and the CRC-32 of all that. A header is the length of its name (u8), the name, the type 7 for a
text, the length of the text (u16) and the text.
"""

from __future__ import annotations

import json
import struct
from binascii import crc32
from collections.abc import Mapping

MEDIA_TYPE = "application/vnd.amazon.eventstream"
_TEXT = 7


def payload_part(part: bytes) -> bytes:
    """The event with some of the container's bytes."""
    headers = {
        ":message-type": "event",
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
    }
    return _frame(headers, part)


def exception(name: str, members: Mapping[str, str]) -> bytes:
    """The exception that ends a stream: ModelStreamError or InternalStreamFailure."""
    headers = {":message-type": "exception", ":exception-type": name, ":content-type": "application/json"}
    return _frame(headers, json.dumps(members).encode("ascii"))


def _frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    head = b"".join(_header(name.encode(), text.encode()) for name, text in headers.items())
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = b"".join((prelude, struct.pack(">I", crc32(prelude)), head, payload))
    return message + struct.pack(">I", crc32(message))


def _header(name: bytes, text: bytes) -> bytes:
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", _TEXT, len(text)) + text
