"""`sagemaker:<endpoint>`: InvokeEndpoint, which answers within 60 seconds or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from graphql_api.adapters.aws import Aws
from graphql_api.adapters.model_endpoint.sagemaker.target import MAX_ANSWER_BYTES, Endpoint, Target, read_up_to
from graphql_api.adapters.sdk_errors import SDK_ERRORS
from graphql_api.domain.generation import ModelAvailability
from graphql_api.ports import Answer, Invocation, StepDone


class SageMakerEndpoint:
    """A real-time endpoint. It is silent while it draws, and cannot be stopped."""

    can_stop = False
    reports_steps = False

    def __init__(self, aws: Aws, target: Target) -> None:
        self._endpoint = Endpoint(aws, target)

    async def invoke(self, invocation: Invocation) -> AsyncIterator[StepDone | Answer]:
        """See ModelEndpoint."""
        try:
            client = await self._endpoint.aws.sagemaker_runtime()
            async with asyncio.timeout(invocation.timeout_seconds):
                response = await client.invoke_endpoint(
                    **self._endpoint.target.parameters,
                    Body=invocation.request.body,
                    ContentType=invocation.request.content_type,
                    Accept=invocation.request.accept,
                    InferenceId=invocation.id,
                )
                body, is_cut = await read_up_to(response["Body"], MAX_ANSWER_BYTES)
        except SDK_ERRORS as error:
            raise await self._endpoint.failure(error, invocation.id) from error
        if is_cut:
            raise self._endpoint.too_large()
        yield Answer(body=body, content_type=response.get("ContentType", ""))

    async def availability(self) -> ModelAvailability:
        """See ModelEndpoint."""
        return await self._endpoint.availability()
