"""The programs of docs/clients/reconnecting.md, with the official JavaScript clients and gql, over a restart."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.graphql_http import Api
from tests.clients.node import FOLDER, install_clients, node_environment, node_folder
from tests.clients.server_process import ServerProcess, StartServer
from tests.clients.waiting import PATIENCE_SECONDS

SLOW = "sketch:?step_seconds=0.1"
LONG = 100
"""Steps of a job that is not over when the slowest client has come back."""
JAVASCRIPT = FOLDER / "watch.mjs"
PYTHON = FOLDER.parent / "gql_watch.py"
GUIDE = FOLDER.parents[2] / "docs" / "clients" / "reconnecting.md"


@pytest.fixture(scope="session")
def javascript_clients() -> None:
    """graphql-ws and graphql-sse are installed."""
    install_clients()


@asynccontextmanager
async def program(*command: str | Path) -> AsyncIterator[Process]:
    """A running program. What it writes to standard error is shown where the test fails."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, env=node_environment())
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def next_event(process: Process) -> dict[str, Any] | None:
    """The next event that a program prints, or None when it has ended."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        line = await process.stdout.readline()
    return json.loads(line) if line else None


async def events_to_the_end(process: Process) -> list[dict[str, Any]]:
    told = []
    while (event := await next_event(process)) is not None:
        told.append(event)
    assert await process.wait() == 0
    return told


def moves(events: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Revision and status of every event that is not mere progress. Clients must not look into a cursor, a test may."""
    found = []
    for event in events:
        if event["kind"] != "PROGRESS":
            cursor = event["cursor"]
            revision = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().removeprefix("e1:")
            found.append((int(revision), event["job"]["status"]))
    return found


async def check_over_a_restart(server: ServerProcess, command: list[str | Path], url: str) -> None:
    """Let a program follow a job, restart the server on the same port, and look whether it has missed anything."""
    async with Api(server.origin) as api:
        job_id: str = (await api.generate(steps=LONG))["id"]
        await api.running(job_id)
    async with program(*command, url, job_id) as watching:
        first = await next_event(watching)
        assert first is not None and moves([first]) == [(2, "RUNNING")]
        server.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.wait) == 0
        server.start(on_same_port=True)
        told = [first, *await events_to_the_end(watching)]
    assert moves(told) == [(2, "RUNNING"), (3, "QUEUED"), (4, "RUNNING"), (5, "SUCCEEDED")]
    assert told[-1]["job"]["images"]
    fractions = [event["job"]["progress"]["fraction"] for event in told]
    assert fractions == sorted(fractions)


@pytest.mark.usefixtures("javascript_clients")
async def test_graphql_ws_client_misses_nothing(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain="0.5")
    await check_over_a_restart(server, [node_folder() / "node", JAVASCRIPT], server.socket_url)


@pytest.mark.usefixtures("javascript_clients")
async def test_graphql_sse_client_misses_nothing(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain="0.5")
    await check_over_a_restart(server, [node_folder() / "node", JAVASCRIPT], f"{server.origin}/graphql")


async def test_gql_client_misses_nothing(start_server: StartServer) -> None:
    server = start_server(endpoint=SLOW, drain="0.5")
    await check_over_a_restart(server, [sys.executable, PYTHON], server.socket_url)


@pytest.mark.usefixtures("javascript_clients")
@pytest.mark.parametrize("transport", ["ws", "sse", "gql"])
async def test_client_stops_where_it_is_no_use_to_come_back(shared_server: ServerProcess, transport: str) -> None:
    url = f"{shared_server.origin}/graphql" if transport == "sse" else shared_server.socket_url
    command = [sys.executable, PYTHON] if transport == "gql" else [node_folder() / "node", JAVASCRIPT]
    process = await asyncio.create_subprocess_exec(*command, url, "no-such-job", stderr=PIPE, env=node_environment())
    async with asyncio.timeout(PATIENCE_SECONDS):
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"NOT_FOUND" in errors


@pytest.mark.parametrize("path", [JAVASCRIPT, PYTHON], ids=["watch.mjs", "gql_watch.py"])
def test_guide_shows_the_program_that_was_run(path: Path) -> None:
    language = "js" if path is JAVASCRIPT else "python"
    assert f"```{language}\n{path.read_text()}```\n" in GUIDE.read_text()
