"""The one place that knows which adapter is real."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from graphql_api.adapters.aws import Aws, AwsOptions, open_aws
from graphql_api.adapters.completion_queue import open_completion_queue
from graphql_api.adapters.database_login import ReadLogin, check_has_no_login
from graphql_api.adapters.event_broker import open_event_broker
from graphql_api.adapters.image_store import open_image_store
from graphql_api.adapters.image_store.cloudfront import UrlSigning
from graphql_api.adapters.image_store.folder import FolderImageStore
from graphql_api.adapters.image_store.signed_urls import FolderSigning
from graphql_api.adapters.job_store import is_shared, open_job_store
from graphql_api.adapters.key_store import key_store_url, open_key_store
from graphql_api.adapters.model_endpoint import open_model_endpoint
from graphql_api.adapters.rate_limiter import open_rate_limiter
from graphql_api.adapters.webhook_sender import open_webhook_sender
from graphql_api.domain.caller import CallerLimits
from graphql_api.domain.generation import Model, ModelDefaults, ModelLimits
from graphql_api.http.pages import STUDIO_DOCUMENTS
from graphql_api.model_file import DeclaredModel, ModelFileError, read_model_file, single_model
from graphql_api.ports import Authenticator, DeferredEndpoint, EventBroker, ImageStore, JobStore, ModelEndpoint
from graphql_api.schema import schema
from graphql_api.schema.documents import DocumentRules
from graphql_api.schema.execution import JobSchema
from graphql_api.schema.trusted import read_trusted_documents
from graphql_api.service.api_keys import KeyAuthenticator
from graphql_api.service.bench import Bench, WorkerOptions
from graphql_api.service.callers import OneCaller, Sessions
from graphql_api.service.completions import Completions
from graphql_api.service.estimates import Estimates
from graphql_api.service.fair_use import FairUse
from graphql_api.service.janitor import Janitor, JanitorOptions
from graphql_api.service.jobs import JobService
from graphql_api.service.models import InvocationPolicy, ModelRegistry, RunnableModel
from graphql_api.service.postman import Postman
from graphql_api.service.queue_report import QueueReport
from graphql_api.service.streams import Streams
from graphql_api.service.watching import WatchService
from graphql_api.service.webhook_messages import WebhookMessages
from graphql_api.service.webhook_signing import WebhookSecrets
from graphql_api.service.webhooks import Mailing, Webhooks
from graphql_api.service.worker import Worker
from graphql_api.settings import DEFAULT_ENDPOINT, Settings
from graphql_api.telemetry import traces, watch_event_loop

if TYPE_CHECKING:
    from graphql_api.adapters.authenticator.jwt import JwtOptions

logger = logging.getLogger(__name__)

CHECK_MISSED_SECONDS = 5.0
CPU_NICENESS = 10
SPARE_CONNECTIONS = 64

SKETCH = Model(
    name="sketch",
    description="The built-in renderer: an abstract picture drawn from prompt and seed, refined step by step. "
    "It is not a diffusion model; it shows how the service works without a GPU.",
    license="MIT",
    defaults=ModelDefaults(width=768, height=768, steps=50, guidance_scale=7.5),
    limits=ModelLimits(max_count=4, max_dimension=1536, max_prompt_length=2_000, max_steps=100, size_multiple=8),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that the edge of the program works with."""

    settings: Settings
    store: JobStore
    images: ImageStore
    image_folder: FolderImageStore | None
    """The same, when this program hands the images out itself."""
    broker: EventBroker
    models: ModelRegistry
    jobs: JobService
    watching: WatchService
    schema: JobSchema
    authenticator: Authenticator
    fair_use: FairUse
    sessions: Sessions
    webhooks: Webhooks
    failed: asyncio.Event
    """Set when a part that must run for ever has ended; the program should too."""
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    """Set as soon as the program is about to end: it is not ready for new work any more."""
    streams: Streams = field(default_factory=Streams)
    worker: Worker | None = None
    """What runs jobs in this process."""

    @property
    def asks_who(self) -> bool:
        """Whether callers must show a credential."""
        return not isinstance(self.authenticator, OneCaller)


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    with_worker: bool = True,
    only_models: Collection[str] = (),
    authenticator: Authenticator | None = None,
) -> AsyncIterator[Services]:
    """Open every adapter, start the background work, and close all of it in reverse order. With `only_models`, the
    worker runs no others. An `authenticator` takes the place of the one that the settings name.

    Raises ValueError for settings that make no sense, ServiceUnavailable when something cannot be opened.
    """
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(traces(settings.traces))
        declared = declared_models(settings)
        aws = await stack.enter_async_context(open_aws(_aws_options(settings, declared)))
        login = await database_login(settings, aws)
        store = await stack.enter_async_context(
            open_job_store(settings.database_url, connections=settings.database_connections, login=login)
        )
        images = await stack.enter_async_context(open_images(settings, aws))
        events_password = settings.events_password.get_secret_value()
        broker = await stack.enter_async_context(open_event_broker(settings.events, password=events_password))
        executor = stack.enter_context(_cpu_threads())
        models = await _open_models(stack, settings, declared, executor, aws)
        limiter = await stack.enter_async_context(open_rate_limiter(settings.events, password=events_password))
        fair_use = FairUse(limiter, store, _default_limits(settings))
        mailing = await _open_mailing(stack, settings, store)
        webhooks = Webhooks(mailing)
        estimates = Estimates(store, models)
        jobs = JobService(
            store=store,
            images=images,
            broker=broker,
            models=models,
            estimates=estimates,
            max_queued=settings.max_queued,
            retention_seconds=settings.retention or None,
            fair_use=fair_use,
            webhooks=webhooks,
        )
        known = authenticator
        if known is None:
            known = await stack.enter_async_context(open_authenticator(settings, login=login))
        sessions = Sessions(known)
        services = Services(
            settings=settings,
            store=store,
            images=images,
            image_folder=images if isinstance(images, FolderImageStore) else None,
            broker=broker,
            models=models,
            jobs=jobs,
            watching=WatchService(jobs=jobs, store=store, broker=broker),
            schema=schema.with_rules(document_rules(settings)),
            authenticator=known,
            fair_use=fair_use,
            sessions=sessions,
            webhooks=webhooks,
            failed=asyncio.Event(),
        )
        background = _Background(services.failed)
        stack.push_async_callback(background.stop)
        background.start(watch_event_loop(), "watch over the event loop")
        background.start(_every(CHECK_MISSED_SECONDS, services.watching.check_for_missed_notices), "missed notices")
        background.start(sessions.run(), "look after credentials")
        if mailing is not None:
            # Also without a worker: what is accepted here must be sent, whatever the workers were told.
            postman = Postman(store, mailing.sender, mailing.secrets, _messages(settings, images))
            background.start(postman.run(), "postman")
        if with_worker:
            bench = Bench(
                worker_id=f"worker-{secrets.token_hex(8)}",
                store=store,
                images=images,
                broker=broker,
                estimates=estimates,
                executor=executor,
                options=_worker_options(settings),
            )
            janitor = Janitor(store, jobs, models, holder=bench.worker_id, options=_janitor_options(settings))
            background.start(janitor.run(), "janitor")
            if settings.log_format == "json":
                # For machines: a person who watches a terminal has no use for it.
                background.start(QueueReport(store, janitor).run(), "report of the queue")
            if settings.completions:
                queue = await stack.enter_async_context(open_completion_queue(settings.completions, aws=aws))
                background.start(Completions(queue, store, broker).run(), "taking of notices")
            worker = Worker(_chosen(models, only_models), bench)
            background.start(worker.run(), "worker")
            services = replace(services, worker=worker)
        yield services


