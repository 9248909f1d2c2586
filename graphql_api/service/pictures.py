"""From a picture as the model sent it to the files that are stored.

Everything here is CPU work on bytes: no waiting, no clock, no randomness. Equal input gives equal bytes.

A picture that already is in the wanted format is not encoded again; only its metadata is edited in place.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zlib
from dataclasses import dataclass

from blurhash_rs import blurhash_encode
from PIL import Image

from graphql_api.domain.errors import ModelFailed
from graphql_api.domain.generation import GenerationParameters, ImageFormat
from graphql_api.domain.ids import JobId
from graphql_api.ports import EncodedPicture, RawPicture
from graphql_api.service.picture_metadata import format_of, not_understood, with_text

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
    body = with_text(body, parameters.format, text)
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


_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
# What Pillow raises for damaged files, found by feeding it damaged files.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error, zlib.error)


def _decoded(
    picture: EncodedPicture | RawPicture, parameters: GenerationParameters
) -> tuple[Image.Image, ImageFormat | None]:
    if isinstance(picture, EncodedPicture):
        return _read(picture.body, parameters)
    _check_size(picture.width, picture.height, parameters)
    if len(picture.rgb) != picture.width * picture.height * 3:
        raise not_understood(f"{len(picture.rgb)} bytes of RGB for {picture.width}x{picture.height} pixels")
    return Image.frombytes("RGB", (picture.width, picture.height), picture.rgb), None


def _read(body: bytes, parameters: GenerationParameters) -> tuple[Image.Image, ImageFormat]:
    sent_format = format_of(body[:16])
    if sent_format is None:
        raise not_understood(f"{len(body)} bytes that are neither JPEG, PNG nor WebP")
    shape = f"{sent_format} of {len(body)} bytes"
    try:
        image = Image.open(io.BytesIO(body), formats=(sent_format.value,))
        # Before the pixels: a file of a few bytes can claim, and fill, gigabytes of them.
        _check_size(*image.size, parameters)
        if getattr(image, "n_frames", 1) != 1 or image.mode not in _MODES:
            raise not_understood(f"{shape} with several frames or of mode {image.mode}")
        image.load()
    except (*_UNREADABLE, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise not_understood(f"{shape} that does not decode: {type(error).__name__}") from error
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
