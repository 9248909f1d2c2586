"""A worker with everything around it: the product's own adapters, and an endpoint that does what a test says."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from graphql_api.adapters.event_broker.memory import MemoryEventBroker
from graphql_api.adapters.image_store import open_image_store
from graphql_api.adapters.job_store import open_job_store
from graphql_api.adapters.rate_limiter.memory import MemoryRateLimiter
from graphql_api.bootstrap import SKETCH
from graphql_api.codecs import codec_named
from graphql_api.domain.caller import UNLIMITED, Caller, CallerLimits
from graphql_api.domain.errors import GenerationFailed, ServiceUnavailable
from graphql_api.domain.events import JobEvent
from graphql_api.domain.generation import GenerationRequest, ModelAvailability
from graphql_api.domain.ids import CallerId
from graphql_api.domain.job import Job, Placement
from graphql_api.ports import Answer, CompletionNotice, ImageStore, Invocation, JobStore, StepDone
from graphql_api.service.bench import Bench, WorkerOptions
from graphql_api.service.estimates import Estimates
from graphql_api.service.fair_use import FairUse
from graphql_api.service.janitor import Janitor, JanitorOptions
from graphql_api.service.jobs import JobService
from graphql_api.service.models import InvocationPolicy, ModelRegistry, RunnableModel
from graphql_api.service.watching import WatchService
from graphql_api.service.worker import Worker
from tests.clients.waiting import eventually

ALICE = CallerId("alice")
CALLER = Caller(id=ALICE, name="Alice", account=ALICE)
REQUEST = GenerationRequest(prompt="a cat", seed=1, steps=4)
DEADLINE_SECONDS = 10


def a_jpeg(size: tuple[int, int] = (768, 768)) -> str:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def an_answer(*images: str) -> Answer:
    return Answer(body=json.dumps({"generated_images": images}).encode(), content_type="application/json;jpeg")


@dataclass
class ScriptedEndpoint:
    """A model endpoint that yields what it was given, raises what it was given, and counts its invocations."""

    script: list[StepDone | Answer | GenerationFailed | asyncio.Event]
    can_stop: bool = True
    reports_steps: bool = True
    invocations: list[Invocation] = field(default_factory=list)
    stopped: int = 0

    async def invoke(self, invocation: Invocation) -> AsyncIterator[StepDone | Answer]:
        self.invocations.append(invocation)
        try:
            for each in self.script:
                if isinstance(each, asyncio.Event):
                    await each.wait()
                elif isinstance(each, Exception):
                    raise each
                else:
                    yield each
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped += 1
            raise

    async def availability(self) -> ModelAvailability:
        return ModelAvailability.READY


class FlakyImageStore:
    """An image store that is away for the first puts."""

    def __init__(self, real: ImageStore, failures: int) -> None:
        self._real = real
        self._failures = failures
        self.url_for, self.delete, self.delete_job, self.keys_of = (
            real.url_for,
            real.delete,
            real.delete_job,
            real.keys_of,
        )

    async def put(self, key: str, body: bytes, media_type: str) -> None:
        if self._failures:
            self._failures -= 1
            raise ServiceUnavailable
        await self._real.put(key, body, media_type)


@dataclass
class ScriptedDeferredEndpoint:
    """A deferred endpoint that takes what it is handed, or raises what a test says, and answers when a test says."""

    refusals: list[GenerationFailed] = field(default_factory=list)
    answers: dict[str, Answer | GenerationFailed] = field(default_factory=dict)
    submitted: list[Invocation] = field(default_factory=list)
    longest_seconds: float = 3600.0
    unheard_seconds: float = 3600.0

    async def submit(self, invocation: Invocation) -> Placement:
        if self.refusals:
            raise self.refusals.pop(0)
        self.submitted.append(invocation)
        return placement_of(invocation.id)

    async def collect(self, placement: Placement) -> Answer | None:
        found = self.answers.get(placement.output_url or "")
        if isinstance(found, GenerationFailed):
            raise found
        return found

    async def availability(self) -> ModelAvailability:
        return ModelAvailability.READY


def placement_of(invocation_id: str) -> Placement:
    return Placement(output_url=f"s3://out/{invocation_id}", failure_url=f"s3://bad/{invocation_id}")


@dataclass
class ScriptedQueue:
    """A completion queue that a test fills."""

    notices: list[CompletionNotice] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    async def receive(self) -> list[CompletionNotice]:
        return [notice for notice in self.notices if notice.receipt not in self.forgotten]

    async def forget(self, receipts: Sequence[str]) -> None:
        self.forgotten += receipts


@dataclass
class Shop:
    """A worker with everything around it."""

    folder: Path
    store: JobStore
    images: ImageStore
    jobs: JobService
    watching: WatchService
    broker: MemoryEventBroker
    worker: Worker
    janitor: Janitor

    @asynccontextmanager
    async def working(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.worker.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def end_of(self, job: Job) -> Job:
        """The job when it is over."""
        return (await self.events_of(job))[-1].job or job

    async def events_of(self, job: Job) -> list[JobEvent]:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return [event async for event in await self.watching.watch_job(ALICE, job.id)]

    async def until(self, job: Job, condition: Callable[[Job], bool]) -> Job:
        async def looked_at() -> Job | None:
            found = await self.jobs.get(ALICE, job.id)
            return found if found is not None and condition(found) else None

        found: Job = await eventually(looked_at, within=DEADLINE_SECONDS)
        return found

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "images").glob("*/*") if path.is_file())


@asynccontextmanager
async def a_shop(
    folder: Path,
    endpoint: ScriptedEndpoint | ScriptedDeferredEndpoint,
    *,
    image_failures: int = 0,
    options: WorkerOptions | None = None,
    policy: InvocationPolicy | None = None,
    codec: str = "jumpstart-sd",
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    price: float | None = None,
    defaults: CallerLimits = UNLIMITED,
) -> AsyncIterator[Shop]:
    async with (
        open_job_store(f"sqlite:{folder / 'jobs'}") as store,
        open_image_store(f"file:{folder}") as real_images,
    ):
        images = FlakyImageStore(real_images, image_failures)
        broker = MemoryEventBroker()
        runnable = RunnableModel(
            model=replace(SKETCH, price_per_second=price),
            endpoint=endpoint,
            codec=codec_named(codec),
            concurrency=2,
            policy=policy or InvocationPolicy(max_attempts=2),
        )
        models = ModelRegistry([runnable])
        estimates = Estimates(store, models)
        jobs = JobService(
            store=store,
            images=images,
            broker=broker,
            models=models,
            estimates=estimates,
            clock=clock,
            fair_use=FairUse(MemoryRateLimiter(), store, defaults, clock=clock),
        )
        with ThreadPoolExecutor(2) as executor:
            bench = Bench(
                worker_id="w",
                store=store,
                images=images,
                broker=broker,
                estimates=estimates,
                executor=executor,
                options=options or WorkerOptions(drain_seconds=0, retry_seconds=0.01, estimate_seconds=0.02),
                clock=clock,
            )
            watching = WatchService(jobs=jobs, store=store, broker=broker, clock=clock)
            janitor_options = JanitorOptions(orphan_seconds=0, stray_seconds=0)
            janitor = Janitor(store, jobs, models, holder="w", options=janitor_options, clock=clock)
            yield Shop(folder, store, images, jobs, watching, broker, Worker(models, bench), janitor)
