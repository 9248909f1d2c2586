"""`text2image generate`: one prompt, one progress bar, one file."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from graphql_api.bootstrap import Services, open_services
from graphql_api.domain.caller import LOCAL
from graphql_api.domain.errors import Text2ImageError
from graphql_api.domain.generation import GenerationRequest
from graphql_api.domain.job import Job
from graphql_api.service.callers import OneCaller
from graphql_api.settings import Settings

FOLLOW = """
subscription Generate($input: GenerateImageInput!) {
  generateImage(input: $input) {
    job {
      status
      progress { phase fraction step totalSteps etaSeconds }
      parameters { seed }
      failure { message }
      images { url }
    }
  }
}
"""
RECONNECTS = 5


class GenerationStopped(Exception):
    """There is no image; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a job stands, for a progress bar. `image` is set in the last one."""

    status: str
    phase: str
    fraction: float
    step: int
    total_steps: int
    eta_seconds: float | None
    seed: int
    image: bytes | None = None


async def generate_here(settings: Settings, request: GenerationRequest) -> AsyncIterator[Report]:
    """Run a job in this process, in a folder that is deleted afterwards. Raises GenerationStopped."""
    with tempfile.TemporaryDirectory(prefix="text2image-") as folder:
        private = settings.model_copy(update={"data_dir": Path(folder), "database": "", "images": ""})
        async with open_services(private, authenticator=OneCaller()) as services:
            try:
                job = (await services.jobs.submit(LOCAL, request)).job
                async with aclosing(await services.watching.watch_job(LOCAL.id, job.id)) as events:
                    async for event in events:
                        if event.job is not None:
                            yield _report(event.job, await _image(services, event.job))
            except Text2ImageError as error:
                raise GenerationStopped(error.message) from error


async def _image(services: Services, job: Job) -> bytes | None:
    if job.failure is not None:
        raise GenerationStopped(job.failure.message)
    if not job.images or services.image_folder is None:
        return None
    return await asyncio.to_thread((services.image_folder.root / job.images[0].key).read_bytes)


def _report(job: Job, image: bytes | None) -> Report:
    progress = job.progress
    return Report(
        status=job.status,
        phase=progress.phase,
        fraction=progress.fraction,
        step=progress.step,
        total_steps=progress.total_steps,
        eta_seconds=progress.eta_seconds,
        seed=job.parameters.seed,
        image=image,
    )


async def generate_there(server: str, request: GenerationRequest, *, token: str = "") -> AsyncIterator[Report]:
    """Run a job on a server, over Server-Sent Events. A lost connection is made again: the key leads to the same job.
    A server that cannot be reached in the first place is not tried again. The token, an API key or another one, is
    shown to the API alone, not to where the images are.

    Raises GenerationStopped.
    """
    import httpx

    _check_url(server)
    variables = {"input": _input(request)}
    credential = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=server, timeout=httpx.Timeout(10, read=60)) as client:
        has_answered = False
        for attempt in range(1 + RECONNECTS):
            try:
                async for data in _events(client, variables, credential):
                    has_answered = True
                    job = data["generateImage"]["job"]
                    if job is None or job["failure"] or job["status"] == "CANCELED":
                        raise GenerationStopped(_why(job))
                    image = await _download(client, server, job["images"][0]["url"]) if job["images"] else None
                    yield _report_of(job, image)
                    if image is not None:
                        return
            except httpx.TransportError as error:
                if attempt == RECONNECTS or not has_answered:
                    raise GenerationStopped(f"{server} cannot be reached ({type(error).__name__}).") from error
                await asyncio.sleep(0.5 * 2**attempt)


def _check_url(server: str) -> None:
    try:
        parts = urlsplit(server)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise GenerationStopped(f"{server} is not the URL of a server, such as http://127.0.0.1:8000.")


async def _events(client: Any, variables: dict[str, Any], credential: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
    import json

    import httpx

    body = {"query": FOLLOW, "variables": variables}
    headers = {"Accept": "text/event-stream", **credential}
    async with client.stream("POST", "/graphql", json=body, headers=headers) as response:
        if response.status_code == 401:
            raise GenerationStopped("The server wants an API key or a token; give it as TEXT2IMAGE_TOKEN.")
        if response.status_code != 200:
            raise GenerationStopped(f"The server answered {response.status_code}.")
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                result = json.loads(line.removeprefix("data: "))
                if result.get("errors"):
                    raise GenerationStopped(result["errors"][0]["message"])
                yield result["data"]
            elif line == "event: complete":
                return
    raise httpx.RemoteProtocolError("The server ended the stream before the job had ended.")


async def _download(client: Any, server: str, url: str) -> bytes:
    response = await client.get(urljoin(server, url))
    if response.status_code != 200:
        raise GenerationStopped(f"The image could not be fetched: {response.status_code}.")
    return bytes(response.content)


def _input(request: GenerationRequest) -> dict[str, Any]:
    asked = asdict(request)
    size = asked["size"]
    fields = {
        "prompt": request.prompt,
        "negativePrompt": request.negative_prompt,
        "style": request.style_name,
        "size": {"dimensions": size} if size else None,
        "steps": request.steps,
        "guidanceScale": request.guidance_scale,
        "seed": request.seed,
        "format": request.format,
        "idempotencyKey": f"cli-{secrets.token_hex(16)}",
    }
    return {name: value for name, value in fields.items() if value is not None}


def _report_of(job: dict[str, Any], image: bytes | None) -> Report:
    progress = job["progress"]
    return Report(
        status=job["status"],
        phase=progress["phase"],
        fraction=progress["fraction"],
        step=progress["step"],
        total_steps=progress["totalSteps"],
        eta_seconds=progress["etaSeconds"],
        seed=job["parameters"]["seed"],
        image=image,
    )


def _why(job: dict[str, Any] | None) -> str:
    if job is None:
        return "The job was deleted."
    return job["failure"]["message"] if job["failure"] else "The job was canceled."
