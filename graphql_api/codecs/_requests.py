"""What the codecs share in writing requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql_api.domain.generation import GenerationParameters
from graphql_api.ports import ModelRequest

JSON = "application/json"


def json_request(body: Mapping[str, Any], *, accept: str = JSON, first_index: int = 0, count: int = 1) -> ModelRequest:
    """An invocation with a JSON body."""
    return ModelRequest(
        body=json.dumps(body).encode(), content_type=JSON, accept=accept, first_index=first_index, count=count
    )


def one_each(
    parameters: GenerationParameters, body_of: Callable[[int], Mapping[str, Any]], *, accept: str = JSON
) -> Sequence[ModelRequest]:
    """An invocation for each image, for families that make one a call. `body_of` gets the image's index."""
    return [json_request(body_of(index), accept=accept, first_index=index) for index in range(parameters.count)]


def weighted_prompts(parameters: GenerationParameters) -> list[dict[str, Any]]:
    """Prompts as the SDXL containers want them: what the image shall not show has a negative weight."""
    prompts: list[dict[str, Any]] = [{"text": parameters.rendered_prompt, "weight": 1}]
    if parameters.negative_prompt is not None:
        prompts.append({"text": parameters.negative_prompt, "weight": -1})
    return prompts
