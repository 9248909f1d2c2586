"""A picture of every state of the Studio, to be looked at: in light and dark, and in each size in which it may differ.

python -m tests.browser.states build/states
python -m tests.browser.states build/states full-   those only whose name begins so
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from playwright.async_api import BrowserContext, Error, Route, ViewportSize, WebSocketRoute

from tests.browser.conftest import DESK, PHONE
from tests.browser.screenshots import HISTORY, NEWEST, Colors, a_browser, make_history, new_window, shoot
from tests.browser.studio import StudioPage
from tests.clients.graphql_http import Api
from tests.clients.keys import bearer, create_key
from tests.clients.moto import CREDENTIALS
from tests.clients.sagemaker_local import SageMakerLocal
from tests.clients.server_process import ServerProcess

NARROW = ViewportSize(width=820, height=1180)
COLORS: tuple[Colors, ...] = ("light", "dark")
SIZES = {"desk": DESK, "narrow": NARROW, "phone": PHONE}
EVERYWHERE = (DESK, NARROW, PHONE)
AT_BOTH_ENDS = (DESK, PHONE)

MODELS = """
[[model]]
name = "sketch"
endpoint = "sketch:?step_seconds={step_seconds}"
description = "The built-in renderer."
price_per_second = 0.0004
concurrency = 1

[[model]]
name = "silent"
endpoint = "sketch:?progress=off&step_seconds={step_seconds}"

[[model]]
name = "broken"
endpoint = "sagemaker:broken"
max_attempts = 1

[[model]]
name = "asleep"
endpoint = "sagemaker:asleep"

