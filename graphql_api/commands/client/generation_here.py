"""A job in this process."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from graphql_api.bootstrap import Services, open_services
from graphql_api.commands.client.generation import Generation, unknown_name
from graphql_api.commands.client.views import JobView, Picture, pictures_with_numbers
from graphql_api.commands.usage import Exit, Stopped
from graphql_api.domain.caller import LOCAL
from graphql_api.domain.errors import ModelNotFound, RequestRefused, StyleNotFound, Text2ImageError
from graphql_api.domain.generation import GenerationRequest
from graphql_api.domain.ids import global_id
from graphql_api.domain.job import Job
from graphql_api.domain.styles import STYLES
from graphql_api.service.callers import OneCaller
from graphql_api.service.costs import dollars
from graphql_api.settings import Settings


class _Here:
    on_lost: Callable[[float], None]

    def __init__(self, services: Services, request: GenerationRequest) -> None:
        self._services = services
        self._request = request
        self._keys: dict[int, str] = {}

    async def views(self) -> AsyncGenerator[JobView, None]:
        services = self._services
        job = (await services.jobs.submit(LOCAL, self._request)).job
        async with aclosing(await services.watching.watch_job(LOCAL.id, job.id)) as events:
            async for event in events:
                if event.job is not None:
                    self._keys = {each.index + 1: each.key for each in event.job.images}
                    yield await self._view_of(event.job)

    async def preview(self, view: JobView) -> bytes | None:
        return None if view.preview is None else await self._services.broker.preview(view.preview)

    async def picture(self, picture: Picture) -> bytes:
        folder = self._services.image_folder
        assert folder is not None
        return await asyncio.to_thread((folder.root / self._keys[picture.number]).read_bytes)

    async def _view_of(self, job: Job) -> JobView:
        asked, progress, failure = job.parameters, job.progress, job.failure
        withheld = [{"index": each.index, "code": each.code.value, "message": each.message} for each in job.withheld]
        images = [
            {
                "url": None,
                "format": each.format.value,
                "width": each.width,
                "height": each.height,
                "size_bytes": each.size_bytes,
                "seed": each.seed,
                "sha256": each.sha256,
            }
            for each in job.images
        ]
        return JobView(
            id=global_id("GenerationJob", job.id),
            status=job.status.value,
            phase=progress.phase.value,
            fraction=progress.fraction,
            step=progress.step,
            total_steps=progress.total_steps,
            eta_seconds=await self._services.jobs.eta_seconds(job),
            queue_position=await self._services.jobs.queue_position(job),
            preview=progress.preview_key,
            model=job.model_name,
            parameters={
                "prompt": asked.prompt,
                "rendered_prompt": asked.rendered_prompt,
                "negative_prompt": asked.negative_prompt,
                "style": asked.style_name,
                "width": asked.width,
                "height": asked.height,
                "steps": asked.steps,
                "guidance_scale": asked.guidance_scale,
                "seed": asked.seed,
                "count": asked.count,
                "format": asked.format.value,
            },
            pictures=pictures_with_numbers(images, withheld),
            withheld=withheld,
            failure=None if failure is None else asdict(failure),
            cancel_outcome=job.cancel_outcome and job.cancel_outcome.value,
            cost=dollars(job.cost),
            created_at=job.created_at.isoformat(),
            finished_at=None if job.finished_at is None else job.finished_at.isoformat(),
        )


@asynccontextmanager
async def generate_here(settings: Settings, request: GenerationRequest) -> AsyncIterator[Generation]:
    """A job of this process, in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="text2image-") as folder:
        private = settings.model_copy(update={"data_dir": Path(folder), "database": "", "images": ""})
        names: tuple[str, ...] = ()
        try:
            async with open_services(private, authenticator=OneCaller()) as services:
                names = tuple(services.models.names)
                yield _Here(services, request)
        except StyleNotFound as error:
            raise unknown_name(error.message, request.style_name, STYLES) from error
        except ModelNotFound as error:
            raise unknown_name(error.message, request.model_name, names) from error
        except RequestRefused as error:
            raise Stopped(error.message, Exit.REFUSED) from error
        except Text2ImageError as error:
            raise Stopped(error.message) from error
        except ValueError as error:
            raise Stopped(str(error), Exit.WRONG_USAGE) from error
