"""Pictures of the Studio for README and docs, taken of the real page on a real server.

python -m tests.browser.screenshots docs/images
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, ViewportSize, async_playwright

from tests.browser.conftest import DESK, NAMES, OPTIONS, PHONE
from tests.browser.studio import StudioPage
from tests.clients.graphql_http import Api
from tests.clients.server_process import ServerProcess
from tests.clients.waiting import eventually

Colors = Literal["light", "dark"]

QUALITY = 88
SLOW = "sketch:?step_seconds=0.15"

# What has been made before, oldest first: prompt, style, shape, images, seed. The built-in renderer knows all of it.
HISTORY = (
    ("a hut in the snow under tall mountains", "vintage-film", "LANDSCAPE_4_3", 1, 5),
    ("a sailing boat on a calm ocean at dawn", "watercolor", "LANDSCAPE_16_9", 1, 11),
    ("a forest in autumn, morning fog", None, "PORTRAIT_3_4", 1, 8),
    ("a ringed planet above a violet nebula", None, "SQUARE", 4, 21),
    ("a city at night, lights on the river", None, "LANDSCAPE_16_9", 1, 3),
    ("a garden of flowers in spring", "watercolor", "SQUARE", 1, 14),
    ("sunset over the ocean", "cinematic", "PORTRAIT_3_4", 1, 3),
    ("a castle on a hill at sunset", "fantasy", "LANDSCAPE_4_3", 1, 4),
    ("northern lights over a frozen lake", "cinematic", "LANDSCAPE_16_9", 1, 4),
    ("a cherry tree in blossom beside a lake", "watercolor", "LANDSCAPE_4_3", 1, 2),
    ("a mountain lake at golden hour", "cinematic", "LANDSCAPE_16_9", 1, 7),
)
IS_STILL = """[...document.images].every((image) => image.complete)
  && document.getAnimations().every(({ playState }) => playState === "finished")"""
NEWEST = HISTORY[-1][0]
UNDER_WAY = (("16:9", "a city at dusk, seen from the water", 3), ("1:1", "an astronaut in a nebula", 5))


async def main(folder: Path) -> None:
    """Write studio-*.jpg into a folder."""
    with tempfile.TemporaryDirectory() as made:
        logs = Path(made)
        server = ServerProcess(logs / "data", logs, {"endpoint": "sketch:"}).start()
        try:
            await make_history(server)
            server.terminate()
            server.settings = {**server.settings, "endpoint": SLOW}
            server.start()
            async with a_browser() as browser:
                for colors in ("light", "dark"):
                    await _desk(browser, server, folder, colors)
                await _full_view(browser, server, folder)
                await _phone(browser, server, folder)
        finally:
            server.stop()


# --- for tests/browser/states.py too ---


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """The Chromium of the system. Raises StopIteration where there is none."""
    program = next(found for name in NAMES if (found := shutil.which(name)))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        await browser.close()


async def make_history(server: ServerProcess, headers: Mapping[str, str] | None = None) -> None:
    """Have a server draw HISTORY, one after the other; for the caller whom the headers show, if there are any."""
    async with Api(server.origin) as api:
        api.http.headers.update(headers or {})
        styles = {style["name"]: style["id"] for style in (await api.data("{ styles { id name } }"))["styles"]}
        for prompt, style, ratio, count, seed in HISTORY:
            chosen = {} if style is None else {"style": styles[style]}
            job = await api.generate(
                prompt=prompt, size={"aspectRatio": ratio}, count=count, seed=seed, steps=50, **chosen
            )
            await api.finished(job["id"])


async def new_window(browser: Browser, origin: str, *, colors: Colors, size: ViewportSize) -> StudioPage:
    """A window of the Studio, which shares nothing with others and is not opened yet."""
    context = await browser.new_context(
        viewport=size,
        color_scheme=colors,
        reduced_motion="reduce",
        device_scale_factor=2 if size == PHONE else 1,
        has_touch=size == PHONE,
        is_mobile=size == PHONE,
        permissions=["clipboard-read", "clipboard-write"],
    )
    return StudioPage(await context.new_page(), origin)


async def shoot(studio: StudioPage, path: Path) -> None:
    """Take a picture of what a window shows, once all images in it are loaded and nothing moves."""
    await eventually(lambda: studio.page.evaluate(IS_STILL))
    if path.suffix == ".jpg":
        await studio.page.screenshot(path=path, type="jpeg", quality=QUALITY)
    else:
        await studio.page.screenshot(path=path)
    sys.stdout.write(f"{path}\n")


# --- the pictures ---


async def _desk(browser: Browser, server: ServerProcess, folder: Path, colors: Colors) -> None:
    studio = await _open(browser, server, colors=colors, size=DESK)
    for ratio, prompt, seed in UNDER_WAY:
        await studio.page.get_by_role("radio", name=ratio).check()
        await studio.page.get_by_label("Seed", exact=True).fill(str(seed))
        await studio.generate(prompt)
    # Far enough for one to guess what it will be.
    await studio.card(UNDER_WAY[0][1]).get_by_text(re.compile(r"Step 3\d of")).wait_for()
    await shoot(studio, folder / f"studio-{colors}.jpg")
    async with Api(server.origin) as api:
        await api.cancel_everything()
        for edge in (await api.data("{ jobs(first: 2) { edges { node { id } } } }"))["jobs"]["edges"]:
            await api.delete(edge["node"]["id"])


async def _full_view(browser: Browser, server: ServerProcess, folder: Path) -> None:
    studio = await _open(browser, server, colors="dark", size=DESK)
    await studio.look_at(NEWEST)
    await studio.page.locator('.full .picture[data-there="true"]').wait_for()
    await shoot(studio, folder / "studio-view.jpg")


async def _phone(browser: Browser, server: ServerProcess, folder: Path) -> None:
    studio = await _open(browser, server, colors="light", size=PHONE)
    await studio.prompt.fill(UNDER_WAY[0][1])
    await shoot(studio, folder / "studio-phone.jpg")


async def _open(browser: Browser, server: ServerProcess, *, colors: Colors, size: ViewportSize) -> StudioPage:
    studio = await new_window(browser, server.origin, colors=colors, size=size)
    await studio.open("/")
    await studio.settle()
    await studio.pictured(NEWEST)
    return studio


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
