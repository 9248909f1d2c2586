"""`text2image doctor`: tries everything that the settings name, and says how to mend what does not work.

It does what the server does, through the same adapters: it writes a small file where images go, fetches it the way a
client would, and deletes it. It draws nothing, and so pays for nothing, unless it is told to.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from graphql_api.adapters.aws import Aws, AwsOptions, error_code, open_aws
from graphql_api.adapters.completion_queue import open_completion_queue
from graphql_api.adapters.event_broker import open_event_broker
from graphql_api.adapters.job_store import open_job_store
from graphql_api.adapters.key_store import key_store_url, open_key_store
from graphql_api.adapters.model_endpoint import AWS_SCHEMES, open_model_endpoint
from graphql_api.adapters.webhook_sender import open_webhook_sender
from graphql_api.bootstrap import database_login, declared_models, document_rules, jwt_options, open_images
from graphql_api.domain.errors import GenerationFailed, ServiceUnavailable, Text2ImageError
from graphql_api.domain.generation import GenerationRequest, ModelAvailability, complete
from graphql_api.domain.ids import new_job_id
from graphql_api.model_file import DeclaredModel
from graphql_api.ports import Answer, DeferredEndpoint, Invocation, ModelEndpoint
from graphql_api.schema import schema
from graphql_api.schema.trusted import read_trusted_documents
from graphql_api.service.bench import Backoff
from graphql_api.service.clock import utc_now
from graphql_api.service.webhook_signing import WebhookSecrets
from graphql_api.settings import Settings

CHECK_SECONDS = 60.0
PROBE = b"\xff\xd8\xff\xe0text2image doctor\xff\xd9"


class State(StrEnum):
    """How a check came out. A warning is no reason not to go on."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row of the table. `remedy` is empty where nothing is to be done."""

    check: str
    state: State
    detail: str
    remedy: str = ""
    seconds: float = 0.0


class Trouble(Exception):
    """A check found something. The remedy says what to do about it."""

    def __init__(self, detail: str, remedy: str, *, state: State = State.FAILED) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy
        self.state = state


Check = Callable[[], Awaitable[str]]
"""Tries one thing; the result says what was found. Raises Trouble, or whatever the adapter raises."""


async def examine(settings: Settings, *, invokes: bool = False) -> AsyncIterator[Finding]:
    """Every check that the settings call for, in an order in which the first that fails explains the others.

    With `invokes`, each model draws one image, which is paid for.
    """
    async with open_aws(AwsOptions(region=settings.aws_region or None)) as aws:
        for name, check in _checks(settings, aws, invokes=invokes):
            yield await _tried(name, check)


def _checks(settings: Settings, aws: Aws, *, invokes: bool) -> list[tuple[str, Check]]:
    checks = _store_checks(settings, aws)
    if settings.auth == "jwt":
        checks.append(("identity provider", lambda: _identity_provider(settings)))
    if settings.documents or settings.documents_only:
        checks.append(("trusted documents", lambda: _trusted_documents(settings)))
    if settings.webhook_secret.get_secret_value():
        checks.append(("webhooks", lambda: _webhooks(settings)))
    if uses_aws(settings) and not settings.database_secret:
        checks.append(("AWS credentials", lambda: _credentials(aws)))
    try:
        models = declared_models(settings)
    except ValueError as error:
        problem = str(error)
        checks.append(("models", lambda: _told(problem, "Correct it; docs/models.md lists what a model file may say.")))
        models = ()
    for model in models:
        checks.append((f"model {model.model.name}", _bound(_model, model, aws)))
        if invokes:
            checks.append((f"image from {model.model.name}", _bound(_image, model, aws)))
    checks.append(("image store", lambda: _image_store(settings, aws)))
    if settings.completions:
        checks.append(("completion queue", lambda: _completion_queue(settings, aws)))
    return checks


