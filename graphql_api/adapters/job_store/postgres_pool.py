"""Connections to PostgreSQL: statements by name, outages of the server, and what its errors mean."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from graphql_api.adapters.sql import load_sql
from graphql_api.domain.errors import ServiceUnavailable

logger = logging.getLogger(__name__)

SQL = load_sql("graphql_api.adapters.job_store", "postgres.sql")

STATEMENT_SECONDS = 10.0
"""Longest statement, including its wait for locks."""

CONNECT_SECONDS = 5.0
"""How long a statement waits for a connection: about as long as a server takes to restart."""

CHECK_SECONDS = 2.0

_PAUSE_SECONDS = 0.2

NOT_NOW = (
    OSError,
    TimeoutError,
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

_CLOSED = (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError)
"""The connection has ended, and nothing is known of the statement that was on it."""


class PostgresPool:
    """Runs the statements of postgres.sql. Each is a transaction of its own."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def read(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement that writes nothing. It is asked once more where its connection ended."""
        try:
            return await self._fetch(name, arguments)
        except _CLOSED as error:
            logger.info("the connection to PostgreSQL ended, asking again: %s", error)
        return await self.write(name, *arguments)

    async def write(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement. When ServiceUnavailable is raised, it may or may not have been carried out."""
        try:
            return await self._fetch(name, arguments)
        except NOT_NOW as error:
            raise ServiceUnavailable from error

    async def check(self) -> None:
        """Raises ServiceUnavailable when the server does not answer soon."""
        asking = asyncio.create_task(self.write("check"))
        done, _ = await asyncio.wait([asking], timeout=CHECK_SECONDS)
        if not done:
            # Not waited for: asyncpg asks the server, which does not answer, to cancel the statement first.
            asking.add_done_callback(_take_note)
            asking.cancel()
            raise ServiceUnavailable
        await asking

    async def _fetch(self, name: str, arguments: tuple[Any, ...]) -> list[asyncpg.Record]:
        async with self._connection() as connection:
            try:
                rows: list[asyncpg.Record] = await connection.fetch(SQL[name], *arguments)
            except asyncpg.ReadOnlySQLTransactionError:
                # It was the leader once; the next connection goes to the one that is.
                connection.terminate()
                raise
            return rows

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        deadline = asyncio.get_running_loop().time() + CONNECT_SECONDS
        while True:
            try:
                connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
                break
            except NOT_NOW as error:
                if self._pool.is_closing() or asyncio.get_running_loop().time() >= deadline:
                    raise ServiceUnavailable from error
                await asyncio.sleep(_PAUSE_SECONDS * random.uniform(0.5, 1.0))
        try:
            yield connection
        finally:
            await self._pool.release(connection)


@asynccontextmanager
async def open_pool(url: str, *, connections: int) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    """Connections to a database, waiting for a server that is starting.

    Raises ValueError when the URL cannot be read, ServiceUnavailable when the server cannot be used.
    """
    pool = await _connected(url, connections)
    try:
        yield pool
    finally:
        try:
            await asyncio.wait_for(pool.close(), STATEMENT_SECONDS)
        except (*NOT_NOW, asyncpg.PostgresError):
            pool.terminate()


async def _connected(url: str, connections: int) -> asyncpg.Pool[asyncpg.Record]:
    deadline = asyncio.get_running_loop().time() + 6 * CONNECT_SECONDS
    is_waiting = False
    while True:
        try:
            return await asyncpg.create_pool(
                url,
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
        except (asyncpg.ClientConfigurationError, ValueError) as error:
            raise ValueError(f"The URL of the PostgreSQL database cannot be read: {error}") from error
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise ServiceUnavailable(f"PostgreSQL refuses the connection: {error}.") from error
        except NOT_NOW as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise ServiceUnavailable("PostgreSQL does not answer.") from error
            if not is_waiting:
                logger.warning("PostgreSQL does not answer, waiting for it: %s", error)
                is_waiting = True
        await asyncio.sleep(_PAUSE_SECONDS)


def _take_note(asking: asyncio.Task[list[asyncpg.Record]]) -> None:
    if not asking.cancelled():
        asking.exception()


async def _leave_as_it_is(connection: object) -> None:
    """Our statements leave nothing behind on a connection; to have the server clean up would double the round trips."""