@asynccontextmanager
async def open_authenticator(settings: Settings, *, login: ReadLogin | None = None) -> AsyncIterator[Authenticator]:
    """What tells who asks; `login` is the database's. Raises ValueError, ServiceUnavailable."""
    match settings.auth:
        case "keys":
            async with open_key_store(key_store_url(settings.database_url), login=login) as store:
                yield KeyAuthenticator(store)
        case "jwt":
            from graphql_api.adapters.authenticator.jwt import open_jwt_authenticator

            async with open_jwt_authenticator(jwt_options(settings)) as authenticator:
                yield authenticator
        case "none":
            yield OneCaller()


async def database_login(settings: Settings, aws: Aws) -> ReadLogin | None:
    """Who logs in to the database, None where its URL says it. Nothing is read yet. Raises ValueError."""
    if not settings.database_secret:
        return None
    check_has_no_login(settings.database_url)
    from graphql_api.adapters.database_secret import DatabaseSecret

    return DatabaseSecret(await aws.secrets_manager(), settings.database_secret).login


def jwt_options(settings: Settings) -> JwtOptions:
    """Which tokens count. Raises ValueError."""
    from graphql_api.adapters.authenticator.jwt import JwtOptions

    return JwtOptions(
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        audience_claim=settings.jwt_audience_claim,
        jwks_url=settings.jwt_jwks_url,
        caller_claim=settings.jwt_caller_claim,
        limits_claim=settings.jwt_limits_claim,
    )


