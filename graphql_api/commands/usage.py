"""What commands have in common: how they read the settings, how they end, and what their exit codes mean."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from graphql_api.settings import Settings


class Exit(IntEnum):
    """Exit codes. 2 is also what Typer exits with, and 130 what a shell shows for Ctrl-C."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    REFUSED = 3
    NOT_REACHED = 4
    NOT_SIGNED_IN = 5
    STOPPED = 130


EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by validation or limits, 4 server not reached, "
    "5 not signed in, 130 stopped by Ctrl-C."
)
"""The same, for the help of a command."""


class Stopped(Exception):
    """A command cannot go on. The text says why, and what to do."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


def stop(message: str, *, code: int = Exit.FAILED) -> NoReturn:
    """End the command with a sentence on standard error."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def read_settings() -> Settings:
    """The settings, from the environment. Ends the command where they are wrong."""
    from pydantic import ValidationError

    from graphql_api.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        problems = (f"TEXT2IMAGE_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors())
        stop("\n".join(problems), code=Exit.WRONG_USAGE)
