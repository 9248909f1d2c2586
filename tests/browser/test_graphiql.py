"""GraphiQL in a real browser, against a real server. Tests also fail where a page asks anybody else for anything."""

from __future__ import annotations

import sys
import time
from urllib.parse import urljoin

import pytest
from playwright.async_api import Error

from tests.browser.conftest import OpenGraphiQL
from tests.browser.graphiql import GraphiQLPage
from tests.clients.graphql_http import Api
from tests.clients.keys import bearer, create_key
from tests.clients.server_process import ServerProcess, StartServer
from tests.clients.waiting import eventually

IS_BRIGHT = """([part, property, expected]) => {
  const element = document.querySelector(part);
  const color = element && getComputedStyle(element)[property];
  const [, red, green, blue] = /^rgb\\((\\d+), (\\d+), (\\d+)\\)$/.exec(color) ?? [];
  return red !== undefined && (Number(red) + Number(green) + Number(blue) > 3 * 128) === expected;
}"""
REFUSED = "401 (Unauthorized)"
RUN_TEXT = """new Promise((resolve) => {
  window.wereRun = [];
  const script = document.createElement("script");
  script.textContent = "window.wereRun.push('inline')";
  document.body.append(script);
  setTimeout("window.wereRun.push('eval')");
  setTimeout(resolve, 10);
})"""


async def test_first_tab_queues_an_image(open_graphiql: OpenGraphiQL, api: Api, shared_server: ServerProcess) -> None:
    began = time.monotonic()
    graphiql = await open_graphiql(shared_server.origin)
    sys.stdout.write(f"GraphiQL takes text after {time.monotonic() - began:.2f} s\n")

    job = await graphiql.generate()

    found = await api.job(job["id"])
    assert found is not None
    assert found["parameters"]["style"]["name"] == "watercolor"
    tabs = await graphiql.page.get_by_role("tab").all_inner_texts()
    assert [tab.strip() for tab in tabs] == ["Generate", "Follow", "OneShot", "History", "Cancel"]


async def test_one_shot_subscription_ends_with_an_image_over_a_websocket(
    open_graphiql: OpenGraphiQL, api: Api, shared_server: ServerProcess
) -> None:
    graphiql = await open_graphiql(shared_server.origin)
    await graphiql.choose("OneShot")
    await graphiql.run()

    answer = await graphiql.answer("SUCCEEDED")

    assert graphiql.sockets == [shared_server.socket_url]
    (image,) = answer["data"]["generateImage"]["job"]["images"]
    picture = await api.http.get(urljoin(shared_server.origin, image["url"]))
    assert picture.headers["Content-Type"] == "image/jpeg"


async def test_events_are_followed_until_they_are_stopped(
    open_graphiql: OpenGraphiQL, api: Api, shared_server: ServerProcess
) -> None:
    graphiql = await open_graphiql(shared_server.origin)
    await graphiql.choose("Follow")
    await graphiql.run()
    first = await api.generate()
    await graphiql.answer(first["id"])

    await graphiql.run()
    await graphiql.page.get_by_role("button", name="Execute query").wait_for()
    before = await graphiql.answer(first["id"])
    second = await api.generate()
    await api.finished(second["id"])

    assert await graphiql.answer(first["id"]) == before


async def test_history_shows_what_there_is_and_a_job_is_canceled_by_its_id(
    open_graphiql: OpenGraphiQL, api: Api, shared_server: ServerProcess
) -> None:
    job = await api.generate(steps=100)
    await api.running(job["id"])
    graphiql = await open_graphiql(shared_server.origin)
    await graphiql.choose("History")
    await graphiql.run()
    assert job["id"] in str(await graphiql.answer("totalCount"))

    await graphiql.choose("Cancel")
    await graphiql.write("Variables", {"id": job["id"]})
    await graphiql.run()
    answer = await graphiql.answer("cancelJob")

    assert answer["data"]["cancelJob"]["errors"] == []
    assert (await api.finished(job["id"]))["status"] == "CANCELED"


async def test_operation_is_put_together_in_the_explorer(
    open_graphiql: OpenGraphiQL, shared_server: ServerProcess
) -> None:
    graphiql = await open_graphiql(shared_server.origin)
    await graphiql.page.get_by_role("button", name="Show GraphiQL Explorer").click()
    field = graphiql.page.locator(".graphiql-explorer-root").get_by_text("negativePrompt:")
    assert "negativePrompt" not in await graphiql.operation()

    await field.click()

    await graphiql.page.locator(".graphiql-query-editor").get_by_text("negativePrompt").wait_for()


