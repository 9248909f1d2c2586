"""The service for people without GraphQL, as its first version had it.

`POST /text2image` with `{"text": "..."}` answers `{"statusCode": 200, "body": "<image URL>"}` when the image is ready,
or 202 with the URL of the job when that takes longer than the server waits. `GET /text2image?prompt=...` is the same
for a browser: a page with the prompt and the image.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from graphql_api.domain.caller import Caller
from graphql_api.domain.errors import Text2ImageError
from graphql_api.domain.generation import Dimensions, GenerationRequest
from graphql_api.domain.ids import as_job_id
from graphql_api.domain.job import Job, JobStatus
from graphql_api.http import json
from graphql_api.http.authentication import Door
from graphql_api.http.errors import REFUSALS, refusal_headers, status_of
from graphql_api.schema.context import Context
from graphql_api.service.streams import Streams

INTEGERS = ("width", "height", "steps", "seed")
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' https: data:; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class _BadRequest(Exception):
    pass


@dataclass(frozen=True, slots=True)
class RestApi:
    """The routes under /text2image. `wait_seconds` bounds how long a request waits for its image; it also waits no
    longer than streams may stay open. `public_url` is the origin that clients know, if there is one."""

    make_context: Callable[[HTTPConnection, Caller], Context]
    door: Door
    streams: Streams
    wait_seconds: float
    public_url: str = ""

    def routes(self) -> list[Route]:
        """All routes."""
        return [
            Route("/text2image", self.generate, methods=["POST"]),
            Route("/text2image", self.show_page, methods=["GET"]),
            Route("/text2image/jobs/{job_id}", self.show_job, methods=["GET"]),
        ]

    async def generate(self, request: Request) -> Response:
        """Make an image and answer with its URL."""
        try:
            context = await self._context(request)
            fields = json.decode(await request.body())
            if not isinstance(fields, dict):
                raise _BadRequest("The body must be a JSON object.")
            asked = _request_of(fields, prompt_field="text")
            return await self._answer_of(request, context, await self._made(context, asked))
        except REFUSALS as error:
            return _refusal(error)
        except ValueError:
            return _answer(400, "The body must be JSON.")
        except _BadRequest as error:
            return _answer(400, str(error))

    async def show_page(self, request: Request) -> Response:
        """Make an image and show it."""
        if request.headers.get("sec-fetch-site") == "cross-site" and request.headers.get("sec-fetch-user") != "?1":
            return _page(403, "Nothing was made", "Other sites may link to this page, but not load it by themselves.")
        try:
            context = await self._context(request)
            asked = _request_of(request.query_params, prompt_field="prompt")
            job = await self._made(context, asked)
        except _BadRequest as error:
            return _page(400, "Nothing was made", str(error))
        except REFUSALS as error:
            page = _page(status_of(error), "Nothing was made", error.message)
            page.headers.update(refusal_headers(error))
            return page
        return await self._job_page(request, context, job)

    async def show_job(self, request: Request) -> Response:
        """How a job stands, for who was answered 202."""
        try:
            context = await self._context(request)
        except REFUSALS as error:
            return _refusal(error)
        job_id = as_job_id(request.path_params["job_id"])
        job = None if job_id is None else await context.jobs.get(context.caller_id, job_id)
        return _answer(404, "There is no such job.") if job is None else await self._answer_of(request, context, job)

    async def _context(self, request: Request) -> Context:
        """Who asks, and the service. Raises one of REFUSALS."""
        return self.make_context(request, await self.door.admit(request))

    async def _made(self, context: Context, asked: GenerationRequest) -> Job:
        """The job of a request: finished, or as far as it was when waiting ended."""
        job = (await context.jobs.submit(context.caller, asked)).job
        try:
            async with self.streams.waiting(self.wait_seconds):
                async for event in await context.watching.watch_job(context.caller_id, job.id):
                    job = event.job or job
        except TimeoutError:
            pass
        return job

    async def _answer_of(self, request: Request, context: Context, job: Job) -> Response:
        if job.status is JobStatus.SUCCEEDED:
            return _answer(200, await self._image_url(request, context, job))
        if not job.is_final:
            url = self._absolute(request, f"/text2image/jobs/{job.id}")
            return _answer(202, url, headers={"Location": url, "Retry-After": "2"})
        return _answer(502, job.failure.message if job.failure else "The job was canceled.")

    async def _job_page(self, request: Request, context: Context, job: Job) -> Response:
        if job.status is JobStatus.SUCCEEDED:
            url, prompt = await self._image_url(request, context, job), html.escape(job.parameters.prompt)
            picture = f'<img src="{html.escape(url)}" alt="{prompt}" width="{job.parameters.width}">'
            return _page(200, job.parameters.prompt, f"seed {job.parameters.seed}", picture)
        if not job.is_final:
            url = html.escape(self._absolute(request, f"/text2image/jobs/{job.id}"))
            return _page(202, job.parameters.prompt, "It takes longer.", f'<a href="{url}">Look again later.</a>')
        return _page(502, job.parameters.prompt, job.failure.message if job.failure else "The job was canceled.")

    async def _image_url(self, request: Request, context: Context, job: Job) -> str:
        return self._absolute(request, await context.jobs.images.url_for(job.images[0].key))

    def _absolute(self, request: Request, url: str) -> str:
        """A URL for whoever sent the request. Of several proxies only the last says by which scheme it was asked, so
        clients that asked for the public origin are told that one."""
        asked_for = urlsplit(self.public_url).netloc == request.headers.get("host")
        return urljoin(self.public_url if asked_for else str(request.base_url), url)


def _request_of(fields: Mapping[str, Any], *, prompt_field: str) -> GenerationRequest:
    """Read the fields of a body or a query. Raises _BadRequest."""
    prompt = fields.get(prompt_field)
    if not isinstance(prompt, str):
        raise _BadRequest(f"`{prompt_field}` is missing: say what to show.")
    numbers = {name: _number(fields, name, int) for name in INTEGERS}
    width, height = numbers.pop("width"), numbers.pop("height")
    if (width is None) != (height is None):
        raise _BadRequest("Give both width and height, or neither.")
    size = Dimensions(width=width, height=height) if width is not None and height is not None else None
    return GenerationRequest(prompt=prompt, size=size, guidance_scale=_number(fields, "guidance", float), **numbers)


def _number(fields: Mapping[str, Any], name: str, kind: Callable[[Any], Any]) -> Any:
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or (kind is int and isinstance(value, float) and value != int(value)):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        raise _BadRequest(f"`{name}` must be a number.") from None


def _refusal(error: Text2ImageError) -> Response:
    return _answer(status_of(error), error.message, headers=refusal_headers(error))


def _answer(status: int, body: str, *, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        json.encode({"statusCode": status, "body": body}),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def _page(status: int, title: str, text: str, picture: str = "") -> Response:
    """A small page. `title` and `text` are escaped here, `picture` is HTML."""
    page = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
img {{ max-width: 100%; height: auto; border-radius: .5rem }}
p {{ color: #666 }}
</style>
<h1>{html.escape(title)}</h1>
{picture}
<p>{html.escape(text)}</p>
"""
    return HTMLResponse(page, status_code=status, headers=PAGE_HEADERS)
