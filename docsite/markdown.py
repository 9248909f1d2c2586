"""What pages are written with: descriptions and table cells as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_CODE = re.compile(r"(`[^`]*`)")
_SPECIAL = re.compile(r"([<>*_\[\]\\])")


def prose(text: str) -> str:
    """A description on one line: `code` stays, and nothing else in it is taken for markup."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if part.startswith("`") else _SPECIAL.sub(r"\\\1", part) for part in parts)


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of a table, with an empty line behind; without the columns that are empty, and none without rows."""
    if not rows:
        return []
    full = [column for column in zip(heads, *rows, strict=True) if any(column[1:])]
    head, *lines = zip(*full, strict=True)
    return [_row(head), _row("---" for _ in head), *(_row(line) for line in lines), ""]


_ITEM = re.compile(r"(?:[-*]|\d+\.) +(?=\S)")
_STEP = 4


def widen_lists(page: str) -> str:
    """The page with what belongs to the items of its lists written for Python-Markdown.

    That wants it indented by four and an empty line between items of several paragraphs; CommonMark, and so the pages
    here, indent by the width of the bullet. Lists within lists are indented along.
    """
    lines: list[str] = []
    width, has_parts, is_fenced = 0, False, False
    for line in page.split("\n"):
        if line.startswith("```"):
            is_fenced, width = not is_fenced, 0
        elif not is_fenced and (item := _ITEM.match(line)):
            lines += [""] if has_parts and lines[-1] else []
            width, has_parts = item.end(), False
        elif line and not line.startswith(" "):
            width, has_parts = 0, False
        is_part = width > 0 and line.startswith(" " * width)
        has_parts = has_parts or (is_part and not lines[-1])
        lines.append(" " * (_STEP - width) + line if is_part else line)
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(_escape_bars(cell) for cell in cells)} |"


def _escape_bars(cell: str) -> str:
    return "".join(part if part.startswith("`") else part.replace("|", r"\|") for part in _CODE.split(cell))
