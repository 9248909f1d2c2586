"""What an image and whoever runs it must know of the program: its commands, and its settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import typer

from graphql_api.__main__ import app
from graphql_api.settings import Settings
from tests.clients.server_process import clean_environment

PREFIX = "TEXT2IMAGE_"


def option(command: str, name: str) -> Any:
    """An option of a command, with its default and the variable that it is read from."""
    (found,) = (each for each in _command(command).params if each.name == name)
    return found


def understood(words: Sequence[str]) -> Mapping[str, object]:
    """What a command makes of its arguments. Raises typer's UsageError for what it does not know."""
    name, *rest = words
    parameters: dict[str, object] = _command(name).make_context(name, list(rest)).params
    return parameters


def strangers(environment: Mapping[str, str]) -> set[str]:
    """Names that look like a setting, and are none."""
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    return {name for name in environment if name.startswith(PREFIX)} - known


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings as the program would read them there. Raises pydantic's ValidationError."""
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(clean_environment()):
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        return Settings()


def _command(name: str) -> Any:
    return typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
