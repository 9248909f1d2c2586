"""From a picture as the model sent it to the files that are stored.

Everything here is CPU work on bytes: no waiting, no clock, no randomness. Equal input gives equal bytes.

A picture that already is in the wanted format is not encoded again; only its metadata is edited in place. What it says
about its generation is the text that Stable Diffusion web UIs write and read under the name "parameters": in a PNG text
chunk of that name, in JPEG and WebP as EXIF UserComment. The model's own metadata stays, but such a text of its own is
replaced, and removed when nothing shall be embedded.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from blurhash_rs import blurhash_encode
from PIL import Image

from graphql_api.domain.errors import AnswerNotUnderstood, ModelFailed
from graphql_api.domain.generation import GenerationParameters, ImageFormat
from graphql_api.domain.ids import JobId
from graphql_api.ports import EncodedPicture, RawPicture

MAX_THUMBNAIL_SIDE = 256
MAX_BLUR_HASH_SIDE = 64
JPEG_QUALITY = 90
WEBP_QUALITY = 90
THUMBNAIL_QUALITY = 80
PNG_COMPRESS_LEVEL = 4

IMAGE_FILE_NAME = re.compile(r"[0-9]{1,4}-[0-9a-f]{16}(\.jpg|\.png|\.webp|-thumb\.webp)")
"""What the last segment of every key looks like, as a full match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedPicture:
    """Files ready to be stored: `body` in the wanted format, `thumbnail` as WebP. `sha256` is of `body`, in hex."""

    body: bytes
    thumbnail: bytes
    format: ImageFormat
    width: int
    height: int
    sha256: str
    blur_hash: str


def finish(
    picture: EncodedPicture | RawPicture,
    *,
    parameters: GenerationParameters,
    index: int,
    model_name: str,
    embed_parameters: bool,
) -> FinishedPicture:
    """Check a picture, bring it into the wanted format, and derive what is stored with it.

    Raises AnswerNotUnderstood when it is no complete JPEG, PNG or WebP of one frame or, raw, not all there; ModelFailed
    when it does not have the size that was asked for.
    """
    image, sent_format = _decoded(picture, parameters)
    flat = _flat(image)
    text = parameters_text(parameters, index=index, model_name=model_name) if embed_parameters else None
    if isinstance(picture, EncodedPicture) and sent_format is parameters.format:
        body = picture.body
    else:
        body = _encoded(image, flat, parameters.format)
    body = _EMBED[parameters.format](body, text)
    small = _shrunk(flat)
    thumbnail = io.BytesIO()
    # Method 0 takes a quarter of the time of the default for about a tenth more bytes.
    small.save(thumbnail, "WEBP", quality=THUMBNAIL_QUALITY, method=0)
    return FinishedPicture(
        body=body,
        thumbnail=thumbnail.getvalue(),
        format=parameters.format,
        width=parameters.width,
        height=parameters.height,
        sha256=hashlib.sha256(body).hexdigest(),
        blur_hash=_blur_hash(small),
    )


def image_key(job_id: JobId, index: int, sha256: str, image_format: ImageFormat) -> str:
    """The key of an image's file in the image store."""
    return f"images/{job_id}/{index}-{sha256[:16]}.{image_format.extension}"


def thumbnail_key(job_id: JobId, index: int, sha256: str) -> str:
    """The key of the thumbnail of the image with this hash, beside the image's own."""
    return f"images/{job_id}/{index}-{sha256[:16]}-thumb.webp"


def format_of(head: bytes) -> ImageFormat | None:
    """The format that a file's first 16 bytes announce, or None for anything but the three."""
    if head.startswith(b"\xff\xd8\xff"):
        return ImageFormat.JPEG
    if head.startswith(_PNG_SIGNATURE):
        return ImageFormat.PNG
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return ImageFormat.WEBP
    return None


def parameters_text(parameters: GenerationParameters, *, index: int, model_name: str) -> str:
    """How the image at `index` was made, as Stable Diffusion web UIs spell it.

    The settings are the last line, whatever the prompts hold. What is not known, such as the sampler, is left out.
    """
    settings = {
        "Steps": str(parameters.steps),
        "CFG scale": str(parameters.guidance_scale).removesuffix(".0"),
        "Seed": str(parameters.seed_of(index)),
        "Size": f"{parameters.width}x{parameters.height}",
        # Web UIs read a value that holds one of these as a JSON string.
        "Model": json.dumps(model_name) if re.search(r"[,:\n]", model_name) else model_name,
    }
    lines = [parameters.rendered_prompt]
    if parameters.negative_prompt is not None:
        lines.append(f"Negative prompt: {parameters.negative_prompt}")
    return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in settings.items())])


_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
# What Pillow raises for damaged files, found by feeding it damaged files.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error, zlib.error)


def _not_understood(shape: str) -> AnswerNotUnderstood:
    return AnswerNotUnderstood(codec="pictures", shape=shape)


