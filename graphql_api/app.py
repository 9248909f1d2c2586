"""The application: a value built from a few lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route, WebSocketRoute

from graphql_api.bootstrap import Services, open_services
from graphql_api.domain.caller import Caller
from graphql_api.http.authentication import Door
from graphql_api.http.graphql_view import GraphQLView, MakeContext
from graphql_api.http.guards import BodyGuard, HostGuard, OriginGuard, SocketGuard
from graphql_api.http.health import (
    METRICS_PATH,
    PROBE_PATHS,
    Part,
    Readiness,
    health_routes,
    metrics_routes,
    preview_routes,
)
from graphql_api.http.images import image_routes
from graphql_api.http.pages import page_routes
from graphql_api.http.request_ids import RequestIds
from graphql_api.http.rest import RestApi
from graphql_api.ports import Authenticator
from graphql_api.schema.context import Context
from graphql_api.settings import Settings

GRAPHQL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]
"""All that a client may try: the view itself answers 405 with `Allow`, in JSON."""


def create_app(
    settings: Settings,
    *,
    with_worker: bool = True,
    authenticator: Authenticator | None = None,
    on_ready: Callable[[Services], None] | None = None,
) -> Starlette:
    """The ASGI application. Services are opened when it starts and closed when it stops. An `authenticator` takes the
    place of the one that the settings name."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_services(settings, with_worker=with_worker, authenticator=authenticator) as services:
            app.router.routes.extend(routes(services))
            if on_ready is not None:
                on_ready(services)
            yield

    return Starlette(middleware=_middleware(settings), lifespan=lifespan)


def create_app_from_environment() -> Starlette:
    """The application with the settings of the environment, for servers that import it by name."""
    return create_app(Settings())


def routes(services: Services) -> list[BaseRoute]:
    """Every route."""
    settings, make_context = services.settings, context_maker(services)
    door = Door(
        authenticator=services.authenticator,
        fair_use=services.fair_use,
        sessions=services.sessions,
        asks=services.asks_who,
    )
    view = GraphQLView(
        services.schema,
        make_context=make_context,
        door=door,
        streams=services.streams,
        max_operations_per_socket=settings.max_operations_per_socket,
        max_messages_per_second=settings.max_messages_per_second,
    )
    return [
        Route("/graphql", view, methods=GRAPHQL_METHODS),
        WebSocketRoute("/graphql", view),
        *RestApi(make_context, door, services.streams, settings.rest_wait, settings.public_url).routes(),
        *page_routes(studio=settings.studio, explorer=settings.explorer),
        *_operators_routes(services),
        *preview_routes(services.broker),
        *(image_routes(folder.root, folder.signing) if (folder := services.image_folder) else []),
    ]


def health_app(services: Services) -> Starlette:
    """The ASGI application of a process that serves no API: what operators and their machines ask for."""
    return Starlette(middleware=[_host_guard(services.settings)], routes=_operators_routes(services))


def _operators_routes(services: Services) -> list[BaseRoute]:
    parts = [
        Part("job_store", services.store.check, is_needed=True),
        Part("event_broker", services.broker.check, is_needed=False),
    ]
    readiness = Readiness(parts, services.draining)
    shown = metrics_routes(readiness, services.store.depths, services.models.names) if services.settings.metrics else []
    return [*health_routes(readiness), *shown]


def context_maker(services: Services) -> MakeContext:
    """What makes the context of a request or of a socket."""

    def make_context(connection: HTTPConnection, caller: Caller) -> Context:
        return Context(
            caller=caller,
            jobs=services.jobs,
            watching=services.watching,
            models=services.models,
            fair_use=services.fair_use,
            webhooks=services.webhooks,
            transport="websocket" if connection.scope["type"] == "websocket" else "http",
            may_write=connection.scope.get("method") != "GET",
        )

    return make_context


def _middleware(settings: Settings) -> list[Middleware]:
    cors = [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["Retry-After", "WWW-Authenticate", "X-Request-Id"],
            max_age=600,
        )
    ]
    return [
        Middleware(RequestIds),
        _host_guard(settings),
        *(cors if settings.allowed_origins else []),
        Middleware(OriginGuard, allowed_origins=settings.allowed_origins),
        Middleware(SocketGuard, max_per_address=settings.max_sockets_per_address),
        Middleware(BodyGuard),
    ]


def _host_guard(settings: Settings) -> Middleware:
    return Middleware(
        HostGuard, allowed_hosts=settings.allowed_hosts, open_paths=PROBE_PATHS, address_paths=(METRICS_PATH,)
    )