[[model]]
name = "gone"
endpoint = "sagemaker:gone"
"""
FAULTS = (
    {"kind": "error", "endpoint": "broken", "error": "ModelError", "reason": "out-of-memory"},
    {"kind": "status", "endpoint": "asleep", "status": "ScaledToZero"},
    {"kind": "status", "endpoint": "gone", "status": "Failed"},
)
STEP_SECONDS = 0.15
BATCH = "a ringed planet"
RIGHT_TO_LEFT = "قلعة على تلة عند الغروب، وغيوم أرجوانية"


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """With nothing made yet; with a history and models of all kinds; and one that wants keys, with a key for each."""

    unused: ServerProcess
    main: ServerProcess
    locked: ServerProcess
    reader: str
    limited: str


@dataclass(slots=True, kw_only=True)
class Stage:
    """Where a state is arranged: colours and size of its windows."""

    servers: Servers
    colors: Colors
    size: ViewportSize
    new_window: Callable[[str], Awaitable[StudioPage]]
    opened: list[BrowserContext] = field(default_factory=list)

    async def window(self, server: ServerProcess | None = None) -> StudioPage:
        """A window that is not opened yet."""
        studio = await self.new_window((server or self.servers.main).origin)
        self.opened.append(studio.page.context)
        return studio

    async def used(self) -> StudioPage:
        """A window with the history."""
        studio = await self.window()
        await studio.open("/")
        await studio.settle()
        await studio.pictured(NEWEST)
        return studio

    async def running(self, prompt: str = "a city at dusk, seen from the water", **choices: str) -> StudioPage:
        """A window with a job that has a preview. `choices` are radio buttons, by the names of their groups."""
        studio = await self.used()
        await unfold(studio)
        for name in choices.values():
            await studio.page.get_by_role("radio", name=name, exact=True).check()
        await studio.generate(prompt)
        await studio.card(prompt).get_by_text(re.compile(r"^(Step )?2\d( of |/)50$")).wait_for()
        return studio


Arrange = Callable[[Stage], Awaitable[StudioPage]]
STATES: dict[str, tuple[Arrange, tuple[ViewportSize, ...]]] = {}


def state(*sizes: ViewportSize) -> Callable[[Arrange], Arrange]:
    """One of the states, named after its function."""

    def note(arrange: Arrange) -> Arrange:
        STATES[arrange.__name__.replace("_", "-")] = (arrange, sizes)
        return arrange

    return note


async def unfold(studio: StudioPage) -> None:
    """Open what is folded in where there is little room."""
    options = studio.page.locator(".options")
    if not await options.evaluate("(element) => element.open"):
        await options.locator("> summary").click()


async def choose_model(studio: StudioPage, name: str) -> None:
    """Choose one of MODELS."""
    await unfold(studio)
    await studio.page.get_by_label("Model", exact=True).select_option(label=name)


# --- before there is anything ---


@state(*EVERYWHERE)
async def first_visit(stage: Stage) -> StudioPage:
    studio = await stage.window(stage.servers.unused)
    await studio.open("/")
    await studio.settle()
    await studio.page.get_by_text("No images yet").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def example_chosen(stage: Stage) -> StudioPage:
    studio = await first_visit(stage)
    await studio.page.get_by_role("button", name="a castle on a hill").click()
    await studio.page.locator(".estimate", has_text="estimate").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def loading(stage: Stage) -> StudioPage:
    studio = await stage.window()

    async def never(_: Route) -> None:
        await asyncio.sleep(0)

    await studio.page.route("**/graphql", never)
    await studio.open("/")
    await studio.page.locator(".generate").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def server_away(stage: Stage) -> StudioPage:
    studio = await stage.window()
    await studio.page.route("**/graphql", lambda route: route.abort())
    await studio.page.route_web_socket("**/graphql", lambda socket: asyncio.ensure_future(socket.close()))
    await studio.open("/")
    await studio.page.get_by_text("cannot be reached").wait_for()
    return studio


# --- the form ---


@state(*EVERYWHERE)
async def used(stage: Stage) -> StudioPage:
    return await stage.used()


@state(*EVERYWHERE)
async def everything_open(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await unfold(studio)
    await studio.page.get_by_text("More", exact=True).click()
    await studio.page.get_by_role("radio", name="Custom").check()
    await studio.page.get_by_label("Negative prompt").fill("people, text")
    await studio.page.get_by_label("Keep the seed").click()
    await studio.page.locator(".more-knobs").scroll_into_view_if_needed()
    return studio


@state(*EVERYWHERE)
async def all_styles(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await studio.page.locator(".chip.more").click()
    await studio.page.get_by_role("radio", name="Watercolor").check()
    return studio


@state(*AT_BOTH_ENDS)
async def prompt_refused(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await studio.generate("a very long description of a castle on a hill " * 60)
    await studio.page.get_by_role("alert").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def prompt_missing(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await studio.generate("")
    await studio.page.get_by_role("alert").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def rate_limited(stage: Stage) -> StudioPage:
    studio = await _signed_in(stage, stage.servers.limited)
    for prompt in ("a castle on a hill at sunset", "a castle on a hill at dawn"):
        await studio.generate(prompt)
    await studio.page.get_by_role("alert").wait_for()
    return studio


@state(DESK)
async def model_asleep(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await choose_model(studio, "asleep")
    await studio.page.get_by_text("Asleep. ").wait_for()
    return studio


@state(DESK)
async def model_gone(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await choose_model(studio, "gone")
    await studio.page.get_by_text("Not available").wait_for()
    return studio


# --- jobs ---


@state(*EVERYWHERE)
async def running(stage: Stage) -> StudioPage:
    studio = await stage.running()
    await studio.generate("a forest by moonlight")
    await studio.generate("a desert under the stars")
    await studio.card("a desert").get_by_text("ahead in the queue").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def running_batch(stage: Stage) -> StudioPage:
    return await stage.running("an astronaut in a nebula", count="4")


@state(DESK)
async def running_upright(stage: Stage) -> StudioPage:
    return await stage.running("a lighthouse at night, stars above the sea and a path to the shore", size="9:16")


@state(*AT_BOTH_ENDS)
async def running_without_preview(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await choose_model(studio, "silent")
    await studio.generate("a city at dusk, seen from the water")
    await studio.card("a city at dusk").get_by_text("Generating").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def failed_and_canceled(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await choose_model(studio, "broken")
    await studio.generate("a model that fails")
    await studio.card("a model that fails").get_by_role("button", name="Retry").wait_for()
    await choose_model(studio, "sketch")
    await studio.generate("a job that was stopped")
    await studio.drawing("a job that was stopped")
    await studio.card("a job that was stopped").get_by_role("button", name="Cancel").click()
    await studio.card("a job that was stopped").get_by_text("Canceled").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def model_starting(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await choose_model(studio, "asleep")
    await studio.generate("a castle that has to wait")
    await studio.card("a castle that").get_by_text("Starting").wait_for()
    return studio


@state(DESK)
async def card_under_the_pointer(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await studio.card(NEWEST).hover()
    return studio


@state(DESK)
async def card_with_the_focus(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await studio.card(NEWEST).locator(".card-open").focus()
    await studio.page.keyboard.press("ArrowRight")
    await studio.page.wait_for_function("document.activeElement.dataset.index === '1'")
    return studio


@state(*AT_BOTH_ENDS)
async def images_not_there(stage: Stage) -> StudioPage:
    studio = await stage.window()
    await studio.page.route("**/images/**", lambda route: route.fulfill(status=404))
    await studio.open("/")
    await studio.settle()
    await studio.card(NEWEST).locator(".picture").wait_for()
    await studio.page.wait_for_load_state("networkidle")
    return studio


@state(*AT_BOTH_ENDS)
async def right_to_left(stage: Stage) -> StudioPage:
    return await stage.running(RIGHT_TO_LEFT)


@state(*AT_BOTH_ENDS)
async def nothing_found(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await studio.page.get_by_label("Search in prompts").fill("zeppelin")
    await studio.page.get_by_text("No job matches.").wait_for()
    return studio


# --- the connection, and who asks ---


@state(*AT_BOTH_ENDS)
async def offline(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await studio.page.context.set_offline(True)
    await studio.generate("asked for without a network")
    await studio.card("asked for without").get_by_text("Waiting").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def reconnecting(stage: Stage) -> StudioPage:
    studio = await stage.window()
    sockets: list[WebSocketRoute] = []

    async def serve_once(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        if len(sockets) == 1:
            socket.connect_to_server()
        else:
            await socket.close()

    await studio.page.route_web_socket("**/graphql", serve_once)
    await studio.open("/")
    await studio.settle()
    await studio.pictured(NEWEST)
    await sockets[0].close()
    await studio.page.get_by_text("Reconnecting").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def sign_in(stage: Stage) -> StudioPage:
    studio = await stage.window(stage.servers.locked)
    await studio.open("/")
    await studio.page.get_by_label("API key").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def wrong_key(stage: Stage) -> StudioPage:
    studio = await sign_in(stage)
    await studio.sign_in("not one of this server's")
    await studio.page.get_by_role("alert").wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def reader(stage: Stage) -> StudioPage:
    studio = await _signed_in(stage, stage.servers.reader)
    await studio.pictured(NEWEST)
    return studio


async def _signed_in(stage: Stage, key: str) -> StudioPage:
    studio = await sign_in(stage)
    await studio.sign_in(key)
    await studio.page.locator(".knobs, .options").first.wait_for()
    return studio


# --- one image, as large as it goes ---


@state(*EVERYWHERE)
async def full_image(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await studio.look_at(NEWEST)
    await studio.page.locator('.full .picture[data-there="true"]').wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def full_batch(stage: Stage) -> StudioPage:
    studio = await stage.used()
    await studio.card(BATCH).locator(".picture").nth(2).click()
    await studio.page.locator('.full .picture[data-there="true"]').wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def full_running(stage: Stage) -> StudioPage:
    studio = await stage.running()
    await studio.look_at("a city at dusk")
    await studio.page.locator('.full .preview[data-there="true"]').first.wait_for()
    return studio


@state(*AT_BOTH_ENDS)
async def full_waiting(stage: Stage) -> StudioPage:
    studio = await stage.running()
    await studio.generate("a forest by moonlight")
    await studio.look_at("a forest by moonlight")
    return studio


@state(*AT_BOTH_ENDS)
async def full_failed(stage: Stage) -> StudioPage:
    studio = await failed_and_canceled(stage)
    await studio.look_at("a model that fails")
    return studio


@state(DESK)
async def full_right_to_left(stage: Stage) -> StudioPage:
    studio = await right_to_left(stage)
    await studio.look_at(RIGHT_TO_LEFT)
    return studio


@state(*AT_BOTH_ENDS)
async def full_copied(stage: Stage) -> StudioPage:
    studio = await full_image(stage)
    await studio.copied("curl")
    return studio


@state(*AT_BOTH_ENDS)
async def full_before_deleting(stage: Stage) -> StudioPage:
    studio = await full_image(stage)
    await studio.page.get_by_role("button", name="Delete").click()
    return studio


@state(DESK)
async def full_image_not_there(stage: Stage) -> StudioPage:
    studio = await images_not_there(stage)
    await studio.look_at(NEWEST)
    return studio


# --- all of them ---


async def main(folder: Path, beginning: str) -> None:
    """Write a PNG of each state whose name begins so, in each size and both colours."""
    missing: list[str] = []
    names = {id(size): name for name, size in SIZES.items()}
    with tempfile.TemporaryDirectory() as made, _endpoints(Path(made)) as endpoints:
        servers = await _started(Path(made), endpoints)
        try:
            async with a_browser() as browser:
                for name, (arrange, sizes) in STATES.items():
                    for size in sizes if name.startswith(beginning) else ():
                        for colors in COLORS:
                            stage = Stage(
                                servers=servers,
                                colors=colors,
                                size=size,
                                new_window=partial(new_window, browser, colors=colors, size=size),
                            )
                            path = folder / f"{name}-{names[id(size)]}-{colors}.png"
                            try:
                                await shoot(await arrange(stage), path)
                            except Error as error:
                                missing.append(f"{path.name}: {error}")
                            for context in stage.opened:
                                await context.close()
                            await _clear(servers.main)
        finally:
            for server in (servers.unused, servers.main, servers.locked):
                server.stop()
    if missing:
        sys.exit("\n\n".join(missing))


@contextmanager
def _endpoints(folder: Path) -> Iterator[SageMakerLocal]:
    options = [f"--endpoint={name}=jumpstart-sd" for name in ("broken", "asleep", "gone")]
    endpoints = SageMakerLocal(folder / "sagemaker.log", options, CREDENTIALS).start()
    try:
        endpoints.set_faults(*FAULTS)
        yield endpoints
    finally:
        endpoints.stop()


async def _started(folder: Path, endpoints: SageMakerLocal) -> Servers:
    models = folder / "models.toml"

    def server(name: str, **settings: str) -> ServerProcess:
        logs = folder / name
        logs.mkdir()
        aws = {**CREDENTIALS, **endpoints.environment}
        return ServerProcess(logs / "data", logs, settings, environment=aws).start()

    models.write_text(MODELS.format(step_seconds=0))
    main = server("main", models=str(models))
    await make_history(main)
    main.terminate()
    models.write_text(MODELS.format(step_seconds=STEP_SECONDS))
    locked = server("locked", endpoint="sketch:", auth="keys")
    await make_history(locked, bearer(create_key(locked, "us", "--caller", "us")))
    return Servers(
        unused=server("unused", endpoint="sketch:"),
        main=main.start(),
        locked=locked,
        reader=create_key(locked, "reader", "--caller", "us", "--role", "reader"),
        limited=create_key(locked, "limited", "--jobs-per-minute", "1"),
    )


async def _clear(server: ServerProcess) -> None:
    """Leave the history, and nothing else."""
    kept = {prompt for prompt, *_ in HISTORY}
    async with Api(server.origin) as api:
        await api.cancel_everything()
        edges = (await api.data("{ jobs(first: 30) { edges { node { id parameters { prompt } } } } }"))["jobs"]["edges"]
        for edge in edges:
            if edge["node"]["parameters"]["prompt"] not in kept:
                await api.finished(edge["node"]["id"])
                await api.delete(edge["node"]["id"])


if __name__ == "__main__":
    into = Path(sys.argv[1])
    into.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(into, sys.argv[2] if len(sys.argv) > 2 else ""))
