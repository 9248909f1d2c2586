"""`text2image worker`: a process that runs jobs and serves no API."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from graphql_api.app import health_app
from graphql_api.bootstrap import Services, check_shared, open_services
from graphql_api.commands.serve import CLOSING_SECONDS, SIGNALS, SWITCH_SECONDS, calm_the_collector, listen
from graphql_api.settings import Settings
from graphql_api.telemetry import configure_logging


def work(settings: Settings, *, only_models: Collection[str], host: str, port: int | None) -> int:
    """Run jobs until a signal; then end those that run, or give them back. Returns the exit code.

    With a port, operators and their machines can ask there how it is. Raises ValueError for settings that make no
    sense, PortTaken, Text2ImageError when something cannot be opened.
    """
    check_shared(settings)
    configure_logging(settings.log_level, settings.log_format)
    sys.setswitchinterval(SWITCH_SECONDS)
    listener = None if port is None else listen(host, port)
    config = uvicorn.Config("", loop="uvloop", log_config=None)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        return runner.run(_work(settings, only_models, listener))


async def _work(settings: Settings, only_models: Collection[str], listener: socket.socket | None) -> int:
    async with open_services(settings, only_models=only_models) as services, _health(services, listener):
        assert services.worker is not None
        told_to_stop = _signals()
        calm_the_collector()
        _say_ready(listener)
        stopping = asyncio.create_task(told_to_stop.wait())
        failing = asyncio.create_task(services.failed.wait())
        await asyncio.wait([stopping, failing], return_when=asyncio.FIRST_COMPLETED)
        services.draining.set()
        if services.failed.is_set():
            return 1
        failing.cancel()
        await services.worker.drain(settings.drain)
        return 0


def _signals() -> asyncio.Event:
    """Set by the first signal. The second one kills: nothing but time is lost by that."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def obey() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        told.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, obey)
    return told


@asynccontextmanager
async def _health(services: Services, listener: socket.socket | None) -> AsyncIterator[None]:
    """Answer /healthz, /readyz and /metrics while the context is open."""
    if listener is None:
        yield
        return
    server = _HealthServer(
        uvicorn.Config(
            health_app(services),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=CLOSING_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _HealthServer(uvicorn.Server):
    """uvicorn, which leaves the signals to the worker."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _say_ready(listener: socket.socket | None) -> None:
    where = "" if listener is None else f"  http://{listener.getsockname()[0]}:{listener.getsockname()[1]}/readyz"
    print(f"Worker    ready{where}", file=sys.stderr, flush=True)  # noqa: T201
