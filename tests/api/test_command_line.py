"""The command line, as a user types it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from graphql_api.__main__ import app
from tests.clients.graphql_http import Api
from tests.clients.server_process import ServerProcess, clean_environment

ROOT = Path(__file__).parents[2]
QUICK = ["--width", "64", "--height", "64", "--steps", "2"]


def run(
    *arguments: str, within: float = 60, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m graphql_api` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "graphql_api", *arguments],
        env={**clean_environment(**(settings or {})), "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=within,
    )


def invoke(*arguments: str) -> Result:
    """Run the command in this process, which is a second faster. What it does not catch is raised."""
    return CliRunner(env={"TERM": "dumb", "COLUMNS": "200"}).invoke(app, arguments, catch_exceptions=False)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the command is run with must not depend on who runs the tests."""
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)


def test_schema_is_the_one_in_the_repository() -> None:
    result = run("schema")
    assert result.returncode == 0
    assert result.stdout.strip() == (ROOT / "schema.graphql").read_text().strip()


@pytest.mark.parametrize(("ending", "image_format"), [("jpg", "JPEG"), ("PNG", "PNG"), ("webp", "WEBP")])
def test_generate_writes_an_image_in_the_format_of_the_ending(tmp_path: Path, ending: str, image_format: str) -> None:
    output = tmp_path / f"picture.{ending}"
    data_dir = tmp_path / "data"
    result = run(
        "generate", "a lighthouse", "-o", str(output), "--seed", "7", *QUICK, settings={"data_dir": str(data_dir)}
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(output), "seed", "7"]
    with Image.open(output) as picture:
        assert (picture.format, picture.size) == (image_format, (64, 64))
    assert list(tmp_path.iterdir()) == [output]


async def test_generate_against_a_server_gives_the_same_image(
    api: Api, shared_server: ServerProcess, tmp_path: Path
) -> None:
    here, there = tmp_path / "here.png", tmp_path / "there.png"
    assert run("generate", "a lighthouse", "-o", str(here), "--seed", "7", *QUICK).returncode == 0
    result = run("generate", "a lighthouse", "-o", str(there), "--seed", "7", *QUICK, "--server", shared_server.origin)
    assert result.returncode == 0, result.stderr
    with Image.open(here) as first, Image.open(there) as second:
        assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["a", "-o", "picture.gif"], 2, r"picture\.gif must end in \.jpg"),
        (["a", "--width", "64"], 2, "both --width and --height"),
        (["a", "--width", "65", "--height", "64"], 3, "width must be a multiple of 8"),
        (["a", "--steps", "0"], 3, "steps must be between 1 and 100"),
        (["a", "--seed", "-1"], 3, "seed must be between 0 and"),
        (["a", "--style", "no-such-style"], 3, "There is no style"),
        (["a", "--style", "watercolour"], 3, "Nearest: watercolor"),
        (["a", "--model", "no-such-model"], 3, r"There is no model .* There are: sketch\."),
        (["a", "--count", "0"], 3, "count must be between 1 and"),
        ([""], 3, "The prompt is empty"),
        (["a", "--steps", "many"], 2, "valid int"),
        (["a", "--no-such-option"], 2, "No such option"),
        ([], 2, "Missing argument"),
        (["a", *QUICK, "-o", "no-such-folder/picture.jpg"], 2, "cannot be written: there is no folder"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_generate_says_what_is_wrong(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    result = invoke("generate", *arguments)
    assert result.exit_code == code
    assert re.search(message, result.stderr), result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "steps must be between 1 and 100"),
        (["--style", "pop-artt"], "There is no style .* Nearest: pop-art"),
        (["--model", "skech"], "There is no model .* Nearest: sketch"),
        (["--count", "100"], "count must be between 1 and"),
        (["--seed", "-1"], "seed|UInt32"),
    ],
    ids=str,
)
def test_generate_tells_what_the_server_refuses(
    shared_server: ServerProcess, tmp_path: Path, arguments: list[str], message: str
) -> None:
    output = tmp_path / "picture.jpg"
    result = invoke("generate", "a", "-o", str(output), *arguments, "--server", shared_server.origin)
    assert result.exit_code == 3
    assert re.search(message, result.stderr), result.stderr
    assert not output.exists()


@pytest.mark.parametrize("server", ["nonsense", "http://", "http://localhost:port"])
def test_generate_with_a_server_that_is_no_url_says_so(tmp_path: Path, server: str) -> None:
    """At once: to try again does not help."""
    result = run("generate", "a", "-o", str(tmp_path / "picture.jpg"), "--server", server, within=10)
    assert result.returncode == 2
    assert result.stderr.strip() == f"{server} is not the URL of a server, such as http://127.0.0.1:8000."


def test_generate_against_something_else_says_so(shared_server: ServerProcess, tmp_path: Path) -> None:
    server = f"{shared_server.origin}/images"
    result = invoke("generate", "a", "-o", str(tmp_path / "picture.jpg"), "--server", server)
    assert result.exit_code == 4
    assert "The server answered 40" in result.stderr
    assert "is not the address of a text2image server" in result.stderr


def test_port_that_is_taken_is_told_with_a_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = run("serve", "--port", str(port), settings={"data_dir": str(tmp_path / "data")})
    assert result.returncode == 1
    assert f"port {port}" in result.stderr
    assert "--port" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"concurrency": "0"}, "CONCURRENCY"),
        ({"log_level": "loud"}, "LOG_LEVEL"),
        ({"endpoint": "nonsense:"}, ""),
        ({"endpoint": "sketch:?speed=fast"}, "sketch:"),
        ({"database": "oracle:x"}, ""),
        ({"images": "ftp:x"}, ""),
        ({"events": "pigeon:"}, ""),
        ({"data_dir": "/dev/null/x"}, ""),
    ],
    ids=str,
)
def test_wrong_setting_is_told(tmp_path: Path, settings: dict[str, str], name: str) -> None:
    result = run("serve", "--port", "0", settings={"data_dir": str(tmp_path / "data"), **settings})
    assert result.returncode in (1, 2)
    assert name in result.stderr
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("name", "value"), [("ENDPOINT", "nonsense:"), ("CONCURRENCY", "0")])
def test_wrong_setting_is_told_by_generate_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"TEXT2IMAGE_{name}", value)
    result = invoke("generate", "a", "-o", str(tmp_path / "picture.jpg"), *QUICK)
    assert result.exit_code in (1, 2)
    assert result.stderr.strip()


def test_help_names_the_commands() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for command in ("serve", "generate", "watch", "history", "cancel", "schema"):
        assert command in result.stdout


def test_generate_with_a_server_that_is_not_there_says_so_at_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = run("generate", "a cat", "-o", str(tmp_path / "a.jpg"), "--server", origin, within=10)
    assert result.returncode == 4
    assert result.stderr.strip().startswith(f"{origin} cannot be reached (ConnectError). Is the server running?")
    assert "text2image serve" in result.stderr
