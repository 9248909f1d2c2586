"""The pages for browsers: what `ui/` is built into, served under a policy that lets nothing in from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

BUILT = Path(__file__).parents[1] / "pages"
"""What `make ui` makes, and the wheel holds."""
STUDIO_DOCUMENTS = BUILT / "studio" / "documents.json"
"""The operations of the Studio, for servers that run trusted documents only. Nobody can fetch it."""

FOR_GOOD = "public, max-age=31536000, immutable"

_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
}
# Ends with a hash of the content.
_ASSET = re.compile(rf"[\w.-]+-[\w-]{{8}}\.({'|'.join(_MEDIA_TYPES)})", re.ASCII)
_COMPRESSED = {"br": ".br", "gzip": ".gz"}
_HOST = re.compile(r"[a-z0-9.-]+(:[0-9]+)?|\[[0-9a-f:.]+\](:[0-9]+)?", re.IGNORECASE)
_POLICY = (
    "default-src 'none'; "
    "script-src 'self'; "
    "worker-src 'self'; "
    "style-src {style}; "
    "font-src 'self' data:; "
    # Images may be at a CDN, or in a bucket.
    "img-src 'self' https: data: blob:; "
    "connect-src {connect}; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_OWN_STYLE = "'self'"
# Monaco, the editor, sets styles as it goes. So does the page that says that there is none.
_ANY_STYLE = "'self' 'unsafe-inline'"
# Says to the Studio that there is a GraphiQL to link to.
_HAS_EXPLORER = b'<meta name="explorer" content="/graphiql">'
_NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Text to image: not built</title>
<link rel="icon" href="data:,">
<style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }</style>
<h1>This page was not built</h1>
<p>The API is there all the same, at <code>/graphql</code>.</p>
<p>In a checkout, <code>make ui</code> builds the pages, and brings Node. Then load this page again.</p>
"""


def page_routes(root: Path = BUILT, *, studio: bool = True, explorer: bool = True) -> list[Route]:
    """GET and HEAD of the pages that were built into a folder, and of their assets: the Studio at `/`, the explorer at
    `/graphiql`. None without a page."""

    async def show_studio(request: Request) -> Response:
        without = b"" if explorer else _HAS_EXPLORER
        return await _page(request, root / "studio" / "index.html", style=_OWN_STYLE, without=without)

    async def show_explorer(request: Request) -> Response:
        return await _page(request, root / "graphiql" / "index.html", style=_ANY_STYLE)

    async def asset(request: Request) -> Response:
        name: str = request.path_params["name"]
        match = _ASSET.fullmatch(name)
        if match is None:
            return _no_asset()
        encoding, path = await to_thread.run_sync(_variant, root / "assets" / name, _accepted(request))
        if path is None:
            return _no_asset()
        headers = {**_headers(request, style=_ANY_STYLE), "Cache-Control": FOR_GOOD, "Vary": "Accept-Encoding"}
        if encoding:
            headers["Content-Encoding"] = encoding
        return FileResponse(path, headers=headers, media_type=_MEDIA_TYPES[match[1]])

    async def nothing(request: Request) -> Response:
        return _no_asset()

    pages = [
        *([Route("/", show_studio)] if studio else []),
        *([Route("/graphiql", show_explorer)] if explorer else []),
    ]
    return [*pages, Route("/assets/{name}", asset), Route("/assets/{path:path}", nothing)] if pages else []


async def _page(request: Request, path: Path, *, style: str, without: bytes = b"") -> Response:
    """A page as it is now: it names its assets, which change with it."""
    try:
        page: bytes | str = (await to_thread.run_sync(path.read_bytes)).replace(without, b"")
    except FileNotFoundError:
        page, style = _NOT_BUILT, _ANY_STYLE
    return HTMLResponse(page, headers={**_headers(request, style=style), "Cache-Control": "no-store"})


def _headers(request: Request, *, style: str) -> dict[str, str]:
    """Also for scripts: what runs as a worker has the policy that it came with."""
    return {
        "Content-Security-Policy": _POLICY.format(style=style, connect=_own_addresses(request)),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def _own_addresses(request: Request) -> str:
    """Where the page may connect to. Not all browsers take the WebSocket of an origin for a part of it."""
    host = request.headers.get("host", "")
    return f"'self' ws://{host} wss://{host}" if _HOST.fullmatch(host) else "'self'"


def _accepted(request: Request) -> list[str]:
    """The encodings that the client takes, best first."""
    header = ",".join(request.headers.getlist("Accept-Encoding")).lower()
    taken = set()
    for each in header.split(","):
        name, _, weight = each.partition(";")
        if not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight):
            taken.add(name.strip())
    return [encoding for encoding in _COMPRESSED if encoding in taken]


def _variant(path: Path, encodings: list[str]) -> tuple[str, Path | None]:
    """The best copy of an asset that there is, and how it is encoded."""
    copies = [(encoding, path.with_name(path.name + _COMPRESSED[encoding])) for encoding in encodings]
    return next(((encoding, copy) for encoding, copy in [*copies, ("", path)] if copy.is_file()), ("", None))


def _no_asset() -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return PlainTextResponse("There is no such asset.", status_code=404, headers=headers)