def _default_limits(settings: Settings) -> CallerLimits:
    """What callers may use who have no limits of their own."""
    return CallerLimits(
        requests_per_minute=settings.requests_per_minute or None,
        jobs_per_minute=settings.jobs_per_minute or None,
        jobs_in_flight=settings.jobs_in_flight or None,
        pixels_per_day=settings.pixels_per_day or None,
        sockets=settings.sockets_per_caller or None,
        streams=settings.streams_per_caller or None,
        dollars_per_month=settings.dollars_per_month or None,
    )


async def _open_mailing(stack: AsyncExitStack, settings: Settings, store: JobStore) -> Mailing | None:
    """What sends webhooks, None where there are none."""
    secret = settings.webhook_secret.get_secret_value()
    if not secret:
        return None
    secrets_of_callers = WebhookSecrets(secret)
    sender = await stack.enter_async_context(open_webhook_sender(settings.webhook_networks))
    return Mailing(store=store, sender=sender, secrets=secrets_of_callers)


def _messages(settings: Settings, images: ImageStore) -> WebhookMessages:
    if isinstance(images, FolderImageStore) and not settings.public_url:
        logger.warning(
            "webhooks name images by paths such as /images/..., which receivers cannot open: set TEXT2IMAGE_PUBLIC_URL "
            "to where this server is reached"
        )
    return WebhookMessages(images)


def document_rules(settings: Settings) -> DocumentRules:
    """Which documents are run. Raises ValueError."""
    if settings.documents_only and not settings.documents:
        raise ValueError("TEXT2IMAGE_DOCUMENTS_ONLY needs TEXT2IMAGE_DOCUMENTS to name the documents.")
    trusted = read_trusted_documents(Path(settings.documents)) if settings.documents else None
    if trusted is not None and settings.studio and STUDIO_DOCUMENTS.is_file():
        trusted = trusted.joined(read_trusted_documents(STUDIO_DOCUMENTS))
    return DocumentRules(
        trusted=trusted,
        only_trusted=settings.documents_only,
        allows_introspection=settings.explorer,
    )


def open_images(settings: Settings, aws: Aws) -> AbstractAsyncContextManager[ImageStore]:
    """The image store that the settings name. Raises ValueError, ServiceUnavailable when it is entered."""
    return open_image_store(
        settings.images_url,
        public_url=settings.public_url,
        aws=aws,
        signing=_url_signing(settings),
        presigned_seconds=settings.url_seconds,
        folder_signing=_folder_signing(settings),
    )


def _folder_signing(settings: Settings) -> FolderSigning | None:
    secret = settings.url_secret.get_secret_value()
    return FolderSigning(secret, valid_seconds=settings.url_seconds) if secret else None


def _url_signing(settings: Settings) -> UrlSigning | None:
    if not settings.url_key_id:
        return None
    return UrlSigning(
        key_id=settings.url_key_id, private_key=settings.private_key(), valid_seconds=settings.url_seconds
    )


def declared_models(settings: Settings) -> Sequence[DeclaredModel]:
    """The models that the settings name, the default first. Raises ModelFileError."""
    if settings.models and settings.endpoint != DEFAULT_ENDPOINT:
        raise ModelFileError("TEXT2IMAGE_MODELS and TEXT2IMAGE_ENDPOINT exclude each other; unset one of them.")
    if settings.models and settings.price_per_second:
        raise ModelFileError(
            "TEXT2IMAGE_PRICE_PER_SECOND is for the model of TEXT2IMAGE_ENDPOINT; write price_per_second into the file "
            "that TEXT2IMAGE_MODELS names."
        )
    if settings.models:
        return read_model_file(Path(settings.models))
    price = settings.price_per_second or None
    declared = single_model(settings.endpoint, settings.codec, where="TEXT2IMAGE_ENDPOINT", price_per_second=price)
    is_sketch = settings.endpoint.startswith("sketch:")
    return [replace(declared, model=replace(SKETCH, price_per_second=price)) if is_sketch else declared]


