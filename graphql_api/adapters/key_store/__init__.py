"""Key stores, chosen by URL scheme."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from graphql_api.adapters.database_login import ReadLogin
from graphql_api.ports import KeyStore

FILE_NAME = "keys.sqlite3"


@asynccontextmanager
async def open_key_store(url: str, *, login: ReadLogin | None = None) -> AsyncIterator[KeyStore]:
    """Open the store that a URL names; `sqlite:<path>` is a file, which is made when it is not there,
    `postgresql://<user>@<host>/<database>` a table of a database, where a `login` says who logs in, in place of the
    URL. Any number of processes may have either open.

    Raises ValueError when the URL names no store, ServiceUnavailable when the store cannot be used.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "sqlite":
            from graphql_api.adapters.key_store.sqlite import open_sqlite_key_store

            if not rest or rest == ":memory:" or "\0" in rest:
                raise ValueError("sqlite: needs the path of a file, such as sqlite:data/keys.sqlite3.")
            async with open_sqlite_key_store(Path(rest)) as store:
                yield store
        case "postgresql" | "postgres":
            from graphql_api.adapters.key_store.postgres import open_postgres_key_store

            async with open_postgres_key_store(url, login=login) as store:
                yield store
        case _:
            raise ValueError(f"A key store is sqlite:<path> or postgresql://<user>@<host>/<database>, not {scheme}:.")


def key_store_url(database_url: str) -> str:
    """Where the keys are when the jobs are at `database_url`: in the same database, except that a SQLite file of jobs
    belongs to one process, so that the keys have a file of their own beside it."""
    scheme, _, path = database_url.partition(":")
    if scheme != "sqlite" or not Path(path).name:
        return database_url
    return f"sqlite:{Path(path).with_name(FILE_NAME)}"
