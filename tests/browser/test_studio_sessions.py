"""The Studio when keys end, when the server refuses, and when others are at work: in a real browser, against a real
server."""

from __future__ import annotations

import asyncio
import json
from functools import partial

from playwright.async_api import Route

from tests.browser.conftest import OpenStudio
from tests.browser.studio import StudioPage
from tests.clients.graphql_http import Api
from tests.clients.keys import bearer, create_key, describe_new_key, run_keys
from tests.clients.server_process import ServerProcess, StartServer
from tests.clients.waiting import eventually

REFUSED = "401 (Unauthorized)"
QUIET_SECONDS = 1.0
"""As long as something that must not happen is waited for."""


# --- keys that end ---


def _ending_key(server: ServerProcess, caller: str) -> tuple[str, str]:
    """A key, and its ID, with which it is revoked."""
    described = describe_new_key(server, "--caller", caller, name=caller)
    return described["token"], described["id"]


async def _end_key(studio: StudioPage, server: ServerProcess, key_id: str, *, asking: str) -> None:
    """Revoke the key that a window uses, and ask for something with it."""
    assert run_keys(server, "revoke", key_id).returncode == 0
    await studio.generate(asking)
    await studio.page.get_by_label("API key").wait_for()


async def test_another_caller_sees_nothing_of_whoever_had_the_window_before(
    open_studio: OpenStudio, start_server: StartServer
) -> None:
    server = start_server(auth="keys", endpoint="sketch:")
    (alices, to_revoke), bobs = _ending_key(server, "alice"), create_key(server, "bob")
    studio = await open_studio(server.origin, is_signed_in=False)
    await studio.sign_in(alices)
    await studio.settle()
    await studio.generate("a secret of Alice")
    await studio.pictured("a secret of Alice")

    await _end_key(studio, server, to_revoke, asking="asked with a key that has ended")
    await studio.sign_in(bobs)
    await studio.settle()
    await asyncio.sleep(QUIET_SECONDS)

    assert await studio.page.locator(".card").count() == 0
    assert await studio.prompt.input_value() == ""
    assert "Alice" not in await studio.page.content()
    async with Api(server.origin) as api:
        api.http.headers.update(bearer(bobs))
        assert await api.total() == 0
    studio.take_troubles(about=REFUSED)


async def test_what_was_asked_for_with_a_key_that_has_ended_is_made_with_the_next_of_its_caller(
    open_studio: OpenStudio, start_server: StartServer
) -> None:
    server = start_server(auth="keys", endpoint="sketch:")
    (first, to_revoke), second = _ending_key(server, "alice"), create_key(server, "another", "--caller", "alice")
    studio = await open_studio(server.origin, is_signed_in=False)
    await studio.sign_in(first)
    await studio.settle()
    await studio.generate("made before")
    await studio.pictured("made before")

    await _end_key(studio, server, to_revoke, asking="asked in between")
    await studio.sign_in(second)

    await studio.pictured("asked in between")
    await studio.pictured("made before")
    assert await studio.prompt.input_value() == "asked in between"
    async with Api(server.origin) as api:
        api.http.headers.update(bearer(second))
        assert await api.total() == 2
    studio.take_troubles(about=REFUSED)


async def test_list_that_arrives_after_signing_out_is_not_taken_over(
    open_studio: OpenStudio, start_server: StartServer
) -> None:
    server = start_server(auth="keys", endpoint="sketch:")
    alices, bobs = create_key(server, "alice"), create_key(server, "bob")
    async with Api(server.origin) as api:
        api.http.headers.update(bearer(alices))
        await api.finished((await api.generate(prompt="a secret of Alice"))["id"])
    studio = await open_studio(server.origin, is_signed_in=False)
    may_arrive = asyncio.Event()

    async def hold_lists_of_alice(route: Route) -> None:
        if "query Jobs" in (route.request.post_data or "") and alices in route.request.headers["authorization"]:
            answer = await route.fetch()
            await may_arrive.wait()
            await route.fulfill(response=answer)
        else:
            await route.continue_()

    await studio.page.route("**/graphql", hold_lists_of_alice)
    await studio.sign_in(alices)
    await studio.settle()
    await studio.page.get_by_role("button", name="Sign out").click()
    may_arrive.set()
    await studio.sign_in(bobs)
    await studio.settle()
    await asyncio.sleep(QUIET_SECONDS)

    assert await studio.page.locator(".card").count() == 0
    await studio.page.unroute_all(behavior="ignoreErrors")
    studio.take_troubles(about=REFUSED)


# --- what the server refuses ---


