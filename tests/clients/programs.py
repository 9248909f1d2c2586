"""Programs that follow a job and print its events, and a server that is restarted under them."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.clients.graphql_http import Api
from tests.clients.keys import describe_new_key
from tests.clients.node import node_environment
from tests.clients.server_process import ServerProcess
from tests.clients.waiting import PATIENCE_SECONDS

Command = Sequence[str | Path]

TENTH_OF_A_SECOND = "sketch:?step_seconds=0.1"
"""Makes a job as slow as it has steps, at 10 a second."""
LONG = 60
"""Steps of a job that is not over when the slowest client has come back."""


@asynccontextmanager
async def program(*command: str | Path, **environment: str) -> AsyncIterator[Process]:
    """A running program. What it writes to standard error is shown where the test fails."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, env={**node_environment(), **environment})
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def next_event(process: Process) -> dict[str, Any] | None:
    """The next line of JSON that a program prints, or None when it has ended."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        line = await process.stdout.readline()
    return json.loads(line) if line else None


async def events_to_the_end(process: Process) -> list[dict[str, Any]]:
    """All that a program still prints. It must end well."""
    told = []
    while (event := await next_event(process)) is not None:
        told.append(event)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await process.wait() == 0
    return told


async def failure_of(*command: str | Path, **environment: str) -> str:
    """What a program writes to standard error that must fail by itself."""
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        env={**node_environment(), **environment},
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode != 0
    return done.stderr


def moves(events: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Revision and status of every event that is not mere progress. Clients must not look into a cursor, a test may."""
    found = []
    for event in events:
        if event["kind"] != "PROGRESS":
            cursor = event["cursor"]
            revision = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().removeprefix("e1:")
            found.append((int(revision), event["job"]["status"]))
    return found


async def restart(server: ServerProcess) -> None:
    """Let a server drain, and start it again on the same port."""
    server.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(server.wait) == 0
    await asyncio.to_thread(server.start, on_same_port=True)


async def check_over_a_restart(server: ServerProcess, command: Command, environment: Mapping[str, str] = {}) -> None:
    """Let a program follow a job, restart the server, and look whether the program has missed anything or was told
    anything twice. The job's ID is the last argument of the command."""
    async with Api(server.origin) as api:
        job_id: str = (await api.generate(steps=LONG))["id"]
        await api.running(job_id)
    async with program(*command, job_id, **environment) as following:
        first = await next_event(following)
        assert first is not None and moves([first]) == [(2, "RUNNING")]
        await restart(server)
        told = [first, *await events_to_the_end(following)]
    assert moves(told) == [(2, "RUNNING"), (3, "QUEUED"), (4, "RUNNING"), (5, "SUCCEEDED")]
    assert told[-1]["job"]["images"]
    fractions = [event["job"]["progress"]["fraction"] for event in told]
    assert fractions == sorted(fractions)


def sign_in(token_file: Path, key: Mapping[str, Any]) -> None:
    """Write the token of a key to where the programs of the guides read it, each time that they need one."""
    token_file.write_text(key["token"])


async def check_over_a_renewal(server: ServerProcess, command: Command, token_file: Path) -> None:
    """Let a program follow a job with a token that expires meanwhile and is renewed in its file, and look whether it
    has missed anything. The server wants keys."""
    old = describe_new_key(server, "--expires", "5s")
    renewed = describe_new_key(server, "--caller", old["caller"])
    environment = {"TEXT2IMAGE_TOKEN_FILE": str(token_file)}
    sign_in(token_file, old)
    given = json.dumps({"prompt": "a lighthouse", "steps": LONG})
    async with program(*command, "generate", given, **environment) as following:
        first = await next_event(following)
        assert first is not None
        sign_in(token_file, renewed)
        told = [first, *await events_to_the_end(following)]
    assert [status for _, status in moves(told)][-2:] == ["RUNNING", "SUCCEEDED"]
    assert told[-1]["job"]["images"]
    fractions = [event["job"]["progress"]["fraction"] for event in told]
    assert fractions == sorted(fractions)
