"""Whether the server is up, and pictures of what it is doing."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from graphql_api.ports import EventBroker


def health_routes() -> list[Route]:
    """GET /healthz answers as long as the process does."""

    async def answer(request: Request) -> Response:
        return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})

    return [Route("/healthz", answer)]


def preview_routes(broker: EventBroker) -> list[Route]:
    """GET /previews/<key>: the unfinished image of a running job. A key is as good as its job lasts."""

    async def show(request: Request) -> Response:
        body = await broker.preview(request.path_params["key"])
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if body is None:
            return PlainTextResponse("There is no such preview any more.\n", status_code=404, headers=headers)
        return Response(body, media_type="image/webp", headers=headers)

    return [Route("/previews/{key:path}", show)]
