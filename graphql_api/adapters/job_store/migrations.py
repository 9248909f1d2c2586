"""Brings a database to the schema of this program: numbered files, each applied once, under a lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib import resources
from typing import Any

from graphql_api.domain.errors import Text2ImageError

MIGRATION_SECONDS = 3600.0

_LOCK = 0x7465_7874_3269_6D67
"""The advisory lock of PostgreSQL that whoever migrates holds: "text2img"."""


class SchemaTooNew(Text2ImageError):
    """The database was last used by a later version of the program."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"The job store has schema {found}, and this version of the program knows schemas up to {known}."
        )


def migrate_sqlite(connection: sqlite3.Connection) -> None:
    """Apply what is missing, each file in a transaction. The number of the latest is kept in `user_version`.

    Whoever comes second waits for the lock that BEGIN IMMEDIATE takes, and then finds nothing to do.
    """
    scripts = _scripts("sqlite")
    if _version(connection) > len(scripts):
        raise SchemaTooNew(_version(connection), len(scripts))
    for number, script in scripts.items():
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) < number:
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:
            connection.rollback()
            raise
        connection.execute("COMMIT")


async def migrate_postgres(connection: Any) -> None:
    """Apply what is missing, all of it in one transaction of an asyncpg connection.

    Whoever comes second waits for the advisory lock, and then finds nothing to do.
    """
    scripts = _scripts("postgres")
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=MIGRATION_SECONDS)
        await connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY)")
        version = await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_version")
        if version > len(scripts):
            raise SchemaTooNew(version, len(scripts))
        for number, script in scripts.items():
            if version < number:
                await connection.execute(script, timeout=MIGRATION_SECONDS)
                await connection.execute("INSERT INTO schema_version VALUES ($1)", number)


def _scripts(technology: str) -> dict[int, str]:
    """Number -> text, by rising number. Files are called `0001_<what>.sql`."""
    folder = resources.files(__package__).joinpath("migrations", technology)
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return {int(file.name.partition("_")[0]): file.read_text("utf-8") for file in files}


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _statements(script: str) -> Iterator[str]:
    """The statements one by one: `executescript` would commit before it starts."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
