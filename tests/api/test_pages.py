"""How the pages for browsers are served. What they do is in tests/browser."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from graphql_api.http.pages import page_routes
from ui.build import SOURCES

PAGE = "<!doctype html><title>built</title>"
SCRIPT = "console.log('here')"
NAME = "index-B3piu_-p.js"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder as `ui/` is built into."""
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in ("graphiql", "studio"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(PAGE.replace("built", name))
    (tmp_path / "licenses.md").write_text("MIT")
    (assets / NAME).write_text(SCRIPT)
    (assets / f"{NAME}.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (assets / f"{NAME}.br").write_bytes(b"as if it were brotli")
    (assets / "style-DokVAjc7.css").write_text("p {}")
    (assets / "notes-DokVAjc7.txt").write_text("no asset")
    return tmp_path


@pytest.fixture
async def client(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Of the pages alone."""
    async with client_of(root) as opened:
        yield opened


def client_of(root: Path, **shown: bool) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Starlette(routes=page_routes(root, **shown)))
    return httpx.AsyncClient(transport=transport, base_url="http://images.example:8000")


@pytest.mark.parametrize(("path", "name"), [("/", "studio"), ("/graphiql", "graphiql")])
async def test_page_is_never_stored_and_may_run_its_own_scripts_only(
    client: httpx.AsyncClient, path: str, name: str
) -> None:
    answer = await client.get(path)

    assert name in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    policy = policy_of(answer)
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == ["'self'"]
    assert policy["connect-src"] == ["'self'", "ws://images.example:8000", "wss://images.example:8000"]
    assert policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]


@pytest.mark.parametrize(
    ("shown", "statuses"),
    [
        ({"studio": False}, [404, 200, 200]),
        ({"explorer": False}, [200, 404, 200]),
        ({"studio": False, "explorer": False}, [404, 404, 404]),
    ],
)
async def test_page_that_is_not_wanted_is_not_there(root: Path, shown: dict[str, bool], statuses: list[int]) -> None:
    async with client_of(root, **shown) as client:
        answers = [await client.get(path) for path in ("/", "/graphiql", f"/assets/{NAME}")]

    assert [answer.status_code for answer in answers] == statuses


async def test_studio_is_told_whether_there_is_an_explorer(root: Path) -> None:
    tag = '<meta name="explorer" content="/graphiql">'
    assert tag in (SOURCES / "studio" / "index.html").read_text()
    (root / "studio" / "index.html").write_text(f"<head>{tag}</head>")
    for explorer, expected in ((True, f"<head>{tag}</head>"), (False, "<head></head>")):
        async with client_of(root, explorer=explorer) as client:
            assert (await client.get("/")).text == expected


@pytest.mark.parametrize("host", ["a.example; script-src *", "a.example b.example", "*", "[::1];", ""])
async def test_strange_host_does_not_get_into_the_policy(client: httpx.AsyncClient, host: str) -> None:
    policy = policy_of(await client.get("/graphiql", headers={"Host": host}))

    assert policy["connect-src"] == ["'self'"]
    assert policy["script-src"] == ["'self'"]


async def test_studio_has_all_its_styles_in_files(client: httpx.AsyncClient) -> None:
    assert policy_of(await client.get("/"))["style-src"] == ["'self'"]


@pytest.mark.parametrize(("path", "name"), [("/", "studio"), ("/graphiql", "graphiql")])
async def test_page_that_was_not_built_says_how_to_build_it_and_needs_nothing_for_it(
    tmp_path: Path, path: str, name: str
) -> None:
    async with client_of(tmp_path) as client:
        answer = await client.get(path)

        assert answer.status_code == 200
        assert "make ui" in answer.text
        assert "//" not in answer.text and "src=" not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        # Its own styles are in it.
        assert "'unsafe-inline'" in policy_of(answer)["style-src"]
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(PAGE)
        assert (await client.get(path)).text == PAGE


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0, GZIP", "gzip"),
        ("br;q=0.0,gzip; q=0", None),
        ("brotli", None),
        ("", None),
    ],
)
async def test_asset_comes_as_the_client_takes_it(
    client: httpx.AsyncClient, root: Path, accepted: str, encoding: str | None
) -> None:
    suffix = {"br": ".br", "gzip": ".gz", None: ""}[encoding]
    async with client.stream("GET", f"/assets/{NAME}", headers={"Accept-Encoding": accepted}) as answer:
        content = b"".join([part async for part in answer.aiter_raw()])

    assert content == (root / "assets" / f"{NAME}{suffix}").read_bytes()
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    # For the one that becomes a worker.
    assert policy_of(answer)["script-src"] == ["'self'"]


async def test_asset_without_compressed_copies_comes_as_it_is(client: httpx.AsyncClient) -> None:
    answer = await client.get("/assets/style-DokVAjc7.css")

    assert (answer.text, answer.headers["Content-Type"]) == ("p {}", "text/css; charset=utf-8")
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/assets/",
        "/assets/index-00000000.js",
        f"/assets/{NAME}.gz",
        "/assets/notes-DokVAjc7.txt",
        "/assets/../licenses.md",
        "/assets/%2e%2e/licenses.md",
        "/assets/..%2flicenses.md",
        f"/assets/..%2fassets%2f{NAME}",
        f"/assets/x/{NAME}",
        "/assets/%00-DokVAjc7.js",
        "/licenses.md",
        "/graphiql/index.html",
        "/studio/index.html",
        "/studio",
        "/studio/documents.json",
    ],
)
async def test_nothing_else_is_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("Cache-Control", "")


def policy_of(answer: httpx.Response) -> dict[str, list[str]]:
    """The sources of each directive."""
    directives = [directive.split() for directive in answer.headers["Content-Security-Policy"].split(";")]
    assert len({name for name, *_ in directives}) == len(directives)
    return {name: sources for name, *sources in directives}
