"""The product's own server, with the side door of the benchmarks.

`python -m bench.product_host --port 8000 --control 8001`, settings from the environment as for `text2image serve`.
BENCH_WORKER=on runs a worker too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime

from starlette.applications import Starlette

from bench.harness import raise_file_limit
from bench.hosting import side_door
from bench.sample_image import sample_image
from graphql_api import app as product
from graphql_api.bootstrap import Services
from graphql_api.commands import serve as serving
from graphql_api.domain.caller import LOCAL
from graphql_api.domain.generation import GenerationRequest
from graphql_api.domain.ids import LOCAL_CALLER, global_id
from graphql_api.domain.job import Job
from graphql_api.ports import Authenticator, JobMoved
from graphql_api.settings import Settings


class ProductHost:
    """The product behind the side door. Events take the product's own way from the broker on."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._jobs: list[Job] = []
        self._revision = 0

    async def create_jobs(self, count: int) -> Sequence[str]:
        """Submit jobs; they run from the first event on, as far as watchers are told."""
        wanted = GenerationRequest(prompt="a lighthouse", size=None)
        submitted = await asyncio.gather(
            *(self._services.jobs.submit(LOCAL, wanted) for _ in range(count)),
        )
        self._revision = await self._services.store.caller_revision(LOCAL_CALLER)
        ids = [one.job.id for one in submitted]
        self._jobs = [_with_image(one.job.claimed(at=datetime.now(UTC))) for one in submitted]
        return [global_id("GenerationJob", job_id) for job_id in ids]

    async def publish(self, number: int, sequence: int) -> None:
        """Announce a move that the store has not seen, which watchers cannot tell from one that it has."""
        self._revision += 1
        job = self._jobs[number]
        progress = replace(job.progress, fraction=0.5, step=sequence)
        moved = replace(job, revision=self._revision, started_at=datetime.now(UTC), progress=progress)
        notice = JobMoved(job_id=job.id, caller_id=job.caller_id, revision=moved.revision, job=moved)
        await self._services.broker.publish(notice)

    def live(self) -> int:
        """The product tells its subscribers by a snapshot."""
        return 0


def _with_image(job: Job) -> Job:
    return replace(job, images=(sample_image(job),))


def main() -> None:
    """Serve as the product does, with one thing more when the services are ready."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control", type=int, required=True)
    asked = parser.parse_args()
    raise_file_limit()
    doors = AsyncExitStack()
    opening: list[asyncio.Task[None]] = []

    def create_app(
        settings: Settings,
        *,
        with_worker: bool,
        authenticator: Authenticator | None,
        on_ready: Callable[[Services], None] | None = None,
    ) -> Starlette:
        def open_door(services: Services) -> None:
            if on_ready is not None:
                on_ready(services)
            door = doors.enter_async_context(side_door(ProductHost(services), asked.control))
            opening.append(asyncio.get_running_loop().create_task(door))

        return product.create_app(settings, with_worker=with_worker, authenticator=authenticator, on_ready=open_door)

    setattr(serving, "create_app", create_app)  # noqa: B010 - the one seam that keeps server options and GC the product's
    with_worker = os.environ.get("BENCH_WORKER") == "on"
    raise SystemExit(serving.serve(Settings(), host="127.0.0.1", port=asked.port, with_worker=with_worker))


if __name__ == "__main__":
    main()
