"""One connection to one server, kept up for ever."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from graphql_api.adapters.valkey_url import Node, ValkeyUrl
from graphql_api.metrics import BROKER_RECONNECTS

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 3.0
"""How long a server may be silent before its connection counts as lost."""
PING_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 3.0
STABLE_SECONDS = 5.0
"""A connection that was up for so long is made again without a pause."""
MAX_REASONS = 8

Command = tuple[str | bytes | int, ...]
"""A command and its arguments."""


class WrongMode(RedisError):
    """The URL and the server do not agree on whether this is a cluster."""


class Condition:
    """What the log says of the servers: a line when one is lost, for each new reason while it is, and one when it is
    back. No reason holds a password, since no server repeats one."""

    def __init__(self) -> None:
        self._down: dict[Node, set[object]] = {}
        self._told: dict[Node, set[str]] = {}

    def lost(self, node: Node, link: object, error: BaseException) -> None:
        """A connection of a server does not work."""
        self._down.setdefault(node, set()).add(link)
        told = self._told.setdefault(node, set())
        reason = _reason(error)
        if reason in told or len(told) >= MAX_REASONS:
            return
        told.add(reason)
        if isinstance(error, (AuthenticationError, NoPermissionError, WrongMode)):
            logger.error("the event broker at %s cannot be used: %s", node, reason)
        else:
            logger.warning("the event broker at %s is away: %s", node, reason)

    def found(self, node: Node, link: object) -> None:
        """A connection of a server works, or is not wanted any more."""
        down = self._down.get(node)
        if down is None:
            return
        down.discard(link)
        if not down:
            del self._down[node], self._told[node]
            logger.warning("the event broker at %s is back", node)

    def forget(self, node: Node) -> None:
        """A server does not belong to the cluster any more."""
        self._down.pop(node, None)
        self._told.pop(node, None)


def _reason(error: BaseException) -> str:
    if isinstance(error, AuthenticationError):
        return f"it refuses the user name or the password ({_first_line(error)})"
    if isinstance(error, TimeoutError):
        return _first_line(error) or "it does not answer"
    return _first_line(error) or type(error).__name__


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200].rstrip(". ")


async def connect(url: ValkeyUrl, node: Node) -> Connection:
    """A connection that is ready for commands. Raises RedisError, OSError or TimeoutError."""
    # RESP2: in a connection that only listens, everything that comes is an array that is easily told apart. Time limits
    # are set by who waits.
    options: dict[str, Any] = {
        "host": node.host,
        "port": node.port,
        "db": url.db,
        "username": url.username,
        "password": url.password,
        "protocol": 2,
        "socket_keepalive": True,
        "socket_timeout": None,
        "socket_connect_timeout": None,
    }
    if url.is_tls:
        ca_file = None if url.ca_file is None else str(url.ca_file)
        options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True, "ssl_ca_certs": ca_file}
    connection: Connection = (SSLConnection if url.is_tls else Connection)(**options)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]
    except BaseException:
        await disconnect(connection)
        raise
    return connection


async def disconnect(connection: Connection) -> None:
    """Drop a connection without waiting for the other side, whatever state it is in and whatever is still buffered."""
    try:
        if connection._writer is not None:
            connection._writer.transport.abort()
        await connection.disconnect(nowait=True)
    except Exception as error:
        logger.debug("a connection was not closed: %s", error)


async def send(connection: Connection, commands: Iterable[Command]) -> None:
    """Write commands, all in one piece."""
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)


class Link(ABC):
    """A connection that is made again whenever it is lost, with growing pauses, by a task that survives every error.

    `on_doubt` is called when what is known of a cluster may have changed, with the node that said so, if one did.
    """

    def __init__(
        self, url: ValkeyUrl, node: Node, *, condition: Condition, on_doubt: Callable[[Node | None], None]
    ) -> None:
        self.node = node
        self.up = asyncio.Event()
        self.url = url
        self._condition = condition
        self._on_doubt = on_doubt
        self._was_up = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect, and stay connected."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Close the connection for good."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    @abstractmethod
    async def serve(self, connection: Connection) -> None:
        """Do the link's work; raises when the connection is lost."""

    @abstractmethod
    def lost(self) -> None:
        """The connection is gone. Called once per connection, before it is made again."""

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            try:
                await self._connect_and_serve()
            except Exception as error:
                cause = _innermost(error)
                if not isinstance(cause, (RedisError, OSError)):
                    logger.exception("a connection to the event broker met an unexpected fault")
                self._condition.lost(self.node, self, cause)
                self._on_doubt(None)
            failures = 0 if loop.time() - began > CONNECT_SECONDS + STABLE_SECONDS else failures + 1
            pause = min(FIRST_PAUSE_SECONDS * 2 ** min(failures, 10), LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def _connect_and_serve(self) -> None:
        connection = await connect(self.url, self.node)
        try:
            self.up.set()
            self._condition.found(self.node, self)
            if self._was_up:
                BROKER_RECONNECTS.inc()
            self._was_up = True
            await self.serve(connection)
        finally:
            self.up.clear()
            try:
                self.lost()
            finally:
                await disconnect(connection)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
