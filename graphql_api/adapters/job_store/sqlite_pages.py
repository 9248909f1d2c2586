"""Parts of a caller's list of jobs, in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from graphql_api.adapters.job_store.ranges import NEVER_STORED, Range, cut_range, whole_range
from graphql_api.adapters.job_store.rows import job_of, list_column
from graphql_api.adapters.sql import load_sql
from graphql_api.domain.ids import CallerId
from graphql_api.domain.job import Job
from graphql_api.ports import JobPage, JobQuery, PageRequest

_SQL = load_sql("graphql_api.adapters.job_store", "sqlite.sql")

_Column = str | int | None


def page_of(connection: sqlite3.Connection, caller_id: CallerId, query: JobQuery, page: PageRequest) -> JobPage:
    """The page, and whether the query finds more on either side of it."""
    filters = _filters(caller_id, query)
    whole = whole_range(query)
    cut = cut_range(whole, page)
    statement = "oldest_jobs" if page.from_end else "newest_jobs"
    rows = connection.execute(_SQL[statement], filters | _bounds(cut) | {"limit": page.limit + 1}).fetchall()
    is_more = len(rows) > page.limit
    jobs = _jobs(rows[: page.limit])

    def is_any(part: Range) -> bool:
        return not part.is_empty and bool(connection.execute(_SQL["any_job"], filters | _bounds(part)).fetchone()[0])

    return JobPage(
        jobs=jobs[::-1] if page.from_end else jobs,
        has_next=(is_more and not page.from_end) or is_any(Range(whole.low, cut.low)),
        has_previous=(is_more and page.from_end) or is_any(Range(cut.high, whole.high)),
    )


def count_of(connection: sqlite3.Connection, caller_id: CallerId, query: JobQuery) -> int:
    """How many jobs the query finds."""
    parameters = _filters(caller_id, query) | _bounds(whole_range(query))
    (count,) = connection.execute(_SQL["count_jobs"], parameters).fetchone()
    return int(count)


def _jobs(rows: Iterable[tuple[str, str | None]]) -> tuple[Job, ...]:
    return tuple(job_of(data, progress) for data, progress in rows)


def _bounds(part: Range) -> dict[str, _Column]:
    (low_at, low_id), (high_at, high_id) = part.low, part.high
    return {"low_at": low_at, "low_id": low_id, "high_at": high_at, "high_id": high_id}


def _filters(caller_id: CallerId, query: JobQuery) -> dict[str, _Column]:
    models = [name for name in query.model_names if not NEVER_STORED.search(name)]
    return {
        "caller_id": caller_id,
        "statuses": list_column(query.statuses) if query.statuses else None,
        "models": list_column(models) if query.model_names else None,
        "search": None if query.search is None else _folded(query.search),
    }


def _folded(search: str) -> str:
    return "\0" if NEVER_STORED.search(search) else search.casefold()
