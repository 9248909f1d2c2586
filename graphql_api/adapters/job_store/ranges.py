"""Which stretch of a caller's list a page is cut from. The list runs from its high end, the newest, to its low end."""

from __future__ import annotations

import re
from dataclasses import dataclass

from graphql_api.adapters.job_store.rows import microseconds
from graphql_api.ports import JobPosition, JobQuery, PageRequest

Position = tuple[int, str]
"""Microseconds since 1970, and an ID."""

_OLDEST: Position = (-(2**63), "")
_NEWEST: Position = (2**63 - 1, "")

NEVER_STORED = re.compile("[\0\ud800-\udfff]")
"""What no ID, no prompt and no name of a model holds, and what a database cannot be asked for."""


@dataclass(frozen=True, slots=True)
class Range:
    """Positions from `low` on and before `high`."""

    low: Position
    high: Position

    @property
    def is_empty(self) -> bool:
        """Whether no position is in it."""
        return self.low >= self.high


def whole_range(query: JobQuery) -> Range:
    """Where jobs lie that the query may find. No ID is empty, so an empty one stands before all of an instant."""
    return Range(
        low=_OLDEST if query.created_after is None else (microseconds(query.created_after), ""),
        high=_NEWEST if query.created_before is None else (microseconds(query.created_before), ""),
    )


def cut_range(whole: Range, page: PageRequest) -> Range:
    """The part of it that lies between the page's positions."""
    high = whole.high if page.after is None else min(whole.high, _position(page.after))
    low = whole.low if page.before is None else max(whole.low, _behind(_position(page.before)))
    return Range(min(low, high), high)


def _position(position: JobPosition) -> Position:
    return microseconds(position.created_at), position.job_id


def _behind(position: Position) -> Position:
    """The next position there can be: no ID ends with the character that sorts first of all that are stored."""
    created_at, job_id = position
    return created_at, job_id + "\x01"