async def test_connection_that_was_lost_is_made_again(open_graphiql: OpenGraphiQL, start_server: StartServer) -> None:
    server = start_server()
    graphiql = await open_graphiql(server.origin)
    await graphiql.choose("Follow")
    await graphiql.run()
    async with Api(server.origin) as api:
        await graphiql.answer((await api.generate())["id"])

    await graphiql.settle()
    server.kill()
    await graphiql.notice("The connection was lost. Trying again").wait_for()
    server.start(on_same_port=True)
    await graphiql.notice("The connection was lost").wait_for(state="detached")

    async with Api(server.origin) as api:
        await graphiql.answer((await api.generate())["id"])
    graphiql.take_troubles(about=f"WebSocket connection to '{server.socket_url}'")


# --- sign-in ---


async def test_header_tab_signs_in_for_the_other_tabs_too(
    open_graphiql: OpenGraphiQL, start_server: StartServer
) -> None:
    server = start_server(auth="keys")
    graphiql = await open_graphiql(server.origin)
    hint = graphiql.notice("The server wants a credential")
    await hint.wait_for()

    await graphiql.write("Headers", bearer(create_key(server, "me")))
    await graphiql.generate()

    await hint.wait_for(state="detached")
    await graphiql.page.get_by_role("button", name="Show Documentation Explorer").click()
    await graphiql.page.get_by_text("Root Types").wait_for()
    await graphiql.choose("OneShot")
    await graphiql.run()
    await graphiql.answer("SUCCEEDED")
    assert graphiql.take_troubles(about=REFUSED)


async def test_header_tab_reaches_the_connection(open_graphiql: OpenGraphiQL, start_server: StartServer) -> None:
    server = start_server(auth="keys")
    graphiql = await open_graphiql(server.origin)
    await graphiql.choose("OneShot")
    await graphiql.write("Headers", bearer("not one of this server's"))
    await graphiql.run()
    await graphiql.answer("4401")
    await graphiql.notice("The server wants a credential").wait_for()

    await graphiql.write("Headers", bearer(create_key(server, "me")))
    await graphiql.run()

    answer = await graphiql.answer("SUCCEEDED")
    assert answer["data"]["generateImage"]["job"]["images"][0]["url"]
    assert graphiql.take_troubles(about=REFUSED)


async def test_credential_does_not_stay_in_the_browser(
    open_graphiql: OpenGraphiQL, shared_server: ServerProcess
) -> None:
    graphiql = await open_graphiql(shared_server.origin)
    await graphiql.write("Headers", bearer("a secret"))
    # GraphiQL takes note of what was written a moment later, of both at once.
    await graphiql.write("Variables", {"x": "noted"})
    await eventually(lambda: is_stored(graphiql, "tabState", "noted"))

    await graphiql.generate()

    await eventually(lambda: is_stored(graphiql, "queries", "noted"))
    assert "a secret" not in await graphiql.page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")


async def is_stored(graphiql: GraphiQLPage, name: str, text: str) -> bool:
    """Whether the browser keeps a text under a name of GraphiQL."""
    kept = await graphiql.page.evaluate("(name) => localStorage.getItem(`graphiql:${name}`)", name)
    return kept is not None and text in kept


# --- what the page looks like, and what it may do ---


@pytest.mark.parametrize(("colors", "is_light"), [("light", True), ("dark", False)])
async def test_page_is_light_or_dark_as_the_system_is(
    open_graphiql: OpenGraphiQL, shared_server: ServerProcess, colors: str, is_light: bool
) -> None:
    graphiql = await open_graphiql(shared_server.origin, colors=colors)
    for part, property, is_bright in (
        (".graphiql-container", "backgroundColor", is_light),
        (".graphiql-editors", "backgroundColor", is_light),
        # A word of the operation.
        (".graphiql-query-editor .mtk1", "color", not is_light),
    ):
        await graphiql.page.wait_for_function(IS_BRIGHT, arg=[part, property, is_bright])


async def test_policy_lets_the_page_neither_evaluate_text_nor_connect_elsewhere(
    open_graphiql: OpenGraphiQL, shared_server: ServerProcess
) -> None:
    graphiql = await open_graphiql(shared_server.origin)
    assert graphiql.troubles == []
    for forbidden in ("fetch('https://elsewhere.invalid')", "import('data:text/javascript,')"):
        with pytest.raises(Error, match="Failed to fetch"):
            await graphiql.page.evaluate(forbidden)
    await graphiql.page.evaluate(RUN_TEXT)
    assert await graphiql.page.evaluate("window.wereRun") == []
    for violation in (
        "connect-src https://elsewhere.invalid",
        "script-src-elem data",
        "script-src-elem inline",
        "script-src eval",
    ):
        assert graphiql.take_troubles(about=f"policy: {violation}"), violation
    # Chromium's own words for the same.
    assert graphiql.take_troubles(about="Content Security Policy")
