"""The worker, on the product's own adapters and with an endpoint that does what a test says."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from graphql_api.adapters.event_broker.memory import MemoryEventBroker
from graphql_api.adapters.image_store import open_image_store
from graphql_api.adapters.job_store import open_job_store
from graphql_api.bootstrap import SKETCH
from graphql_api.codecs import codec_named
from graphql_api.domain.errors import GenerationFailed, JobFailureCode, ModelUnavailable, ServiceUnavailable
from graphql_api.domain.events import JobEvent
from graphql_api.domain.generation import GenerationRequest, ModelAvailability
from graphql_api.domain.ids import CallerId
from graphql_api.domain.job import CancelOutcome, Job, JobStatus, ProgressBasis
from graphql_api.ports import Answer, ImageStore, Invocation, JobStore, StepDone
from graphql_api.service.estimates import Estimates
from graphql_api.service.janitor import Janitor
from graphql_api.service.jobs import JobService
from graphql_api.service.models import ModelRegistry, RunnableModel
from graphql_api.service.run import Bench, WorkerOptions
from graphql_api.service.watching import WatchService
from graphql_api.service.worker import Worker
from tests.clients.waiting import eventually

ALICE = CallerId("alice")
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
class Shop:
    """A worker with everything around it."""

    folder: Path
    store: JobStore
    images: ImageStore
    jobs: JobService
    watching: WatchService
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
    endpoint: ScriptedEndpoint,
    *,
    image_failures: int = 0,
    options: WorkerOptions | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[Shop]:
    async with (
        open_job_store(f"sqlite:{folder / 'jobs'}") as store,
        open_image_store(f"file:{folder}") as real_images,
    ):
        images = FlakyImageStore(real_images, image_failures)
        broker = MemoryEventBroker()
        runnable = RunnableModel(model=SKETCH, endpoint=endpoint, codec=codec_named("jumpstart-sd"), concurrency=2)
        models = ModelRegistry([runnable])
        estimates = Estimates(store, models)
        jobs = JobService(store=store, images=images, broker=broker, models=models, estimates=estimates, clock=clock)
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
            janitor = Janitor(store, jobs, models, max_losses=2, clock=clock)
            yield Shop(folder, store, images, jobs, watching, Worker(models, bench), janitor)


async def test_a_job_becomes_an_image_with_a_thumbnail(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())])) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(ALICE, REQUEST)).job)

        assert job.status is JobStatus.SUCCEEDED
        (image,) = job.images
        assert (image.width, image.height, image.seed) == (768, 768, 1)
        assert shop.files() == sorted([Path(image.key).name, Path(image.thumbnail_key).name])
        assert all((tmp_path / key).is_file() for key in (image.key, image.thumbnail_key))


async def test_images_that_the_model_left_out_are_withheld(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())])) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(ALICE, replace(REQUEST, count=3))).job)

        assert job.status is JobStatus.SUCCEEDED
        assert [image.index for image in job.images] == [0]
        assert [(each.index, each.code) for each in job.withheld] == [
            (1, JobFailureCode.MODEL_ERROR),
            (2, JobFailureCode.MODEL_ERROR),
        ]


async def test_one_bad_image_of_a_batch_is_withheld(tmp_path: Path) -> None:
    answer = an_answer(a_jpeg((64, 64)), a_jpeg())
    async with a_shop(tmp_path, ScriptedEndpoint([answer])) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(ALICE, replace(REQUEST, count=2))).job)

        assert [image.index for image in job.images] == [1]
        assert [each.index for each in job.withheld] == [0]


@pytest.mark.parametrize(
    "answer",
    [an_answer(), an_answer(a_jpeg((64, 64))), Answer(body=b"<html>", content_type="text/html"), an_answer("AAAA")],
    ids=["no image", "wrong size", "HTML", "no JPEG"],
)
async def test_an_answer_without_a_good_image_fails_the_job(tmp_path: Path, answer: Answer) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([answer])) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(ALICE, REQUEST)).job)

        assert job.status is JobStatus.FAILED
        assert job.failure is not None
        assert job.failure.code is JobFailureCode.MODEL_ERROR
        assert shop.files() == []


async def test_an_error_of_the_endpoint_fails_the_job_with_its_code(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([ModelUnavailable("It is away.")])
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(ALICE, REQUEST)).job)

        assert job.failure is not None
        assert (job.failure.code, job.failure.message, job.failure.retryable) == (
            JobFailureCode.MODEL_UNAVAILABLE,
            "It is away.",
            True,
        )
        assert len(endpoint.invocations) == 1


async def test_a_fault_of_ours_fails_the_job_without_its_text(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([RuntimeError("/secret/path")])  # type: ignore[list-item]
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(ALICE, REQUEST)).job)

        assert job.failure is not None
        assert job.failure.code is JobFailureCode.INTERNAL
        assert "secret" not in job.failure.message


async def test_a_job_that_runs_too_long_times_out(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([asyncio.Event()])
    options = WorkerOptions(job_timeout_seconds=0.05, drain_seconds=0)
    async with a_shop(tmp_path, endpoint, options=options) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(ALICE, REQUEST)).job)

        assert job.failure is not None
        assert job.failure.code is JobFailureCode.TIMEOUT
        assert endpoint.stopped == 1


async def test_an_answer_in_hand_waits_for_the_image_store(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([an_answer(a_jpeg())])
    async with a_shop(tmp_path, endpoint, image_failures=5) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(ALICE, REQUEST)).job)

        assert job.status is JobStatus.SUCCEEDED
        assert len(endpoint.invocations) == 1


async def test_canceling_a_running_job_stops_the_model(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([StepDone(step=1, total_steps=4), asyncio.Event()])
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = (await shop.jobs.submit(ALICE, REQUEST)).job
        await shop.until(job, lambda found: found.progress.step == 1)
        canceled = await shop.jobs.cancel(ALICE, job.id)
        await shop.until(job, lambda _: endpoint.stopped == 1)

        assert (canceled.status, canceled.cancel_outcome) == (JobStatus.CANCELED, CancelOutcome.STOPPED)
        assert canceled.progress.step == 1


async def test_canceling_where_the_model_cannot_be_stopped_says_so(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([asyncio.Event()], can_stop=False)
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = (await shop.jobs.submit(ALICE, REQUEST)).job
        await shop.until(job, lambda found: found.status is JobStatus.RUNNING)

        assert (await shop.jobs.cancel(ALICE, job.id)).cancel_outcome is CancelOutcome.DETACHED


async def test_a_silent_endpoint_has_estimated_progress_once_a_job_has_been_timed(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    endpoint = ScriptedEndpoint([go_on, an_answer(a_jpeg())], reports_steps=False)
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        first = (await shop.jobs.submit(ALICE, REQUEST)).job
        await shop.until(first, lambda found: found.status is JobStatus.RUNNING)
        await asyncio.sleep(0.3)
        go_on.set()
        await shop.end_of(first)
        go_on.clear()
        second = (await shop.jobs.submit(ALICE, REQUEST)).job
        running = await shop.until(second, lambda found: found.progress.fraction > 0.1)
        go_on.set()
        events = await shop.events_of(second)

        assert running.progress.basis is ProgressBasis.ESTIMATED
        assert running.progress.eta_seconds is not None
        fractions = [event.job.progress.fraction for event in events if event.job]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0


async def test_a_worker_that_stops_gives_its_jobs_back(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([asyncio.Event()])
    async with a_shop(tmp_path, endpoint) as shop:
        async with shop.working():
            job = (await shop.jobs.submit(ALICE, REQUEST)).job
            await shop.until(job, lambda _: bool(endpoint.invocations))
        found = await shop.jobs.get(ALICE, job.id)

        assert found is not None
        assert (found.status, found.losses) == (JobStatus.QUEUED, 0)
        assert endpoint.stopped == 1


async def test_a_run_whose_lease_is_lost_changes_nothing_and_leaves_no_file(tmp_path: Path) -> None:
    asleep = asyncio.Event()
    endpoint = ScriptedEndpoint([asleep, an_answer(a_jpeg())])
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = (await shop.jobs.submit(ALICE, REQUEST)).job
        running = await shop.until(job, lambda found: found.status is JobStatus.RUNNING)
        # Somebody else takes the job to its end while this worker sleeps; no notice tells it.
        other = await shop.store.update(running.lost(max_losses=1, at=datetime.now(UTC)))
        asleep.set()
        await shop.until(job, lambda _: not shop.worker._runs)

        assert other is not None
        assert (await shop.jobs.get(ALICE, job.id)) == other
        assert shop.files() == []


async def test_the_janitor_puts_a_job_back_whose_worker_is_gone_and_fails_it_the_second_time(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    async with a_shop(tmp_path, ScriptedEndpoint([]), clock=lambda: now) as shop:
        job = (await shop.jobs.submit(ALICE, REQUEST)).job
        for status in (JobStatus.QUEUED, JobStatus.FAILED):
            await shop.store.claim("gone", model_names=("sketch",), limit=1, lease_seconds=-1, at=now)
            await shop.janitor.tidy()
            found = await shop.jobs.get(ALICE, job.id)

            assert found is not None
            assert found.status is status


async def test_a_queued_job_whose_model_was_removed_ends(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = (await shop.jobs.submit(ALICE, REQUEST)).job
        await shop.store.add(replace(job, id=CallerId("0" * 36), model_name="gone"))  # type: ignore[arg-type]
        await shop.janitor.tidy()
        changes = [found for found in await shop.store.changes(ALICE, after=0, limit=9) if isinstance(found, Job)]

        assert {found.model_name: found.status for found in changes} == {
            "sketch": JobStatus.QUEUED,
            "gone": JobStatus.FAILED,
        }


async def test_files_that_a_deletion_left_behind_are_deleted_by_the_janitor(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())])) as shop:
        async with shop.working():
            job = await shop.end_of((await shop.jobs.submit(ALICE, REQUEST)).job)
        await shop.store.delete(job.id, at=job.created_at + timedelta(seconds=1))
        assert len(shop.files()) == 2
        await shop.janitor.tidy()

        assert shop.files() == []
        assert await shop.store.unpurged(9) == []


async def test_the_expected_wait_grows_with_the_queue(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([an_answer(a_jpeg())])
    async with a_shop(tmp_path, endpoint) as shop:
        first = (await shop.jobs.submit(ALICE, REQUEST)).job
        assert await shop.jobs.eta_seconds(first) is None
        async with shop.working():
            await shop.end_of(first)
        queued = [(await shop.jobs.submit(ALICE, REQUEST)).job for _ in range(4)]
        etas = [await shop.jobs.eta_seconds(job) for job in queued]
        positions = [await shop.jobs.queue_position(job) for job in queued]

        assert positions == [0, 1, 2, 3]
        assert all(eta is not None for eta in etas)
        assert etas == sorted(etas, key=lambda eta: eta or 0)
        assert (etas[3] or 0) > (etas[0] or 0)
