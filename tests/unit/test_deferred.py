"""Deferred endpoints: every order in which the call, its answer and the notices can come. Decision 10."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from graphql_api.domain.errors import (
    AnswerLost,
    InvocationTimedOut,
    JobFailureCode,
    ModelFailed,
    ModelNotReady,
    ModelUnavailable,
    OutOfMemory,
    ServiceUnavailable,
)
from graphql_api.domain.ids import new_job_id
from graphql_api.domain.job import MAX_PICKUPS, CancelOutcome, InvocationEnd, Job, JobStatus
from graphql_api.ports import Answer, CompletionNotice
from graphql_api.service import deferring
from graphql_api.service.bench import WorkerOptions
from graphql_api.service.completions import Completions
from graphql_api.service.models import InvocationPolicy
from tests.unit.shop import (
    ALICE,
    CALLER,
    REQUEST,
    ScriptedDeferredEndpoint,
    ScriptedQueue,
    Shop,
    a_jpeg,
    a_shop,
    an_answer,
    placement_of,
)

GOOD = an_answer(a_jpeg())
HEARS = WorkerOptions(drain_seconds=0, retry_seconds=0.01, hears_notices=True)
DEAF = replace(HEARS, hears_notices=False)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked for every second is looked for more often."""
    monkeypatch.setattr(deferring, "FIRST_LOOK_SECONDS", 0.02)


async def submitted(shop: Shop) -> Job:
    return (await shop.jobs.submit(CALLER, REQUEST)).job


def notice_of(
    job: Job, *, end: InvocationEnd = InvocationEnd.COMPLETED, receipt: str = "r1", has_place: bool = True
) -> CompletionNotice:
    placement = placement_of(job.id) if has_place else None
    return CompletionNotice(receipt=receipt, invocation_id=job.id, ended=end, placement=placement)


@asynccontextmanager
async def telling(shop: Shop, queue: ScriptedQueue) -> AsyncIterator[Completions]:
    """Completions of a shop, to be told to take."""
    yield Completions(queue, shop.store, shop.broker)


async def test_the_answer_becomes_an_image(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint()
    async with a_shop(tmp_path, endpoint, options=DEAF) as shop, shop.working():
        job = await submitted(shop)
        await shop.until(job, lambda _: bool(endpoint.submitted))
        endpoint.answers[f"s3://out/{job.id}"] = GOOD
        ended = await shop.end_of(job)

        assert ended.status is JobStatus.SUCCEEDED
        assert [each.id for each in endpoint.submitted] == [job.id]


async def test_the_row_knows_of_the_invocation_before_it_is_handed_over(tmp_path: Path) -> None:
    known: list[bool] = []

    class Looking(ScriptedDeferredEndpoint):
        async def submit(self, invocation):  # type: ignore[no-untyped-def]
            row = await shop.store.find(invocation.job_id)
            known.append(isinstance(row, Job) and row.deferred_invocation(invocation.id) is not None)
            return await super().submit(invocation)

    endpoint = Looking()
    async with a_shop(tmp_path, endpoint, options=DEAF) as shop, shop.working():
        job = await submitted(shop)
        await shop.until(job, lambda _: bool(endpoint.submitted))

    assert known == [True]


async def test_a_notice_wakes_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferring, "FIRST_LOOK_SECONDS", 3600)
    endpoint, queue = ScriptedDeferredEndpoint(), ScriptedQueue()
    async with a_shop(tmp_path, endpoint, options=HEARS) as shop, shop.working(), telling(shop, queue) as completions:
        job = await submitted(shop)
        await shop.until(job, lambda found: bool(found.deferred and found.deferred[0].placement))
        endpoint.answers[f"s3://out/{job.id}"] = GOOD
        queue.notices.append(notice_of(job))
        await completions.take()
        ended = await shop.end_of(job)

        assert ended.status is JobStatus.SUCCEEDED
        assert queue.forgotten == ["r1"]


