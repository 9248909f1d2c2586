"""What a picture's file says about itself, read and written in place.

What it says about its generation is the text that Stable Diffusion web UIs write and read under the name "parameters":
in a PNG text chunk of that name, in JPEG and WebP as EXIF UserComment. The model's own metadata stays, but such a text
of its own is replaced, and removed when nothing shall be embedded.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

from PIL import Image

from graphql_api.domain.errors import AnswerNotUnderstood
from graphql_api.domain.generation import ImageFormat

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def format_of(head: bytes) -> ImageFormat | None:
    """The format that a file's first 16 bytes announce, or None for anything but the three."""
    if head.startswith(b"\xff\xd8\xff"):
        return ImageFormat.JPEG
    if head.startswith(PNG_SIGNATURE):
        return ImageFormat.PNG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return ImageFormat.WEBP
    return None


def with_text(body: bytes, image_format: ImageFormat, text: str | None) -> bytes:
    """The file with this text about its generation, or with none. Pixels are not touched.

    Raises AnswerNotUnderstood when the file is damaged.
    """
    return _WRITERS[image_format](body, text)


def not_understood(shape: str) -> AnswerNotUnderstood:
    """What to raise for a damaged file, described by its shape."""
    return AnswerNotUnderstood(codec="pictures", shape=shape)


# PNG, https://www.w3.org/TR/png-3/#5DataRep


def _png_with_text(body: bytes, text: str | None) -> bytes:
    chunks = [chunk for chunk in _png_chunks(body) if not _is_parameters_chunk(chunk)]
    if text is not None:
        first_data = next(at for at, chunk in enumerate(chunks) if chunk[4:8] == b"IDAT")
        chunks.insert(first_data, _png_text_chunk(text))
    return PNG_SIGNATURE + b"".join(chunks)


def _png_chunks(body: bytes) -> list[bytes]:
    """The chunks up to IEND, whole. Pillow stops reading at the last row, so the rest of the file is checked here."""
    chunks = []
    at = len(PNG_SIGNATURE)
    while True:
        size = 12 + int.from_bytes(body[at : at + 4], "big")
        chunk = body[at : at + size]
        if len(chunk) != size or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise not_understood(f"PNG of {len(body)} bytes with a damaged chunk at {at}")
        chunks.append(chunk)
        if chunk[4:8] == b"IEND":
            return chunks
        at += size


def _is_parameters_chunk(chunk: bytes) -> bool:
    return chunk[4:8] in (b"tEXt", b"zTXt", b"iTXt") and chunk[8:].startswith(b"parameters\0")


def _png_text_chunk(text: str) -> bytes:
    try:
        content = b"tEXtparameters\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        # Not compressed; no language; no translated keyword.
        content = b"iTXtparameters\0" + b"\0\0" + b"\0" + b"\0" + text.encode()
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


# JPEG, ITU-T T.81 annex B

_EXIF_HEADER = b"Exif\0\0"
_MAX_JPEG_EXIF_BYTES = 0xFFFF - 2 - len(_EXIF_HEADER)


def _jpeg_with_text(body: bytes, text: str | None) -> bytes:
    segments, rest = _jpeg_segments(body)
    own = [segment[10:] for segment in segments if _is_exif_segment(segment)]
    exif = _exif(own[0] if own else None, text, max_bytes=_MAX_JPEG_EXIF_BYTES)
    segments = [segment for segment in segments if not _is_exif_segment(segment)]
    if exif is not None:
        # JFIF wants its APP0 segments to be first.
        first_other = next((at for at, segment in enumerate(segments) if segment[1] != 0xE0), len(segments))
        content = _EXIF_HEADER + exif
        segments.insert(first_other, b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content)
    return body[:2] + b"".join(segments) + rest


