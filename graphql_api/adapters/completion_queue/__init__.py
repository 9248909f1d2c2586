"""Where deferred endpoints tell of their answers, chosen by URL scheme."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from graphql_api.adapters.aws import Aws
from graphql_api.ports import CompletionQueue


@asynccontextmanager
async def open_completion_queue(url: str, *, aws: Aws) -> AsyncIterator[CompletionQueue]:
    """Open the queue that a URL names; `sqs:<queue URL>` is one of Amazon SQS. Raises ValueError."""
    scheme, _, rest = url.partition(":")
    match scheme:
        case "sqs":
            from graphql_api.adapters.completion_queue.sqs import SqsCompletionQueue

            if not rest.startswith(("https://", "http://")):
                raise ValueError("sqs: needs the URL of a queue, such as sqs:https://sqs.<region>.amazonaws.com/...")
            await aws.sqs()
            yield SqsCompletionQueue(aws, rest)
        case _:
            raise ValueError(f"A completion queue is sqs:<queue URL>, not {scheme}:.")
