"""How model families spell requests and answers: one file each, pure functions between bytes and domain values.

A new family is one file and one line in CODECS.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphql_api.codecs.jumpstart_sd import JumpStartStableDiffusionCodec
from graphql_api.ports import ModelCodec

CODECS: Mapping[str, ModelCodec] = {codec.name: codec for codec in (JumpStartStableDiffusionCodec(),)}
