"""Parts of a caller's list of jobs, in PostgreSQL."""

from __future__ import annotations

from typing import Any

from graphql_api.adapters.job_store.postgres_pool import PostgresPool
from graphql_api.adapters.job_store.ranges import NEVER_STORED, Range, cut_range, whole_range
from graphql_api.adapters.job_store.rows import job_of_row
from graphql_api.domain.ids import CallerId
from graphql_api.ports import JobPage, JobQuery, PageRequest


async def page_of(pool: PostgresPool, caller_id: CallerId, query: JobQuery, page: PageRequest) -> JobPage:
    """The page, and whether the query finds more on either side of it."""
    if _finds_nothing(query):
        return JobPage(jobs=(), has_next=False, has_previous=False)
    whole = whole_range(query)
    cut = cut_range(whole, page)
    rows = await _ask(
        pool, "oldest_jobs" if page.from_end else "newest_jobs", caller_id, query, cut, limit=page.limit + 1
    )
    is_more = len(rows) > page.limit
    jobs = tuple(job_of_row(*row) for row in rows[: page.limit])

    async def is_any(part: Range) -> bool:
        return not part.is_empty and bool((await _ask(pool, "any_job", caller_id, query, part))[0][0])

    return JobPage(
        jobs=jobs[::-1] if page.from_end else jobs,
        has_next=(is_more and not page.from_end) or await is_any(Range(whole.low, cut.low)),
        has_previous=(is_more and page.from_end) or await is_any(Range(cut.high, whole.high)),
    )


async def count_of(pool: PostgresPool, caller_id: CallerId, query: JobQuery) -> int:
    """How many jobs the query finds."""
    if _finds_nothing(query):
        return 0
    return int((await _ask(pool, "count_jobs", caller_id, query, whole_range(query)))[0][0])


async def _ask(
    pool: PostgresPool, statement: str, caller_id: CallerId, query: JobQuery, part: Range, limit: int | None = None
) -> list[Any]:
    (low_at, low_id), (high_at, high_id) = part.low, part.high
    statuses = [status.value for status in query.statuses] or None
    arguments = [caller_id, low_at, low_id, high_at, high_id, statuses, _models(query) or None]
    if limit is not None:
        arguments.append(limit)
    if query.search:
        statement += "_found"
        arguments.append(f"%{_escaped(query.search.casefold())}%")
    return await pool.read(statement, *arguments)


def _finds_nothing(query: JobQuery) -> bool:
    return bool((query.model_names and not _models(query)) or NEVER_STORED.search(query.search or ""))


def _models(query: JobQuery) -> list[str]:
    return [name for name in query.model_names if not NEVER_STORED.search(name)]


def _escaped(text: str) -> str:
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return text
