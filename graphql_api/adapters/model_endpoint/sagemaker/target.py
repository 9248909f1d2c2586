"""What an endpoint's URL names, and what all kinds of endpoints share: health, and the translation of faults."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from graphql_api.adapters.aws import Aws
from graphql_api.adapters.model_endpoint.sagemaker.faults import BUSY, STARTING, diagnose
from graphql_api.adapters.model_endpoint.sagemaker.health import EndpointHealth
from graphql_api.domain.errors import GenerationFailed, ModelFailed, ModelNotReady
from graphql_api.domain.generation import ModelAvailability

MAX_ANSWER_BYTES = 128 * 1024 * 1024
"""Four RGB images of 1024x1024 as JSON have 66 MB."""

_PART_BYTES = 256 * 1024
_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}")
_FRESH_AFTER_FAULT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An endpoint, or a variant or an inference component of it."""

    name: str
    variant: str | None = None
    component: str | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """How a call of the runtime names it."""
        parameters = {"EndpointName": self.name}
        if self.variant is not None:
            parameters["TargetVariant"] = self.variant
        if self.component is not None:
            parameters["InferenceComponentName"] = self.component
        return parameters


def parse_target(scheme: str, rest: str, *, options: frozenset[str]) -> tuple[Target, dict[str, str]]:
    """Read `<name>?variant=...&component=...`; returns what else was given of `options`. Raises ValueError."""
    name, _, query = rest.partition("?")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{scheme}: needs the name of an endpoint, such as {scheme}:my-endpoint.")
    given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    known = {"variant", "component"} | options
    if unknown := sorted(given.keys() - known):
        raise ValueError(f"{scheme}: takes the options {', '.join(sorted(known))}, not {unknown[0]}.")
    return Target(name=name, variant=given.pop("variant", None), component=given.pop("component", None)), given


async def read_up_to(body: Any, most_bytes: int) -> tuple[bytes, bool]:
    """The beginning of a streaming body, and whether there is more of it than was asked for."""
    parts: list[bytes] = []
    size = 0
    # What `async with` hands out is aiohttp's response rather than the body, and reads in another way.
    async with body:
        while size <= most_bytes and (part := await body.read(_PART_BYTES)):
            size += len(part)
            parts.append(part)
    return b"".join(parts)[:most_bytes], size > most_bytes


class Endpoint:
    """What the kinds of endpoints have in common."""

    def __init__(self, aws: Aws, target: Target) -> None:
        self.aws = aws
        self.target = target
        self._health = EndpointHealth(aws, target.name)

    async def availability(self) -> ModelAvailability:
        """Whether it takes invocations now."""
        return await self._health.availability()

    async def failure(self, error: BaseException, invocation_id: str) -> GenerationFailed:
        """What an error of the SDK means for an invocation. Logged here, with what an operator should do."""
        diagnosis = diagnose(error)
        diagnosis.log(self.target.name, invocation_id, error)
        if not diagnosis.asks_endpoint:
            return diagnosis.failure
        match await self._health.availability(max_age_seconds=_FRESH_AFTER_FAULT_SECONDS):
            case ModelAvailability.STARTING | ModelAvailability.SCALED_TO_ZERO:
                return ModelNotReady(STARTING, is_starting=True)
            case ModelAvailability.READY:
                return ModelNotReady(BUSY, is_starting=False)
            case ModelAvailability.UNAVAILABLE:
                return diagnosis.failure

    def too_large(self) -> GenerationFailed:
        """The answer is larger than anything that makes sense."""
        return ModelFailed("The model's answer was too large.")
