"""The file of a SQLite store: its lock, its connections, and what its errors mean."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import TextIO

from graphql_api.domain.errors import ServiceUnavailable, Text2ImageError

BUSY_TIMEOUT_SECONDS = 5.0
"""How long to wait while another program, such as a backup, locks the database."""

_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


class StoreInUse(Text2ImageError):
    """Another process, or another part of this one, has the store open."""

    def __init__(self) -> None:
        super().__init__(
            "The job store is in use by another process. A SQLite store belongs to one process at a time; "
            "stop the other one, or use PostgreSQL."
        )


def lock(database: Path) -> TextIO:
    """Take the database for this process until the returned file is closed. Raises StoreInUse.

    The lock is on `<database>.lock`, which stays: removing it would let two processes lock two files of one name.
    """
    file = Path(f"{database}.lock").open("a")
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise StoreInUse from error
    return file


def connect(database: Path) -> sqlite3.Connection:
    """A connection for one thread at a time, which need not be this one. What it commits survives a loss of power."""
    connection = sqlite3.connect(
        database,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def translated(error: Exception) -> Exception:
    """ServiceUnavailable for an error of the disk or of a lock; anything else is a fault of ours and stays."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _UNAVAILABLE:
        return error
    unavailable = ServiceUnavailable()
    unavailable.__cause__ = error
    return unavailable
