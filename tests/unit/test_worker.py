"""The worker, on the product's own adapters and with an endpoint that does what a test says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from graphql_api.domain.errors import JobFailureCode, ModelUnavailable
from graphql_api.domain.ids import CallerId
from graphql_api.domain.job import CancelOutcome, Job, JobStatus, ProgressBasis
from graphql_api.ports import Answer, JobMoved, StepDone
from graphql_api.service.bench import WorkerOptions
from graphql_api.service.janitor import Janitor, JanitorOptions
from graphql_api.service.models import InvocationPolicy
from tests.clients.waiting import eventually
from tests.unit.shop import ALICE, CALLER, REQUEST, ScriptedEndpoint, a_jpeg, a_shop, an_answer


async def test_a_job_becomes_an_image_with_a_thumbnail(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())])) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)

        assert job.status is JobStatus.SUCCEEDED
        (image,) = job.images
        assert (image.width, image.height, image.seed) == (768, 768, 1)
        assert shop.files() == sorted([Path(image.key).name, Path(image.thumbnail_key).name])
        assert all((tmp_path / key).is_file() for key in (image.key, image.thumbnail_key))


async def test_images_that_the_model_left_out_are_withheld(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())])) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, replace(REQUEST, count=3))).job)

        assert job.status is JobStatus.SUCCEEDED
        assert [image.index for image in job.images] == [0]
        assert [(each.index, each.code) for each in job.withheld] == [
            (1, JobFailureCode.MODEL_ERROR),
            (2, JobFailureCode.MODEL_ERROR),
        ]


async def test_one_bad_image_of_a_batch_is_withheld(tmp_path: Path) -> None:
    answer = an_answer(a_jpeg((64, 64)), a_jpeg())
    async with a_shop(tmp_path, ScriptedEndpoint([answer])) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, replace(REQUEST, count=2))).job)

        assert [image.index for image in job.images] == [1]
        assert [each.index for each in job.withheld] == [0]


@pytest.mark.parametrize(
    "answer",
    [an_answer(), an_answer(a_jpeg((64, 64))), Answer(body=b"<html>", content_type="text/html"), an_answer("AAAA")],
    ids=["no image", "wrong size", "HTML", "no JPEG"],
)
async def test_an_answer_without_a_good_image_fails_the_job(tmp_path: Path, answer: Answer) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([answer])) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)

        assert job.status is JobStatus.FAILED
        assert job.failure is not None
        assert job.failure.code is JobFailureCode.MODEL_ERROR
        assert shop.files() == []


async def test_an_error_of_the_endpoint_fails_the_job_with_its_code(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([ModelUnavailable("It is away.")])
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)

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
        job = await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)

        assert job.failure is not None
        assert job.failure.code is JobFailureCode.INTERNAL
        assert "secret" not in job.failure.message


async def test_a_job_that_runs_too_long_times_out(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([asyncio.Event()])
    policy = InvocationPolicy(timeout_seconds=0.05)
    async with a_shop(tmp_path, endpoint, policy=policy) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)

        assert job.failure is not None
        assert job.failure.code is JobFailureCode.TIMEOUT
        assert endpoint.stopped == 1


async def test_an_answer_in_hand_waits_for_the_image_store(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([an_answer(a_jpeg())])
    async with a_shop(tmp_path, endpoint, image_failures=5) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)

        assert job.status is JobStatus.SUCCEEDED
        assert len(endpoint.invocations) == 1


async def test_canceling_a_running_job_stops_the_model(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([StepDone(step=1, total_steps=4), asyncio.Event()])
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        await shop.until(job, lambda found: found.progress.step == 1)
        canceled = await shop.jobs.cancel(ALICE, job.id)
        await shop.until(job, lambda _: endpoint.stopped == 1)

        assert (canceled.status, canceled.cancel_outcome) == (JobStatus.CANCELED, CancelOutcome.STOPPED)
        assert canceled.progress.step == 1


async def test_canceling_where_the_model_cannot_be_stopped_says_so(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([asyncio.Event()], can_stop=False)
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        await shop.until(job, lambda found: found.status is JobStatus.RUNNING)

        assert (await shop.jobs.cancel(ALICE, job.id)).cancel_outcome is CancelOutcome.DETACHED


async def test_a_silent_endpoint_has_estimated_progress_once_a_job_has_been_timed(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    endpoint = ScriptedEndpoint([go_on, an_answer(a_jpeg())], reports_steps=False)
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        first = (await shop.jobs.submit(CALLER, REQUEST)).job
        await shop.until(first, lambda found: found.status is JobStatus.RUNNING)
        await asyncio.sleep(0.3)
        go_on.set()
        await shop.end_of(first)
        go_on.clear()
        second = (await shop.jobs.submit(CALLER, REQUEST)).job
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
            job = (await shop.jobs.submit(CALLER, REQUEST)).job
            await shop.until(job, lambda _: bool(endpoint.invocations))
        found = await shop.jobs.get(ALICE, job.id)

        assert found is not None
        assert (found.status, found.losses) == (JobStatus.QUEUED, 0)
        assert endpoint.stopped == 1


async def test_a_run_whose_lease_is_lost_changes_nothing_and_leaves_no_file(tmp_path: Path) -> None:
    asleep = asyncio.Event()
    endpoint = ScriptedEndpoint([asleep, an_answer(a_jpeg())])
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
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
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        for status in (JobStatus.QUEUED, JobStatus.FAILED):
            await shop.store.claim("gone", model_name="sketch", limit=1, lease_seconds=-1, at=now)
            await shop.janitor.tidy()
            found = await shop.jobs.get(ALICE, job.id)

            assert found is not None
            assert found.status is status


async def test_a_queued_job_whose_model_was_removed_ends(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
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
            job = await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)
        await shop.store.delete(job.id, at=job.created_at)
        assert len(shop.files()) == 2
        await shop.janitor.tidy()

        assert shop.files() == []
        assert await shop.store.unpurged(9, deleted_before=datetime.now(UTC)) == []


async def test_the_expected_wait_grows_with_the_queue(tmp_path: Path) -> None:
    endpoint = ScriptedEndpoint([an_answer(a_jpeg())])
    async with a_shop(tmp_path, endpoint) as shop:
        first = (await shop.jobs.submit(CALLER, REQUEST)).job
        assert await shop.jobs.eta_seconds(first) is None
        async with shop.working():
            await shop.end_of(first)
        queued = [(await shop.jobs.submit(CALLER, REQUEST)).job for _ in range(4)]
        etas = [await shop.jobs.eta_seconds(job) for job in queued]
        positions = [await shop.jobs.queue_position(job) for job in queued]

        assert positions == [0, 1, 2, 3]
        assert all(eta is not None for eta in etas)
        assert etas == sorted(etas, key=lambda eta: eta or 0)
        assert (etas[3] or 0) > (etas[0] or 0)


async def test_files_of_a_worker_that_was_killed_before_it_wrote_the_row_are_deleted_with_success(
    tmp_path: Path,
) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())])) as shop:
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        (lost,) = await shop.store.claim("gone", model_name="sketch", limit=1, lease_seconds=-1, at=datetime.now(UTC))
        await shop.images.put(f"images/{lost.id}/0-ffffffffffffffff.jpg", b"other bytes", "image/jpeg")
        await shop.janitor.tidy()
        async with shop.working():
            job = await shop.end_of(job)
            await shop.until(job, lambda _: not shop.worker._runs)

        assert shop.files() == sorted([Path(job.images[0].key).name, Path(job.images[0].thumbnail_key).name])


async def test_files_of_a_killed_worker_are_deleted_with_a_job_that_is_canceled_then(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        await shop.store.claim("gone", model_name="sketch", limit=1, lease_seconds=-1, at=datetime.now(UTC))
        await shop.images.put(f"images/{job.id}/0-ffffffffffffffff.jpg", b"other bytes", "image/jpeg")
        await shop.janitor.tidy()
        await shop.jobs.cancel(ALICE, job.id)

        assert shop.files() == []


async def test_notices_that_never_end_do_not_keep_a_worker_from_renewing_its_lease(tmp_path: Path) -> None:
    may_answer = asyncio.Event()
    endpoint = ScriptedEndpoint([may_answer, an_answer(a_jpeg())])
    options = WorkerOptions(lease_seconds=0.6, drain_seconds=0, retry_seconds=0.01)
    async with a_shop(tmp_path, endpoint, options=options) as shop, shop.working():
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        await eventually(lambda: endpoint.invocations)
        loop = asyncio.get_running_loop()
        end = loop.time() + 3 * options.lease_seconds
        unknown = JobMoved(job_id=job.id, caller_id=ALICE, revision=1_000, job=None)
        while loop.time() < end:
            await shop.broker.publish(unknown)
            assert await shop.store.lost_leases(9) == []
            await asyncio.sleep(options.lease_seconds / 20)
        may_answer.set()

        assert (await shop.end_of(job)).status is JobStatus.SUCCEEDED


async def test_leases_that_ran_out_while_the_store_was_away_are_not_lost_at_once(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())])) as shop:
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        await shop.store.claim("w", model_name="sketch", limit=1, lease_seconds=-1, at=datetime.now(UTC))
        patient = Janitor(
            shop.store, shop.jobs, shop.jobs.models, holder="p", options=JanitorOptions(settle_seconds=0.3)
        )
        await patient.tidy()
        assert [each.id for each in await shop.store.lost_leases(9)] == [job.id]

        async def is_given_back() -> bool:
            await patient.tidy()
            return await shop.store.lost_leases(9) == []

        await eventually(is_given_back)


async def test_one_of_two_janitors_is_at_work_and_the_other_takes_over(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())])) as shop:
        first, second = (
            Janitor(shop.store, shop.jobs, shop.jobs.models, holder=name, options=JanitorOptions(round_seconds=0.01))
            for name in ("first", "second")
        )
        working = asyncio.create_task(first.run())

        async def first_has_the_duty() -> bool:
            return not await shop.store.hold_duty("janitor", "somebody", lease_seconds=0)

        await eventually(first_has_the_duty)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

        assert await shop.store.hold_duty("janitor", "second", lease_seconds=60)
        await second.tidy()
        assert not await shop.store.hold_duty("janitor", "first", lease_seconds=60)


async def test_janitor_without_the_duty_touches_nothing(tmp_path: Path) -> None:
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())])) as shop:
        assert await shop.store.hold_duty("janitor", "another", lease_seconds=60)
        await shop.jobs.submit(CALLER, REQUEST)
        await shop.store.claim("w", model_name="sketch", limit=1, lease_seconds=-1, at=datetime.now(UTC))

        await shop.janitor.tidy()
        assert len(await shop.store.lost_leases(9)) == 1

        assert await shop.store.hold_duty("janitor", "another", lease_seconds=0)
        await shop.janitor.tidy()
        assert await shop.store.lost_leases(9) == []