def _store_checks(settings: Settings, aws: Aws) -> list[tuple[str, Check]]:
    checks: list[tuple[str, Check]] = []
    if settings.database_secret:
        checks += [
            ("AWS credentials", lambda: _credentials(aws)),
            ("secret of the database", lambda: _database_secret(settings, aws)),
        ]
    checks += [("job store", lambda: _job_store(settings, aws)), ("event broker", lambda: _event_broker(settings))]
    if settings.auth == "keys":
        checks.append(("API keys", lambda: _api_keys(settings, aws)))
    return checks


def uses_aws(settings: Settings) -> bool:
    """Whether anything that the settings name is at AWS, besides the secret of the database."""
    try:
        urls = [model.entry.endpoint for model in declared_models(settings)]
    except ValueError:
        urls = []
    schemes = {url.partition(":")[0] for url in urls}
    return bool(settings.completions or settings.images.startswith("s3:") or schemes & AWS_SCHEMES)


async def _tried(name: str, check: Check) -> Finding:
    began = time.monotonic()
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            detail = await check()
        finding = Finding(check=name, state=State.OK, detail=detail)
    except Trouble as trouble:
        finding = Finding(check=name, state=trouble.state, detail=trouble.detail, remedy=trouble.remedy)
    except TimeoutError:
        remedy = "Check the network between this machine and the service: DNS, routes, VPC endpoints, firewalls."
        finding = Finding(
            check=name, state=State.FAILED, detail=f"no answer within {CHECK_SECONDS:.0f} s", remedy=remedy
        )
    except (Text2ImageError, ValueError) as error:
        finding = Finding(check=name, state=State.FAILED, detail=_with_cause(error), remedy=_remedy(error))
    return replace(finding, seconds=time.monotonic() - began)


# --- checks ----------------------------------------------------------------------------------------------------------


async def _told(detail: str, remedy: str) -> str:
    raise Trouble(detail, remedy)


async def _database_secret(settings: Settings, aws: Aws) -> str:
    from graphql_api.adapters.database_secret import SecretUnreadable

    login = await database_login(settings, aws)
    assert login is not None
    try:
        who = await login()
    except SecretUnreadable as error:
        raise Trouble(
            str(error),
            "Correct TEXT2IMAGE_DATABASE_SECRET or the region, and allow secretsmanager:GetSecretValue on the secret; "
            "where a key of your own encrypts it, kms:Decrypt on that.",
        ) from error
    return f"the user is {who.username}"


async def _job_store(settings: Settings, aws: Aws) -> str:
    from graphql_api.adapters.job_store.sqlite_file import StoreInUse

    try:
        login = await database_login(settings, aws)
        async with open_job_store(settings.database_url, login=login) as store:
            await store.check()
            return _without_password(settings.database_url)
    except StoreInUse:
        return f"{settings.database_url}, in use by a server that runs"


async def _api_keys(settings: Settings, aws: Aws) -> str:
    login = await database_login(settings, aws)
    async with open_key_store(key_store_url(settings.database_url), login=login) as store:
        now = utc_now()
        keys = [key for key in await store.all() if key.revoked_at is None]
        count = sum(key.expires_at is None or key.expires_at > now for key in keys)
    if not count:
        raise Trouble("there is no key that counts", "Make one: text2image keys create NAME.", state=State.WARNING)
    return f"{count} keys count"


async def _identity_provider(settings: Settings) -> str:
    from graphql_api.adapters.authenticator.jwt import open_jwt_authenticator

    try:
        async with open_jwt_authenticator(jwt_options(settings)) as authenticator:
            return f"{settings.jwt_issuer} has {await authenticator.check()} keys"
    except ServiceUnavailable as error:
        raise Trouble(
            f"the keys of {settings.jwt_issuer} cannot be fetched",
            "Correct TEXT2IMAGE_JWT_ISSUER, or name where they are in TEXT2IMAGE_JWT_JWKS_URL; docs/callers.md.",
        ) from error


