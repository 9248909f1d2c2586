"""`text2image watch`, `history` and `cancel`, and what `generate` has in common with them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from graphql_api.commands.client import operations
from graphql_api.commands.client.remote import open_remote
from graphql_api.commands.client.text import short_id
from graphql_api.commands.usage import Exit, Stopped
from tests.clients.graphql_http import Api
from tests.clients.keys import create_key
from tests.clients.programs import LONG, TENTH_OF_A_SECOND
from tests.clients.rates import minute_with_time_left
from tests.clients.server_process import ServerProcess, StartServer, clean_environment
from tests.clients.waiting import PATIENCE_SECONDS

QUICK = ["--width", "64", "--height", "64", "--steps", "2"]
ROOT = Path(__file__).parents[2]


def environment(server: ServerProcess | str, **settings: str) -> Mapping[str, str]:
    """The environment of a command whose server it is."""
    origin = server if isinstance(server, str) else server.origin
    return {**clean_environment(server=origin, **settings), "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}


async def run(
    *arguments: str, server: ServerProcess | str, cwd: Path | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "graphql_api", *arguments],
        env=environment(server, **settings),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


@asynccontextmanager
async def running(*arguments: str, server: ServerProcess) -> AsyncIterator[Process]:
    """The command while it runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "graphql_api", *arguments, stdout=PIPE, stderr=PIPE, env=environment(server)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_of(process: Process) -> dict[str, Any]:
    """The next line of JSON."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        line = await process.stdout.readline()
    found: dict[str, Any] = json.loads(line)
    return found


async def rest_of(process: Process) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, lines of JSON and standard error of a command that ends by itself."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, [json.loads(line) for line in output.splitlines()], errors.decode()


# --- generate ---


async def test_several_images_are_numbered_and_described_as_json(
    api: Api, shared_server: ServerProcess, tmp_path: Path
) -> None:
    result = await run(
        "generate", "a lighthouse", "-o", "there.png", "--count", "3", "--seed", "7", "--style", "watercolor",
        "--model", "sketch", "--negative", "people", "--json", *QUICK, server=shared_server, cwd=tmp_path,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert (told["status"], told["seed"], told["model"]) == ("SUCCEEDED", 7, "sketch")
    assert told["parameters"]["style"] == "watercolor"
    assert told["parameters"]["negative_prompt"] == "people"
    assert [each["file"] for each in told["images"]] == ["there-1.png", "there-2.png", "there-3.png"]
    assert [each["seed"] for each in told["images"]] == [7, 8, 9]
    for each in told["images"]:
        body = (tmp_path / each["file"]).read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (each["size_bytes"], each["sha256"])
        assert (await api.http.get(each["url"])).content == body
    job = await api.job(told["job"])
    assert job is not None
    assert job["status"] == "SUCCEEDED"


async def test_json_of_a_job_in_this_process_has_the_same_fields(
    api: Api, shared_server: ServerProcess, tmp_path: Path
) -> None:
    asked = ["generate", "a lighthouse", "-o", "image.webp", "--seed", "7", "--json", *QUICK]
    there = json.loads((await run(*asked, server=shared_server, cwd=tmp_path)).stdout)
    here = json.loads((await run(*asked, "--server", "", server=shared_server, cwd=tmp_path)).stdout)
    assert here.keys() == there.keys()
    assert here["parameters"] == there["parameters"]
    (image_here,), (image_there,) = here["images"], there["images"]
    assert image_here.pop("url") is None
    assert image_there.pop("url").startswith(f"{shared_server.origin}/images/")
    assert image_here.keys() == image_there.keys()
    assert len(await files_in(tmp_path)) == 1


async def files_in(folder: Path) -> list[Path]:
    """What is in a folder."""
    return await asyncio.to_thread(lambda: list(folder.iterdir()))


async def test_names_of_files_may_hold_number_and_seed(api: Api, shared_server: ServerProcess, tmp_path: Path) -> None:
    asked = ["generate", "a", "-o", str(tmp_path / "{seed} of {n}.jpg"), "--count", "2", "--seed", "4294967295", *QUICK]
    result = await run(*asked, server=shared_server)
    assert result.returncode == 0, result.stderr
    assert {path.name for path in await files_in(tmp_path)} == {"4294967295 of 1.jpg", "0 of 2.jpg"}
    with Image.open(tmp_path / "0 of 2.jpg") as picture:
        assert picture.size == (64, 64)


async def test_lines_of_a_prompt_may_end_as_unicode_says(
    api: Api, shared_server: ServerProcess, tmp_path: Path
) -> None:
    """JSON holds U+2028 as it is, and an event stream must not be split there."""
    asked = ["generate", "one\u2028two\u0085three", "-o", str(tmp_path / "a.jpg"), "--json", *QUICK]
    result = await run(*asked, server=shared_server)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["parameters"]["prompt"] == "one\u2028two\u0085three"


async def test_job_that_is_canceled_meanwhile_is_told_as_json_and_fails(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND)
    output = tmp_path / "a.jpg"
    async with Api(server.origin) as api:
        asked = ["generate", "a", "-o", str(output), "--json", "--width", "64", "--height", "64", "--steps", str(LONG)]
        async with running(*asked, server=server) as process:
            async with running("watch", "--json", server=server) as watching:
                job_id = (await line_of(watching))["job"]
            await api.cancel(job_id)
            code, (told,), errors = await rest_of(process)
    assert (code, told["job"], told["status"], told["images"]) == (1, job_id, "CANCELED", [])
    assert errors == "The job was canceled.\n"
    assert not output.exists()


# --- watch ---


async def test_watch_tells_of_a_job_to_its_end(api: Api, shared_server: ServerProcess) -> None:
    job = await api.generate(steps=3)
    async with running("watch", job["id"], "--json", server=shared_server) as watching:
        code, told, errors = await rest_of(watching)
    assert (code, errors) == (0, "")
    assert told[-1]["status"] == "SUCCEEDED"
    assert {each["job"] for each in told} == {job["id"]}
    assert told[-1]["images"][0]["url"].startswith(shared_server.origin)
    assert told[-1]["progress"]["fraction"] == 1


async def test_watch_for_people_takes_the_short_id_and_tells_statuses_only(
    api: Api, shared_server: ServerProcess
) -> None:
    job = await api.generate(steps=3, prompt="a \x1b[31mred\nlighthouse")
    result = await run("watch", short_id(job["id"]), server=shared_server)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[-2].split()[1:3] == ["succeeded", short_id(job["id"])]
    assert lines[-2].endswith("a \ufffd[31mred lighthouse")
    assert lines[-1].strip().startswith(f"{shared_server.origin}/images/")
    assert len(lines) <= 4


async def test_watch_misses_nothing_when_the_server_is_killed_and_started_again(start_server: StartServer) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND)
    async with Api(server.origin) as api:
        job = await api.generate(steps=20)
        async with running("watch", job["id"], "--json", server=server) as watching:
            told = [await line_of(watching)]
            while told[-1]["status"] != "RUNNING":
                told.append(await line_of(watching))
            server.kill()
            server.start(on_same_port=True)
            code, rest, errors = await rest_of(watching)
    assert code == 0, errors
    assert "The connection is lost; trying again in" in errors
    assert rest[-1]["status"] == "SUCCEEDED"
    moves = [each["cursor"] for each in told + rest if each["kind"] != "PROGRESS"]
    assert len(set(moves)) == len(moves)


async def test_watch_without_a_job_follows_all_until_it_is_stopped(start_server: StartServer) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND)
    async with Api(server.origin) as api, running("watch", "--json", server=server) as watching:
        first = await api.generate(steps=15, prompt="first")
        seen = {(await line_of(watching))["job"]}
        server.kill()
        server.start(on_same_port=True)
        second = await api.generate(steps=1, prompt="second")
        done: set[str] = set()
        while done != {first["id"], second["id"]}:
            told = await line_of(watching)
            seen.add(told["job"])
            if told["status"] == "SUCCEEDED":
                done.add(told["job"])
        watching.send_signal(signal.SIGINT)
        code, _, errors = await rest_of(watching)
    assert seen == done
    assert code == 130
    assert errors.splitlines()[-1] == "Stopped."


async def test_watch_says_why_a_job_did_not_succeed(api: Api, shared_server: ServerProcess) -> None:
    job = await api.generate(steps=100)
    await api.cancel(job["id"])
    result = await run("watch", job["id"], server=shared_server)
    assert (result.returncode, result.stderr) == (1, "The job was canceled.\n")


async def test_watch_of_a_job_that_is_deleted_says_so(api: Api, shared_server: ServerProcess) -> None:
    job = await api.generate(steps=100)
    async with running("watch", job["id"], "--json", server=shared_server) as watching:
        await line_of(watching)
        await api.delete(job["id"])
        code, told, errors = await rest_of(watching)
    assert (code, errors, told[-1]["kind"]) == (1, "The job was deleted.\n", "DELETED")


async def test_server_that_does_not_come_back_is_given_up(start_server: StartServer) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND)
    async with Api(server.origin) as api:
        job = await api.generate(steps=100)
    losses: list[float] = []
    async with open_remote(server.origin, longest_waits=(0.1, 0.2)) as remote:
        remote.on_lost = losses.append
        async with aclosing(remote.follow(operations.FOLLOW_JOB, {"id": job["id"]}, "jobUpdated")) as changes:
            await anext(changes)
            server.kill()
            with pytest.raises(Stopped, match="cannot be reached") as given_up:
                async for _ in changes:
                    pass
    assert given_up.value.code is Exit.NOT_REACHED
    assert len(losses) == 2


# --- history ---


async def test_history_shows_the_newest_first_and_as_many_as_are_wanted(
    start_server: StartServer,
) -> None:
    server = start_server(endpoint="sketch:")
    async with Api(server.origin) as api:
        jobs = [await api.generate(prompt=f"lighthouse {number}") for number in range(3)]
        for job in jobs:
            await api.finished(job["id"])
        canceled = await api.generate(prompt="a tower", steps=100, count=4)
        await api.cancel(canceled["id"])
    shown = await run("history", "--limit", "2", server=server)
    assert (shown.returncode, shown.stderr) == (0, "")
    heading, *rows = shown.stdout.splitlines()
    assert heading.split()[:2] == ["id", "status"]
    assert [row.split()[0] for row in rows] == [short_id(canceled["id"]), short_id(jobs[2]["id"])]
    narrowed = await run("history", "--status", "succeeded", "--search", "HOUSE 1", "--json", server=server)
    (told,) = map(json.loads, narrowed.stdout.splitlines())
    assert (told["job"], told["status"]) == (jobs[1]["id"], "SUCCEEDED")
    assert told["images"][0]["url"].startswith(server.origin)
    none = await run("history", "--status", "failed", server=server)
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "There are no such jobs.\n")


async def test_history_goes_beyond_a_page(start_server: StartServer) -> None:
    server = start_server(endpoint=TENTH_OF_A_SECOND)
    async with Api(server.origin) as api:
        for number in range(105):
            await api.generate(steps=100, prompt=str(number))
    shown = await run("history", "--limit", "103", "--json", server=server)
    prompts = [json.loads(line)["parameters"]["prompt"] for line in shown.stdout.splitlines()]
    assert prompts == [str(number) for number in range(104, 1, -1)]


# --- cancel ---


async def test_cancel_goes_on_behind_a_job_that_there_is_not(api: Api, shared_server: ServerProcess) -> None:
    first, second = await api.generate(steps=100), await api.generate(steps=100)
    ended = await api.generate(steps=1)
    await api.cancel(ended["id"])
    result = await run("cancel", first["id"], "no-such-job", short_id(second["id"]), server=shared_server)
    assert result.returncode == 3
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        [short_id(first["id"]), "canceled"],
        [short_id(second["id"]), "canceled"],
    ]
    assert result.stderr.startswith("no-such-job  There is no job with this ID.")
    for job in (first, second):
        assert (await api.finished(job["id"]))["status"] == "CANCELED"
    again = await run("cancel", ended["id"], "--json", server=shared_server)
    assert (again.returncode, json.loads(again.stdout)["status"]) == (0, "CANCELED")


# --- exit codes ---

COMMANDS = [["watch"], ["watch", "some-job"], ["history"], ["cancel", "some-job"], ["generate", "a", *QUICK]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_command_without_a_server_says_how_to_start_one(command: list[str], tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        origin = f"http://127.0.0.1:{unused.getsockname()[1]}"
        result = await run(*command, server=origin, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (4, "")
    assert result.stderr.startswith(f"{origin} cannot be reached (ConnectError).")
    assert "`text2image serve`" in result.stderr


@pytest.mark.parametrize("token", ["", "wrong"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_command_without_a_valid_token_says_how_to_give_one(
    start_server: StartServer, command: list[str], token: str, tmp_path: Path
) -> None:
    server = start_server(auth="keys")
    result = await run(*command, server=server, cwd=tmp_path, token=token)
    assert (result.returncode, result.stdout) == (5, "")
    assert result.stderr.startswith("The server does not take" if token else "The server wants an API key")
    assert "TEXT2IMAGE_TOKEN" in result.stderr


async def test_reader_is_refused(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(auth="keys")
    token = await asyncio.to_thread(create_key, server, "reader", "--role", "reader")
    result = await run("generate", "a", *QUICK, server=server, cwd=tmp_path, token=token)
    assert result.returncode == 3
    assert "Your role does not allow this." in result.stderr


async def test_limit_is_told_with_when_to_try_again(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(jobs_per_minute="1")
    await minute_with_time_left()
    assert (await run("generate", "a", *QUICK, server=server, cwd=tmp_path)).returncode == 0
    result = await run("generate", "a", *QUICK, server=server, cwd=tmp_path)
    assert result.returncode == 3
    assert "Try again in" in result.stderr


async def test_job_that_does_not_exist_is_a_refusal(api: Api, shared_server: ServerProcess) -> None:
    result = await run("watch", "no-such-job", server=shared_server)
    assert (result.returncode, result.stderr) == (3, "There is no job with this ID.\n")


# --- completion ---


def completed(*words: str, **settings: str) -> list[str]:
    """What bash gets to complete the last of these words."""
    result = subprocess.run(
        [Path(sys.executable).parent / "text2image"],
        env={
            **clean_environment(**settings),
            "_TEXT2IMAGE_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(["text2image", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert result.stderr == ""
    return result.stdout.split()


def test_shell_completes_commands_and_styles() -> None:
    assert completed("hist") == ["history"]
    assert completed("generate", "a", "--style", "p") == ["pencil-sketch", "photographic", "pixel-art", "pop-art"]


def test_shell_completes_models_of_the_settings_without_a_server(tmp_path: Path) -> None:
    assert completed("generate", "a", "--model", "sk") == ["sketch"]
    models = tmp_path / "models.toml"
    models.write_text("\n".join(f'[[model]]\nname = "{name}"\nendpoint = "sketch:"' for name in ("one", "two")))
    assert completed("generate", "a", "--model", "", models=str(models)) == ["one", "two"]
    assert completed("generate", "a", "--model", "", models=str(tmp_path / "none.toml")) == []


def test_shell_completes_models_of_the_server_that_is_named(shared_server: ServerProcess, tmp_path: Path) -> None:
    asked = ["generate", "a", "--server", shared_server.origin, "--model", "s"]
    assert completed(*asked, endpoint="sagemaker:sd-elsewhere") == ["sketch"]
    assert completed("generate", "a", "--server", "http://127.0.0.1:9", "--model", "s") == []


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --command")]
)
def test_completion_is_printed_for_the_shell(shell: str, word: str) -> None:
    result = subprocess.run(
        [Path(sys.executable).parent / "text2image", "--show-completion", shell],
        # Or else it would be for the shell that runs the tests, whatever is asked for.
        env={**clean_environment(), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert result.returncode == 0, result.stderr
    assert "_TEXT2IMAGE_COMPLETE" in result.stdout
    assert word in result.stdout


def test_bash_completes_with_what_is_printed_for_it() -> None:
    script = (
        'eval "$(text2image --show-completion bash)"; COMP_WORDS=(text2image generate a --style water); COMP_CWORD=4; '
        '"$(complete -p text2image | sed "s/.* -F \\([^ ]*\\) .*/\\1/")" text2image water --style; '
        'echo "${COMPREPLY[@]}"'
    )
    known = clean_environment()
    result = subprocess.run(
        ["bash", "-c", script],
        env={**known, "PATH": f"{Path(sys.executable).parent}:{known['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert (result.stdout.strip(), result.stderr) == ("watercolor", "")


# --- the page about it ---


def test_page_tells_the_exit_codes_that_the_program_has() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert [int(row) for row in rows if row.isdigit()] == [code.value for code in Exit]


async def test_examples_of_the_page_work(api: Api, shared_server: ServerProcess, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```sh\n")[1:]]
    assert len(blocks) == 3
    script = "\n".join(blocks).replace("http://127.0.0.1:8000", shared_server.origin)
    programs = Path(sys.executable).parent
    known = environment(shared_server)
    result = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-euo", "pipefail", "-c", script],
        env={**known, "PATH": f"{programs}:{known['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_SECONDS,
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    assert {path.name for path in await files_in(tmp_path)} == {
        "by-seed-7.webp", "by-seed-8.webp", "dunes.png", "forest.png", "lighthouse-1.jpg", "lighthouse-2.jpg",
    }  # fmt: skip
