"""Amazon's services: one session and one client per service for the life of the process.

Nothing of the SDK is imported before a client is asked for. Where the requests go is boto's business: its own
environment variables (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME`, profiles, roles) all count.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from aioboto3 import Session
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_sagemaker import SageMakerClient
    from types_aiobotocore_sagemaker_runtime import SageMakerRuntimeClient
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sts import STSClient


class SecretsManagerClient(Protocol):
    """What is used of the client for AWS Secrets Manager."""

    async def get_secret_value(self, *, SecretId: str) -> Mapping[str, Any]:
        """The current value, as text in `SecretString`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsOptions:
    """How clients behave. Times are in seconds.

    `invocation_read_seconds` is how long the runtime client waits for an answer: the service gives a container 60 s,
    and AWS advises 70 s for the socket.
    """

    region: str | None = None
    connect_seconds: float = 5.0
    read_seconds: float = 20.0
    invocation_read_seconds: float = 70.0
    secret_read_seconds: float = 5.0
    max_connections: int = 256


class Aws:
    """The clients. Each is opened when it is first asked for, and closed with the session. Not for several loops.

    All of them raise ValueError when the environment names no region or a profile that there is not. Adapters ask for
    theirs when they are opened, so that the server does not start then.
    """

    def __init__(self, options: AwsOptions, stack: AsyncExitStack) -> None:
        self._options = options
        self._stack = stack
        self._session: Session | None = None
        self._clients: dict[str, Any] = {}
        self._opening = asyncio.Lock()

    async def s3(self) -> S3Client:
        """Amazon S3. A put is idempotent, so short faults are met with another try here."""
        client: S3Client = await self._client("s3", attempts=3)
        return client

    async def sagemaker(self) -> SageMakerClient:
        """Descriptions of endpoints."""
        client: SageMakerClient = await self._client("sagemaker", attempts=2)
        return client

    async def sagemaker_runtime(self) -> SageMakerRuntimeClient:
        """Invocations. Each is sent once: with the SDK's defaults one read time-out runs the model five times."""
        client: SageMakerRuntimeClient = await self._client(
            "sagemaker-runtime", attempts=1, read_seconds=self._options.invocation_read_seconds
        )
        return client

    async def secrets_manager(self) -> SecretsManagerClient:
        """Secrets. Whoever opens a connection waits for one, so not for long."""
        client: SecretsManagerClient = await self._client(
            "secretsmanager", attempts=3, read_seconds=self._options.secret_read_seconds
        )
        return client

    async def sns(self) -> SNSClient:
        """Notifications, for `sagemaker-local` only."""
        client: SNSClient = await self._client("sns", attempts=3)
        return client

    async def sqs(self) -> SQSClient:
        """Queues."""
        client: SQSClient = await self._client("sqs", attempts=3, read_seconds=self._options.read_seconds + 20)
        return client

    async def sts(self) -> STSClient:
        """Who we are."""
        client: STSClient = await self._client("sts", attempts=1)
        return client

    async def _client(self, service: str, *, attempts: int, read_seconds: float | None = None) -> Any:
        found = self._clients.get(service)
        if found is not None:
            return found
        async with self._opening:
            if service not in self._clients:
                self._clients[service] = await self._open(service, attempts, read_seconds or self._options.read_seconds)
        return self._clients[service]

    async def _open(self, service: str, attempts: int, read_seconds: float) -> Any:
        # Loading the SDK and a service's description takes a good part of a second: not on the event loop.
        session = await asyncio.to_thread(self._load_session)
        from botocore.config import Config
        from botocore.exceptions import NoRegionError

        config = Config(
            connect_timeout=self._options.connect_seconds,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=self._options.max_connections,
            # Requests are spelled by our code or come from models; looking at each again costs time for nothing.
            parameter_validation=False,
        )
        client = session.client(service, config=config)  # type: ignore[call-overload]
        try:
            return await self._stack.enter_async_context(client)
        except NoRegionError as error:
            raise ValueError("No AWS region is set; set AWS_REGION.") from error

    def _load_session(self) -> Session:
        if self._session is None:
            import aioboto3
            from botocore.exceptions import ProfileNotFound

            try:
                self._session = aioboto3.Session(region_name=self._options.region)
            except ProfileNotFound as error:
                raise ValueError(f"{error}; correct AWS_PROFILE.") from error
        return self._session


@asynccontextmanager
async def open_aws(options: AwsOptions) -> AsyncIterator[Aws]:
    """Clients that are closed at the end. Opens nothing by itself."""
    async with AsyncExitStack() as stack:
        yield Aws(options, stack)


def error_code(error: BaseException) -> str:
    """The code of an answer that the SDK raised, such as `NoSuchKey`; the name of the error for anything else."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code) if code else type(error).__name__


def http_status(error: BaseException) -> int:
    """The HTTP status of an answer that the SDK raised; 0 when there was none."""
    response = getattr(error, "response", None)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    return int(status) if isinstance(status, int) else 0
