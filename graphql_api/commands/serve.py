"""`text2image serve`: the server process."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from graphql_api.app import create_app
from graphql_api.bootstrap import Services
from graphql_api.settings import Settings
from graphql_api.telemetry import configure_logging

MAX_FRAME_BYTES = 256 * 1024
BACKLOG = 4096
PING_SECONDS = 20.0

# Allocations between two looks at the youngest objects. The default of 700 makes the collector run hundreds of times a
# second under load, and each full run stops the event loop for as long as there are live objects to visit.
GC_THRESHOLDS = (10_000, 20, 50)

# How long a rendering thread may hold on to the interpreter while the event loop waits for it; the default is 5 ms.
SWITCH_SECONDS = 0.0005


class PortTaken(Exception):
    """Another program listens on the address."""


def serve(settings: Settings, *, host: str, port: int, with_worker: bool) -> int:
    """Serve until a signal; returns the exit code. Port 0 lets the system choose.

    Raises PortTaken, ValueError for settings that make no sense, Text2ImageError when something cannot be opened.
    """
    configure_logging(settings.log_level, settings.log_format)
    sys.setswitchinterval(SWITCH_SECONDS)
    listener = _listen(host, port)
    server = _Server(settings, listener, with_worker=with_worker)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.run_with_services())
    return 1 if server.has_failed or not server.started else 0


def serve_with_reload(settings: Settings, *, host: str, port: int) -> None:
    """Serve, and start again whenever a source file changes. For developers of the server itself."""
    uvicorn.run(
        "graphql_api.app:create_app_from_environment",
        factory=True,
        host=host,
        port=port,
        reload=True,
        reload_dirs=["graphql_api"],
        ws_max_size=MAX_FRAME_BYTES,
        timeout_graceful_shutdown=round(settings.drain),
    )


class _Server(uvicorn.Server):
    """uvicorn, which says where it listens, and ends when a part of the service has."""

    def __init__(self, settings: Settings, listener: socket.socket, *, with_worker: bool) -> None:
        self._app = create_app(settings, with_worker=with_worker, on_ready=self._watch_over)
        super().__init__(
            uvicorn.Config(
                self._app,
                loop="uvloop",
                http="httptools",
                ws=_SocketProtocol,
                ws_max_size=MAX_FRAME_BYTES,
                # Our frames are small: compressing them would cost more time and memory than it saves bytes.
                ws_per_message_deflate=False,
                ws_ping_interval=PING_SECONDS,
                ws_ping_timeout=PING_SECONDS,
                backlog=BACKLOG,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=round(settings.drain),
            )
        )
        self.has_failed = False
        self._listener = listener
        self._watching: asyncio.Task[None] | None = None

    async def run_with_services(self) -> None:
        """Serve while the services are open. What keeps them from opening is raised, not logged as uvicorn would."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        async with self._app.router.lifespan_context(self._app):
            await self.serve(sockets=[self._listener])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `run_with_services`: uvicorn would raise them again before the services are closed."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            _calm_the_collector()
            _print_urls(self._listener)

    def _watch_over(self, services: Services) -> None:
        async def stop_when_failed() -> None:
            await services.failed.wait()
            self.has_failed = self.should_exit = True

        self._watching = asyncio.get_running_loop().create_task(stop_when_failed())


class _SocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own, which lets go of the handshake when it is over: there are thousands of sockets."""

    def handle_text(self, event: Frame) -> None:
        self.request = self.response = None  # type: ignore[assignment]
        super().handle_text(event)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PortTaken(f"Cannot listen on {host} port {port}: {error.strerror}.") from error


def _calm_the_collector() -> None:
    """Spare the collector what was loaded at start and stays for ever, and let it run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _print_urls(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    for name, path in (("Explorer", "/graphiql"), ("GraphQL", "/graphql"), ("Images", "/images/")):
        print(f"{name:<9} {origin}{path}", file=sys.stderr)  # noqa: T201
    sys.stderr.flush()