def _aws_options(settings: Settings, models: Sequence[DeclaredModel]) -> AwsOptions:
    """Each job in flight has a connection of its own, to its endpoint and then to S3."""
    jobs = sum(model.entry.concurrency or settings.concurrency for model in models)
    return AwsOptions(region=settings.aws_region or None, max_connections=2 * jobs + SPARE_CONNECTIONS)


async def _open_models(
    stack: AsyncExitStack, settings: Settings, all_declared: Sequence[DeclaredModel], executor: Executor, aws: Aws
) -> ModelRegistry:
    models = []
    for declared in all_declared:
        url = declared.entry.endpoint
        try:
            endpoint = await stack.enter_async_context(open_model_endpoint(url, executor=executor, aws=aws))
        except ValueError as error:
            raise ModelFileError(f"{declared.where}: {error}") from error
        if isinstance(endpoint, DeferredEndpoint) and not settings.completions:
            logger.warning(
                "model %s answers later, and TEXT2IMAGE_COMPLETIONS names no queue that tells of it: its answers are "
                "looked for every few seconds",
                declared.model.name,
            )
        models.append(_runnable(declared, endpoint, settings))
    return ModelRegistry(models)


def _runnable(declared: DeclaredModel, endpoint: ModelEndpoint | DeferredEndpoint, settings: Settings) -> RunnableModel:
    entry = declared.entry
    return RunnableModel(
        model=declared.model,
        endpoint=endpoint,
        codec=declared.codec,
        concurrency=entry.concurrency or settings.concurrency,
        policy=InvocationPolicy(
            max_attempts=entry.max_attempts or settings.max_attempts,
            pays_again=entry.pay_again,
            timeout_seconds=entry.timeout or settings.job_timeout,
            patience_seconds=settings.patience if entry.patience is None else entry.patience,
        ),
    )


def _worker_options(settings: Settings) -> WorkerOptions:
    return WorkerOptions(
        lease_seconds=settings.lease,
        drain_seconds=settings.drain,
        hears_notices=bool(settings.completions),
        embed_parameters=settings.embed_parameters,
    )


def _janitor_options(settings: Settings) -> JanitorOptions:
    options = JanitorOptions(
        round_seconds=settings.lease / 3,
        duty_seconds=settings.lease,
        settle_seconds=settings.lease,
        stray_seconds=10 * settings.lease,
    )
    # Where nobody else can have the store open, nobody else can hold a lease or know more models.
    return options if is_shared(settings.database_url) else replace(options, settle_seconds=0, orphan_seconds=0)


def _chosen(models: ModelRegistry, names: Collection[str]) -> Sequence[RunnableModel]:
    unknown = set(names) - set(models.names)
    if unknown:
        raise ValueError(f"There is no model {', '.join(sorted(unknown))}; there are {', '.join(models.names)}.")
    return [runnable for runnable in models if not names or runnable.model.name in names]


def check_shared(settings: Settings) -> None:
    """Raises ValueError when the settings name a store or a broker that other processes cannot use."""
    if not is_shared(settings.database_url):
        raise ValueError(
            "An API and workers in processes of their own need a database that they can share. "
            "Set TEXT2IMAGE_DATABASE=postgresql://<user>@<host>/<database>."
        )
    if settings.events.startswith("memory:"):
        raise ValueError(
            "An API and workers in processes of their own need a broker that carries events between them. "
            "Set TEXT2IMAGE_EVENTS=valkey://<host>."
        )


@contextmanager
def _cpu_threads() -> Iterator[Executor]:
    """Threads for what needs the CPU: one a core, of lower priority than the event loop where that is possible."""
    executor = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="cpu", initializer=_be_nice)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _be_nice() -> None:
    # On Linux a thread has a niceness of its own; elsewhere this would slow the whole process down.
    if os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), CPU_NICENESS)


async def _every(seconds: float, action: Callable[[], Coroutine[None, None, None]]) -> None:
    while True:
        await action()
        await asyncio.sleep(seconds)


class _Background:
    """Tasks that must run for ever. When one ends by itself, that is logged and told."""

    def __init__(self, failed: asyncio.Event) -> None:
        self._failed = failed
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run `work` until `stop`."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(lambda done: self._note_end(done, name))
        self._tasks.append(task)

    async def stop(self) -> None:
        """Cancel all tasks and wait for their ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _note_end(self, task: asyncio.Task[None], name: str) -> None:
        if not task.cancelled():
            logger.critical("the %s ended, which must not happen", name, exc_info=task.exception())
            self._failed.set()
