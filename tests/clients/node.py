"""Node, and the clients that npm installs for it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "js"
LEAST_VERSION = 20
INSTALL_SECONDS = 120
UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|E50[234]")


def node_folder() -> Path:
    """Where `node` and `npm` are: the system's if they are new enough, else those that came with the wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None and Path(node).parent == Path(npm).parent:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
        if int(version.removeprefix("v").partition(".")[0]) >= LEAST_VERSION:
            return Path(node).parent
    return Path(sys.executable).parent


def node_environment() -> dict[str, str]:
    """The environment in which `node` and `npm` are those of `node_folder`."""
    return {**os.environ, "PATH": os.pathsep.join((str(node_folder()), os.environ["PATH"]))}


def install_clients() -> None:
    """Install what tests/clients/js/package-lock.json names, unless that was done. Skips the test that needs it where
    npm cannot be reached; in CI that is a failure."""
    lock_file = FOLDER / "package-lock.json"
    wanted = hashlib.sha256(lock_file.read_bytes()).hexdigest()
    mark = FOLDER / "node_modules" / ".installed"
    with lock_file.open("rb") as guard:
        # Several processes run the tests.
        fcntl.flock(guard, fcntl.LOCK_EX)
        if mark.is_file() and mark.read_text() == wanted:
            return
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=FOLDER,
            env=node_environment(),
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
        if done.returncode and UNREACHABLE.search(done.stderr) and not os.environ.get("CI"):
            pytest.skip("npm cannot be reached, so that there are no JavaScript clients.")
        assert done.returncode == 0, done.stderr
        mark.write_text(wanted)
