"""Servers for the tests: real processes, spoken to through real sockets."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.clients.graphql_http import Api
from tests.clients.graphql_socket import Socket, open_socket
from tests.clients.moto import MotoServer
from tests.clients.server_process import ServerProcess, StartServer

# A shell that runs the tests in its background has SIGINT ignored, and so would all the programs that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

SLOW = "sketch:?step_seconds=0.05"
"""Makes a job as slow as it has steps, at 20 a second."""


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that do no harm to it."""
    folder = tmp_path_factory.mktemp("shared-server")
    server = ServerProcess(folder / "data", folder, {"endpoint": SLOW}).start()
    yield server
    server.stop()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers for one test: `start_server(endpoint="sketch:")`; all share one data folder."""
    servers: list[ServerProcess] = []

    def start(
        *,
        environment: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
        **settings: str,
    ) -> ServerProcess:
        log_dir = tmp_path / f"logs-{len(servers)}"
        log_dir.mkdir()
        server = ServerProcess(
            tmp_path / "data", log_dir, {"endpoint": SLOW, **settings}, environment=environment, prepare=prepare
        )
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
async def api(shared_server: ServerProcess) -> AsyncIterator[Api]:
    """A client of the shared server. Whatever a test did, the log must hold no traceback of it, and nothing goes on."""
    logged = len(shared_server.log)
    async with Api(shared_server.origin) as client:
        yield client
        await client.cancel_everything()
    assert "Traceback" not in shared_server.log[logged:]


@pytest.fixture
async def socket(shared_server: ServerProcess, api: Api) -> AsyncIterator[Socket]:
    """An acknowledged socket of the shared server."""
    async with open_socket(shared_server.socket_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoServer]:
    """S3, SQS and SNS for all tests that use buckets, queues and topics of their own."""
    server = MotoServer().start()
    yield server
    server.stop()


@pytest.fixture
def aws_environment(moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> MotoServer:
    """This process's AWS clients talk to moto."""
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    return moto
