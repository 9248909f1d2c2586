"""PostgreSQL and Valkey for benchmarks, from the wheels that the tests use too. PostgreSQL is as durable as by default:
`fsync` and `synchronous_commit` are on.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.harness import PRODUCT, Contender, run
from graphql_api.adapters.job_store.postgres import open_postgres_job_store
from tests.clients.postgres_server import PostgresServer
from tests.clients.valkey_server import ValkeyServer

ROOMY = {"shared_buffers": "1GB", "max_wal_size": "4GB", "maintenance_work_mem": "512MB"}
"""Settings for tables of a million rows: a quarter of the memory of a database machine with 4 GB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """The servers behind the product."""

    postgres: PostgresServer
    valkey: ValkeyServer
    _numbers: Iterator[int]

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new database, which is dropped at the end."""
        name = f"bench_{next(self._numbers)}"
        self.postgres.execute(f"CREATE DATABASE {name}")
        try:
            yield self.postgres.url(name)
        finally:
            self.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
            self.postgres.execute("CHECKPOINT")

    def postgres_cpu_seconds(self) -> float:
        """User and system time of all processes of PostgreSQL so far."""
        return _cpu_seconds("postgres")

    def valkey_cpu_seconds(self) -> float:
        """User and system time of Valkey so far."""
        return _cpu_seconds("valkey-server")

    def replica(self, database: str, name: str = "product") -> Contender:
        """An API process on a database and on the broker."""
        return Contender(name=name, command=PRODUCT.command, environment=PRODUCT.environment).with_environment(
            TEXT2IMAGE_DATABASE=database, TEXT2IMAGE_EVENTS=self.valkey.url
        )


def _cpu_seconds(program: str) -> float:
    """Of a child of this process and its children, with those that have ended."""
    first = next(child for child in psutil.Process().children() if child.name() == program)
    ended = first.cpu_times()
    live = [process.cpu_times() for process in (first, *first.children(recursive=True))]
    return float(ended.children_user + ended.children_system + sum(each.user + each.system for each in live))


@contextmanager
def backing(settings: Mapping[str, str] | None = None) -> Iterator[Backing]:
    """Both servers, on folders of their own. `settings` go to PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="bench-backing-") as folder, ExitStack() as stack:
        Path(folder, "postgres").mkdir()
        postgres = PostgresServer(Path(folder) / "postgres", settings or {})
        valkey = ValkeyServer(Path(folder) / "valkey")
        stack.callback(postgres.stop)
        stack.callback(valkey.stop)
        postgres.start()
        valkey.start()
        yield Backing(postgres=postgres, valkey=valkey, _numbers=itertools.count(1))


def make_schema(database: str) -> None:
    """Make the product's tables in a database."""

    async def make() -> None:
        async with open_postgres_job_store(database, connections=2):
            pass

    run(make())
