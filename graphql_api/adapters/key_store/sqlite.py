"""Keys in a SQLite file of their own, which any number of processes may have open."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from graphql_api.adapters.key_store.rows import KeySchemaTooNew, columns_of, key_of_row
from graphql_api.adapters.sql import load_sql
from graphql_api.domain.api_key import ApiKey
from graphql_api.domain.errors import ServiceUnavailable

BUSY_TIMEOUT_SECONDS = 5.0
"""How long to wait for another process that writes."""

SQL = load_sql("graphql_api.adapters.key_store", "sqlite.sql")

_SCHEMAS = ("schema_1",)
"""What brings a file from each version, which is in its `user_version`, to the next."""

_PAUSE_SECONDS = 0.02


class SqliteKeyStore:
    """Keys in a file. Each method is one statement, and a transaction, on a thread of the store's own."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    async def add(self, key: ApiKey) -> None:
        try:
            await self._run("add_key", *columns_of(key))
        except sqlite3.IntegrityError as error:
            raise ValueError("There is a key with this ID.") from error

    async def find(self, key_id: str) -> ApiKey | None:
        rows = await self._run("find_key", key_id)
        return key_of_row(rows[0]) if rows else None

    async def all(self) -> Sequence[ApiKey]:
        return [key_of_row(row) for row in await self._run("all_keys")]

    async def update(self, key: ApiKey) -> bool:
        return bool(await self._run("update_key", *columns_of(key)))

    async def _run(self, name: str, *arguments: Any) -> list[tuple[Any, ...]]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._fetch, SQL[name], arguments)

    def _fetch(self, statement: str, arguments: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, arguments).fetchall()
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise ServiceUnavailable from error


@asynccontextmanager
async def open_sqlite_key_store(file: Path) -> AsyncIterator[SqliteKeyStore]:
    """Open a file of keys, which is made when it is not there, for its owner alone.

    Raises ServiceUnavailable when it cannot be used, KeySchemaTooNew when a later version of the program has used it.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="keys") as thread:
        connection = await loop.run_in_executor(thread, _open, file)
        try:
            yield SqliteKeyStore(connection, thread)
        finally:
            await loop.run_in_executor(thread, connection.close)


def _open(file: Path) -> sqlite3.Connection:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _make(file)
        connection = sqlite3.connect(file, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise ServiceUnavailable("The file of the API keys cannot be opened.") from error
    try:
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise ServiceUnavailable("The file of the API keys cannot be used.") from error
        raise
    return connection


def _make(file: Path) -> None:
    """An empty file, which is an empty database, that only its owner can read. SQLite gives its side files that mode.

    One that is there is left alone: to close it again would drop the locks that this process may have on it.
    """
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _use_wal(connection: sqlite3.Connection) -> None:
    """The change of mode needs the file for itself, and does not heed the time-out when two processes want it."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


def _migrate(connection: sqlite3.Connection) -> None:
    """Apply what is missing. Whoever comes second waits for the lock, and then finds nothing to do."""
    if _version(connection) == len(_SCHEMAS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)
        if version > len(_SCHEMAS):
            raise KeySchemaTooNew(version, len(_SCHEMAS))
        for name in _SCHEMAS[version:]:
            connection.execute(SQL[name])
        connection.execute(f"PRAGMA user_version = {len(_SCHEMAS)}")
    except BaseException:
        connection.rollback()
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
