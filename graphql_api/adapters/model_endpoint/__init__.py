"""Model endpoints, chosen by URL scheme."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager

from graphql_api.ports import ModelEndpoint


@asynccontextmanager
async def open_model_endpoint(url: str, *, executor: Executor) -> AsyncIterator[ModelEndpoint]:
    """Open the endpoint that a URL names; `executor` runs what needs the CPU.

    Raises ValueError for a scheme or an option that is not known.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "sketch":
            from graphql_api.adapters.model_endpoint.sketch.endpoint import SketchEndpoint, SketchOptions

            yield SketchEndpoint(executor, SketchOptions.parse(rest))
        case _:
            raise ValueError(f"'{scheme}:' is no model endpoint; known is sketch:")
