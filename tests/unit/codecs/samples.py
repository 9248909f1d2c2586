"""What the tests of the codecs share: a request, answers, and the codecs with every option."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphql_api.codecs import codec_named
from graphql_api.domain.generation import GenerationParameters, ImageFormat
from graphql_api.ports import Answer, ModelRequest, Picture

SECRET = "a-secret-prompt"

VARIANTS: Sequence[tuple[str, Mapping[str, object]]] = (
    ("huggingface", {}),
    ("huggingface", {"answer": "image"}),
    ("huggingface", {"seed": True}),
    ("jumpstart-imagegeneration", {}),
    ("jumpstart-sd", {}),
    ("jumpstart-sd", {"answer": "rgb"}),
    ("jumpstart-sd", {"request": "text"}),
    ("jumpstart-sd", {"wrap_predictions": True}),
    ("stability-sd3", {}),
    ("stability-sdk", {}),
)
"""Every codec, with every value of every option."""


def parameters(**changes: object) -> GenerationParameters:
    """A request for two JPEGs, of a size that every family makes."""
    asked = GenerationParameters(
        prompt="A fox in the snow",
        rendered_prompt="A fox in the snow, “watercolor”",
        negative_prompt="blurry",
        style_name="WATERCOLOR",
        width=1344,
        height=768,
        steps=20,
        guidance_scale=7.5,
        seed=41,
        count=2,
        format=ImageFormat.JPEG,
    )
    return replace(asked, **changes)  # type: ignore[arg-type]


def decoded(
    codec: str,
    body: bytes | object,
    options: Mapping[str, object] | None = None,
    *,
    content_type: str = "application/json",
) -> list[Picture]:
    """The pictures in an answer, which is bytes, or a document that is written as JSON."""
    answer = Answer(body=body if isinstance(body, bytes) else json.dumps(body).encode(), content_type=content_type)
    request = ModelRequest(body=b"", content_type="", accept="", count=2)
    return list(codec_named(codec, options).decode(request, answer))
