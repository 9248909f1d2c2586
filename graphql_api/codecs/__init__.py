"""How model families spell requests and answers: one file each, pure functions between bytes and domain values.

A new family is one file and one line in CODECS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from graphql_api.codecs.jumpstart_sd import JumpStartStableDiffusionCodec
from graphql_api.ports import ModelCodec

CODECS: Mapping[str, Callable[..., ModelCodec]] = {codec.name: codec for codec in (JumpStartStableDiffusionCodec,)}
"""Name -> what makes the codec from its options, which are keyword arguments with defaults."""


def codec_named(name: str, options: Mapping[str, object] | None = None) -> ModelCodec:
    """The codec of a family with the options of a model file. Raises ValueError, which names what is known."""
    factory = CODECS.get(name)
    if factory is None:
        raise ValueError(f"There is no codec '{name}'; known are {', '.join(CODECS)}.")
    return factory(**(options or {}))
