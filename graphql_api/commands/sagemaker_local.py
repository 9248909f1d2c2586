"""`text2image sagemaker-local`: a stand-in for Amazon SageMaker on this machine. See graphql_api/sagemaker_local/."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import uvicorn

from graphql_api.adapters.aws import AwsOptions, open_aws
from graphql_api.adapters.s3_place import S3Place
from graphql_api.commands.process import CLOSING_SECONDS, Server, listen
from graphql_api.sagemaker_local.app import Rehearsal, create_app
from graphql_api.sagemaker_local.asynchronous import AsyncOutput
from graphql_api.sagemaker_local.connections import CuttableProtocol
from graphql_api.sagemaker_local.control import ControlPlane
from graphql_api.sagemaker_local.endpoints import DeclaredEndpoint, EndpointKind
from graphql_api.sagemaker_local.faults import ActiveFaults, Fault, read_faults
from graphql_api.sagemaker_local.invocations import InvocationLog
from graphql_api.sagemaker_local.runtime import Runtime, RuntimeOptions
from graphql_api.telemetry import configure_logging

HOST = "127.0.0.1"
KEEP_ALIVE_SECONDS = 60
DEFAULT_ENDPOINT = "sd=jumpstart-sd"
DEFAULT_REGION = "us-east-1"
SCHEMES = {
    EndpointKind.REAL_TIME: "sagemaker",
    EndpointKind.STREAM: "sagemaker-stream",
    EndpointKind.ASYNC: "sagemaker-async",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """Everything that the command line says, checked."""

    options: RuntimeOptions
    faults: Sequence[Fault]


def check(
    *,
    endpoints: Sequence[str],
    output: str,
    success_topic: str,
    error_topic: str,
    faults: Sequence[str],
    workers: int,
    step_seconds: float,
    part_bytes: int | None,
    time_limit: float | None,
) -> Rehearsed:
    """Read what was given. Raises ValueError."""
    declared = [DeclaredEndpoint.parse(each) for each in endpoints or [DEFAULT_ENDPOINT]]
    names = [each.name for each in declared]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Endpoint {twice[0]!r} is declared more than once.")
    if any(each.kind is EndpointKind.ASYNC for each in declared) and not output:
        raise ValueError("An asynchronous endpoint needs a place for its answers, such as --output s3://bucket/prefix.")
    told = [fault for text in faults for fault in read_faults(text)]
    ActiveFaults(names).replace(told)
    return Rehearsed(
        options=RuntimeOptions(
            endpoints=declared,
            region=os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION") or DEFAULT_REGION,
            output=AsyncOutput(
                place=S3Place.parse(output), success_topic=success_topic or None, error_topic=error_topic or None
            )
            if output
            else None,
            workers=workers,
            step_seconds=step_seconds,
            part_bytes=part_bytes,
            time_limit=time_limit,
        ),
        faults=told,
    )


def serve(rehearsed: Rehearsed, *, port: int) -> None:
    """Serve until a signal. Port 0 lets the system choose. Raises PortTaken."""
    configure_logging("info", "text")
    listener = listen(HOST, port)
    # asyncio does this only for sockets that were made with the protocol's number. Without it, headers and body of an
    # answer are 40 ms apart, as long as the client's system holds its acknowledgement back.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    asyncio.run(_serve(rehearsed, listener))


async def _serve(rehearsed: Rehearsed, listener: socket.socket) -> None:
    options = rehearsed.options
    faults, log = ActiveFaults(each.name for each in options.endpoints), InvocationLog()
    faults.replace(rehearsed.faults)
    executor = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="sketch")
    try:
        async with open_aws(AwsOptions(region=options.region)) as aws:
            runtime = Runtime(options, faults=faults, log=log, aws=aws, executor=executor)
            control = ControlPlane(options, faults=faults, created_at=datetime.now(UTC))
            app = create_app(runtime, control, Rehearsal(faults, log))
            server = _Server(
                uvicorn.Config(
                    app,
                    http=CuttableProtocol,
                    ws="none",
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,
                    # Longer than the SDK keeps a connection (12 s): else one is closed in the instant of its use, and
                    # an invocation that may have run is not sent again.
                    timeout_keep_alive=KEEP_ALIVE_SECONDS,
                    timeout_graceful_shutdown=CLOSING_SECONDS,
                ),
                listener,
                options,
            )
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, server.handle_exit, number, None)
            try:
                await server.serve(sockets=[listener])
            finally:
                await runtime.close()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


class _Server(Server):
    """uvicorn, which says how to use it, and which waits for nobody at the end: some requests hang on purpose."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, options: RuntimeOptions) -> None:
        super().__init__(config)
        self._listener = listener
        self._options = options

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        print(_help(f"http://{HOST}:{self._listener.getsockname()[1]}", self._options), file=sys.stderr, flush=True)  # noqa: T201

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets=sockets)


def _help(origin: str, options: RuntimeOptions) -> str:
    elsewhere = os.environ.get("AWS_ENDPOINT_URL", "")
    lines = [f"SageMaker  {origin}"]
    if options.output is not None:
        s3 = os.environ.get("AWS_ENDPOINT_URL_S3", elsewhere) or "Amazon's own, since AWS_ENDPOINT_URL is not set"
        lines.append(f"S3, SNS    {s3}")
    width = max(len(each.name) for each in options.endpoints)
    lines += ["", "Endpoints, and how a model of the server names them:"]
    for each in options.endpoints:
        inputs = "?inputs=s3://<bucket>/<prefix>" if each.kind is EndpointKind.ASYNC else ""
        lines.append(f"  {each.name:<{width}}  {each.family}  {SCHEMES[each.kind]}:{each.name}{inputs}")
    lines += [
        "",
        "For the server, or any other client of AWS:",
        f"  export AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME={origin} AWS_ENDPOINT_URL_SAGEMAKER={origin}",
    ]
    if not {"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & os.environ.keys():
        lines.append("  export AWS_ACCESS_KEY_ID=rehearsal AWS_SECRET_ACCESS_KEY=rehearsal")
    lines += [
        "",
        "Tell it what shall go wrong, and look at what was asked of it:",
        f"""  curl -X PUT {origin}/-/faults -d '{{"kind": "throttle", "times": 1}}'""",
        f"  curl -X DELETE {origin}/-/faults",
        f"  curl {origin}/-/invocations",
        "",
    ]
    return "\n".join(lines)
