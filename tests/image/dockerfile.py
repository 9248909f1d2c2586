"""What the Dockerfile says."""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


@dataclass(frozen=True)
class Stage:
    """What is between two FROM: pairs of an instruction and its value, on one line each."""

    name: str
    base: str
    instructions: Sequence[tuple[str, str]]

    def values(self, instruction: str) -> list[str]:
        """All values of an instruction, in their order."""
        return [value for name, value in self.instructions if name == instruction]

    def value(self, instruction: str) -> str:
        """The only value of an instruction."""
        (value,) = self.values(instruction)
        return value

    def command(self, instruction: str) -> list[str]:
        """Program and arguments of ENTRYPOINT, CMD or HEALTHCHECK, which must be in the exec form: with a shell in
        between, signals would not arrive."""
        value = self.value(instruction)
        words = json.loads(value[value.index("[") :])
        assert isinstance(words, list) and all(isinstance(word, str) for word in words)
        return words

    def pairs(self, instruction: str) -> dict[str, str]:
        """Names and values of ENV or LABEL."""
        words = (word for value in self.values(instruction) for word in shlex.split(value))
        return dict(word.split("=", 1) for word in words)

    def copied(self) -> list[tuple[str, list[str]]]:
        """From which stage, or `` for the tree, and the sources, of each COPY."""
        found = []
        for value in self.values("COPY"):
            words = shlex.split(value)
            origin = next((word.removeprefix("--from=") for word in words if word.startswith("--from=")), "")
            found.append((origin, [word for word in words if not word.startswith("--")][:-1]))
        return found


def arguments() -> dict[str, str]:
    """The ARGs before the first stage, and their defaults."""
    before = []
    for name, value in _instructions():
        if name == "FROM":
            break
        before.append((name, value))
    assert {name for name, _ in before} == {"ARG"}
    return dict(value.split("=", 1) for _, value in before)


def stages() -> list[Stage]:
    """All stages; the last one is the image."""
    found: list[Stage] = []
    instructions: list[tuple[str, str]] = []
    for name, value in _instructions():
        if name == "FROM":
            match = re.fullmatch(r"(?:--platform=\S+ )?(?P<base>\S+)(?: AS (?P<name>\S+))?", value)
            assert match is not None, value
            instructions = []
            found.append(Stage(match["name"] or "", match["base"], instructions))
        elif found:
            instructions.append((name, value))
    return found


def image_environment() -> Mapping[str, str]:
    """The environment that the image gives to what runs in it."""
    return stages()[-1].pairs("ENV")


def is_sent(path: str) -> bool:
    """Whether `.dockerignore` lets a path of the tree into the build. The last pattern that fits decides, and one that
    fits a folder fits what is in it (https://docs.docker.com/build/concepts/context/#dockerignore-files)."""
    parents = [PurePosixPath(path), *PurePosixPath(path).parents][:-1]
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        fits = _pattern(pattern.removeprefix("!").strip("/"))
        if any(fits.fullmatch(str(each)) for each in parents):
            sent = pattern.startswith("!")
    return sent


def _pattern(text: str) -> re.Pattern[str]:
    spelled = {"**/": r"(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    return re.compile("".join(spelled.get(part, re.escape(part)) for part in parts))


def _instructions() -> list[tuple[str, str]]:
    parsed = DockerfileParser(fileobj=io.StringIO(DOCKERFILE.read_text())).structure
    return [(each["instruction"], each["value"]) for each in parsed if each["instruction"] != "COMMENT"]