async def _trusted_documents(settings: Settings) -> str:
    rules = document_rules(settings)
    schema.with_rules(rules)
    own = read_trusted_documents(Path(settings.documents)).texts
    others = ", and no others but the Studio's" if settings.studio else ", and no others"
    return f"{len(own)} documents{others * rules.only_trusted}"


async def _webhooks(settings: Settings) -> str:
    WebhookSecrets(settings.webhook_secret.get_secret_value())
    async with open_webhook_sender(settings.webhook_networks):
        networks = ", ".join(settings.webhook_networks)
    return f"to public addresses{' and ' * bool(networks)}{networks}"


async def _event_broker(settings: Settings) -> str:
    async with open_event_broker(settings.events, password=settings.events_password.get_secret_value()) as broker:
        await broker.check()
        return _without_password(settings.events)


def _without_password(url: str) -> str:
    return re.sub(r"//.*@", "//***@", url.partition("?")[0])


async def _credentials(aws: Aws) -> str:
    try:
        client = await aws.sts()
        identity = await client.get_caller_identity()
    except Exception as error:
        raise Trouble(
            f"refused: {error_code(error)}",
            "Give the server credentials (a role, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and a "
            "region (AWS_REGION).",
        ) from error
    return str(identity["Arn"])


async def _model(model: DeclaredModel, aws: Aws) -> str:
    """Whether the endpoint is there, by its description, and takes what it needs to be handed."""
    async with _opened(model, aws) as endpoint:
        match await endpoint.availability():
            case ModelAvailability.READY:
                return f"{model.entry.endpoint}, in service"
            case ModelAvailability.STARTING:
                remedy = "Wait: jobs are accepted and held until it is in service."
                raise Trouble("it is being created or updated", remedy, state=State.WARNING)
            case ModelAvailability.SCALED_TO_ZERO:
                remedy = "Nothing: the first job starts an instance, which takes minutes."
                raise Trouble("it has no instance", remedy, state=State.WARNING)
            case ModelAvailability.UNAVAILABLE:
                raise Trouble(
                    await _why_unavailable(model, aws),
                    f"Correct the name ({model.where}) or the region, create the endpoint (docs/aws.md), or allow "
                    "sagemaker:DescribeEndpoint on it.",
                )


async def _why_unavailable(model: DeclaredModel, aws: Aws) -> str:
    name = model.entry.endpoint.partition(":")[2].partition("?")[0]
    try:
        client = await aws.sagemaker()
        description: Any = await client.describe_endpoint(EndpointName=name)
    except Exception as error:
        return f"it cannot be described: {error_code(error)}"
    reason = description.get("FailureReason", "")
    return f"its status is {description.get('EndpointStatus')}{': ' if reason else ''}{reason}"


async def _image(model: DeclaredModel, aws: Aws) -> str:
    """Draw one image with the model's defaults, and read the answer."""
    parameters = complete(GenerationRequest(prompt="a lighthouse at dawn", seed=1), model.model, None)
    request = model.codec.encode(parameters)[0]
    job_id = new_job_id()
    invocation = Invocation(id=job_id, job_id=job_id, request=request, timeout_seconds=CHECK_SECONDS)
    async with _opened(model, aws) as endpoint:
        answer = await _answer(endpoint, invocation)
    pictures = await asyncio.to_thread(model.codec.decode, request, answer)
    if not pictures:
        raise Trouble("the model answered without an image", "See the log group of the endpoint.")
    return f"{len(answer.body):,} bytes of {answer.content_type}, read by the codec {model.codec.name}"


async def _answer(endpoint: ModelEndpoint | DeferredEndpoint, invocation: Invocation) -> Answer:
    if isinstance(endpoint, DeferredEndpoint):
        placement = await endpoint.submit(invocation)
        backoff = Backoff(1.0, most_seconds=10.0)
        while (answer := await endpoint.collect(placement)) is None:
            await backoff.pause()
        return answer
    async for update in endpoint.invoke(invocation):
        if isinstance(update, Answer):
            return update
    raise Trouble("the model ended without an answer", "See the log group of the endpoint.")


