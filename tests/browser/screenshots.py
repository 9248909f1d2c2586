"""Pictures of the Studio for README and docs, taken of the real page on a real server.

python -m tests.browser.screenshots docs/images
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, ViewportSize, async_playwright

from tests.browser.conftest import DESK, NAMES, OPTIONS, PHONE
from tests.browser.studio import StudioPage
from tests.clients.graphql_http import Api
from tests.clients.server_process import ServerProcess
from tests.clients.waiting import eventually

QUALITY = 88
SLOW = "sketch:?step_seconds=0.15"

# What has been made before: oldest first.
HISTORY = (
    ("a hut in the snow under tall mountains", "vintage-film", "LANDSCAPE_4_3", 1, 5),
    ("a sailing boat on a calm ocean at dawn", "watercolor", "LANDSCAPE_16_9", 1, 11),
    ("a planet with rings in a nebula", "concept-art", "SQUARE", 4, 21),
    ("a forest in autumn, morning fog", "oil-painting", "PORTRAIT_3_4", 1, 8),
    ("a city at night, lights on the river", "neon-noir", "LANDSCAPE_16_9", 1, 3),
    ("a garden of flowers in spring", "oil-painting", "SQUARE", 1, 14),
    ("sunset over the ocean", "photographic", "PORTRAIT_3_4", 1, 2),
    ("a mountain lake, peaks mirrored in it", "watercolor", "LANDSCAPE_4_3", 1, 6),
    ("a nebula in violet and gold", "cinematic", "LANDSCAPE_16_9", 1, 9),
    ("a forest by moonlight", "charcoal", "SQUARE", 1, 4),
)
OPENED = "a mountain lake"


async def main(folder: Path) -> None:
    """Write studio-*.jpg into a folder."""
    program = next(found for name in NAMES if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory() as made:
        logs = Path(made)
        server = ServerProcess(logs / "data", logs, {"endpoint": "sketch:"}).start()
        try:
            await _fill(server)
            server.terminate()
            server.settings = {**server.settings, "endpoint": SLOW}
            server.start()
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=program, args=OPTIONS)
                for colors in ("light", "dark"):
                    await _desk(browser, server, folder, colors)
                await _phone(browser, server, folder)
                await browser.close()
        finally:
            server.stop()


async def _fill(server: ServerProcess) -> None:
    async with Api(server.origin) as api:
        styles = {style["name"]: style["id"] for style in (await api.data("{ styles { id name } }"))["styles"]}
        for prompt, style, ratio, count, seed in HISTORY:
            job = await api.generate(
                prompt=prompt, style=styles[style], size={"aspectRatio": ratio}, count=count, seed=seed, steps=50
            )
            await api.finished(job["id"])


async def _desk(browser: Browser, server: ServerProcess, folder: Path, colors: Literal["light", "dark"]) -> None:
    studio = await _open(browser, server, colors=colors, size=DESK)
    await studio.page.get_by_role("radio", name="16:9").check()
    await studio.generate("a city at dusk, seen from the water")
    await studio.page.get_by_role("radio", name="1:1").check()
    await studio.generate("an astronaut in a nebula")
    # Far enough for one to guess what it will be.
    await studio.card("a city at dusk").get_by_text(re.compile(r"Step 3\d of")).wait_for()
    await _shoot(studio, folder / f"studio-{colors}.jpg")
    await studio.look_at(OPENED)
    await studio.page.locator('.full .picture[data-there="true"]').wait_for()
    await _shoot(studio, folder / f"studio-view-{colors}.jpg")
    await studio.page.keyboard.press("Escape")
    async with Api(server.origin) as api:
        await api.cancel_everything()
        for edge in (await api.data("{ jobs(first: 2) { edges { node { id } } } }"))["jobs"]["edges"]:
            await api.delete(edge["node"]["id"])


async def _phone(browser: Browser, server: ServerProcess, folder: Path) -> None:
    studio = await _open(browser, server, colors="light", size=PHONE)
    await studio.prompt.fill("a city at dusk, seen from the water")
    await _shoot(studio, folder / "studio-phone.jpg")


async def _open(
    browser: Browser, server: ServerProcess, *, colors: Literal["light", "dark"], size: ViewportSize
) -> StudioPage:
    context = await browser.new_context(
        viewport=size, color_scheme=colors, reduced_motion="reduce", device_scale_factor=2 if size == PHONE else 1
    )
    studio = StudioPage(await context.new_page(), server.origin)
    await studio.open("/")
    await studio.settle()
    await studio.pictured("a forest by moonlight")
    return studio


async def _shoot(studio: StudioPage, path: Path) -> None:
    loaded = "[...document.images].every((image) => image.complete)"
    await eventually(lambda: studio.page.evaluate(loaded))
    await studio.page.screenshot(path=path, type="jpeg", quality=QUALITY)
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
