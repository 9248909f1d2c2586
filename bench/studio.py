"""What the user of the Studio waits for, in Chromium on the same machine.

From navigating to a page that takes a click; from the click on "Generate" to the frame in which its card is there, with
an empty history and with one of 10,000 jobs, all of which the page has read; and the frames of a scroll through them.
The jobs are copies of a few that were drawn, written straight into the store; they share the files of those. No worker
runs: nothing is measured of drawing.

`python -m bench.studio --rounds 5 --jobs 10000 --clicks 10`; needs a Chromium, and the pages that `make ui` builds.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from playwright.async_api import Browser

from bench.harness import Figures, Target, arguments, percentile, report
from graphql_api.adapters.job_store import open_job_store
from graphql_api.domain.ids import LOCAL_CALLER, new_job_id
from graphql_api.domain.job import Job
from graphql_api.http.pages import BUILT
from graphql_api.ports import JobQuery, PageRequest
from tests.browser.conftest import DESK
from tests.browser.screenshots import HISTORY, a_browser, make_history, new_window
from tests.browser.studio import StudioPage
from tests.clients.server_process import ServerProcess
from tests.clients.waiting import eventually

TARGETS = (
    Target(text="scripts: at most 150 kB, gzipped", figure="script_kb", limit=150),
    Target(text="takes a click within 1,000 ms", figure="ready_ms", limit=1000),
    Target(text="click to card, empty: within 100 ms", figure="card_ms", limit=100),
    Target(text="click to card, full: within 100 ms", figure="card_full_ms", limit=100),
    Target(text="95 of 100 frames within 20 ms", figure="frame_p95_ms", limit=20),
)
PIXELS_A_FRAME = 300
"""18,000 a second: faster than anybody looks."""
READY = """
const look = () => {
  if (document.querySelector(".generate:enabled")) window.readyAt = performance.now();
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
SCROLL = """async (pixels) => {
  const frame = () => new Promise(requestAnimationFrame);
  const took = [];
  scrollTo(0, 0);
  await frame();
  let before = await frame();
  while (scrollY + innerHeight < document.documentElement.scrollHeight - 1) {
    scrollBy(0, pixels);
    const now = await frame();
    took.push(now - before);
    before = now;
  }
  return took;
}"""
TO_THE_END = "scrollTo(0, document.documentElement.scrollHeight)"


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=5, jobs=10_000, clicks=10)
    with tempfile.TemporaryDirectory(prefix="bench-studio-") as name:
        figures = asyncio.run(measure(Path(name), rounds=asked.rounds, jobs=asked.jobs, clicks=asked.clicks))
    report("studio", {"product": figures}, TARGETS, jobs=asked.jobs, clicks=asked.clicks, scrolled=PIXELS_A_FRAME)


async def measure(folder: Path, *, rounds: int, jobs: int, clicks: int) -> list[Figures]:
    """All rounds, each on servers of its own."""
    filled = folder / "filled"
    await fill(filled, folder, jobs)
    figures: list[Figures] = []
    async with a_browser() as browser:
        for turn in range(rounds):
            found = {"script_kb": script_bytes() / 1000}
            async with _opened(browser, folder / f"empty-{turn}", folder) as studio:
                found["ready_ms"] = await studio.page.evaluate("window.readyAt")
                found["card_ms"] = await milliseconds_to_card(studio, clicks)
            shutil.copytree(filled, folder / f"full-{turn}")
            async with _opened(browser, folder / f"full-{turn}", folder) as studio:
                found["ready_full_ms"] = await studio.page.evaluate("window.readyAt")
                found["seconds_to_read_all"] = await read_all(studio, jobs)
                found |= await scrolling(studio)
                found["card_full_ms"] = await milliseconds_to_card(studio, clicks)
            figures.append(found)
            shown = "  ".join(f"{name} {value:,.4g}" for name, value in found.items())
            sys.stderr.write(f"round {turn + 1}: {shown}\n")
    return figures


def script_bytes() -> int:
    """What the page loads of JavaScript, as gzip sends it."""
    page = (BUILT / "studio" / "index.html").read_text()
    names = re.findall(r'"/assets/([\w.-]+\.js)"', page)
    return sum(len(gzip.compress((BUILT / "assets" / name).read_bytes(), 9)) for name in names)


async def fill(folder: Path, logs: Path, jobs: int) -> None:
    """A folder of data with so many jobs that have succeeded."""
    with _running(ServerProcess(folder, logs, {"endpoint": "sketch:"})) as server:
        await make_history(server)
        server.terminate()
    async with open_job_store(f"sqlite:{folder / 'jobs.sqlite3'}") as store:
        drawn = (await store.page(LOCAL_CALLER, JobQuery(), PageRequest(limit=len(HISTORY)))).jobs
        copies = iter([_copy(drawn[number % len(drawn)], number) for number in range(jobs - len(drawn))])

        async def add() -> None:
            for job in copies:
                await store.add(job)

        await asyncio.gather(*(add() for _ in range(64)))


def _copy(job: Job, number: int) -> Job:
    """The same as an older job."""
    age = timedelta(minutes=1 + number)
    return replace(
        job, id=new_job_id(), created_at=job.created_at - age, parameters=replace(job.parameters, seed=number)
    )


async def milliseconds_to_card(studio: StudioPage, clicks: int) -> float:
    """Median of some clicks, from the top of the page."""
    await studio.page.evaluate("scrollTo(0, 0)")
    await studio.page.locator('.card[aria-posinset="1"], .empty').first.wait_for()
    return statistics.median([await studio.milliseconds_to_card(f"click {number}") for number in range(clicks)])


async def read_all(studio: StudioPage, jobs: int) -> float:
    """Seconds until the page knows all of the history, scrolled to its end again and again."""
    oldest = studio.page.locator(f'.card[aria-posinset="{jobs}"]')
    began = time.perf_counter()

    async def is_read() -> bool:
        await studio.page.evaluate(TO_THE_END)
        return await oldest.count() == 1

    await eventually(is_read, within=300)
    return time.perf_counter() - began


async def scrolling(studio: StudioPage) -> Figures:
    """How long frames take on the way from the newest to the oldest."""
    took: Sequence[float] = sorted(await studio.page.evaluate(SCROLL, PIXELS_A_FRAME))
    return {
        "frames": len(took),
        "frame_p50_ms": percentile(took, 50),
        "frame_p95_ms": percentile(took, 95),
        "frame_worst_ms": took[-1],
    }


@asynccontextmanager
async def _opened(browser: Browser, data: Path, logs: Path) -> AsyncIterator[StudioPage]:
    """A window of a server without workers, once it can be used."""
    with _running(ServerProcess(data, logs, {"endpoint": "sketch:"}, arguments=("--no-worker",))) as server:
        studio = await new_window(browser, server.origin, colors="light", size=DESK)
        await studio.page.add_init_script(READY)
        await studio.open("/")
        await studio.settle()
        yield studio
        await studio.page.context.close()


@contextmanager
def _running(server: ServerProcess) -> Iterator[ServerProcess]:
    try:
        yield server.start()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
