"""Connections to PostgreSQL: statements by name, outages of the server, and what its errors mean."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from graphql_api.adapters.database_login import ReadLogin, check_authority_file, connect_as, tls_trouble
from graphql_api.adapters.sql import load_sql
from graphql_api.domain.errors import ServiceUnavailable

logger = logging.getLogger(__name__)

SQL = load_sql("graphql_api.adapters.job_store", "postgres.sql")

STATEMENT_SECONDS = 10.0
"""Longest statement, including its wait for locks."""

CONNECT_SECONDS = 5.0
"""How long a statement waits for a connection: about as long as a server takes to restart."""

CHECK_SECONDS = 2.0

KEPT_FOR_WRITES = 3
"""Connections that reads leave alone, where there are more."""

_PAUSE_SECONDS = 0.2

NOT_NOW = (
    # TimeoutError is one.
    OSError,
    # The client's own complaint about a connection that is closed; it has no class for that alone.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What passes by itself: the server or the network is away, overloaded, or has given the lead to another server."""

_CLOSED = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
)
"""The connection has ended, and nothing is known of the statement that was on it."""


class PostgresPool:
    """Runs the statements of postgres.sql. Each is a transaction of its own."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        # However many read: leases are renewed, and jobs moved, over connections that reads never have.
        self._reads = asyncio.Semaphore(max(1, pool.get_max_size() - KEPT_FOR_WRITES))

    async def read(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement that writes nothing. It is asked once more where its connection ended."""
        async with self._reads:
            try:
                return await self._fetch(name, arguments)
            except TimeoutError as error:
                raise ServiceUnavailable from error
            except _CLOSED as error:
                logger.info("the connection to PostgreSQL ended, asking again: %s", error)
            except NOT_NOW as error:
                raise ServiceUnavailable from error
            return await self.write(name, *arguments)

    async def write(self, name: str, *arguments: Any, within: float = STATEMENT_SECONDS) -> list[asyncpg.Record]:
        """The rows of a statement. When ServiceUnavailable is raised, it may or may not have been carried out."""
        try:
            return await self._fetch(name, arguments, within)
        except NOT_NOW as error:
            raise ServiceUnavailable from error

    async def check(self) -> None:
        """Raises ServiceUnavailable when the server does not answer soon."""
        await self.write("check", within=CHECK_SECONDS)

    async def _fetch(
        self, name: str, arguments: tuple[Any, ...], within: float = STATEMENT_SECONDS
    ) -> list[asyncpg.Record]:
        async with self._connection(within) as connection:
            try:
                rows: list[asyncpg.Record] = await connection.fetch(SQL[name], *arguments, timeout=within)
            except asyncpg.ReadOnlySQLTransactionError:
                # It was the leader once; the next connection goes to the one that is.
                connection.terminate()
                raise
            except asyncpg.PostgresError:
                raise
            except asyncpg.exceptions._base.DataError as error:
                raise ValueError(f"An argument does not fit {name}.") from error
            except BaseException:
                # Left in the middle of something, by a time-out or by who asked. Nobody cleans it up for the next one,
                # and a server that does not answer would not answer a request to cancel either.
                connection.terminate()
                raise
            return rows

    @asynccontextmanager
    async def _connection(self, within: float) -> AsyncIterator[Any]:
        patience = min(within, CONNECT_SECONDS)
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            try:
                connection = await self._pool.acquire(timeout=patience)
                break
            except (*NOT_NOW, asyncpg.PostgresError) as error:
                # Any refusal: a password that is being changed is right again soon.
                if self._pool.is_closing() or asyncio.get_running_loop().time() >= deadline:
                    raise ServiceUnavailable from error
                await asyncio.sleep(_PAUSE_SECONDS * random.uniform(0.5, 1.0))
        try:
            yield connection
        finally:
            await self._pool.release(connection)


@asynccontextmanager
async def open_pool(
    url: str, *, connections: int, login: ReadLogin | None
) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    """Connections to a database, waiting for a server that is starting. Without a `login` the URL says who logs in.

    Raises ValueError when the URL cannot be read, ServiceUnavailable when the server cannot be used.
    """
    pool = await _connected(url, connections, login)
    try:
        yield pool
    finally:
        try:
            await asyncio.wait_for(pool.close(), STATEMENT_SECONDS)
        except (*NOT_NOW, asyncpg.PostgresError):
            pool.terminate()


async def _connected(url: str, connections: int, login: ReadLogin | None) -> asyncpg.Pool[asyncpg.Record]:
    check_authority_file(url)
    deadline = asyncio.get_running_loop().time() + 6 * CONNECT_SECONDS
    is_waiting = False
    while True:
        try:
            return await asyncpg.create_pool(
                url,
                connect=connect_as(login),
                min_size=1,
                max_size=connections,
                command_timeout=STATEMENT_SECONDS,
                timeout=CONNECT_SECONDS,
                reset=_leave_as_it_is,
                server_settings={
                    "application_name": "text2image",
                    "statement_timeout": str(round(STATEMENT_SECONDS * 1000)),
                    "idle_in_transaction_session_timeout": str(round(STATEMENT_SECONDS * 1000)),
                },
            )
        except ssl.SSLError as error:
            raise ServiceUnavailable(tls_trouble(error)) from error
        except (asyncpg.ClientConfigurationError, ValueError):
            # What they say may quote the password.
            raise ValueError(
                "The URL of the PostgreSQL database cannot be read. It is "
                "postgresql://<user>:<password>@<host>/<database>, with special characters percent-encoded; "
                "?sslmode=verify-full needs &sslrootcert=<PEM file> too."
            ) from None
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise ServiceUnavailable(f"PostgreSQL refuses the connection: {error}.") from error
        except NOT_NOW as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise ServiceUnavailable("PostgreSQL does not answer.") from error
            if not is_waiting:
                logger.warning("PostgreSQL does not answer, waiting for it: %s", error)
                is_waiting = True
        await asyncio.sleep(_PAUSE_SECONDS)


async def _leave_as_it_is(connection: object) -> None:
    """Our statements leave nothing behind on a connection; to have the server clean up would double the round trips."""
