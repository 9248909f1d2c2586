"""The application: a value built from a few lists."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route, WebSocketRoute

from graphql_api.bootstrap import Services, open_services
from graphql_api.domain.ids import LOCAL_CALLER
from graphql_api.http.explorer import explorer_routes
from graphql_api.http.graphql_view import GraphQLView
from graphql_api.http.guards import BodyGuard, HostGuard, OriginGuard
from graphql_api.http.health import health_routes, preview_routes
from graphql_api.http.images import image_routes
from graphql_api.http.rest import RestApi
from graphql_api.schema import schema
from graphql_api.schema.context import Context
from graphql_api.settings import Settings

GRAPHQL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]
"""All that a client may try: the view itself answers 405 with `Allow`, in JSON."""


def create_app(
    settings: Settings,
    *,
    with_worker: bool = True,
    on_ready: Callable[[Services], None] | None = None,
) -> Starlette:
    """The ASGI application. Services are opened when it starts and closed when it stops."""
    return Starlette(
        middleware=_middleware(settings),
        lifespan=lambda app: _lifespan(app, settings, with_worker=with_worker, on_ready=on_ready),
    )


def create_app_from_environment() -> Starlette:
    """The application with the settings of the environment, for servers that import it by name."""
    return create_app(Settings())


@asynccontextmanager
async def _lifespan(
    app: Starlette, settings: Settings, *, with_worker: bool, on_ready: Callable[[Services], None] | None
) -> AsyncIterator[None]:
    async with open_services(settings, with_worker=with_worker) as services:
        app.router.routes.extend(routes(services))
        if on_ready is not None:
            on_ready(services)
        yield


def routes(services: Services) -> list[BaseRoute]:
    """Every route."""
    settings = services.settings
    make_context = context_maker(services)
    view = GraphQLView(schema, make_context=make_context, max_operations_per_socket=settings.max_operations_per_socket)
    return [
        Route("/graphql", view, methods=GRAPHQL_METHODS),
        WebSocketRoute("/graphql", view),
        *RestApi(make_context, settings.rest_wait).routes(),
        *explorer_routes(),
        *health_routes(),
        *preview_routes(services.broker),
        *(image_routes(services.image_folder) if services.image_folder else []),
    ]


def context_maker(services: Services) -> Callable[[HTTPConnection], Context]:
    """What makes the context of a request or of a socket."""

    def make_context(connection: HTTPConnection) -> Context:
        return Context(
            caller_id=LOCAL_CALLER,
            jobs=services.jobs,
            watching=services.watching,
            models=services.models,
            request_id=secrets.token_hex(8),
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
            max_age=600,
        )
    ]
    return [
        Middleware(HostGuard, allowed_hosts=settings.allowed_hosts),
        *(cors if settings.allowed_origins else []),
        Middleware(OriginGuard, allowed_origins=settings.allowed_origins),
        Middleware(BodyGuard),
    ]
