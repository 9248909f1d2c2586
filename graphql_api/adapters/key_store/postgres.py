"""Keys in a table of PostgreSQL, beside the jobs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from graphql_api.adapters.database_login import ReadLogin, check_authority_file, connect_as, tls_trouble
from graphql_api.adapters.key_store.rows import KeySchemaTooNew, columns_of, key_of_row
from graphql_api.adapters.sql import load_sql
from graphql_api.domain.api_key import ApiKey
from graphql_api.domain.errors import ServiceUnavailable

CONNECTIONS = 4
STATEMENT_SECONDS = 5.0
CONNECT_SECONDS = 5.0

SQL = load_sql("graphql_api.adapters.key_store", "postgres.sql")

_SCHEMAS = ("schema_1",)
"""What brings the table from each version to the next."""

_LOCK = 0x7432_695F_6B65_7973
"""The advisory lock that whoever migrates the keys holds: "t2i_keys"."""

_FAULTS = (
    # TimeoutError is one.
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresError,
)


class PostgresKeyStore:
    """Keys in a table. Each method is one statement, and a transaction."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def add(self, key: ApiKey) -> None:
        try:
            await self._run("add_key", *columns_of(key))
        except asyncpg.UniqueViolationError as error:
            raise ValueError("There is a key with this ID.") from error

    async def find(self, key_id: str) -> ApiKey | None:
        rows = await self._run("find_key", key_id)
        return key_of_row(tuple(rows[0])) if rows else None

    async def all(self) -> Sequence[ApiKey]:
        return [key_of_row(tuple(row)) for row in await self._run("all_keys")]

    async def update(self, key: ApiKey) -> bool:
        return bool(await self._run("update_key", *columns_of(key)))

    async def migrate(self) -> None:
        """Apply what is missing of the schema. Whoever comes second waits for the lock, and finds nothing to do."""
        try:
            async with self._connection() as connection, connection.transaction():
                await connection.execute(SQL["lock_schema"], _LOCK)
                await connection.execute(SQL["versions"])
                version = await connection.fetchval(SQL["version"])
                if version > len(_SCHEMAS):
                    raise KeySchemaTooNew(version, len(_SCHEMAS))
                for number, name in enumerate(_SCHEMAS[version:], version + 1):
                    await connection.execute(SQL[name])
                    await connection.execute(SQL["add_version"], number)
        except ssl.SSLError as error:
            # Before ValueError, of which some are a kind.
            raise ServiceUnavailable(tls_trouble(error)) from error
        except (asyncpg.ClientConfigurationError, ValueError):
            # What it says may quote the password.
            raise ValueError(
                "The URL of the PostgreSQL database cannot be read. It is "
                "postgresql://<user>:<password>@<host>/<database>, with special characters percent-encoded; "
                "?sslmode=verify-full needs &sslrootcert=<PEM file> too."
            ) from None
        except _FAULTS as error:
            raise ServiceUnavailable("The API keys cannot be reached in PostgreSQL.") from error

    async def _run(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        try:
            async with self._connection() as connection:
                rows: list[asyncpg.Record] = await connection.fetch(SQL[name], *arguments)
                return rows
        except asyncpg.UniqueViolationError:
            raise
        except _FAULTS as error:
            raise ServiceUnavailable from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        async with self._pool.acquire(timeout=CONNECT_SECONDS) as connection:
            try:
                yield connection
            except (asyncpg.PostgresError, KeySchemaTooNew):
                raise
            except BaseException:
                # Left in the middle of something: a server that does not answer would not answer a request to cancel.
                connection.terminate()
                raise


@asynccontextmanager
async def open_postgres_key_store(url: str, *, login: ReadLogin | None = None) -> AsyncIterator[PostgresKeyStore]:
    """Connect to a database, and make the table where there is none. Without a `login` the URL says who logs in.

    Raises ValueError when the URL cannot be read, ServiceUnavailable when the server cannot be used, KeySchemaTooNew
    when a later version of the program has used the table.
    """
    check_authority_file(url)
    # Keys are looked up now and then: no connection is kept for it.
    pool = asyncpg.create_pool(
        url,
        connect=connect_as(login),
        min_size=0,
        max_size=CONNECTIONS,
        command_timeout=STATEMENT_SECONDS,
        timeout=CONNECT_SECONDS,
        reset=_leave_as_it_is,
        server_settings={"application_name": "text2image-keys"},
    )
    try:
        await pool
        store = PostgresKeyStore(pool)
        await store.migrate()
        yield store
    finally:
        try:
            await asyncio.wait_for(pool.close(), STATEMENT_SECONDS)
        except _FAULTS:
            pool.terminate()


async def _leave_as_it_is(connection: object) -> None:
    """Our statements leave nothing behind on a connection."""
