"""`text2image worker`: a process that runs jobs and serves no API."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import uvicorn

from graphql_api.app import health_app
from graphql_api.bootstrap import Services, check_shared, open_services
from graphql_api.commands.process import (
    CLOSING_SECONDS,
    Server,
    calm_the_collector,
    keep_the_loop_responsive,
    listen,
    on_first_signal,
)
from graphql_api.settings import Settings
from graphql_api.telemetry import configure_logging


def work(settings: Settings, *, only_models: Collection[str], host: str, port: int | None) -> int:
    """Run jobs until a signal; then end those that run, or give them back. Returns the exit code.

    With a port, operators and their machines can ask there how it is. Raises ValueError for settings that make no
    sense, PortTaken, Text2ImageError when something cannot be opened.
    """
    check_shared(settings)
    configure_logging(settings.log_level, settings.log_format)
    keep_the_loop_responsive()
    listener = None if port is None else listen(host, port)
    config = uvicorn.Config("", loop="uvloop", log_config=None)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        return runner.run(_work(settings, only_models, listener))


async def _work(settings: Settings, only_models: Collection[str], listener: socket.socket | None) -> int:
    async with open_services(settings, only_models=only_models) as services, _health(services, listener):
        assert services.worker is not None
        told_to_stop = asyncio.Event()
        on_first_signal(told_to_stop.set)
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


@asynccontextmanager
async def _health(services: Services, listener: socket.socket | None) -> AsyncIterator[None]:
    """Answer /healthz, /readyz and /metrics while the context is open."""
    if listener is None:
        yield
        return
    server = Server(
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


def _say_ready(listener: socket.socket | None) -> None:
    where = "" if listener is None else f"  http://{listener.getsockname()[0]}:{listener.getsockname()[1]}/readyz"
    print(f"Worker    ready{where}", file=sys.stderr, flush=True)  # noqa: T201
