"""What the command draws in a terminal, and that it draws nothing anywhere else."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from graphql_api.commands.client.text import short_id
from tests.clients.graphql_http import Api
from tests.clients.programs import TENTH_OF_A_SECOND
from tests.clients.server_process import ServerProcess, StartServer, clean_environment
from tests.clients.terminal import Terminal
from tests.clients.waiting import PATIENCE_SECONDS

ESCAPE = "\x1b"
BAR = "\N{BOX DRAWINGS HEAVY HORIZONTAL}"
BLOCK = re.compile(r"\x1b\[38;2;\d+;\d+;\d+;48;2;\d+;\d+;\d+m\N{UPPER HALF BLOCK}")
KITTY = re.compile(r"\x1b_G((?:a=T,[^;]*)?m=[01]);([^\x1b]*)\x1b\\")
ITERM = re.compile(r"\x1b\]1337;File=inline=1;size=(\d+);width=\d+;height=\d+;preserveAspectRatio=1:([^\a]*)\a")
PLAIN = {"TERM": "xterm", "COLORTERM": ""}
TRUE_COLOR = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
OF_TERMINALS = (
    "COLORTERM", "KITTY_WINDOW_ID", "LC_TERMINAL", "NO_COLOR", "TERM", "TERM_PROGRAM", "TMUX", "FORCE_COLOR"
)  # fmt: skip


def environment(terminal: dict[str, str], **settings: str) -> dict[str, str]:
    """The environment in a terminal of some kind, whatever this one is."""
    known = {name: value for name, value in clean_environment(**settings).items() if name not in OF_TERMINALS}
    return {**known, **terminal}


def generate(output: Path, *more: str) -> list[str]:
    """A generation that is slow enough for several previews with TENTH_OF_A_SECOND."""
    return ["generate", "a lighthouse", "-o", str(output), "--steps", "10", "--width", "128", "--height", "64", *more]


def in_terminal(tmp_path: Path, terminal: dict[str, str], *more: str) -> str:
    """All that a generation in this process writes to a terminal of some kind."""
    known = environment(terminal, endpoint=TENTH_OF_A_SECOND)
    with Terminal(*generate(tmp_path / "a.png", *more), environment=known) as shown:
        assert shown.end() == 0, shown.text
        return shown.text


def test_bar_shows_phase_steps_and_the_time_that_is_left(tmp_path: Path) -> None:
    text = in_terminal(tmp_path, PLAIN)
    assert BAR in text
    assert re.search(r"generating .* \d+/10  \d+\.\d s left", text)
    assert re.search(r"succeeded .* 10/10\r\n", text)
    assert f"{tmp_path / 'a.png'}  seed " in text.splitlines()[-1]


def test_terminal_with_few_colours_gets_no_picture(tmp_path: Path) -> None:
    text = in_terminal(tmp_path, PLAIN)
    assert not BLOCK.search(text)
    assert f"{ESCAPE}_G" not in text
    assert f"{ESCAPE}]" not in text


@pytest.mark.parametrize("multiplexer", [{}, {"TMUX": "/tmp/tmux", "KITTY_WINDOW_ID": "1"}], ids=["alone", "tmux"])
def test_terminal_with_all_colours_gets_half_blocks(tmp_path: Path, multiplexer: dict[str, str]) -> None:
    text = in_terminal(tmp_path, {**TRUE_COLOR, **multiplexer})
    pictures = re.findall(r"\x1b7\r\x1b\[(\d+)A(.*?)\x1b8", text, re.DOTALL)
    assert len(pictures) >= 3
    assert len({painted for _, painted in pictures}) >= 3
    for rows, painted in pictures:
        # Twice as wide as high, and characters are twice as high as wide.
        assert len(BLOCK.findall(painted)) == 48 * int(rows)
        assert int(rows) == 12
        assert "\n" not in painted
    assert f"{ESCAPE}_G" not in text


def test_kitty_gets_previews_and_the_finished_image(tmp_path: Path) -> None:
    text = in_terminal(tmp_path, {**TRUE_COLOR, "KITTY_WINDOW_ID": "1"})
    bodies: list[str] = []
    for control, data in KITTY.findall(text):
        assert len(data) <= 4096
        if control.startswith("a=T"):
            assert ",C=1,q=2," in control
            bodies.append("")
        bodies[-1] += data
    assert len(bodies) >= 3
    assert not BLOCK.search(text)
    with Image.open(io.BytesIO(base64.b64decode(bodies[-1]))) as last, Image.open(tmp_path / "a.png") as made:
        assert last.tobytes() == made.convert("RGB").tobytes()


def test_iterm_gets_inline_images(tmp_path: Path) -> None:
    text = in_terminal(tmp_path, {**TRUE_COLOR, "TERM_PROGRAM": "iTerm.app"})
    images = ITERM.findall(text)
    assert len(images) >= 3
    for size, data in images:
        assert len(base64.b64decode(data)) == int(size)


def test_no_preview_leaves_the_bar(tmp_path: Path) -> None:
    text = in_terminal(tmp_path, {**TRUE_COLOR, "KITTY_WINDOW_ID": "1"}, "--no-preview")
    assert BAR in text
    assert f"{ESCAPE}_G" not in text


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
def test_output_that_is_piped_is_plain_and_there_is_no_picture(tmp_path: Path, more: list[str]) -> None:
    known = environment({**TRUE_COLOR, "KITTY_WINDOW_ID": "1"}, endpoint=TENTH_OF_A_SECOND)
    with Terminal(*generate(tmp_path / "a.png", *more), environment=known, piped_output=True) as shown:
        assert shown.end() == 0
        assert shown.process.stdout is not None
        output = shown.process.stdout.read().decode()
    assert BAR in shown.text
    assert f"{ESCAPE}_G" not in shown.text
    assert ESCAPE not in output
    assert str(tmp_path / "a.png") in output


@pytest.mark.parametrize("terminal", [TRUE_COLOR, {"TERM": "xterm-kitty", "COLORTERM": "truecolor"}], ids=str)
def test_without_a_terminal_nothing_is_drawn(tmp_path: Path, terminal: dict[str, str]) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "graphql_api", *generate(tmp_path / "a.png", "--seed", "7")],
        env=environment(terminal, endpoint="sketch:"),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path / 'a.png'}  seed 7\n"


async def test_queued_job_shows_how_many_are_ahead(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND, concurrency="1")
    async with Api(server.origin) as api:
        jobs = [await api.generate(steps=100) for _ in range(3)]
        await api.running(jobs[0]["id"])
        with Terminal(*generate(tmp_path / "a.png"), environment=environment(PLAIN, server=server.origin)) as shown:
            await asyncio.to_thread(shown.read_until, lambda text: "queued, 2 ahead" in text)
            for job in jobs:
                await api.cancel(job["id"])
            assert await asyncio.to_thread(shown.end) == 0, shown.text


async def test_ctrl_c_leaves_the_job_of_a_server_and_says_what_can_be_done(
    api: Api, shared_server: ServerProcess, tmp_path: Path
) -> None:
    asked = generate(tmp_path / "a.png", "--steps", "100")
    with Terminal(*asked, environment=environment(PLAIN, server=shared_server.origin)) as shown:
        await asyncio.to_thread(shown.read_until, lambda text: "generating" in text)
        shown.press_ctrl_c()
        assert await asyncio.to_thread(shown.end) == 130
    found = re.search(r"text2image watch (\S+) --server (\S+)", shown.text)
    assert found is not None, shown.text
    assert found[2] == shared_server.origin
    assert f"text2image cancel {found[1]} --server {shared_server.origin}" in shown.text
    ((edge),) = (await api.data("{ jobs(filter: {statuses: [RUNNING]}) { edges { node { id } } } }"))["jobs"]["edges"]
    assert short_id(edge["node"]["id"]) == found[1]


def test_ctrl_c_ends_a_job_of_this_process(tmp_path: Path) -> None:
    known = environment(PLAIN, endpoint=TENTH_OF_A_SECOND)
    with Terminal(*generate(tmp_path / "a.png", "--steps", "100"), environment=known) as shown:
        shown.read_until(lambda text: "generating" in text)
        shown.press_ctrl_c()
        assert shown.end() == 130
    assert "Stopped." in shown.text
    assert "Traceback" not in shown.text
    assert not (tmp_path / "a.png").exists()


async def test_watch_draws_the_job_and_says_where_its_images_are(api: Api, shared_server: ServerProcess) -> None:
    job = await api.generate(steps=40, size={"dimensions": {"width": 128, "height": 64}})
    known = environment({**TRUE_COLOR, "KITTY_WINDOW_ID": "1"}, server=shared_server.origin)
    with Terminal("watch", job["id"], environment=known) as shown:
        assert await asyncio.to_thread(shown.end) == 0, shown.text
    assert BAR in shown.text
    assert len([control for control, _ in KITTY.findall(shown.text) if control.startswith("a=T")]) >= 2
    assert f"{shared_server.origin}/images/" in shown.text
    # The finished image takes the place of the previews, above the line that tells of it.
    assert shown.text.rindex(f"{ESCAPE}_G") < shown.text.index(f"{shared_server.origin}/images/")


async def test_watch_of_all_jobs_has_a_bar_for_each(api: Api, shared_server: ServerProcess) -> None:
    jobs = [await api.generate(steps=100) for _ in range(2)]
    with Terminal("watch", environment=environment(PLAIN, server=shared_server.origin)) as shown:
        for job in jobs:
            bar = re.compile(f"{short_id(job['id'])}  generating .*{BAR}")
            await asyncio.to_thread(shown.read_until, bar.search)
        shown.press_ctrl_c()
        assert await asyncio.to_thread(shown.end) == 130
