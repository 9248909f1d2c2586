"""What becomes of a picture between the model's answer and the image store. Files are judged by reading them back."""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest
from blurhash_rs import blurhash_decode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageDraw, PngImagePlugin

from graphql_api.domain.errors import AnswerNotUnderstood, ModelFailed
from graphql_api.domain.generation import GenerationParameters, ImageFormat
from graphql_api.domain.ids import new_job_id
from graphql_api.ports import EncodedPicture, RawPicture
from graphql_api.service.pictures import (
    IMAGE_FILE_NAME,
    FinishedPicture,
    finish,
    image_key,
    parameters_text,
    thumbnail_key,
)

JPEG, PNG, WEBP = ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.WEBP
EVERY_FORMAT = pytest.mark.parametrize("image_format", list(ImageFormat))
LONG_PROMPT = "🦊 a fox, " * 20_000


def a_request(image_format: ImageFormat = JPEG, **changes: object) -> GenerationParameters:
    parameters = GenerationParameters(
        prompt="a lighthouse",
        rendered_prompt="a lighthouse, oil painting",
        negative_prompt="blurry",
        style_name="oil-painting",
        width=192,
        height=128,
        steps=20,
        guidance_scale=7.5,
        seed=41,
        count=2,
        format=image_format,
    )
    return replace(parameters, **changes)  # type: ignore[arg-type]


