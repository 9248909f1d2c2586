"""The programs of the guides that need Node: plain JavaScript, and the two pages in a DOM."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.keys import describe_new_key
from tests.clients.node import javascript
from tests.clients.programs import (
    TENTH_OF_A_SECOND,
    check_over_a_renewal,
    check_over_a_restart,
    events_to_the_end,
    failure_of,
    next_event,
    program,
    restart,
    sign_in,
)
from tests.clients.server_process import ServerProcess, StartServer

GENERATE = javascript("generate.mjs")
INPUT = {"prompt": "a lighthouse", "steps": 5, "size": {"dimensions": {"width": 64, "height": 64}}}
PAGES = ["react-apollo.jsx", "react-urql.jsx"]


def url_over(transport: str, server: ServerProcess) -> str:
    """The URL by which the plain program chooses a transport."""
    return server.socket_url if transport == "ws" else f"{server.origin}/graphql"


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_plain_program_generates_an_image(shared_server: ServerProcess, transport: str) -> None:
    command = [*GENERATE, url_over(transport, shared_server), "generate", json.dumps(INPUT)]
    async with program(*command) as generating:
        told = await events_to_the_end(generating)
    assert told[-1]["job"]["status"] == "SUCCEEDED"


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_plain_program_misses_nothing_when_the_server_is_restarted(
    start_server: StartServer, transport: str
) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND, drain="0.5")
    await check_over_a_restart(server, [*GENERATE, url_over(transport, server), "follow"])


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_plain_program_stops_where_it_is_no_use_to_come_back(
    shared_server: ServerProcess, transport: str
) -> None:
    url = url_over(transport, shared_server)
    assert "NOT_FOUND" in await failure_of(*GENERATE, url, "follow", "no-such-job")
    assert "InvalidInputError" in await failure_of(*GENERATE, url, "generate", '{"prompt": ""}')


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_plain_program_goes_on_with_a_renewed_token(
    start_server: StartServer, tmp_path: Path, transport: str
) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND, auth="keys")
    await check_over_a_renewal(server, [*GENERATE, url_over(transport, server)], tmp_path / "token")


@pytest.mark.parametrize("transport", ["ws", "sse"])
async def test_plain_program_gives_up_with_a_wrong_token(
    start_server: StartServer, tmp_path: Path, transport: str
) -> None:
    server = start_server(auth="keys")
    token_file = tmp_path / "token"
    token_file.write_text("wrong")
    command = [*GENERATE, url_over(transport, server), "follow", "some-job"]
    assert await failure_of(*command, TEXT2IMAGE_TOKEN_FILE=str(token_file))


async def shown_until(page: asyncio.subprocess.Process, condition: str) -> list[dict[str, Any]]:
    """What a page shows, until it shows something under this name that is not nothing."""
    shown = []
    while (now := await next_event(page)) is not None:
        shown.append(now)
        if now.get(condition):
            break
    assert shown and shown[-1].get(condition), "the page ended before it showed that"
    return shown


@pytest.mark.parametrize("page", PAGES)
async def test_click_leads_to_an_image_on_the_page_though_the_server_was_restarted(
    start_server: StartServer, page: str
) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND, drain="0.5")
    async with program(*javascript("page.mjs"), page, server.origin) as opened:
        before = await shown_until(opened, "fraction")
        await restart(server)
        after = await shown_until(opened, "image")
    assert before[0]["status"] == "QUEUED"
    assert "QUEUED" in [each["status"] for each in after], "the page did not see the job go back to the queue"
    fractions = [each["fraction"] for each in [*before, *after] if "fraction" in each]
    assert len(set(fractions)) > 3
    assert not any(each["alerts"] for each in [*before, *after])
    async with httpx.AsyncClient() as http:
        picture = await http.get(after[-1]["image"])
    assert picture.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("page", PAGES)
async def test_page_goes_on_with_a_renewed_token(start_server: StartServer, tmp_path: Path, page: str) -> None:
    server = start_server(endpoint="sketch:?step_seconds=0.3", auth="keys")
    old = describe_new_key(server, "--expires", "5s")
    token_file = tmp_path / "token"
    sign_in(token_file, old)
    async with program(*javascript("page.mjs"), page, server.origin, TEXT2IMAGE_TOKEN_FILE=str(token_file)) as opened:
        before = await shown_until(opened, "fraction")
        sign_in(token_file, describe_new_key(server, "--caller", old["caller"]))
        after = await shown_until(opened, "image")
    assert not any(each["alerts"] for each in [*before, *after])
