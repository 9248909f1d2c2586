"""How model families spell requests and answers: one file each, pure functions between bytes and domain values.

A new family is one file and one line in CODECS.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from graphql_api.codecs.huggingface import HuggingFaceCodec
from graphql_api.codecs.jumpstart_imagegeneration import JumpStartImageGenerationCodec
from graphql_api.codecs.jumpstart_sd import JumpStartStableDiffusionCodec
from graphql_api.codecs.stability_sd3 import StabilitySd3Codec
from graphql_api.codecs.stability_sdk import StabilitySdkCodec
from graphql_api.ports import ModelCodec

CODECS: Mapping[str, Callable[..., ModelCodec]] = {
    HuggingFaceCodec.name: HuggingFaceCodec,
    JumpStartImageGenerationCodec.name: JumpStartImageGenerationCodec,
    JumpStartStableDiffusionCodec.name: JumpStartStableDiffusionCodec,
    StabilitySd3Codec.name: StabilitySd3Codec,
    StabilitySdkCodec.name: StabilitySdkCodec,
}
"""Name -> what makes the codec from its options, which are keyword arguments with types and defaults."""


def codec_named(name: str, options: Mapping[str, object] | None = None) -> ModelCodec:
    """The codec of a family with the options of a model file. Raises ValueError, which says what would be accepted."""
    codec = CODECS.get(name)
    if codec is None:
        raise ValueError(f"There is no codec '{name}'; known are {_listed(CODECS)}.")
    options = options or {}
    types = get_type_hints(codec)
    known = [option for option in inspect.signature(codec).parameters if option in types]
    for option, value in options.items():
        if option not in known:
            hint = f"known are {_listed(known)}" if known else "it has none"
            raise ValueError(f"The codec '{name}' has no option '{option}'; {hint}.")
        if not _is_accepted(value, types[option]):
            accepted = _in_words(types[option])
            raise ValueError(f"The option '{option}' of the codec '{name}' is {accepted}, not {value!r}.")
    try:
        return codec(**options)
    except ValueError as error:
        raise ValueError(f"The options of the codec '{name}' do not go together. {error}") from error


def _is_accepted(value: object, wanted: Any) -> bool:
    if get_origin(wanted) is Literal:
        # By type, too: True equals 1.
        return any(type(value) is type(choice) and value == choice for choice in get_args(wanted))
    return type(value) is wanted


def _in_words(wanted: Any) -> str:
    if get_origin(wanted) is Literal:
        return " or ".join(repr(choice) for choice in get_args(wanted))
    return {bool: "true or false", int: "a whole number", str: "a text"}[wanted]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))
