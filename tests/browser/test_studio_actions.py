"""What one does with images in the Studio: find, look at, repeat, vary, keep, delete."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import PHONE, OpenStudio
from tests.clients.graphql_http import Api
from tests.clients.keys import create_key
from tests.clients.server_process import ServerProcess, StartServer
from tests.clients.waiting import eventually

PARAMETERS = """
query ($search: String) {
  jobs(filter: {search: $search}) { edges { node { status parameters { prompt seed } images { url sha256 } } } }
}
"""


async def jobs_of(api: Api, prompt: str) -> list[dict[str, Any]]:
    """The jobs of a prompt, newest first."""
    return [edge["node"] for edge in (await api.data(PARAMETERS, {"search": prompt}))["jobs"]["edges"]]


async def seeds_of(api: Api, prompt: str) -> list[int]:
    return [job["parameters"]["seed"] for job in await jobs_of(api, prompt)]


async def has(api: Api, prompt: str, count: int) -> bool:
    return len(await jobs_of(api, prompt)) == count


async def focused(page: Page, selector: str) -> None:
    """Wait until what a selector names has the focus."""
    await page.wait_for_function(f"document.activeElement?.matches({selector!r})")


# --- finding ---


async def test_gallery_shows_what_is_chosen(open_studio: OpenStudio, start_server: StartServer) -> None:
    server = start_server(endpoint="sketch:?step_seconds=0.3", job_timeout="8", max_attempts="1")
    studio = await open_studio(server.origin)
    async with Api(server.origin) as api:
        await api.finished((await api.generate(prompt="one that is made", steps=1))["id"])
    await studio.generate("one that fails")
    show = partial(studio.page.get_by_role, "radio")

    await show(name="In progress").check()
    await studio.card("one that is made").wait_for(state="detached")
    assert await studio.card("one that fails").count() == 1
    # It leaves what it does not belong to any more.
    await studio.card("one that fails").wait_for(state="detached")
    await show(name="Failed").check()
    await studio.card("one that fails").get_by_role("button", name="Retry").wait_for()
    assert await studio.card("one that is made").count() == 0
    await show(name="Images").check()
    await studio.pictured("one that is made")
    assert await studio.card("one that fails").count() == 0


# --- again ---


async def test_repeat_keeps_the_seed_and_vary_draws_another(
    open_studio: OpenStudio, api: Api, shared_server: ServerProcess
) -> None:
    studio = await open_studio(shared_server.origin)
    await studio.generate("to be made again")
    await studio.pictured("to be made again")

    await studio.card("to be made again").locator(".card-open").click()
    await studio.page.get_by_role("button", name="Repeat").click()
    await eventually(partial(has, api, "to be made again", 2))
    one, other = await jobs_of(api, "to be made again")
    assert one["parameters"]["seed"] == other["parameters"]["seed"]

    await studio.card("to be made again").last.locator(".card-open").click()
    await studio.page.get_by_role("button", name="Vary").click()
    await eventually(partial(has, api, "to be made again", 3))
    varied, *_ = await seeds_of(api, "to be made again")
    assert varied != one["parameters"]["seed"]


async def test_edit_puts_everything_into_the_form_and_leads_there(
    open_studio: OpenStudio, api: Api, shared_server: ServerProcess
) -> None:
    await api.finished((await api.generate(prompt="to be written anew", seed=77, steps=3))["id"])
    studio = await open_studio(shared_server.origin, size=PHONE)
    await studio.look_at("to be written anew")

    await studio.page.get_by_role("button", name="Edit").click()

    await focused(studio.page, "#prompt")
    assert await studio.prompt.input_value() == "to be written anew"
    assert await studio.prompt.evaluate("(element) => element.getBoundingClientRect().top") >= 0
    assert await studio.page.locator("#seed").input_value() == "77"
    assert await studio.page.locator("#steps").input_value() == "3"


async def test_die_draws_a_seed_that_stays(open_studio: OpenStudio, api: Api, shared_server: ServerProcess) -> None:
    studio = await open_studio(shared_server.origin)
    await studio.page.get_by_role("button", name="Pick another seed").click()
    seed = int(await studio.page.get_by_label("Seed", exact=True).input_value())

    for count in (1, 2):
        await studio.generate("of a seed that was drawn")
        await eventually(partial(has, api, "of a seed that was drawn", count))

    assert await seeds_of(api, "of a seed that was drawn") == [seed, seed]


async def test_key_that_is_held_asks_once(open_studio: OpenStudio, api: Api, shared_server: ServerProcess) -> None:
    studio = await open_studio(shared_server.origin)
    await studio.prompt.fill("asked for by a heavy hand")
    for _ in range(5):
        # All but the first are repetitions.
        await studio.page.keyboard.down("Enter")
    await studio.page.keyboard.up("Enter")

    await studio.pictured("asked for by a heavy hand")
    assert len(await jobs_of(api, "asked for by a heavy hand")) == 1


async def test_what_is_wrong_is_shown_also_where_it_is_folded_in(
    open_studio: OpenStudio, api: Api, shared_server: ServerProcess
) -> None:
    studio = await open_studio(shared_server.origin, size=PHONE)
    options = studio.page.locator(".options > summary")
    await options.click()
    await studio.page.locator("#seed").fill("99999999999")
    await options.click()
    await studio.page.locator("#seed").wait_for(state="hidden")

    await studio.generate("of no such seed")

    await studio.page.locator("#seed-problem").wait_for()
    assert await jobs_of(api, "of no such seed") == []


async def test_estimate_comes_from_what_was_made(open_studio: OpenStudio, start_server: StartServer) -> None:
    server = start_server(endpoint="sketch:?step_seconds=0.05")
    studio = await open_studio(server.origin)
    await studio.page.get_by_text("no estimate yet").wait_for()
    await studio.generate("the first")
    await studio.pictured("the first")
    await studio.page.locator(".estimate", has_text="about").wait_for()


# --- the full view ---


async def test_download_is_the_file_of_the_server(
    open_studio: OpenStudio, api: Api, shared_server: ServerProcess
) -> None:
    await api.finished((await api.generate(prompt="To be kept, for good!", seed=5))["id"])
    studio = await open_studio(shared_server.origin)
    await studio.look_at("To be kept, for good!")

    async with studio.page.expect_download() as waited:
        await studio.page.get_by_role("link", name="Download").click()
    download = await waited.value

    assert download.suggested_filename == "to-be-kept-for-good-5.jpg"
    (image,) = (await jobs_of(api, "To be kept, for good!"))[0]["images"]
    content = await asyncio.to_thread(Path(await download.path()).read_bytes)
    assert hashlib.sha256(content).hexdigest() == image["sha256"]


async def test_address_of_an_image_leads_back_to_it(
    open_studio: OpenStudio, api: Api, shared_server: ServerProcess
) -> None:
    job = await api.generate(prompt="found by its address")
    await api.finished(job["id"])

    studio = await open_studio(shared_server.origin, f"/#{job['id']}/0", is_signed_in=False)

    await studio.page.get_by_role("dialog", name="found by its address").wait_for()


@pytest.mark.parametrize("address", ["/#nothing-like-it/0", "/#/0", "/#x/y/z"])
async def test_address_of_nothing_leads_to_the_page(
    open_studio: OpenStudio, shared_server: ServerProcess, address: str
) -> None:
    studio = await open_studio(shared_server.origin, address, is_signed_in=False)
    if "nothing" in address or "x" in address:
        await studio.page.get_by_text("There is no such job.").wait_for()
    await studio.settle()
    assert await studio.page.get_by_role("dialog").count() == 0


async def test_question_before_deleting_is_of_one_job(
    open_studio: OpenStudio, api: Api, shared_server: ServerProcess
) -> None:
    for prompt in ("the older of two", "the newer of two"):
        await api.finished((await api.generate(prompt=prompt))["id"])
    studio = await open_studio(shared_server.origin)
    await studio.look_at("the newer of two")
    dialog = studio.page.get_by_role("dialog")

    await dialog.get_by_role("button", name="Delete").click()
    await dialog.get_by_role("group", name="Delete for good?").wait_for()
    # What changes nothing has the focus.
    await studio.page.keyboard.press("Enter")
    await dialog.get_by_role("button", name="Delete").click()
    await studio.page.keyboard.press("ArrowRight")

    await studio.page.get_by_role("dialog", name="the older of two").wait_for()
    assert await dialog.get_by_role("group", name="Delete for good?").count() == 0
    assert len(await jobs_of(api, "of two")) == 2


async def test_job_that_waits_shows_no_other_jobs_preview(open_studio: OpenStudio, start_server: StartServer) -> None:
    server = start_server(endpoint="sketch:?step_seconds=0.5", concurrency="1")
    studio = await open_studio(server.origin)
    await studio.generate("one that is drawn")
    await studio.card("one that is drawn").locator('.preview[data-there="true"]').first.wait_for()
    await studio.generate("one that waits")
    await studio.card("one that waits").get_by_text("in the queue").wait_for()
    await studio.look_at("one that is drawn")
    await studio.page.locator('.stage .preview[data-there="true"]').first.wait_for()

    await studio.page.keyboard.press("ArrowLeft")

    await studio.page.get_by_role("dialog", name="one that waits").wait_for()
    assert await studio.page.locator(".stage .preview").count() == 0
    async with Api(server.origin) as api:
        await api.cancel_everything()


async def test_keys_of_the_browser_turn_no_image(
    open_studio: OpenStudio, api: Api, shared_server: ServerProcess
) -> None:
    for prompt in ("left alone", "looked at"):
        await api.finished((await api.generate(prompt=prompt))["id"])
    studio = await open_studio(shared_server.origin)
    await studio.look_at("looked at")

    for key in ("Control+ArrowRight", "Shift+ArrowRight", "Meta+ArrowRight"):
        await studio.page.keyboard.press(key)

    assert await studio.page.get_by_role("dialog", name="looked at").count() == 1
    await studio.page.keyboard.press("ArrowRight")
    await studio.page.get_by_role("dialog", name="left alone").wait_for()


# --- focus and motion ---


async def test_focus_stays_where_a_button_goes(open_studio: OpenStudio, start_server: StartServer) -> None:
    server = start_server(auth="keys", endpoint="sketch:?step_seconds=0.2")
    studio = await open_studio(server.origin, is_signed_in=False)
    await focused(studio.page, "#key")
    await studio.sign_in("no key of this server")
    await studio.page.get_by_text("This key is not accepted.").wait_for()
    await focused(studio.page, "#key")
    await studio.sign_in(create_key(server, "me"))
    await studio.settle()

    await studio.generate("to be canceled by keyboard")
    await studio.drawing("to be canceled by keyboard")
    await studio.card("to be canceled by keyboard").get_by_role("button", name="Cancel", exact=True).press("Enter")
    await focused(studio.page, ".card-open")
    await studio.card("to be canceled by keyboard").get_by_text("Canceled", exact=True).wait_for()
    await focused(studio.page, ".card-open")

    await studio.page.get_by_role("button", name="Sign out").press("Enter")
    await focused(studio.page, "#key")
    studio.take_troubles(about="401 (Unauthorized)")


async def test_images_come_with_motion_too(open_studio: OpenStudio, api: Api, shared_server: ServerProcess) -> None:
    studio = await open_studio(shared_server.origin, motion="no-preference")
    await studio.generate("one that fades in")
    await studio.card("one that fades in").locator('.preview[data-there="true"]').first.wait_for()
    await studio.pictured("one that fades in")
    image = studio.card("one that fades in").locator(".picture img")
    await eventually(partial(_is_opaque, image))


async def _is_opaque(image: Any) -> bool:
    return bool(await image.evaluate("(element) => getComputedStyle(element).opacity === '1'"))
