"""`text2image serve`: the server process."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import sys
import time
from collections.abc import Callable

import uvicorn

from graphql_api.app import create_app
from graphql_api.bootstrap import Services, check_shared
from graphql_api.commands.connections import HttpProtocol, ServerState, SocketProtocol
from graphql_api.commands.process import (
    BACKLOG,
    CLOSING_SECONDS,
    Server,
    calm_the_collector,
    is_reached_from_elsewhere,
    keep_the_loop_responsive,
    listen,
    on_first_signal,
    take_all_files,
)
from graphql_api.http.addresses import TrustedProxies
from graphql_api.ports import Authenticator
from graphql_api.settings import Settings
from graphql_api.telemetry import configure_logging

logger = logging.getLogger(__name__)

MAX_FRAME_BYTES = 256 * 1024
PING_SECONDS = 20.0

GIVING_BACK_SECONDS = 1.0
"""How much longer than jobs streams stay open, so that they tell of those that were given back."""

SETTLING_SECONDS = 0.1
"""How long the last events may be on their way through this process."""

LOOK_SECONDS = 0.01


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    with_worker: bool,
    authenticator: Authenticator | None = None,
) -> int:
    """Serve until a signal; returns the exit code. Port 0 lets the system choose. An `authenticator` takes the place of
    the one that the settings name.

    Raises PortTaken, ValueError for settings that make no sense, Text2ImageError when something cannot be opened.
    """
    configure_logging(settings.log_level, settings.log_format)
    check_reach(settings, host)
    if not with_worker:
        _warn_of_lonely_server(settings)
    take_all_files()
    keep_the_loop_responsive()
    listener = listen(host, port)
    server = _Server(settings, listener, with_worker=with_worker, authenticator=authenticator)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.run_with_services())
    return 1 if server.has_failed or not server.started else 0


def serve_with_reload(settings: Settings, *, host: str, port: int) -> None:
    """Serve, and start again whenever a source file changes. For developers of the server itself.

    Raises ValueError for a host that others reach where nobody is asked who they are.
    """
    check_reach(settings, host)
    proxies = TrustedProxies(settings.trusted_proxies)
    uvicorn.run(
        "graphql_api.app:create_app_from_environment",
        factory=True,
        host=host,
        port=port,
        reload=True,
        reload_dirs=["graphql_api"],
        ws_max_size=MAX_FRAME_BYTES,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies.names,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=round(settings.drain),
    )


def check_reach(settings: Settings, host: str) -> None:
    """Raises ValueError when other machines would reach a server that lets everybody in, unless that is wanted."""
    if settings.auth == "none" and not settings.open_to_all and is_reached_from_elsewhere(host):
        raise ValueError(
            f"on {host or 'every address'} other machines could reach it, and everybody would be let in. "
            "Set TEXT2IMAGE_AUTH=keys to ask callers for API keys, or TEXT2IMAGE_OPEN_TO_ALL=true to let anybody in."
        )


class _Server(Server):
    """uvicorn, which says where it listens, ends when a part of the service has, and takes its time to end.

    Told to stop, it is not ready any more but serves on for `drain_delay` seconds. Then it takes no new connections,
    and waits for what can still happen: jobs that run here get `drain` seconds, and the streams stay open that long to
    tell of them. Then streams end, requests in flight get a moment, and whatever is left is cut.
    """

    def __init__(
        self, settings: Settings, listener: socket.socket, *, with_worker: bool, authenticator: Authenticator | None
    ) -> None:
        self._app = create_app(
            settings, with_worker=with_worker, authenticator=authenticator, on_ready=self._watch_over
        )
        proxies = TrustedProxies(settings.trusted_proxies)
        super().__init__(
            uvicorn.Config(
                self._app,
                loop="uvloop",
                http=HttpProtocol,
                ws=SocketProtocol,
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
                # Without it whoever sends X-Forwarded-For says nothing to anybody.
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies.names,
                timeout_keep_alive=settings.keep_alive,
                timeout_graceful_shutdown=CLOSING_SECONDS,
            )
        )
        self.server_state = self._state = ServerState(
            max_sockets_per_address=settings.max_sockets_per_address,
            max_messages_per_second=settings.max_messages_per_second,
            proxies=proxies,
        )
        self.has_failed = False
        self._settings = settings
        self._listener = listener
        self._services: Services | None = None
        self._watching: asyncio.Task[None] | None = None
        self._jobs_drained: asyncio.Task[None] | None = None

    async def run_with_services(self) -> None:
        """Serve while the services are open. What keeps them from opening is raised, not logged as uvicorn would."""
        on_first_signal(lambda: self._stop(self._settings.drain_delay))
        async with self._app.router.lifespan_context(self._app):
            await self.serve(sockets=[self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            calm_the_collector()
            _print_urls(self._listener, self._settings)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        if self._services is not None:
            await self._drain(self._services)
        await super().shutdown()
        if self._jobs_drained is not None:
            await self._jobs_drained

    def _watch_over(self, services: Services) -> None:
        self._services = services

        async def stop_when_failed() -> None:
            await services.failed.wait()
            self.has_failed = True
            self._stop(0)

        self._watching = asyncio.get_running_loop().create_task(stop_when_failed())

    def _stop(self, delay: float) -> None:
        self._begin_to_drain(delay)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._exit)
        else:
            self._exit()

    def _begin_to_drain(self, delay: float) -> None:
        if self._services is None or self._services.draining.is_set():
            return
        self._services.draining.set()
        self._state.is_draining = True
        for connection in self._state.connections:
            if isinstance(connection, HttpProtocol):
                connection.answer_once_more()
        if (worker := self._services.worker) is not None:
            self._jobs_drained = asyncio.create_task(worker.drain(delay + self._settings.drain))

    def _exit(self) -> None:
        self.should_exit = True

    async def _drain(self, services: Services) -> None:
        """Let streams go on while something can happen that ends here, and end them."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.drain
        services.streams.drain()
        if self._jobs_drained is None:
            # Jobs run elsewhere. Only whoever follows one of them to its end can reach an end here.
            await _until(lambda: not services.watching.follows_a_job, self._settings.drain)
        elif not self._jobs_drained.done():
            await asyncio.wait([self._jobs_drained], timeout=self._settings.drain + GIVING_BACK_SECONDS)
            await asyncio.sleep(SETTLING_SECONDS)
        services.streams.end()
        self.config.timeout_graceful_shutdown = max(CLOSING_SECONDS, math.ceil(deadline - loop.time()))
        # Until their clients have answered: what is closed before may never show them the reason.
        await _until(lambda: not any(isinstance(each, SocketProtocol) for each in self._state.connections), 1)


def _warn_of_lonely_server(settings: Settings) -> None:
    try:
        check_shared(settings)
    except ValueError as error:
        logger.warning("nobody will run the jobs of this server: %s", error)


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition, but not longer than so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        if condition() or time.monotonic() > deadline:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _print_urls(listener: socket.socket, settings: Settings) -> None:
    host, port = listener.getsockname()[:2]
    origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    shown = [
        *([("Studio", "/")] if settings.studio else []),
        *([("Explorer", "/graphiql")] if settings.explorer else []),
        ("GraphQL", "/graphql"),
        ("Images", "/images/"),
    ]
    for name, path in shown:
        print(f"{name:<9} {origin}{path}", file=sys.stderr)  # noqa: T201
    sys.stderr.flush()
