"""The steps of the Dockerfile without an engine: the wheel from what is sent to the build, the locked requirements in
an environment of their own, and the command of the image in an empty folder. No other module installs so much."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.clients.node import UNREACHABLE, node_environment, npm
from tests.clients.ports import free_port
from tests.clients.waiting import eventually
from tests.image.dockerfile import ROOT, image_environment, is_sent, stages

IMAGE = stages()[-1]
NOBODY_LISTENS = "http://127.0.0.1:9"
END_SECONDS = 60.0


@dataclass(frozen=True)
class Installation:
    """What the image holds, in another place."""

    environment: Path
    folder: Path

    def variables(self, **given: str) -> dict[str, str]:
        """The environment of a container, with its paths moved to where they are here."""
        inside = image_environment()
        path = inside["PATH"].replace("/opt/text2image", str(self.environment)).replace("$PATH", os.environ["PATH"])
        return {
            **inside,
            "PATH": path,
            "TEXT2IMAGE_DATA_DIR": str(self.folder / "data"),
            # Containers often have one. What they ask of themselves must not go there.
            "HTTP_PROXY": NOBODY_LISTENS,
            "http_proxy": NOBODY_LISTENS,
            **given,
        }

    def start(self, arguments: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
        """`docker run`, with the entry point of the image."""
        init, separator, command = IMAGE.command("ENTRYPOINT")
        under_init = [init, "-s", separator] if shutil.which(init) else []
        return subprocess.Popen(
            [*under_init, str(self.environment / "bin" / command), *arguments],
            env=dict(variables),
            cwd=self.folder / "work",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments: Sequence[str], variables: Mapping[str, str]) -> tuple[int, str, str]:
        """The same to its end: exit code, output, errors."""
        with self.start(arguments, variables) as process:
            output, errors = process.communicate(timeout=END_SECONDS)
            return process.returncode, output, errors

    def is_healthy(self, variables: Mapping[str, str]) -> bool:
        """What the health check of the image says."""
        program, *arguments = IMAGE.command("HEALTHCHECK")
        checked = subprocess.run(
            [str(self.environment / "bin" / program), *arguments],
            env=dict(variables),
            cwd="/",
            capture_output=True,
            timeout=END_SECONDS,
        )
        return checked.returncode == 0


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Installed as the stage `build` does, by uv, which is quicker than pip."""
    folder = tmp_path_factory.mktemp("image")
    context, environment = folder / "context", folder / "environment"
    shutil.copytree(ROOT, context, ignore=_not_sent)
    _add_pages(context)
    uv = Path(sys.executable).parent / "uv"

    def do(*words: object) -> None:
        done = subprocess.run([*map(str, words)], cwd=context, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    do(uv, "venv", "--python", sys.executable, environment)
    install = (uv, "pip", "install", "--python", environment)
    do(*install, "--only-binary", ":all:", "--require-hashes", "-r", "requirements.txt")
    do(uv, "build", "--wheel", "--out-dir", folder / "wheels")
    (wheel,) = (folder / "wheels").glob("*.whl")
    do(*install, "--no-deps", wheel)
    do(environment / "bin" / "python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", environment)
    shutil.rmtree(context)
    return Installation(environment, folder)


@pytest.fixture
def image(installed: Installation) -> Iterator[Installation]:
    """With a new volume, and an empty folder to run in."""
    for name in ("data", "work"):
        (installed.folder / name).mkdir()
    yield installed
    for name in ("data", "work"):
        shutil.rmtree(installed.folder / name)


def test_run_without_settings_ends_with_a_hint_of_what_to_set(image: Installation) -> None:
    code, _, errors = image.run(IMAGE.command("CMD"), image.variables(PORT=str(free_port())))
    assert code == 1
    assert "TEXT2IMAGE_AUTH=keys" in errors and "TEXT2IMAGE_OPEN_TO_ALL=true" in errors
    assert "Traceback" not in errors
    assert list((image.folder / "work").iterdir()) == []


async def test_image_serves_a_picture_to_the_first_key_and_ends_with_zero_when_told_to(image: Installation) -> None:
    variables = image.variables(TEXT2IMAGE_AUTH="keys", PORT=str(free_port()))
    code, token, errors = image.run(["keys", "create", "me"], variables)
    assert code == 0, errors
    before = _files_of(image.environment)
    origin = f"http://127.0.0.1:{variables['PORT']}"
    assert not image.is_healthy(variables)
    with image.start(IMAGE.command("CMD"), variables) as process:
        try:
            async with httpx.AsyncClient(base_url=origin, trust_env=False, timeout=END_SECONDS) as client:
                await eventually(lambda: _is_ready(client, process))
                assert image.is_healthy(variables)
                refused = await client.post("/text2image", json={"text": "a forest"})
                assert refused.status_code == 401
                given = {"text": "a forest", "width": 64, "height": 64, "steps": 2}
                made = await client.post(
                    "/text2image", json=given, headers={"Authorization": f"Bearer {token.strip()}"}
                )
                assert made.status_code == 200, made.text
                picture = await client.get(json.loads(made.text)["body"])
                assert picture.headers["Content-Type"] == "image/jpeg"
                assert picture.content.startswith(b"\xff\xd8")
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0, errors
    assert not image.is_healthy(variables)
    # Nothing but data was written, and that to the volume alone.
    assert _files_of(image.environment) == before
    assert list((image.folder / "work").iterdir()) == []
    assert {"jobs.sqlite3", "images"} <= {each.name for each in (image.folder / "data").iterdir()}


async def test_health_check_asks_the_port_of_a_worker_where_there_is_one(image: Installation) -> None:
    served = image.variables(TEXT2IMAGE_OPEN_TO_ALL="true", PORT=str(free_port()))
    arguments = ["serve", "--host", "127.0.0.1"]
    with image.start(arguments, served) as process:
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served['PORT']}", trust_env=False) as client:
                await eventually(lambda: _is_ready(client, process))
            elsewhere = str(free_port())
            assert image.is_healthy({**served, "PORT": elsewhere, "HEALTH_PORT": served["PORT"]})
            assert not image.is_healthy({**served, "HEALTH_PORT": elsewhere})
        finally:
            process.terminate()
            process.communicate(timeout=END_SECONDS)


def test_pages_are_in_the_installation(installed: Installation) -> None:
    (package,) = installed.environment.glob("lib/python*/site-packages/graphql_api")
    assert list((package / "pages").rglob("*.html"))


def _add_pages(context: Path) -> None:
    """As the stage `pages` does, unless somebody has made them: that takes a minute, and npm's registry."""
    made = ROOT / "graphql_api" / "pages"
    if made.is_dir():
        shutil.copytree(made, context / "graphql_api" / "pages")
        return
    (pages,) = (stage for stage in stages() if stage.name == "pages")
    for run in pages.values("RUN"):
        words = [word for word in run.split() if not word.startswith("--mount=")]
        assert words[0] == "npm"
        done = subprocess.run(
            [*npm(), *words[1:]], cwd=context / "ui", env=node_environment(), capture_output=True, text=True
        )
        if done.returncode and UNREACHABLE.search(done.stderr) and not os.environ.get("CI"):
            pytest.skip("npm cannot be reached, and nobody has made the pages: make ui")
        assert done.returncode == 0, done.stdout + done.stderr


async def _is_ready(client: httpx.AsyncClient, process: subprocess.Popen[str]) -> bool:
    assert process.poll() is None, process.communicate()[1]
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def _files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def _not_sent(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not is_sent(str((Path(folder) / name).relative_to(ROOT)))}