async def test_a_notice_that_overtakes_the_call_brings_the_place_of_the_answer(tmp_path: Path) -> None:
    told = asyncio.Event()

    class Slow(ScriptedDeferredEndpoint):
        async def submit(self, invocation):  # type: ignore[no-untyped-def]
            placement = await super().submit(invocation)
            await told.wait()
            return placement

    endpoint, queue = Slow(), ScriptedQueue()
    async with a_shop(tmp_path, endpoint, options=HEARS) as shop, shop.working(), telling(shop, queue) as completions:
        job = await submitted(shop)
        await shop.until(job, lambda _: bool(endpoint.submitted))
        endpoint.answers[f"s3://out/{job.id}"] = GOOD
        queue.notices.append(notice_of(job))
        await completions.take()
        told.set()
        ended = await shop.end_of(job)

        assert ended.status is JobStatus.SUCCEEDED
        assert len(endpoint.submitted) == 1


async def test_duplicate_notices_change_nothing(tmp_path: Path) -> None:
    endpoint, queue = ScriptedDeferredEndpoint(), ScriptedQueue()
    async with a_shop(tmp_path, endpoint, options=HEARS) as shop, shop.working(), telling(shop, queue) as completions:
        job = await submitted(shop)
        await shop.until(job, lambda found: bool(found.deferred and found.deferred[0].placement))
        queue.notices += [notice_of(job, receipt=f"r{number}") for number in range(3)]
        await completions.take()
        noted = await shop.store.find(job.id)
        queue.notices.append(notice_of(job, receipt="r9"))
        await completions.take()

        assert await shop.store.find(job.id) == noted
        assert sorted(queue.forgotten) == ["r0", "r1", "r2", "r9"]