async def test_refused_list_is_asked_again_by_hand(
    open_studio: OpenStudio, api: Api, shared_server: ServerProcess
) -> None:
    studio = await open_studio(shared_server.origin)
    asked: list[str] = []

    async def refuse_lists(route: Route) -> None:
        if "query Jobs" in (route.request.post_data or ""):
            asked.append(route.request.post_data or "")
            await route.fulfill(json={"errors": [{"message": "The list is out of order."}]})
        else:
            await route.continue_()

    await studio.generate("behind what is refused")
    await studio.pictured("behind what is refused")
    await studio.page.route("**/graphql", refuse_lists)
    await studio.page.reload()
    await studio.page.get_by_text("The list is out of order.").wait_for()
    await asyncio.sleep(QUIET_SECONDS)
    assert len(asked) == 1

    await studio.page.unroute_all(behavior="wait")
    await studio.page.get_by_role("button", name="Try again").click()

    await studio.pictured("behind what is refused")
    assert await studio.page.get_by_role("button", name="Try again").count() == 0


async def test_refused_beginning_is_asked_again_by_hand(open_studio: OpenStudio, shared_server: ServerProcess) -> None:
    studio = await open_studio(shared_server.origin)

    async def refuse_welcome(route: Route) -> None:
        if "query Welcome" in (route.request.post_data or ""):
            await route.fulfill(json={"errors": [{"message": "The server is being repaired."}]})
        else:
            await route.continue_()

    await studio.page.route("**/graphql", refuse_welcome)
    await studio.page.reload()
    await studio.page.get_by_role("alert").get_by_text("The server is being repaired.").wait_for()
    assert await studio.page.locator(".generate").is_disabled()

    await studio.page.unroute_all(behavior="wait")
    await studio.page.get_by_role("button", name="Try again").click()

    await studio.settle()


async def test_address_that_is_broken_opens_the_page(open_studio: OpenStudio, shared_server: ServerProcess) -> None:
    studio = await open_studio(shared_server.origin)
    await studio.page.goto("about:blank")

    await studio.page.goto(f"{shared_server.origin}/#%E0%A4%A")

    await studio.settle()


# --- images whose URLs have ended ---


async def test_image_whose_url_has_ended_is_fetched_by_a_fresh_one(
    open_studio: OpenStudio, api: Api, shared_server: ServerProcess
) -> None:
    studio = await open_studio(shared_server.origin)
    await studio.generate("seen an hour later")
    await studio.pictured("seen an hour later")

    async def give_an_ended_url(route: Route) -> None:
        if "query Jobs" not in (route.request.post_data or ""):
            await route.continue_()
            return
        answer = await route.fetch()
        body = json.loads(await answer.text())
        for edge in body["data"]["jobs"]["edges"]:
            for image in edge["node"]["images"]:
                image["url"] = image["thumbnailUrl"] = "/images/this-url-has-ended"
        await route.fulfill(response=answer, json=body)

    await studio.page.route("**/graphql", give_an_ended_url)
    await studio.page.reload()

    await studio.pictured("seen an hour later")
    await studio.page.unroute_all(behavior="wait")
    assert studio.take_troubles(about="404")


# --- others at work ---


async def test_what_one_looks_at_stays_where_it_is_when_others_generate(
    open_studio: OpenStudio, start_server: StartServer
) -> None:
    server = start_server(endpoint="sketch:", max_queue="1000")
    async with Api(server.origin) as api:
        await asyncio.gather(*(api.generate(prompt=f"number {number:02}") for number in range(40)))
        await eventually(lambda: _is_total(api, 40))
        studio = await open_studio(server.origin)
        await studio.page.locator('.card[aria-posinset="20"]').scroll_into_view_if_needed()
        await studio.page.evaluate("scrollBy(0, 40)")
        looked_at = await studio.first_in_sight()
        top = await studio.top_of(looked_at)

        await asyncio.gather(*(api.generate(prompt=f"from elsewhere {number:02}") for number in range(12)))
        await eventually(lambda: _is_total(api, 52))
        await studio.page.get_by_text("52 jobs").wait_for()

        assert abs(await studio.top_of(looked_at) - top) <= 1
        assert await studio.page.evaluate("scrollY") > 0

        # Whoever asks is led to the new card.
        await studio.generate("my own")
        await eventually(partial(studio.is_in_sight, "my own"))


async def test_number_of_jobs_follows_what_comes_and_goes_while_not_all_is_read(
    open_studio: OpenStudio, start_server: StartServer
) -> None:
    server = start_server(endpoint="sketch:", max_queue="1000")
    async with Api(server.origin) as api:
        made = await asyncio.gather(*(api.generate(prompt=f"number {number:03}") for number in range(120)))
        await eventually(lambda: _is_total(api, 120))
        studio = await open_studio(server.origin)
        await studio.page.get_by_text("120 jobs").wait_for()

        await api.finished((await api.generate(prompt="one more"))["id"])
        await studio.page.get_by_text("121 jobs").wait_for()
        # On no page that was read.
        await api.delete(made[0]["id"])
        await studio.page.get_by_text("120 jobs").wait_for()


async def _is_total(api: Api, wanted: int) -> bool:
    return await api.total(statuses=["SUCCEEDED"]) == wanted
