"""The guides of docs/clients: they show the programs that are run here and in node/, letter by letter."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.clients.programs import (
    TENTH_OF_A_SECOND,
    Command,
    check_over_a_renewal,
    check_over_a_restart,
    events_to_the_end,
    failure_of,
    program,
)
from tests.clients.server_process import ServerProcess, StartServer

CLIENTS = Path(__file__).parents[1] / "clients"
GUIDES = Path(__file__).parents[2] / "docs" / "clients"
SHOWN = {
    "javascript.md": ["js/connection.mjs", "js/generate.mjs"],
    "react-apollo.md": ["js/react-apollo.jsx", "js/connection.mjs"],
    "react-urql.md": ["js/react-urql.jsx", "js/connection.mjs"],
    "python.md": ["generate.py"],
    "curl-sse.md": ["generate.sh"],
}
LANGUAGES = {".mjs": "js", ".jsx": "jsx", ".py": "python", ".sh": "sh"}
PROGRAMS: dict[str, Command] = {
    "python.md": [sys.executable, CLIENTS / "generate.py"],
    "curl-sse.md": ["bash", CLIENTS / "generate.sh"],
}
INPUT = {"prompt": "a lighthouse", "steps": 5, "size": {"dimensions": {"width": 64, "height": 64}}}


@pytest.mark.parametrize(("guide", "path"), [(guide, path) for guide, paths in SHOWN.items() for path in paths])
def test_guide_shows_the_program_that_is_run(guide: str, path: str) -> None:
    program = CLIENTS / path
    assert f"```{LANGUAGES[program.suffix]}\n{program.read_text()}```\n" in (GUIDES / guide).read_text()


def test_overview_names_every_guide() -> None:
    named = set(re.findall(r"\]\(([a-z-]+\.md)\)", (GUIDES / "README.md").read_text()))
    assert named == {guide.name for guide in GUIDES.glob("*.md")} - {"README.md"}


@pytest.mark.parametrize("guide", PROGRAMS)
async def test_program_generates_an_image(shared_server: ServerProcess, guide: str) -> None:
    command = [*PROGRAMS[guide], f"{shared_server.origin}/graphql", "generate", json.dumps(INPUT)]
    async with program(*command) as generating:
        told = await events_to_the_end(generating)
    assert told[-1]["job"]["status"] == "SUCCEEDED"
    assert told[-1]["job"]["images"]


@pytest.mark.parametrize("guide", PROGRAMS)
async def test_program_misses_nothing_when_the_server_is_restarted(start_server: StartServer, guide: str) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND, drain="0.5")
    await check_over_a_restart(server, [*PROGRAMS[guide], f"{server.origin}/graphql", "follow"])


@pytest.mark.parametrize("guide", PROGRAMS)
async def test_program_says_what_is_wrong_with_the_input(shared_server: ServerProcess, guide: str) -> None:
    url = f"{shared_server.origin}/graphql"
    assert "InvalidInputError" in await failure_of(*PROGRAMS[guide], url, "generate", '{"prompt": ""}')


@pytest.mark.parametrize("guide", PROGRAMS)
async def test_program_stops_where_it_is_no_use_to_come_back(shared_server: ServerProcess, guide: str) -> None:
    url = f"{shared_server.origin}/graphql"
    assert "NOT_FOUND" in await failure_of(*PROGRAMS[guide], url, "follow", "no-such-job")


@pytest.mark.parametrize("guide", PROGRAMS)
async def test_program_goes_on_with_a_renewed_token(start_server: StartServer, tmp_path: Path, guide: str) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND, auth="keys")
    await check_over_a_renewal(server, [*PROGRAMS[guide], f"{server.origin}/graphql"], tmp_path / "token")


@pytest.mark.parametrize("guide", PROGRAMS)
async def test_program_gives_up_with_a_wrong_token(start_server: StartServer, tmp_path: Path, guide: str) -> None:
    server = start_server(auth="keys")
    token_file = tmp_path / "token"
    token_file.write_text("wrong")
    command = [*PROGRAMS[guide], f"{server.origin}/graphql", "follow", "some-job"]
    assert await failure_of(*command, TEXT2IMAGE_TOKEN_FILE=str(token_file))
