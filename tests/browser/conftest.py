"""A real browser: the system's Chromium. Without one, or without the pages that `make ui` builds, these tests are
skipped; never in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

import pytest
from playwright.async_api import Browser, ViewportSize, async_playwright

from graphql_api.http.pages import BUILT
from tests.browser.graphiql import GraphiQLPage
from tests.browser.studio import StudioPage

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")

OpenGraphiQL = Callable[..., Awaitable[GraphiQLPage]]
"""What the fixture `open_graphiql` is."""
OpenStudio = Callable[..., Awaitable[StudioPage]]
"""What the fixture `open_studio` is."""

DESK = ViewportSize(width=1400, height=900)
PHONE = ViewportSize(width=390, height=844)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program. Skips where there is none, and where there are no pages for it."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    built = all((BUILT / page / "index.html").is_file() for page in ("graphiql", "studio"))
    missing = [
        *(["a Chromium"] if program is None else []),
        *([] if built else ["the pages, which `make ui` builds"]),
    ]
    if program is None or missing:
        reason = f"There is not: {', '.join(missing)}."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return program


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """One for each test: it ends with the event loop of the test."""
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield running
        await running.close()


@pytest.fixture
async def open_graphiql(browser: Browser) -> AsyncIterator[OpenGraphiQL]:
    """Opens GraphiQL of a server: `await open_graphiql(server.origin)`. Fails afterwards where a page had troubles."""
    opened: list[GraphiQLPage] = []

    async def open_page(origin: str, *, colors: Literal["light", "dark"] = "light") -> GraphiQLPage:
        context = await browser.new_context(color_scheme=colors, viewport={"width": 1400, "height": 850})
        graphiql = GraphiQLPage(await context.new_page(), origin)
        opened.append(graphiql)
        await graphiql.load()
        return graphiql

    yield open_page
    assert [graphiql.troubles for graphiql in opened if graphiql.troubles] == []


@pytest.fixture
async def open_studio(browser: Browser) -> AsyncIterator[OpenStudio]:
    """Opens the Studio of a server, in a window that shares nothing with others: `await open_studio(server.origin)`.
    Fails afterwards where a page had troubles."""
    opened: list[StudioPage] = []

    async def open_page(
        origin: str,
        path: str = "/",
        *,
        colors: Literal["light", "dark"] = "light",
        size: ViewportSize = DESK,
        is_signed_in: bool = True,
        motion: Literal["reduce", "no-preference"] = "reduce",
    ) -> StudioPage:
        context = await browser.new_context(
            color_scheme=colors,
            viewport=size,
            is_mobile=size == PHONE,
            has_touch=size == PHONE,
            reduced_motion=motion,
            permissions=["clipboard-read", "clipboard-write"],
        )
        studio = StudioPage(await context.new_page(), origin)
        opened.append(studio)
        await studio.open(path)
        if is_signed_in:
            await studio.settle()
        return studio

    yield open_page
    assert [studio.troubles for studio in opened if studio.troubles] == []