async def test_an_invocation_that_was_handed_over_is_never_handed_over_again(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint()
    policy = InvocationPolicy(max_attempts=1)
    async with a_shop(tmp_path, endpoint, options=DEAF, policy=policy) as shop:
        job = await submitted(shop)
        for _ in range(3):
            async with shop.working():
                await shop.until(job, lambda found: bool(found.deferred and found.deferred[0].placement))
        for _ in range(3):
            (row,) = await shop.store.claim("gone", model_name="sketch", limit=1, lease_seconds=-1, at=now())
            await shop.janitor.tidy()
            assert row.deferred
        async with shop.working():
            endpoint.answers[f"s3://out/{job.id}"] = GOOD
            ended = await shop.end_of(job)

        assert (ended.status, len(endpoint.submitted)) == (JobStatus.SUCCEEDED, 1)


def now() -> datetime:
    return datetime.now(UTC)


async def test_an_answer_that_kills_every_worker_ends_the_job(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint()
    async with a_shop(tmp_path, endpoint, options=DEAF) as shop:
        async with shop.working():
            job = await submitted(shop)
            await shop.until(job, lambda found: bool(found.deferred))
        for _ in range(MAX_PICKUPS):
            await shop.store.claim("gone", model_name="sketch", limit=1, lease_seconds=-1, at=now())
            await shop.janitor.tidy()
        found = await shop.jobs.get(ALICE, job.id)

        assert found is not None
        assert found.status is JobStatus.FAILED


async def test_a_refused_invocation_is_handed_over_again_for_nothing(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint(refusals=[ModelNotReady("Busy.", is_starting=False)] * 2)
    async with a_shop(tmp_path, endpoint, options=DEAF) as shop, shop.working():
        job = await submitted(shop)
        endpoint.answers[f"s3://out/{job.id}"] = GOOD
        ended = await shop.end_of(job)

        assert (ended.status, ended.losses, len(endpoint.submitted)) == (JobStatus.SUCCEEDED, 0, 1)


async def test_an_endpoint_that_refuses_for_good_ends_the_job(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint(refusals=[ModelUnavailable("It is away.")])
    async with a_shop(tmp_path, endpoint, options=DEAF) as shop, shop.working():
        ended = await shop.end_of(await submitted(shop))

        assert ended.failure is not None
        assert ended.failure.code is JobFailureCode.MODEL_UNAVAILABLE


@pytest.mark.parametrize("error", [AnswerLost("It broke."), InvocationTimedOut("Late.")], ids=["broken", "late"])
async def test_a_notice_tells_of_a_call_whose_answer_was_lost(
    tmp_path: Path, error: AnswerLost | InvocationTimedOut
) -> None:
    endpoint, queue = ScriptedDeferredEndpoint(refusals=[error]), ScriptedQueue()
    async with a_shop(tmp_path, endpoint, options=HEARS) as shop, shop.working(), telling(shop, queue) as completions:
        job = await submitted(shop)
        await shop.until(job, lambda found: bool(found.deferred) and not endpoint.refusals)
        endpoint.answers[f"s3://out/{job.id}"] = GOOD
        queue.notices.append(notice_of(job))
        await completions.take()
        ended = await shop.end_of(job)

        assert (ended.status, endpoint.submitted) == (JobStatus.SUCCEEDED, [])


async def test_an_unheard_invocation_is_sent_again_if_the_policy_allows_it(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint(refusals=[AnswerLost("It broke.")], unheard_seconds=0.05)
    async with a_shop(tmp_path, endpoint, options=HEARS) as shop, shop.working():
        job = await submitted(shop)
        endpoint.answers[f"s3://out/{job.id}.r1"] = GOOD
        ended = await shop.end_of(job)

        assert (ended.status, ended.losses, len(endpoint.submitted)) == (JobStatus.SUCCEEDED, 1, 1)


async def test_an_unheard_invocation_ends_the_job_where_it_may_not_be_paid_for_again(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint(refusals=[AnswerLost("It broke.")])
    policy = InvocationPolicy(max_attempts=1)
    async with a_shop(tmp_path, endpoint, options=DEAF, policy=policy) as shop, shop.working():
        ended = await shop.end_of(await submitted(shop))

        assert ended.status is JobStatus.FAILED
        assert ended.failure is not None and ended.failure.retryable
        assert endpoint.submitted == []


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (InvocationEnd.FAILED, JobFailureCode.MODEL_ERROR),
        (InvocationEnd.EXPIRED, JobFailureCode.MODEL_UNAVAILABLE),
    ],
)
async def test_a_notice_of_a_failure_ends_the_job(tmp_path: Path, end: InvocationEnd, code: JobFailureCode) -> None:
    endpoint, queue = ScriptedDeferredEndpoint(), ScriptedQueue()
    async with a_shop(tmp_path, endpoint, options=HEARS) as shop, shop.working(), telling(shop, queue) as completions:
        job = await submitted(shop)
        await shop.until(job, lambda found: bool(found.deferred and found.deferred[0].placement))
        queue.notices.append(notice_of(job, end=end, has_place=False))
        await completions.take()
        ended = await shop.end_of(job)

        assert ended.failure is not None
        assert ended.failure.code is code


@pytest.mark.parametrize("failure", [ModelFailed("It broke."), OutOfMemory("No memory.")], ids=["error", "memory"])
async def test_a_report_of_a_failure_ends_the_job_without_a_notice(
    tmp_path: Path, failure: ModelFailed | OutOfMemory
) -> None:
    endpoint = ScriptedDeferredEndpoint()
    async with a_shop(tmp_path, endpoint, options=DEAF) as shop, shop.working():
        job = await submitted(shop)
        endpoint.answers[f"s3://out/{job.id}"] = failure
        ended = await shop.end_of(job)

        assert ended.failure is not None
        assert ended.failure.code is failure.code


async def test_an_answer_that_never_comes_ends_the_job(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint(longest_seconds=0.1)
    async with a_shop(tmp_path, endpoint, options=DEAF) as shop, shop.working():
        ended = await shop.end_of(await submitted(shop))

        assert ended.failure is not None
        assert ended.failure.code is JobFailureCode.TIMEOUT


async def test_a_canceled_job_says_that_the_endpoint_goes_on_and_drops_its_answer(tmp_path: Path) -> None:
    endpoint, queue = ScriptedDeferredEndpoint(), ScriptedQueue()
    async with a_shop(tmp_path, endpoint, options=HEARS) as shop, shop.working(), telling(shop, queue) as completions:
        job = await submitted(shop)
        await shop.until(job, lambda found: bool(found.deferred))
        canceled = await shop.jobs.cancel(ALICE, job.id)
        endpoint.answers[f"s3://out/{job.id}"] = GOOD
        queue.notices.append(notice_of(job))
        await completions.take()

        assert canceled.cancel_outcome is CancelOutcome.DETACHED
        assert (await shop.jobs.get(ALICE, job.id)) == canceled
        assert queue.forgotten == ["r1"]
        assert shop.files() == []


async def test_a_job_that_was_given_back_while_its_answer_is_out_there_is_canceled_as_detached(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint()
    async with a_shop(tmp_path, endpoint, options=DEAF) as shop:
        async with shop.working():
            job = await submitted(shop)
            await shop.until(job, lambda found: bool(found.deferred and found.deferred[0].placement))
        given_back = await shop.jobs.get(ALICE, job.id)
        canceled = await shop.jobs.cancel(ALICE, job.id)

        assert given_back is not None
        assert (given_back.status, given_back.losses) == (JobStatus.QUEUED, 0)
        assert canceled.cancel_outcome is CancelOutcome.DETACHED


async def test_notices_for_deleted_jobs_are_dropped_and_foreign_ones_are_left(tmp_path: Path) -> None:
    queue = ScriptedQueue()
    async with a_shop(tmp_path, ScriptedDeferredEndpoint()) as shop, telling(shop, queue) as completions:
        job = await submitted(shop)
        await shop.jobs.delete(ALICE, job.id)
        foreign = replace(notice_of(job, receipt="foreign"), invocation_id=new_job_id())
        nameless = replace(notice_of(job, receipt="nameless"), invocation_id="not-a-job")
        unknown = CompletionNotice(receipt="unknown", invocation_id=None, shape="list in 2 characters")
        queue.notices += [notice_of(job, receipt="deleted"), foreign, nameless, unknown]
        await completions.take()

        assert queue.forgotten == ["deleted"]


async def test_a_notice_of_an_invocation_that_the_job_does_not_know_is_dropped(tmp_path: Path) -> None:
    queue = ScriptedQueue()
    async with a_shop(tmp_path, ScriptedDeferredEndpoint()) as shop, telling(shop, queue) as completions:
        job = await submitted(shop)
        queue.notices.append(notice_of(job))
        await completions.take()

        assert queue.forgotten == ["r1"]
        assert (await shop.jobs.get(ALICE, job.id)) == job


async def test_progress_of_a_deferred_job_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint()
    async with a_shop(tmp_path, endpoint, options=replace(DEAF, estimate_seconds=0.02)) as shop:
        async with shop.working():
            first = await submitted(shop)
            await shop.until(first, lambda _: bool(endpoint.submitted))
            await asyncio.sleep(0.3)
            endpoint.answers[f"s3://out/{first.id}"] = GOOD
            await shop.end_of(first)
            job = await submitted(shop)
            before = await shop.until(job, lambda found: found.progress.fraction > 0.2)
        async with shop.working():
            running = await shop.until(job, lambda found: found.status is JobStatus.RUNNING)
            endpoint.answers[f"s3://out/{job.id}"] = GOOD
            ended = await shop.end_of(job)

        assert running.progress.fraction >= before.progress.fraction
        assert ended.status is JobStatus.SUCCEEDED
        assert ended.started_at is not None and ended.created_at - ended.started_at < timedelta(0)


async def test_a_batch_of_several_invocations_keeps_what_went_well(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint()
    answer = Answer(body=json.dumps(a_jpeg()).encode(), content_type="application/json")
    async with a_shop(tmp_path, endpoint, options=DEAF, codec="huggingface") as shop, shop.working():
        job = (await shop.jobs.submit(CALLER, replace(REQUEST, seed=None, count=3))).job
        await shop.until(job, lambda _: len(endpoint.submitted) == 3)
        endpoint.answers |= {f"s3://out/{job.id}.{number}": answer for number in (0, 2)}
        endpoint.answers[f"s3://out/{job.id}.1"] = ModelFailed("It broke.")
        ended = await shop.end_of(job)

        assert ended.status is JobStatus.SUCCEEDED
        assert [image.index for image in ended.images] == [0, 2]
        assert [each.index for each in ended.withheld] == [1]
        assert len(endpoint.submitted) == 3


@pytest.mark.parametrize("end", [InvocationEnd.FAILED, InvocationEnd.EXPIRED])
async def test_the_end_of_a_sending_that_was_given_up_is_not_taken_for_that_of_the_next(
    tmp_path: Path, end: InvocationEnd
) -> None:
    endpoint = ScriptedDeferredEndpoint(refusals=[AnswerLost("It broke.")], unheard_seconds=0.05)
    queue = ScriptedQueue()
    async with a_shop(tmp_path, endpoint, options=HEARS) as shop, shop.working(), telling(shop, queue) as completions:
        job = await submitted(shop)
        await shop.until(job, lambda found: bool(found.deferred and found.deferred[0].placement))
        queue.notices.append(notice_of(job, end=end))
        await completions.take()
        endpoint.answers[f"s3://out/{job.id}.r1"] = GOOD
        ended = await shop.end_of(job)

        assert ended.status is JobStatus.SUCCEEDED
        assert queue.forgotten == ["r1"]


async def test_the_answer_of_a_sending_that_was_given_up_is_used_when_it_comes_after_all(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint(refusals=[AnswerLost("It broke.")], unheard_seconds=0.05)
    queue = ScriptedQueue()
    async with a_shop(tmp_path, endpoint, options=HEARS) as shop, shop.working(), telling(shop, queue) as completions:
        job = await submitted(shop)
        await shop.until(job, lambda found: bool(found.deferred and found.deferred[0].placement))
        endpoint.answers[f"s3://out/{job.id}"] = GOOD
        queue.notices.append(notice_of(job))
        await completions.take()
        ended = await shop.end_of(job)

        assert ended.status is JobStatus.SUCCEEDED


async def test_invocations_that_were_handed_over_are_kept_when_a_later_one_is_refused(tmp_path: Path) -> None:
    class Picky(ScriptedDeferredEndpoint):
        async def submit(self, invocation):  # type: ignore[no-untyped-def]
            if len(self.submitted) == 2:
                raise ModelUnavailable("It is away.")
            return await super().submit(invocation)

    endpoint = Picky()
    answer = Answer(body=json.dumps(a_jpeg()).encode(), content_type="application/json")
    async with a_shop(tmp_path, endpoint, options=DEAF, codec="huggingface") as shop, shop.working():
        job = (await shop.jobs.submit(CALLER, replace(REQUEST, seed=None, count=4))).job
        await shop.until(job, lambda _: len(endpoint.submitted) == 2)
        endpoint.answers |= {f"s3://out/{job.id}.{number}": answer for number in (0, 1)}
        ended = await shop.end_of(job)

        assert [image.index for image in ended.images] == [0, 1]
        assert [each.code for each in ended.withheld] == [JobFailureCode.MODEL_UNAVAILABLE] * 2


async def test_an_old_answer_that_cannot_be_looked_at_for_a_while_is_not_given_up(tmp_path: Path) -> None:
    class Blind(ScriptedDeferredEndpoint):
        looks = 0

        async def collect(self, placement):  # type: ignore[no-untyped-def]
            self.looks += 1
            if self.looks < 4:
                raise ServiceUnavailable
            return GOOD

    endpoint = Blind(longest_seconds=0.0)
    async with a_shop(tmp_path, endpoint, options=DEAF) as shop, shop.working():
        ended = await shop.end_of(await submitted(shop))

        assert ended.status is JobStatus.SUCCEEDED


async def test_a_failure_that_was_told_ends_the_job_though_its_report_may_not_be_read(tmp_path: Path) -> None:
    class Forbidden(ScriptedDeferredEndpoint):
        async def collect(self, placement):  # type: ignore[no-untyped-def]
            raise ServiceUnavailable

    endpoint, queue = Forbidden(), ScriptedQueue()
    async with a_shop(tmp_path, endpoint, options=HEARS) as shop, shop.working(), telling(shop, queue) as completions:
        job = await submitted(shop)
        await shop.until(job, lambda found: bool(found.deferred and found.deferred[0].placement))
        queue.notices.append(notice_of(job, end=InvocationEnd.FAILED))
        await completions.take()
        ended = await shop.end_of(job)

        assert ended.failure is not None
        assert ended.failure.code is JobFailureCode.MODEL_ERROR


async def test_a_worker_that_stops_in_the_middle_of_the_call_knows_what_came_of_it(tmp_path: Path) -> None:
    called, go_on = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedDeferredEndpoint):
        async def submit(self, invocation):  # type: ignore[no-untyped-def]
            placement = await super().submit(invocation)
            called.set()
            await go_on.wait()
            return placement

    endpoint = Slow()
    async with a_shop(tmp_path, endpoint, options=DEAF, policy=InvocationPolicy(max_attempts=1)) as shop:
        async with shop.working():
            job = await submitted(shop)
            await called.wait()
            # When the worker is stopping already.
            asyncio.get_running_loop().call_later(0.1, go_on.set)
        given_back = await shop.store.find(job.id)
        async with shop.working():
            endpoint.answers[f"s3://out/{job.id}"] = GOOD
            ended = await shop.end_of(job)

        assert isinstance(given_back, Job)
        assert given_back.deferred[0].placement == placement_of(job.id)
        assert (ended.status, len(endpoint.submitted)) == (JobStatus.SUCCEEDED, 1)
