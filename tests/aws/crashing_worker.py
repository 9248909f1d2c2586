"""A worker that kills itself at one of its steps: `python -m tests.aws.crashing_worker <model> <step, or 0>`.

The steps are the calls by which a job gets on, each before it is made and after it has returned. It is the product's
own code on the product's own adapters; only the calls are counted. A job that was submitted before, with the same key,
is gone on with. At its end it prints what became of the job, as JSON.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from graphql_api.adapters.image_store.s3 import S3ImageStore
from graphql_api.adapters.job_store.sqlite import SqliteJobStore
from graphql_api.adapters.model_endpoint.sagemaker.asynchronous import SageMakerAsyncEndpoint
from graphql_api.adapters.model_endpoint.sagemaker.realtime import SageMakerEndpoint
from graphql_api.adapters.model_endpoint.sagemaker.streaming import SageMakerStreamEndpoint
from graphql_api.bootstrap import open_services
from graphql_api.domain.caller import LOCAL
from graphql_api.domain.generation import Dimensions, GenerationRequest
from graphql_api.domain.ids import LOCAL_CALLER
from graphql_api.domain.job import Job
from graphql_api.settings import Settings
from graphql_api.telemetry import configure_logging

PATIENCE_SECONDS = 60.0
REQUEST = GenerationRequest(
    prompt="a lighthouse", size=Dimensions(width=64, height=64), steps=2, seed=1, idempotency_key="the one"
)


class Steps:
    """Counts, and kills."""

    def __init__(self, crash_at: int) -> None:
        self.taken: list[str] = []
        self._crash_at = crash_at

    def take(self, name: str) -> None:
        """One more step."""
        self.taken.append(name)
        if len(self.taken) == self._crash_at:
            sys.stdout.write(f"killed {name}")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: type, method: str, *, counts: Callable[[Any], bool] | None = None) -> None:
        """Count the calls of a method, before and after; with `counts`, for what is asked again and again, only those
        with a result that does."""
        original = getattr(owner, method)

        @functools.wraps(original)
        async def counted(*args: Any, **kwargs: Any) -> Any:
            if counts is None:
                self.take(f"before {method}")
            result = await original(*args, **kwargs)
            if counts is None or counts(result):
                self.take(f"after {method}")
            return result

        setattr(owner, method, counted)

    def around_invoke(self, owner: type) -> None:
        """Count what comes out of an invocation."""
        original = owner.invoke  # type: ignore[attr-defined]

        async def counted(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            self.take("before invoke")
            async for update in original(*args, **kwargs):
                self.take(f"after {type(update).__name__}")
                yield update

        owner.invoke = counted  # type: ignore[attr-defined]


async def main(model: str, crash_at: int) -> None:
    """Submit, or find, the job, and see it through."""
    configure_logging("warning", "text")
    steps = Steps(crash_at)
    for method in ("add", "update"):
        steps.around(SqliteJobStore, method)
    steps.around(SqliteJobStore, "claim", counts=bool)
    steps.around(S3ImageStore, "put")
    steps.around(SageMakerAsyncEndpoint, "submit")
    steps.around(SageMakerAsyncEndpoint, "collect", counts=bool)
    steps.around_invoke(SageMakerEndpoint)
    steps.around_invoke(SageMakerStreamEndpoint)
    async with open_services(Settings()) as services, asyncio.timeout(PATIENCE_SECONDS):
        job = (await services.jobs.submit(LOCAL, replace(REQUEST, model_name=model))).job
        async for event in await services.watching.watch_job(LOCAL_CALLER, job.id):
            job = event.job or job
    sys.stdout.write(json.dumps(_told(job, steps)))


def _told(job: Job, steps: Steps) -> dict[str, Any]:
    keys = [key for image in job.images for key in (image.key, image.thumbnail_key)]
    return {"id": job.id, "status": job.status, "losses": job.losses, "keys": keys, "steps": steps.taken}


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
