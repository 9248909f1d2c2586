"""Image files over HTTP, where images are stored in a folder.

A name holds a part of the hash of the image, so that what is behind a name never changes and may be cached for good.
Where URLs are signed they expire, and so do the copies of what is behind them.
"""

from __future__ import annotations

import re
import stat
from os import stat_result
from pathlib import Path
from typing import Protocol

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from graphql_api.domain.generation import ImageFormat
from graphql_api.domain.ids import as_job_id
from graphql_api.service.picture_metadata import format_of
from graphql_api.service.pictures import IMAGE_FILE_NAME

FOR_GOOD = "public, max-age=31536000, immutable"

_HEADERS = {
    # Pages of other origins may show images.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Disposition": "inline",
    # Should a browser ever take a file for a document, it runs nothing. The style is the browser's own for images.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
# One range, with numbers that are quick to read.
_RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-[0-9]{1,18})[ \t]*", re.IGNORECASE)


class UrlSignatures(Protocol):
    """What knows which URLs were signed by this program."""

    def seconds_left(self, key: str, *, expires: str, signature: str) -> int | None:
        """How long the URL of a key is valid still, at least 1; None when it is not, for whatever reason."""
        ...


def image_routes(root: Path, signatures: UrlSignatures | None = None) -> list[Route]:
    """GET and HEAD of the images in a folder, each at its key. Nothing else is found below /images/. With `signatures`
    only those are found whose URLs are signed."""

    async def image(request: Request) -> Response:
        job_id, file_name = request.path_params["job_id"], request.path_params["file_name"]
        if as_job_id(job_id) != job_id or not IMAGE_FILE_NAME.fullmatch(file_name):
            return _not_found()
        caching = _caching(request, f"images/{job_id}/{file_name}", signatures)
        if caching is None:
            # Before anything looks for the file: neither the answer nor its time tells whether there is one.
            return _not_found()
        path = root / "images" / job_id / file_name
        found = await to_thread.run_sync(_look_up, root, path)
        if found is None:
            return _not_found()
        return _answer(request, path, *found, caching)

    async def nothing(request: Request) -> Response:
        return _not_found()

    return [
        Route("/images/{job_id}/{file_name}", image),
        Route("/images/{path:path}", nothing),
        Route("/images", nothing),
    ]


def _caching(request: Request, key: str, signatures: UrlSignatures | None) -> str | None:
    """How the file at a key may be cached, or None when the URL does not give it away."""
    if signatures is None:
        return FOR_GOOD
    query = request.query_params
    left = signatures.seconds_left(key, expires=query.get("expires", ""), signature=query.get("signature", ""))
    return None if left is None else f"private, max-age={left}"


def _not_found() -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return PlainTextResponse("There is no such image.", status_code=404, headers=headers)


def _look_up(root: Path, path: Path) -> tuple[ImageFormat, stat_result] | None:
    """What the file at a path is, or None when it is no image, or is reached by a link. The root itself may be one."""
    try:
        if path.resolve(strict=True) != root.resolve(strict=True) / path.relative_to(root):
            return None
        status = path.stat()
        # Looked at before it is opened: opening a pipe would wait for its writer.
        if not stat.S_ISREG(status.st_mode):
            return None
        with path.open("rb") as file:
            image_format = format_of(file.read(16))
    except OSError:
        return None
    return None if image_format is None else (image_format, status)


def _answer(request: Request, path: Path, image_format: ImageFormat, status: stat_result, caching: str) -> Response:
    headers = {**_HEADERS, "Cache-Control": caching, "ETag": f'"{path.stem}"'}
    if _has_copy(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if not _asks_for_range(request):
        # FileResponse answers 400 where RFC 9110, section 14.2, says to ignore the header.
        request.scope["headers"] = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
    return FileResponse(path, headers=headers, media_type=image_format.media_type, stat_result=status)


def _has_copy(request: Request, etag: str) -> bool:
    """Whether the client names the file as one that it has; weak comparison, as RFC 9110 says for If-None-Match."""
    named = {tag.strip().removeprefix("W/") for tag in ",".join(request.headers.getlist("If-None-Match")).split(",")}
    return not named.isdisjoint({etag, "*"})


def _asks_for_range(request: Request) -> bool:
    """Whether there is one well-formed range, on GET. For anything else the whole file is the answer."""
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if request.method != "GET" or match is None:
        return False
    first, last = match.groups()
    return not (first and last) or int(first) <= int(last)
