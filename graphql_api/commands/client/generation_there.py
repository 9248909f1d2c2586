"""A job on a server."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from graphql_api.commands.client import operations
from graphql_api.commands.client.generation import Generation, unknown_name
from graphql_api.commands.client.remote import Remote, open_remote, refusal_in
from graphql_api.commands.client.views import JobView, Picture
from graphql_api.commands.usage import Stopped
from graphql_api.domain.generation import Dimensions, GenerationRequest

OnAccepted = Callable[[str], None]


class _There:
    on_lost: Callable[[float], None] = staticmethod(lambda seconds: None)

    def __init__(self, remote: Remote, request: GenerationRequest, on_accepted: OnAccepted) -> None:
        self._remote = remote
        self._request = request
        self._on_accepted = on_accepted

    async def views(self) -> AsyncGenerator[JobView, None]:
        self._remote.on_lost = self.on_lost
        job_id = await self._submit()
        self._on_accepted(job_id)
        changes = self._remote.follow(operations.FOLLOW_JOB, {"id": job_id}, "jobUpdated")
        async with aclosing(changes) as stream:
            async for change in stream:
                if change.job is None:
                    raise Stopped("The job was deleted.")
                yield change.job

    async def preview(self, view: JobView) -> bytes | None:
        return None if view.preview is None else await self._remote.fetch_preview(view.preview)

    async def picture(self, picture: Picture) -> bytes:
        return await self._remote.fetch_picture(picture)

    async def _submit(self) -> str:
        payload = (await self._remote.ask(operations.GENERATE, {"input": _input(self._request)}))["generateImage"]
        refusal = refusal_in(payload)
        if refusal is None:
            job_id: str = payload["job"]["id"]
            return job_id
        match payload["errors"][0]["__typename"]:
            case "StyleNotFoundError":
                known = (await self._remote.ask(operations.STYLES))["styles"]
                raise unknown_name(str(refusal), self._request.style_name, [each["name"] for each in known])
            case "ModelNotFoundError":
                known = (await self._remote.ask(operations.MODELS))["models"]
                raise unknown_name(str(refusal), self._request.model_name, [each["name"] for each in known])
            case _:
                raise refusal


@asynccontextmanager
async def generate_there(
    server: str, token: str, request: GenerationRequest, on_accepted: OnAccepted
) -> AsyncIterator[Generation]:
    """A job of a server. It goes on when this program ends; `on_accepted` learns its ID."""
    async with open_remote(server, token) as remote:
        yield _There(remote, request, on_accepted)


def _input(request: GenerationRequest) -> dict[str, Any]:
    size = request.size
    fields = {
        "prompt": request.prompt,
        "negativePrompt": request.negative_prompt,
        "modelId": request.model_name,
        "style": request.style_name,
        "size": {"dimensions": {"width": size.width, "height": size.height}} if isinstance(size, Dimensions) else None,
        "steps": request.steps,
        "guidanceScale": request.guidance_scale,
        "seed": request.seed,
        "count": request.count,
        "format": request.format,
        # A request that is sent again, since its answer was lost, leads to the same job.
        "idempotencyKey": f"cli-{secrets.token_hex(16)}",
    }
    return {name: value for name, value in fields.items() if value is not None}
