"""The routes: SageMaker's protocols, and beside them how faults are told and invocations are looked at."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from graphql_api.sagemaker_local.connections import NoResponse
from graphql_api.sagemaker_local.control import ControlPlane
from graphql_api.sagemaker_local.errors import ServiceError
from graphql_api.sagemaker_local.faults import ActiveFaults, FaultError, read_faults
from graphql_api.sagemaker_local.invocations import InvocationLog
from graphql_api.sagemaker_local.runtime import Runtime, error_response


def create_app(runtime: Runtime, control: ControlPlane, rehearsal: Rehearsal) -> Starlette:
    """The application."""
    return Starlette(
        routes=[
            Route("/endpoints/{name}/invocations", runtime.invoke, methods=["POST"]),
            Route(
                "/endpoints/{name}/invocations-response-stream", runtime.invoke_with_response_stream, methods=["POST"]
            ),
            Route("/endpoints/{name}/async-invocations", runtime.invoke_async, methods=["POST"]),
            Route("/", control.answer, methods=["POST"]),
            *rehearsal.routes(),
        ],
        exception_handlers={ServiceError: _refuse, ClientDisconnect: _let_go},
    )


class Rehearsal:
    """What is not of AWS: `/-/faults` and `/-/invocations`."""

    def __init__(self, faults: ActiveFaults, log: InvocationLog) -> None:
        self._faults = faults
        self._log = log

    def routes(self) -> Sequence[Route]:
        """All routes."""
        return [
            Route("/-/faults", self.list_faults, methods=["GET"]),
            Route("/-/faults", self.set_faults, methods=["PUT"]),
            Route("/-/faults", self.clear_faults, methods=["DELETE"]),
            Route("/-/invocations", self.list_invocations, methods=["GET"]),
            Route("/-/invocations", self.clear_invocations, methods=["DELETE"]),
        ]

    async def list_faults(self, request: Request) -> Response:
        """Every fault, with its hits."""
        return _json(self._faults.listed())

    async def set_faults(self, request: Request) -> Response:
        """Replace all faults by those in the body."""
        try:
            self._faults.replace(read_faults(await request.body()))
        except FaultError as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        return _json(self._faults.listed())

    async def clear_faults(self, request: Request) -> Response:
        """All is well again."""
        self._faults.replace([])
        return Response(status_code=204)

    async def list_invocations(self, request: Request) -> Response:
        """Every invocation, oldest first."""
        return _json(list(self._log.kept))

    async def clear_invocations(self, request: Request) -> Response:
        """Forget them."""
        self._log.kept.clear()
        return Response(status_code=204)


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value) + b"\n", media_type="application/json")


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return error_response(error)


async def _let_go(request: Request, error: Exception) -> Response:
    return NoResponse()