async def _image_store(settings: Settings, aws: Aws) -> str:
    """Put a file, fetch it the way a client does, list it and delete it."""
    job_id = new_job_id()
    key = f"images/{job_id}/0-{hashlib.sha256(job_id.encode()).hexdigest()[:16]}.jpg"
    async with open_images(settings, aws) as images:
        await images.put(key, PROBE, "image/jpeg")
        try:
            if list(await images.keys_of(job_id)) != [key]:
                raise Trouble("a file that was stored is not listed", "Allow s3:ListBucket on the bucket.")
            url = await images.url_for(key)
            if url.startswith("/"):
                return f"{settings.images_url}; files are served by the server itself"
            return await _fetched(url, settings)
        finally:
            await images.delete_job(job_id)


async def _fetched(url: str, settings: Settings) -> str:
    import httpx

    place = urljoin(url, "/")
    try:
        async with httpx.AsyncClient(timeout=20, follow_redirects=False) as client:
            answer = await client.get(url)
    except httpx.HTTPError as error:
        raise Trouble(
            f"{place} does not answer: {type(error).__name__}",
            "Correct TEXT2IMAGE_PUBLIC_URL, or check that the distribution is deployed and that DNS knows it.",
        ) from error
    if answer.status_code == 403 and settings.url_key_id:
        raise Trouble(
            f"{place} answers 403",
            "Put the public key of TEXT2IMAGE_URL_KEY_ID into the key group that the distribution trusts, and let the "
            "distribution read the bucket (origin access control).",
        )
    if answer.status_code != 200 or answer.content != PROBE:
        raise Trouble(
            f"{place} answers {answer.status_code} and not the file",
            "Let the distribution read the bucket: an origin access control, and a bucket policy that allows it "
            "s3:GetObject (docs/aws.md).",
        )
    return f"{settings.images_url}; fetched from {place}"


async def _completion_queue(settings: Settings, aws: Aws) -> str:
    async with open_completion_queue(settings.completions, aws=aws):
        queue_url = settings.completions.partition(":")[2]
        try:
            client = await aws.sqs()
            answer = await client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])
        except Exception as error:
            raise Trouble(
                f"refused: {error_code(error)}",
                "Correct TEXT2IMAGE_COMPLETIONS, or allow sqs:ReceiveMessage, sqs:DeleteMessage and "
                "sqs:GetQueueAttributes on the queue.",
            ) from error
    attributes = answer.get("Attributes", {})
    if "RedrivePolicy" not in attributes:
        raise Trouble(
            "it has no dead-letter queue",
            "Give it one: messages that nobody understands come back for ever otherwise.",
            state=State.WARNING,
        )
    return f"{attributes.get('ApproximateNumberOfMessages', '?')} messages wait"


# --- pieces ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _opened(model: DeclaredModel, aws: Aws) -> AsyncIterator[ModelEndpoint | DeferredEndpoint]:
    async with AsyncExitStack() as stack:
        executor = stack.enter_context(ThreadPoolExecutor(1))
        opening = open_model_endpoint(model.entry.endpoint, executor=executor, aws=aws)
        try:
            endpoint = await stack.enter_async_context(opening)
        except ValueError as error:
            raise Trouble(f"{model.where}: {error}", "Correct it.") from error
        yield endpoint


def _bound(check: Callable[[DeclaredModel, Aws], Awaitable[str]], model: DeclaredModel, aws: Aws) -> Check:
    return lambda: check(model, aws)


def _with_cause(error: Exception) -> str:
    cause = error.__cause__
    return str(error) if cause is None else f"{str(error).rstrip('.')}: {error_code(cause)}"


def _remedy(error: Exception) -> str:
    if isinstance(error, GenerationFailed):
        return "The log above says what the service answered and what to do."
    if isinstance(error, ValueError):
        return "Correct the setting."
    return "The log above says more, if there is one; check that what the setting names exists and may be used."
