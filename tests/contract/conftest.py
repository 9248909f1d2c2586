"""Every adapter of a port, for the suite of that port. A new one is a line in its table."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from graphql_api.adapters.event_broker import open_event_broker
from graphql_api.adapters.job_store import open_job_store
from graphql_api.ports import EventBroker, JobStore
from tests.clients.postgres_server import PostgresServer


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server for the session."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres")).start()
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """An empty database."""
    name = f"contract_{secrets.token_hex(8)}"
    postgres.execute(f"CREATE DATABASE {name}")
    return postgres.url(name)


JOB_STORES: Mapping[str, Callable[[pytest.FixtureRequest, Path], str]] = {
    "sqlite": lambda request, folder: f"sqlite:{folder / 'jobs.db'}",
    "postgres": lambda request, folder: str(request.getfixturevalue("postgres_url")),
}
"""Name -> the URL of an empty store."""


@pytest.fixture(params=JOB_STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty job store of each kind is."""
    return JOB_STORES[request.param](request, tmp_path)


@pytest_asyncio.fixture
async def store(store_url: str) -> AsyncIterator[JobStore]:
    """An empty job store of each kind."""
    async with open_job_store(store_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def broker(broker_url: str) -> AsyncIterator[EventBroker]:
    """Who listens, at the `broker_url` of a suite."""
    async with open_event_broker(broker_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def other(broker_url: str) -> AsyncIterator[EventBroker]:
    """Who publishes there, as another process would."""
    async with open_event_broker(broker_url) as opened:
        yield opened