def _decoded(
    picture: EncodedPicture | RawPicture, parameters: GenerationParameters
) -> tuple[Image.Image, ImageFormat | None]:
    if isinstance(picture, EncodedPicture):
        return _read(picture.body, parameters)
    _check_size(picture.width, picture.height, parameters)
    if len(picture.rgb) != picture.width * picture.height * 3:
        raise _not_understood(f"{len(picture.rgb)} bytes of RGB for {picture.width}x{picture.height} pixels")
    return Image.frombytes("RGB", (picture.width, picture.height), picture.rgb), None


def _read(body: bytes, parameters: GenerationParameters) -> tuple[Image.Image, ImageFormat]:
    sent_format = format_of(body[:16])
    if sent_format is None:
        raise _not_understood(f"{len(body)} bytes that are neither JPEG, PNG nor WebP")
    shape = f"{sent_format} of {len(body)} bytes"
    try:
        image = Image.open(io.BytesIO(body), formats=(sent_format.value,))
        # Before the pixels: a file of a few bytes can claim, and fill, gigabytes of them.
        _check_size(*image.size, parameters)
        if getattr(image, "n_frames", 1) != 1 or image.mode not in _MODES:
            raise _not_understood(f"{shape} with several frames or of mode {image.mode}")
        image.load()
    except (*_UNREADABLE, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _not_understood(f"{shape} that does not decode: {type(error).__name__}") from error
    return image, sent_format


def _check_size(width: int, height: int, parameters: GenerationParameters) -> None:
    if (width, height) != (parameters.width, parameters.height):
        sent, asked = f"{width}x{height}", f"{parameters.width}x{parameters.height}"
        raise ModelFailed(f"The model sent an image of {sent} pixels instead of {asked}.")


def _flat(image: Image.Image) -> Image.Image:
    """The image as RGB; what is transparent shows white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layers = image.convert("RGBA")
    flat = Image.new("RGB", image.size, "white")
    flat.paste(layers, mask=layers)
    return flat


def _shrunk(image: Image.Image) -> Image.Image:
    scale = min(1.0, MAX_THUMBNAIL_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # Averaging whole blocks of pixels first is several times cheaper than filtering them all, and looks the same here.
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.0)


def _blur_hash(small: Image.Image) -> str:
    # A BlurHash knows no ratio. Each side is cut down on its own, so that a narrow picture keeps its few columns.
    size = (min(small.width, MAX_BLUR_HASH_SIDE), min(small.height, MAX_BLUR_HASH_SIDE))
    return blurhash_encode(small.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.0), 4, 3)


def _encoded(image: Image.Image, flat: Image.Image, image_format: ImageFormat) -> bytes:
    # A profile for grey levels or a palette would be wrong for what is made of them.
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
    # Pillow would carry a source's comments over into the new file.
    flat.info = {}
    image.info = {name: value for name, value in image.info.items() if name == "transparency"}
    file = io.BytesIO()
    match image_format:
        case ImageFormat.JPEG:
            # 4:4:4: this is the only copy, and generated pictures have saturated edges that halved chroma smears.
            flat.save(file, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4", icc_profile=profile)
        case ImageFormat.PNG:
            # Level 6 takes up to two and a half times as long, and is no smaller.
            image.save(file, "PNG", compress_level=PNG_COMPRESS_LEVEL, icc_profile=profile)
        case ImageFormat.WEBP:
            # Method 2 takes half the time of the default at about the same size.
            image.save(file, "WEBP", quality=WEBP_QUALITY, method=2, icc_profile=profile)
    return file.getvalue()


# PNG, https://www.w3.org/TR/png-3/#5DataRep


def _png_with_text(body: bytes, text: str | None) -> bytes:
    chunks = [chunk for chunk in _png_chunks(body) if not _is_parameters_chunk(chunk)]
    if text is not None:
        first_data = next(at for at, chunk in enumerate(chunks) if chunk[4:8] == b"IDAT")
        chunks.insert(first_data, _png_text_chunk(text))
    return _PNG_SIGNATURE + b"".join(chunks)


def _png_chunks(body: bytes) -> list[bytes]:
    """The chunks up to IEND, whole. Pillow stops reading at the last row, so the rest of the file is checked here."""
    chunks = []
    at = len(_PNG_SIGNATURE)
    while True:
        size = 12 + int.from_bytes(body[at : at + 4], "big")
        chunk = body[at : at + size]
        if len(chunk) != size or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise _not_understood(f"PNG of {len(body)} bytes with a damaged chunk at {at}")
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


_EMBED: Mapping[ImageFormat, Callable[[bytes, str | None], bytes]] = {
    ImageFormat.JPEG: _jpeg_with_text,
    ImageFormat.PNG: _png_with_text,
    ImageFormat.WEBP: _webp_with_text,
}
