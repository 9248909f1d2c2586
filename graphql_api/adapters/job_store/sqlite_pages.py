"""Parts of a caller's list of jobs, in SQLite."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from graphql_api.adapters.job_store.rows import job_of, list_column, microseconds
from graphql_api.adapters.sql import load_sql
from graphql_api.domain.ids import CallerId
from graphql_api.domain.job import Job
from graphql_api.ports import JobPage, JobPosition, JobQuery, PageRequest

_SQL = load_sql("graphql_api.adapters.job_store", "sqlite.sql")

_Position = tuple[int, str]
_Column = str | int | None
_OLDEST: _Position = (-(2**63), "")
_NEWEST: _Position = (2**63 - 1, "")


@dataclass(frozen=True, slots=True)
class _Range:
    """Positions from `low` on and before `high`."""

    low: _Position
    high: _Position

    @property
    def is_empty(self) -> bool:
        return self.low >= self.high


def page_of(connection: sqlite3.Connection, caller_id: CallerId, query: JobQuery, page: PageRequest) -> JobPage:
    """The page, and whether the query finds more on either side of it."""
    filters = _filters(caller_id, query)
    whole = _whole(query)
    cut = _cut(whole, page)
    statement = "oldest_jobs" if page.from_end else "newest_jobs"
    rows = connection.execute(_SQL[statement], filters | _bounds(cut) | {"limit": page.limit + 1}).fetchall()
    is_more = len(rows) > page.limit
    jobs = _jobs(rows[: page.limit])

    def is_any(part: _Range) -> bool:
        return not part.is_empty and bool(connection.execute(_SQL["any_job"], filters | _bounds(part)).fetchone()[0])

    return JobPage(
        jobs=jobs[::-1] if page.from_end else jobs,
        has_next=(is_more and not page.from_end) or is_any(_Range(whole.low, cut.low)),
        has_previous=(is_more and page.from_end) or is_any(_Range(cut.high, whole.high)),
    )


def count_of(connection: sqlite3.Connection, caller_id: CallerId, query: JobQuery) -> int:
    """How many jobs the query finds."""
    parameters = _filters(caller_id, query) | _bounds(_whole(query))
    (count,) = connection.execute(_SQL["count_jobs"], parameters).fetchone()
    return int(count)


def _jobs(rows: Iterable[tuple[str, str | None]]) -> tuple[Job, ...]:
    return tuple(job_of(data, progress) for data, progress in rows)


def _whole(query: JobQuery) -> _Range:
    """Where jobs lie that the query may find. No ID is empty, so an empty one stands before all of an instant."""
    return _Range(
        low=_OLDEST if query.created_after is None else (microseconds(query.created_after), ""),
        high=_NEWEST if query.created_before is None else (microseconds(query.created_before), ""),
    )


def _cut(whole: _Range, page: PageRequest) -> _Range:
    """The part of it that lies between the page's positions. The list runs from high to low."""
    high = whole.high if page.after is None else min(whole.high, _position(page.after))
    low = whole.low if page.before is None else max(whole.low, _next(_position(page.before)))
    return _Range(min(low, high), high)


def _position(position: JobPosition) -> _Position:
    return microseconds(position.created_at), position.job_id


def _next(position: _Position) -> _Position:
    created_at, job_id = position
    return created_at, job_id + "\0"


def _bounds(part: _Range) -> dict[str, _Column]:
    (low_at, low_id), (high_at, high_id) = part.low, part.high
    return {"low_at": low_at, "low_id": low_id, "high_at": high_at, "high_id": high_id}


_NEVER_STORED = re.compile("[\0\ud800-\udfff]")
"""What no prompt and no name of a model holds, and what SQLite cannot be asked for."""


def _filters(caller_id: CallerId, query: JobQuery) -> dict[str, _Column]:
    models = [name for name in query.model_names if not _NEVER_STORED.search(name)]
    return {
        "caller_id": caller_id,
        "statuses": list_column(query.statuses) if query.statuses else None,
        "models": list_column(models) if query.model_names else None,
        "search": None if query.search is None else _folded(query.search),
    }


def _folded(search: str) -> str:
    return "\0" if _NEVER_STORED.search(search) else search.casefold()
