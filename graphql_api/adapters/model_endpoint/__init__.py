"""Model endpoints, chosen by URL scheme."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager

from graphql_api.adapters.aws import Aws
from graphql_api.ports import DeferredEndpoint, ModelEndpoint

AWS_SCHEMES = frozenset({"sagemaker", "sagemaker-stream", "sagemaker-async"})


@asynccontextmanager
async def open_model_endpoint(
    url: str, *, executor: Executor, aws: Aws
) -> AsyncIterator[ModelEndpoint | DeferredEndpoint]:
    """Open the endpoint that a URL names; `executor` runs what needs the CPU.

    Raises ValueError for a scheme or an option that is not known.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "sketch":
            from graphql_api.adapters.model_endpoint.sketch.endpoint import SketchEndpoint, SketchOptions

            yield SketchEndpoint(executor, SketchOptions.parse(rest))
        case "sagemaker":
            from graphql_api.adapters.model_endpoint.sagemaker.realtime import SageMakerEndpoint
            from graphql_api.adapters.model_endpoint.sagemaker.target import parse_target

            target, _ = parse_target(scheme, rest, options=frozenset())
            await aws.sagemaker_runtime()
            yield SageMakerEndpoint(aws, target)
        case "sagemaker-stream":
            from graphql_api.adapters.model_endpoint.sagemaker.streaming import SageMakerStreamEndpoint
            from graphql_api.adapters.model_endpoint.sagemaker.target import parse_target

            target, _ = parse_target(scheme, rest, options=frozenset())
            await aws.sagemaker_runtime()
            yield SageMakerStreamEndpoint(aws, target)
        case "sagemaker-async":
            from graphql_api.adapters.model_endpoint.sagemaker.asynchronous import AsyncOptions, SageMakerAsyncEndpoint
            from graphql_api.adapters.model_endpoint.sagemaker.target import parse_target

            target, options = parse_target(scheme, rest, options=AsyncOptions.NAMES)
            endpoint = SageMakerAsyncEndpoint(aws, target, AsyncOptions.parse(options))
            await aws.sagemaker_runtime()
            await aws.s3()
            yield endpoint
        case _:
            known = "sketch:, sagemaker:, sagemaker-stream: and sagemaker-async:"
            raise ValueError(f"'{scheme}:' is no model endpoint; known are {known}")
