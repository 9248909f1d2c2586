"""Job stores, chosen by URL scheme."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from graphql_api.adapters.database_login import ReadLogin
from graphql_api.ports import JobStore

DEFAULT_CONNECTIONS = 10


@asynccontextmanager
async def open_job_store(
    url: str, *, connections: int = DEFAULT_CONNECTIONS, login: ReadLogin | None = None
) -> AsyncIterator[JobStore]:
    """Open the store that a URL names; `sqlite:<path>` is a file, which is made when it is not there,
    `postgresql://<user>@<host>/<database>` a database that others may use too, over up to `connections`. A `login`
    says who logs in there, in place of the URL.

    Raises ValueError when the URL names no store, ServiceUnavailable when the store cannot be used.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "sqlite":
            from graphql_api.adapters.job_store.sqlite import open_sqlite_job_store

            if not rest or rest == ":memory:" or "\0" in rest:
                raise ValueError("sqlite: needs the path of a file, such as sqlite:data/jobs.db.")
            async with open_sqlite_job_store(Path(rest)) as store:
                yield store
        case "postgresql" | "postgres":
            from graphql_api.adapters.job_store.postgres import open_postgres_job_store

            async with open_postgres_job_store(url, connections=connections, login=login) as store:
                yield store
        case _:
            raise ValueError(f"A job store is sqlite:<path> or postgresql://<user>@<host>/<database>, not {scheme}:.")


def is_shared(url: str) -> bool:
    """Whether several processes can use the store of a URL."""
    return not url.startswith("sqlite:")