def _jpeg_segments(body: bytes) -> tuple[list[bytes], bytes]:
    """The segments before the first scan, or before the first damaged one, and all that follows."""
    segments = []
    at = 2
    while at + 4 <= len(body) and body[at] == 0xFF and 0xC0 <= body[at + 1] <= 0xFE and body[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(body[at + 2 : at + 4], "big")
        if body[end : end + 1] != b"\xff":
            break
        segments.append(body[at:end])
        at = end
    return segments, body[at:]


def _is_exif_segment(segment: bytes) -> bool:
    return segment[1] == 0xE1 and segment[4:10] == _EXIF_HEADER


# WebP, RFC 9649

_WEBP_EXIF_FLAG, _WEBP_ALPHA_FLAG = 0x08, 0x10
_MAX_WEBP_EXIF_BYTES = 2**24


def _webp_with_text(body: bytes, text: str | None) -> bytes:
    chunks = dict(_webp_chunks(body))
    own = chunks.pop(b"EXIF", None)
    exif = _exif(own and own.removeprefix(_EXIF_HEADER), text, max_bytes=_MAX_WEBP_EXIF_BYTES)
    if exif is not None:
        chunks = {b"VP8X": _webp_header(body), **chunks, b"EXIF": exif}
    if header := chunks.get(b"VP8X"):
        flags = header[0] | _WEBP_EXIF_FLAG if exif is not None else header[0] & ~_WEBP_EXIF_FLAG
        chunks[b"VP8X"] = bytes([flags]) + header[1:]
    content = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1) for kind, data in chunks.items()
    )
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _webp_chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks by kind. A picture of one frame has no two of a kind that matter."""
    end = 8 + int.from_bytes(body[4:8], "little")
    at = 12
    while at + 8 <= min(end, len(body)):
        size = int.from_bytes(body[at + 4 : at + 8], "little")
        yield body[at : at + 4], body[at + 8 : at + 8 + size]
        at += 8 + size + (size & 1)


def _webp_header(body: bytes) -> bytes:
    """The content of the VP8X chunk that a file without one needs before it can have metadata."""
    with Image.open(io.BytesIO(body), formats=("WEBP",)) as image:
        flags = _WEBP_ALPHA_FLAG if image.mode == "RGBA" else 0
        return bytes([flags, 0, 0, 0]) + b"".join((side - 1).to_bytes(3, "little") for side in image.size)


# EXIF, CIPA DC-008: a TIFF structure whose directories are found by their offsets

_EXIF_DIRECTORY, _EXIF_VERSION, _USER_COMMENT = 0x8769, 0x9000, 0x9286
_LONG, _UNDEFINED = 4, 7
_NO_EXIF = b"MM\0*\0\0\0\0"
_UNICODE = b"UNICODE\0"


def _exif(own: bytes | None, text: str | None, *, max_bytes: int) -> bytes | None:
    """EXIF with this text as its UserComment, in at most `max_bytes`, based on the picture's own where that is sound.

    A text that is too long loses the end of its prompts and keeps its last line.
    """
    # Big endian whatever the byte order of the EXIF: the readers of these texts expect it so (piexif does).
    comment = None if text is None else _UNICODE + text.encode("utf-16-be")
    edited = None if own is None else _with_comment(own, comment)
    if edited is not None and len(edited) <= max_bytes:
        return edited
    if text is None:
        return None
    room = max_bytes - len(_with_comment(_NO_EXIF, _UNICODE) or b"")
    return _with_comment(_NO_EXIF, _UNICODE + _utf16_within(text, room))


def _utf16_within(text: str, max_bytes: int) -> bytes:
    if len(encoded := text.encode("utf-16-be")) <= max_bytes:
        return encoded
    prompts, _, settings = text.rpartition("\n")
    tail = f"\n{settings}".encode("utf-16-be")
    head = prompts.encode("utf-16-be")[: max_bytes - len(tail) & ~1]
    # Half of a surrogate pair at the cut goes, too.
    return head.decode("utf-16-be", "ignore").encode("utf-16-be") + tail


def _with_comment(tiff: bytes, comment: bytes | None) -> bytes | None:
    """The TIFF structure with another UserComment, or with none; None when it is damaged.

    New directories go to the end, so that no offset in the rest changes. An old comment is overwritten with zeros.
    """
    order = {b"MM\0*": ">", b"II*\0": "<"}.get(tiff[:4])
    try:
        if order is None:
            return None
        root, root_next = _directory(tiff, order, struct.unpack_from(order + "I", tiff, 4)[0])
        exif_at = struct.unpack_from(order + "I", root[_EXIF_DIRECTORY], 8)[0] if _EXIF_DIRECTORY in root else 0
        exif, exif_next = _directory(tiff, order, exif_at)
        old = exif.pop(_USER_COMMENT, None)
        edited = bytearray(tiff)
        if old is not None and (size := struct.unpack_from(order + "I", old, 4)[0]) > 4:
            struct.pack_into(f"{size}x", edited, struct.unpack_from(order + "I", old, 8)[0])
    except struct.error:
        return None
    if old is None and comment is None:
        return tiff
    if comment is not None:
        version = struct.pack(order + "HHI4s", _EXIF_VERSION, _UNDEFINED, 4, b"0232")
        entry = struct.pack(order + "HHII", _USER_COMMENT, _UNDEFINED, len(comment), len(edited))
        exif = {_EXIF_VERSION: version, **exif, _USER_COMMENT: entry}
        edited += comment
    exif_at = _append(edited, order, exif, exif_next)
    root[_EXIF_DIRECTORY] = struct.pack(order + "HHII", _EXIF_DIRECTORY, _LONG, 1, exif_at)
    struct.pack_into(order + "I", edited, 4, _append(edited, order, root, root_next))
    return bytes(edited)


def _directory(tiff: bytes, order: str, at: int) -> tuple[dict[int, bytes], int]:
    """The 12-byte entries of the directory at an offset, by tag, and the offset of the next one. 0 means none."""
    if at == 0:
        return {}, 0
    count = struct.unpack_from(order + "H", tiff, at)[0]
    entries = [struct.unpack_from("12s", tiff, at + 2 + 12 * number)[0] for number in range(count)]
    next_at = struct.unpack_from(order + "I", tiff, at + 2 + 12 * count)[0]
    return {struct.unpack_from(order + "H", entry)[0]: entry for entry in entries}, next_at


def _append(tiff: bytearray, order: str, entries: Mapping[int, bytes], next_at: int) -> int:
    """Write a directory behind the rest, on an even offset; return that offset."""
    tiff += b"\0" * (len(tiff) & 1)
    at = len(tiff)
    tiff += struct.pack(order + "H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries))
    tiff += struct.pack(order + "I", next_at)
    return at


_WRITERS: Mapping[ImageFormat, Callable[[bytes, str | None], bytes]] = {
    ImageFormat.JPEG: _jpeg_with_text,
    ImageFormat.PNG: _png_with_text,
    ImageFormat.WEBP: _webp_with_text,
}
