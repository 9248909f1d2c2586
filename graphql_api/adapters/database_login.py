"""Who logs in to PostgreSQL, where its URL does not say it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLCertVerificationError, SSLError
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class DatabaseLogin:
    """A user of the database and their password."""

    username: str
    password: str = field(repr=False)


ReadLogin = Callable[[], Awaitable[DatabaseLogin]]
"""Finds out who logs in; asked for each connection. Raises ServiceUnavailable when nobody can tell."""


def connect_as(login: ReadLogin | None) -> Callable[..., Coroutine[Any, Any, Any]] | None:
    """What opens the connections of asyncpg's pools: each as whom `login` names by then. None leaves it to asyncpg."""
    if login is None:
        return None
    read = login

    async def connect(*arguments: Any, **options: Any) -> Any:
        import asyncpg

        who = await read()
        return await asyncpg.connect(*arguments, user=who.username, password=who.password, **options)

    return connect


def check_has_no_login(url: str) -> None:
    """Raises ValueError when the URL of a database names a user or a password, or is not PostgreSQL's."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(
            "TEXT2IMAGE_DATABASE_SECRET is for PostgreSQL: set TEXT2IMAGE_DATABASE=postgresql://<host>/<database>."
        )
    if "@" in parts.netloc or parse_qs(parts.query).keys() & {"user", "password", "passfile"}:
        raise ValueError("TEXT2IMAGE_DATABASE_SECRET holds user and password: leave both out of TEXT2IMAGE_DATABASE.")


def check_authority_file(url: str) -> None:
    """Raises ValueError when the URL names a certificate authority by a file that there is not: asyncpg would take
    that for a server which is not there yet."""
    for path in parse_qs(urlsplit(url).query).get("sslrootcert", ()):
        if not Path(path).is_file():
            raise ValueError("sslrootcert= names no file; write the path of a PEM file with the certificates.")


def tls_trouble(error: SSLError) -> str:
    """A sentence for operators: why there is no TLS with the server."""
    if isinstance(error, SSLCertVerificationError):
        return (
            f"PostgreSQL shows a certificate that is not trusted: {error.verify_message}. "
            "Name its authority in sslrootcert= and the host that it is made out to in TEXT2IMAGE_DATABASE."
        )
    return "PostgreSQL cannot be reached over TLS."
