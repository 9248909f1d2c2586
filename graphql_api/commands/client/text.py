"""Text that others wrote, on its way to a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from graphql_api.domain.ids import as_job_id, global_id, key_of

_NEAREST = 3
_ALL = 40
"""As many names are listed where none is near."""


def printable(text: str) -> str:
    """The text on one line, without what a terminal would take for a command: prompts and messages come from others."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(text.split()))


def nearest(asked: str, known: Iterable[str]) -> str:
    """A sentence with the names that somebody may have meant; empty when there are none."""
    names = sorted(known)
    near = get_close_matches(asked.lower(), names, n=_NEAREST, cutoff=0.6)
    if near:
        return f"Nearest: {', '.join(map(printable, near))}."
    return f"There are: {', '.join(map(printable, names))}." if 0 < len(names) <= _ALL else ""


def short_id(job_id: str) -> str:
    """The ID of a job as people see it, and as the server's log has it: 36 characters rather than 68."""
    return key_of("GenerationJob", job_id) or printable(job_id)


def full_id(job_id: str) -> str:
    """The ID of a job as the API takes it, from either form."""
    known = as_job_id(job_id)
    return job_id if known is None else global_id("GenerationJob", known)
