"""Programs that need Node. They are skipped where there is none of them and npm cannot be reached; never in CI."""

from __future__ import annotations

import pytest

from tests.clients.node import install_clients


@pytest.fixture(scope="session", autouse=True)
def clients_of_npm() -> None:
    """What tests/clients/js/package-lock.json names is installed."""
    install_clients()
