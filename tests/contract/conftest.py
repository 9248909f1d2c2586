"""Every adapter of a port, for the suite of that port. A new one is a line in its table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from graphql_api.adapters.job_store import open_job_store
from graphql_api.ports import JobStore

JOB_STORES: Mapping[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: f"sqlite:{folder / 'jobs.db'}",
}
"""Name -> the URL of an empty store, given an empty folder."""


@pytest_asyncio.fixture(params=JOB_STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[JobStore]:
    """An empty job store of each kind."""
    async with open_job_store(JOB_STORES[request.param](tmp_path)) as opened:
        yield opened