def a_drawing(width: int = 192, height: int = 128, mode: str = "RGB") -> Image.Image:
    drawing = Image.linear_gradient("L").resize((width, height)).convert(mode)
    ImageDraw.Draw(drawing).ellipse((width // 4, height // 4, width // 2, height // 2), fill="white")
    return drawing


def a_file(image_format: ImageFormat, drawing: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (drawing or a_drawing()).save(file, image_format.value, **options)
    return file.getvalue()


def finished(body: bytes, parameters: GenerationParameters, *, embed_parameters: bool = True) -> FinishedPicture:
    return finish(
        EncodedPicture(body=body),
        parameters=parameters,
        index=1,
        model_name="sd-turbo",
        embed_parameters=embed_parameters,
    )


def opened(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


def user_comment(body: bytes) -> bytes | None:
    comment: bytes | None = opened(body).getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    return comment


def embedded_text(body: bytes) -> str | None:
    """The text as the widely used readers find it."""
    image = opened(body)
    if isinstance(image, PngImagePlugin.PngImageFile):
        return image.text.get("parameters")
    comment = user_comment(body)
    if comment is None:
        return None
    assert comment.startswith(b"UNICODE\0")
    return comment[8:].decode("utf-16-be")


def scan_of(jpeg: bytes) -> bytes:
    """Everything from the first start of scan."""
    return jpeg[jpeg.index(b"\xff\xda") :]


def pixels_of(body: bytes) -> bytes:
    return opened(body).convert("RGBA").tobytes()


def exif_with(comment: bytes, byte_order: str = ">") -> bytes:
    exif = Image.Exif()
    exif.endian = byte_order
    exif[ExifTags.Base.Artist] = "a camera"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return exif.tobytes()


# The text


def test_parameters_read_like_those_of_web_uis() -> None:
    text = parameters_text(a_request(), index=1, model_name="sd-turbo")

    assert text == (
        "a lighthouse, oil painting\n"
        "Negative prompt: blurry\n"
        "Steps: 20, CFG scale: 7.5, Seed: 42, Size: 192x128, Model: sd-turbo"
    )


def test_a_negative_prompt_that_is_not_there_has_no_line() -> None:
    text = parameters_text(a_request(negative_prompt=None, guidance_scale=7.0), index=0, model_name="sd-turbo")

    assert text.splitlines()[1:] == ["Steps: 20, CFG scale: 7, Seed: 41, Size: 192x128, Model: sd-turbo"]


def test_a_model_name_cannot_pass_for_another_setting() -> None:
    text = parameters_text(a_request(), index=0, model_name="x, Seed: 7\nSteps: 1")

    assert text.splitlines()[-1].endswith(r'Model: "x, Seed: 7\nSteps: 1"')


@EVERY_FORMAT
@pytest.mark.parametrize("sent", list(ImageFormat))
def test_every_format_tells_how_it_was_made(sent: ImageFormat, image_format: ImageFormat) -> None:
    parameters = a_request(image_format, rendered_prompt="naïve café\nzweite Zeile", negative_prompt="猫 😀")
    body = finished(a_file(sent), parameters).body

    assert opened(body).format == image_format
    assert embedded_text(body) == parameters_text(parameters, index=1, model_name="sd-turbo")


@EVERY_FORMAT
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_prompt_survives(image_format: ImageFormat, prompt: str) -> None:
    parameters = a_request(image_format, rendered_prompt=prompt, width=64, height=64)
    body = finished(a_file(image_format, a_drawing(64, 64)), parameters).body

    assert embedded_text(body) == parameters_text(parameters, index=1, model_name="sd-turbo")


@EVERY_FORMAT
@pytest.mark.parametrize("sent", list(ImageFormat))
def test_nothing_is_embedded_where_that_is_off(sent: ImageFormat, image_format: ImageFormat) -> None:
    body = finished(a_file(sent), a_request(image_format), embed_parameters=False).body

    assert embedded_text(body) is None
    assert b"lighthouse" not in body
    assert "lighthouse".encode("utf-16-be") not in body


def test_latin_text_in_png_is_a_text_chunk_and_other_text_an_international_one() -> None:
    latin = finished(a_file(PNG), a_request(PNG, rendered_prompt="café")).body
    other = finished(a_file(PNG), a_request(PNG, rendered_prompt="猫")).body

    assert b"tEXtparameters\0caf\xe9" in latin
    assert b"iTXtparameters\0\0\0\0\0" + "猫".encode() in other


@pytest.mark.parametrize("image_format", [JPEG, WEBP])
def test_user_comment_has_the_type_that_readers_insist_on(image_format: ImageFormat) -> None:
    body = finished(a_file(image_format), a_request(image_format)).body

    tag_and_type_undefined = b"\x92\x86\x00\x07"
    assert tag_and_type_undefined in body


def test_a_text_too_long_for_jpeg_loses_the_end_of_its_prompts_only() -> None:
    parameters = a_request(rendered_prompt=LONG_PROMPT)
    text = embedded_text(finished(a_file(JPEG), parameters).body)

    assert text is not None
    prompts, _, last_line = text.rpartition("\n")
    assert len(prompts) > 25_000
    assert LONG_PROMPT.startswith(prompts)
    assert last_line == "Steps: 20, CFG scale: 7.5, Seed: 42, Size: 192x128, Model: sd-turbo"


@pytest.mark.parametrize("padding", range(4))
def test_a_cut_never_splits_a_character(padding: int) -> None:
    prompt = "x" * padding + "😀" * 40_000
    text = embedded_text(finished(a_file(JPEG), a_request(rendered_prompt=prompt)).body)

    assert text is not None
    assert prompt.startswith(text.rpartition("\n")[0])


@pytest.mark.parametrize("image_format", [PNG, WEBP])
def test_other_formats_hold_texts_of_any_length(image_format: ImageFormat) -> None:
    parameters = a_request(image_format, rendered_prompt=LONG_PROMPT)

    assert embedded_text(finished(a_file(image_format), parameters).body) == parameters_text(
        parameters, index=1, model_name="sd-turbo"
    )


# The picture


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:2:0", "comment": b"hello"}])
def test_a_jpeg_wanted_as_jpeg_is_not_encoded_again(options: dict[str, Any]) -> None:
    sent = a_file(JPEG, **options)
    body = finished(sent, a_request()).body

    assert scan_of(body) == scan_of(sent)
    assert body.startswith(b"\xff\xd8\xff\xe0")
    assert opened(body).info.get("comment") == opened(sent).info.get("comment")


def test_a_jpeg_without_jfif_header_is_not_encoded_again() -> None:
    sent = a_file(JPEG)
    bare = sent[:2] + sent[2 + 2 + 16 :]
    body = finished(bare, a_request()).body

    assert body.startswith(b"\xff\xd8\xff\xe1")
    assert scan_of(body) == scan_of(sent)
    assert embedded_text(body) is not None


@EVERY_FORMAT
def test_a_picture_is_left_alone_when_there_is_nothing_to_change(image_format: ImageFormat) -> None:
    sent = a_file(image_format)

    assert finished(sent, a_request(image_format), embed_parameters=False).body == sent


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lossless": True},
        {"exif": exif_with(b"x")},
        {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()},
    ],
    ids=["lossy", "lossless", "with EXIF", "with profile"],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_webp_wanted_as_webp_keeps_its_pixels(mode: str, options: dict[str, Any]) -> None:
    drawing = a_drawing(mode=mode)
    if mode == "RGBA":
        drawing.putalpha(Image.linear_gradient("L").resize(drawing.size))
    sent = a_file(WEBP, drawing, **options)
    body = finished(sent, a_request(WEBP)).body

    assert pixels_of(body) == pixels_of(sent)
    assert opened(body).mode == mode
    assert opened(body).info.get("icc_profile") == opened(sent).info.get("icc_profile")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_png_wanted_as_png_keeps_its_pixels(mode: str) -> None:
    drawing = a_drawing().convert(mode)
    sent = a_file(PNG, drawing)
    body = finished(sent, a_request(PNG)).body

    assert pixels_of(body) == pixels_of(sent)
    assert opened(body).mode == mode


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_kind_of_pixel_becomes_a_colour_jpeg(mode: str) -> None:
    body = finished(a_file(PNG, a_drawing().convert(mode)), a_request()).body

    assert opened(body).mode == "RGB"


def test_what_is_transparent_becomes_white_in_jpeg() -> None:
    clear = Image.new("RGBA", (192, 128), (0, 0, 0, 0))
    body = finished(a_file(PNG, clear), a_request()).body

    assert opened(body).getpixel((0, 0)) == (255, 255, 255)


def test_jpeg_is_encoded_with_full_colour_resolution() -> None:
    body = finished(a_file(PNG), a_request()).body

    assert opened(body).layer == [(1, 1, 1, 0), (2, 1, 1, 1), (3, 1, 1, 1)]  # type: ignore[attr-defined]


def test_png_is_encoded_without_loss() -> None:
    sent = a_file(WEBP, lossless=True)

    assert pixels_of(finished(sent, a_request(PNG)).body) == pixels_of(sent)


@EVERY_FORMAT
def test_a_colour_profile_survives_encoding(image_format: ImageFormat) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    sent_format = WEBP if image_format is PNG else PNG
    body = finished(a_file(sent_format, icc_profile=profile), a_request(image_format)).body

    assert opened(body).info["icc_profile"] == profile


@EVERY_FORMAT
def test_raw_pixels_are_encoded(image_format: ImageFormat) -> None:
    drawing = a_drawing()
    picture = finish(
        RawPicture(width=192, height=128, rgb=drawing.tobytes()),
        parameters=a_request(image_format),
        index=0,
        model_name="sd-turbo",
        embed_parameters=True,
    )

    assert opened(picture.body).format == image_format
    assert opened(picture.body).size == drawing.size
    assert embedded_text(picture.body) is not None


@EVERY_FORMAT
@pytest.mark.parametrize("sent", list(ImageFormat))
def test_equal_input_gives_equal_bytes(sent: ImageFormat, image_format: ImageFormat) -> None:
    body = a_file(sent)

    assert finished(body, a_request(image_format)) == finished(body, a_request(image_format))


@EVERY_FORMAT
def test_hash_and_size_are_those_of_the_file(image_format: ImageFormat) -> None:
    picture = finished(a_file(JPEG), a_request(image_format))

    assert picture.sha256 == hashlib.sha256(picture.body).hexdigest()
    assert (picture.width, picture.height) == opened(picture.body).size == (192, 128)
    assert picture.format is image_format


# The picture's own metadata


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("image_format", [JPEG, WEBP])
def test_a_comment_is_replaced_and_other_exif_stays(image_format: ImageFormat, byte_order: str) -> None:
    sent = a_file(image_format, exif=exif_with(b"ASCII\0\0\0secret words", byte_order))
    body = finished(sent, a_request(image_format)).body

    assert embedded_text(body) == parameters_text(a_request(), index=1, model_name="sd-turbo")
    assert opened(body).getexif()[ExifTags.Base.Artist] == "a camera"
    assert b"secret" not in body


@pytest.mark.parametrize("image_format", [JPEG, WEBP])
def test_a_comment_is_removed_where_embedding_is_off(image_format: ImageFormat) -> None:
    sent = a_file(image_format, exif=exif_with(b"ASCII\0\0\0secret words"))
    body = finished(sent, a_request(image_format), embed_parameters=False).body

    assert user_comment(body) is None
    assert opened(body).getexif()[ExifTags.Base.Artist] == "a camera"
    assert b"secret" not in body


@pytest.mark.parametrize("compressed", [False, True])
def test_a_png_has_one_text_of_parameters_and_keeps_others(compressed: bool) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "secret words", zip=compressed)
    texts.add_itxt("parameters", "secret 猫", zip=compressed)
    texts.add_text("Author", "a camera")
    body = finished(a_file(PNG, pnginfo=texts), a_request(PNG)).body

    image = opened(body)
    assert isinstance(image, PngImagePlugin.PngImageFile)
    assert image.text == {"Author": "a camera", "parameters": embedded_text(body)}
    assert body.count(b"parameters\0") == 1


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "damage", [b"", b"MM", b"XX\0*\0\0\0\x08", b"MM\0*\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_damaged_exif_is_replaced(damage: bytes) -> None:
    sent = a_file(JPEG)
    segment = b"Exif\0\0" + damage
    damaged = sent[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + sent[2:]
    body = finished(damaged, a_request()).body

    assert embedded_text(body) is not None
    assert body.count(b"Exif\0\0") == 1


def test_exif_that_leaves_no_room_is_replaced() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "x" * 65_000
    body = finished(a_file(JPEG, exif=exif.tobytes()), a_request(rendered_prompt="a fox " * 200)).body

    assert embedded_text(body) == parameters_text(
        a_request(rendered_prompt="a fox " * 200), index=1, model_name="sd-turbo"
    )
    assert ExifTags.Base.Artist not in opened(body).getexif()


@EVERY_FORMAT
def test_metadata_of_another_format_is_not_carried_over(image_format: ImageFormat) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("comment", "secret words")
    sent = a_file(PNG, pnginfo=texts) if image_format is not PNG else a_file(JPEG, comment=b"secret words")
    body = finished(sent, a_request(image_format)).body

    assert b"secret" not in body


# The thumbnail and the BlurHash


@pytest.mark.parametrize(
    ("size", "expected"),
    [((768, 512), (256, 171)), ((1536, 64), (256, 11)), ((64, 1536), (11, 256)), ((192, 128), (192, 128))],
)
def test_thumbnails_keep_the_ratio_and_fit_into_256_pixels(size: tuple[int, int], expected: tuple[int, int]) -> None:
    width, height = size
    picture = finished(a_file(JPEG, a_drawing(width, height)), a_request(width=width, height=height))

    thumbnail = opened(picture.thumbnail)
    assert thumbnail.format == "WEBP"
    assert thumbnail.size == expected


@pytest.mark.parametrize("size", [(192, 128), (1536, 64), (64, 1536)])
def test_blur_hash_looks_like_the_picture(size: tuple[int, int]) -> None:
    width, height = size
    drawing = Image.new("RGB", size, (200, 30, 30))
    drawing.paste((30, 30, 200), (width // 2, 0, width, height))
    picture = finished(a_file(PNG, drawing), a_request(width=width, height=height))

    blurred = blurhash_decode(picture.blur_hash, 32, 32)
    assert len(picture.blur_hash) == 28  # 4 x 3 components
    left, right = blurred.getpixel((4, 16)), blurred.getpixel((28, 16))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert left[0] > 150 > left[2]
    assert right[2] > 150 > right[0]


# What is refused


@EVERY_FORMAT
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_picture_is_refused(image_format: ImageFormat, share: float) -> None:
    body = a_file(image_format, Image.effect_noise((192, 128), 60).convert("RGB"))
    with pytest.raises(AnswerNotUnderstood) as refusal:
        finished(body[: int(len(body) * share)], a_request(image_format))

    assert "bytes" in refusal.value.shape


def test_a_png_without_its_end_is_refused() -> None:
    with pytest.raises(AnswerNotUnderstood):
        finished(a_file(PNG)[:-6], a_request(PNG))


@pytest.mark.parametrize("place", [45, -20, -5])
def test_a_png_with_a_wrong_checksum_is_refused(place: int) -> None:
    body = bytearray(a_file(PNG))
    body[place] ^= 1
    with pytest.raises(AnswerNotUnderstood):
        finished(bytes(body), a_request(PNG))


def animated(image_format: ImageFormat) -> bytes:
    frames = [a_drawing(), Image.new("RGB", (192, 128), "red")]
    return a_file(image_format, frames[0], save_all=True, append_images=frames[1:])


def gif() -> bytes:
    file = io.BytesIO()
    a_drawing().save(file, "GIF")
    return file.getvalue()


@pytest.mark.parametrize(
    "body",
    [b"", b"<!doctype html><title>secret</title>", b'{"error": "secret"}', gif(), b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP"],
    ids=["nothing", "HTML", "JSON", "GIF", "a JPEG's start", "a WebP's start"],
)
def test_what_is_no_picture_is_refused_without_telling_its_content(body: bytes) -> None:
    with pytest.raises(AnswerNotUnderstood) as refusal:
        finished(body, a_request())

    assert "secret" not in refusal.value.shape + refusal.value.message


@pytest.mark.parametrize("image_format", [PNG, WEBP])
def test_an_animation_is_refused(image_format: ImageFormat) -> None:
    with pytest.raises(AnswerNotUnderstood):
        finished(animated(image_format), a_request())


def test_pixels_of_a_kind_that_browsers_do_not_show_alike_are_refused() -> None:
    with pytest.raises(AnswerNotUnderstood, match="could not be read"):
        finished(a_file(JPEG, a_drawing(mode="CMYK")), a_request())


@EVERY_FORMAT
def test_another_size_is_refused_and_both_sizes_are_named(image_format: ImageFormat) -> None:
    with pytest.raises(ModelFailed, match=re.escape("an image of 100x50 pixels instead of 192x128")) as refusal:
        finished(a_file(image_format, a_drawing(100, 50)), a_request())

    assert not isinstance(refusal.value, AnswerNotUnderstood)


def test_raw_pixels_of_another_size_are_refused() -> None:
    with pytest.raises(ModelFailed, match="an image of 1x1 pixels"):
        finish(
            RawPicture(width=1, height=1, rgb=b"\0\0\0"),
            parameters=a_request(),
            index=0,
            model_name="m",
            embed_parameters=True,
        )


@pytest.mark.parametrize("surplus", [-1, 1])
def test_raw_pixels_that_are_not_all_there_are_refused(surplus: int) -> None:
    with pytest.raises(AnswerNotUnderstood) as refusal:
        finish(
            RawPicture(width=192, height=128, rgb=bytes(192 * 128 * 3 + surplus)),
            parameters=a_request(),
            index=0,
            model_name="m",
            embed_parameters=True,
        )

    assert refusal.value.shape == f"{192 * 128 * 3 + surplus} bytes of RGB for 192x128 pixels"


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("side", [8_000, 10_000, 60_000])
def test_a_small_file_that_claims_to_be_huge_is_refused_before_it_is_unpacked(side: int) -> None:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(10**6))) + png_chunk(b"IEND", b"")
    with pytest.raises(ModelFailed):
        finished(bomb, a_request())


def test_a_small_file_with_a_huge_text_is_refused() -> None:
    sent = a_file(PNG)
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10**8)))
    with pytest.raises(AnswerNotUnderstood):
        finished(sent[:33] + text + sent[33:], a_request())


SMALL_FILES = {image_format: a_file(image_format, a_drawing(64, 64)) for image_format in ImageFormat}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=300, deadline=None)
@given(
    sent=st.sampled_from(list(ImageFormat)),
    wanted=st.sampled_from(list(ImageFormat)),
    damage=st.lists(st.tuples(st.integers(3, 400), st.binary(min_size=1, max_size=4)), max_size=4),
)
def test_a_damaged_file_is_finished_or_refused(
    sent: ImageFormat, wanted: ImageFormat, damage: list[tuple[int, bytes]]
) -> None:
    body = bytearray(SMALL_FILES[sent])
    for place, noise in damage:
        body[place : place + len(noise)] = noise
    try:
        picture = finished(bytes(body), a_request(wanted, width=64, height=64))
    except ModelFailed:
        return

    assert opened(picture.body).size == (64, 64)


# Keys


@EVERY_FORMAT
def test_keys_name_the_job_the_position_and_the_content(image_format: ImageFormat) -> None:
    job_id = new_job_id()
    picture = finished(a_file(JPEG), a_request(image_format))
    key = image_key(job_id, 3, picture.sha256, picture.format)
    small_key = thumbnail_key(job_id, 3, picture.sha256)

    extension = {JPEG: "jpg", PNG: "png", WEBP: "webp"}[image_format]
    assert key == f"images/{job_id}/3-{picture.sha256[:16]}.{extension}"
    assert small_key == f"images/{job_id}/3-{picture.sha256[:16]}-thumb.webp"
    assert IMAGE_FILE_NAME.fullmatch(key.rpartition("/")[2])
    assert IMAGE_FILE_NAME.fullmatch(small_key.rpartition("/")[2])
