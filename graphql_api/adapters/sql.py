"""SQL as named text: `.sql` files beside the adapter that runs them, one statement under each `-- name:` header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

_HEADER = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load_sql(package: str, file_name: str) -> Mapping[str, str]:
    """The statements of a file of a package: name -> text without its comment lines."""
    _, *parts = _HEADER.split(resources.files(package).joinpath(file_name).read_text("utf-8"))
    return {name: _without_comments(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.strip().splitlines() if not line.startswith("--"))
