"""When an invocation is sent again, and what a cancellation says of it: decision 9."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from graphql_api.domain.errors import (
    AnswerLost,
    GenerationFailed,
    InvocationTimedOut,
    JobFailureCode,
    ModelFailed,
    ModelNotReady,
    ModelUnavailable,
    OutOfMemory,
)
from graphql_api.domain.job import CancelOutcome, Job, JobPhase, JobStatus
from graphql_api.ports import Answer, StepDone
from graphql_api.service.bench import WorkerOptions
from graphql_api.service.models import InvocationPolicy
from tests.unit.shop import ALICE, CALLER, REQUEST, ScriptedEndpoint, Shop, a_jpeg, a_shop, an_answer

BUSY = ModelNotReady("The model is busy.", is_starting=False)
STARTING = ModelNotReady("The model is starting.", is_starting=True)
GOOD = an_answer(a_jpeg())


class TurnsEndpoint(ScriptedEndpoint):
    """Does one thing for each invocation, and the last one for all that follow."""

    def __init__(self, *turns: Answer | GenerationFailed | asyncio.Event, can_stop: bool = False) -> None:
        super().__init__([], can_stop=can_stop, reports_steps=False)
        self._turns = list(turns)

    def invoke(self, invocation):  # type: ignore[no-untyped-def]
        self.script: list[StepDone | Answer | GenerationFailed | asyncio.Event] = [
            self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]
        ]
        return super().invoke(invocation)


async def submitted(shop: Shop) -> Job:
    return (await shop.jobs.submit(CALLER, REQUEST)).job


async def test_an_endpoint_that_did_not_run_is_asked_until_it_does(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(BUSY, STARTING, BUSY, GOOD)
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert (job.status, job.losses) == (JobStatus.SUCCEEDED, 0)
        assert len(endpoint.invocations) == 4


async def test_watchers_see_that_the_endpoint_is_starting(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(STARTING, GOOD)
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        events = await shop.events_of(await submitted(shop))
        phases = [event.job.progress.phase for event in events if event.job]

        assert phases[-1] is JobPhase.DONE
        assert JobPhase.STARTING in phases
        assert phases.index(JobPhase.STARTING) < len(phases) - 2, "it must say when it goes on"


async def test_an_endpoint_that_is_never_ready_ends_the_job(tmp_path: Path) -> None:
    policy = InvocationPolicy(patience_seconds=0.05)
    async with a_shop(tmp_path, TurnsEndpoint(STARTING), policy=policy) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert job.failure is not None
        assert (job.failure.code, job.failure.retryable) == (JobFailureCode.MODEL_UNAVAILABLE, True)


@pytest.mark.parametrize(
    "error",
    [
        ModelUnavailable("It is away."),
        AnswerLost("The connection broke."),
        InvocationTimedOut("It took too long."),
        ModelFailed("It broke.", retryable=True),
        ModelFailed("It refused."),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_invocation_that_may_have_run_is_sent_once(tmp_path: Path, error: GenerationFailed) -> None:
    endpoint = TurnsEndpoint(error)
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert job.failure is not None
        assert job.failure.code is error.code
        assert len(endpoint.invocations) == 1


async def test_a_policy_may_say_to_pay_again(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(AnswerLost("The connection broke."), InvocationTimedOut("Late."), GOOD)
    policy = InvocationPolicy(max_attempts=3, pays_again=True)
    async with a_shop(tmp_path, endpoint, policy=policy) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert (job.status, job.losses) == (JobStatus.SUCCEEDED, 2)
        assert len(endpoint.invocations) == 3


async def test_a_policy_that_pays_again_has_an_end(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(AnswerLost("The connection broke."))
    policy = InvocationPolicy(max_attempts=3, pays_again=True)
    async with a_shop(tmp_path, endpoint, policy=policy) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert job.status is JobStatus.FAILED
        assert len(endpoint.invocations) == 3


async def test_what_another_invocation_cannot_mend_is_not_paid_for_again(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(ModelFailed("It refused."))
    policy = InvocationPolicy(max_attempts=3, pays_again=True)
    async with a_shop(tmp_path, endpoint, policy=policy) as shop, shop.working():
        await shop.end_of(await submitted(shop))

        assert len(endpoint.invocations) == 1


async def test_a_job_that_was_held_up_is_canceled_as_not_started(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(STARTING)
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = await submitted(shop)
        await shop.until(job, lambda found: found.is_held_up)

        assert (await shop.jobs.cancel(ALICE, job.id)).cancel_outcome is CancelOutcome.NOT_STARTED


async def test_a_job_that_is_being_drawn_is_canceled_as_detached(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(STARTING, asyncio.Event())
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = await submitted(shop)
        await shop.until(job, lambda _: len(endpoint.invocations) == 2)

        assert (await shop.jobs.cancel(ALICE, job.id)).cancel_outcome is CancelOutcome.DETACHED


async def test_a_queued_job_that_a_lost_worker_had_sent_is_canceled_as_detached(tmp_path: Path) -> None:
    async with a_shop(tmp_path, TurnsEndpoint(GOOD)) as shop:
        job = await submitted(shop)
        (claimed,) = await shop.store.claim("gone", model_name="sketch", limit=1, lease_seconds=1, at=datetime.now(UTC))
        await shop.store.update(claimed.lost(max_losses=3, at=datetime.now(UTC)))

        assert (await shop.jobs.cancel(ALICE, job.id)).cancel_outcome is CancelOutcome.DETACHED


async def test_a_worker_that_stops_counts_what_it_had_sent_as_lost(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(asyncio.Event())
    async with a_shop(tmp_path, endpoint) as shop:
        async with shop.working():
            job = await submitted(shop)
            await shop.until(job, lambda _: bool(endpoint.invocations))
        found = await shop.jobs.get(ALICE, job.id)

        assert found is not None
        assert (found.status, found.losses) == (JobStatus.QUEUED, 1)


async def test_a_worker_that_stops_while_the_endpoint_is_starting_counts_nothing(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(STARTING)
    async with a_shop(tmp_path, endpoint) as shop:
        async with shop.working():
            job = await submitted(shop)
            await shop.until(job, lambda found: found.is_held_up)
        found = await shop.jobs.get(ALICE, job.id)

        assert found is not None
        assert (found.status, found.losses, found.is_held_up) == (JobStatus.QUEUED, 0, False)


async def test_an_answer_is_kept_for_as_long_as_the_image_store_is_away_and_not_for_ever(tmp_path: Path) -> None:
    options = WorkerOptions(retry_seconds=0.01, store_seconds=0.1)
    endpoint = TurnsEndpoint(GOOD)
    async with a_shop(tmp_path, endpoint, image_failures=10_000, options=options) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert job.failure is not None
        assert (job.failure.code, job.failure.retryable) == (JobFailureCode.INTERNAL, True)
        assert len(endpoint.invocations) == 1


async def test_storing_is_not_bound_by_the_time_that_a_model_may_take(tmp_path: Path) -> None:
    policy = InvocationPolicy(timeout_seconds=0.2)
    endpoint = TurnsEndpoint(GOOD)
    # 40 pauses of at least 5 ms each, and growing: longer than the model may take.
    async with a_shop(tmp_path, endpoint, image_failures=12, policy=policy) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert job.status is JobStatus.SUCCEEDED


async def test_a_batch_of_several_invocations_goes_on_where_the_endpoint_was_busy(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(BUSY, an_answer(a_jpeg(), a_jpeg()))
    async with a_shop(tmp_path, endpoint) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, replace(REQUEST, count=2))).job)

        assert len(job.images) == 2


def one_image() -> Answer:
    """How the Hugging Face containers answer, which make one image a call."""
    return Answer(body=json.dumps(a_jpeg()).encode(), content_type="application/json")


@pytest.mark.parametrize(
    "bad",
    [ModelFailed("It broke."), Answer(body=b"<html>", content_type="text/html")],
    ids=["an error", "an answer that cannot be read"],
)
async def test_images_that_were_paid_for_are_kept_when_a_later_invocation_fails(
    tmp_path: Path, bad: Answer | GenerationFailed
) -> None:
    endpoint = TurnsEndpoint(one_image(), bad)
    async with a_shop(tmp_path, endpoint, codec="huggingface") as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, replace(REQUEST, seed=None, count=3))).job)

        assert job.status is JobStatus.SUCCEEDED
        assert [image.index for image in job.images] == [0]
        assert [each.index for each in job.withheld] == [1, 2]


async def test_an_endpoint_that_failed_is_not_asked_for_the_other_images(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(one_image(), ModelFailed("It broke."))
    async with a_shop(tmp_path, endpoint, codec="huggingface") as shop, shop.working():
        await shop.end_of((await shop.jobs.submit(CALLER, replace(REQUEST, seed=None, count=4))).job)

        assert len(endpoint.invocations) == 2
        assert len({invocation.id for invocation in endpoint.invocations}) == 2


async def test_a_batch_of_which_every_invocation_fails_fails_with_the_first_error(tmp_path: Path) -> None:
    endpoint = TurnsEndpoint(OutOfMemory("No memory."))
    async with a_shop(tmp_path, endpoint, codec="huggingface") as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, replace(REQUEST, seed=None, count=3))).job)

        assert job.failure is not None
        assert job.failure.code is JobFailureCode.OUT_OF_MEMORY


async def test_a_worker_that_stops_while_it_writes_the_end_leaves_the_files(tmp_path: Path) -> None:
    """The last write may have come through when nobody waits for it any more."""
    writing, go_on = asyncio.Event(), asyncio.Event()
    endpoint = TurnsEndpoint(GOOD)
    async with a_shop(tmp_path, endpoint) as shop:
        update = shop.store.update

        async def slow_update(job: Job, *, if_lease_lost: bool = False) -> Job | None:
            if job.is_final:
                writing.set()
                await go_on.wait()
            return await update(job, if_lease_lost=if_lease_lost)

        shop.store.update = slow_update  # type: ignore[method-assign]
        async with shop.working():
            job = await submitted(shop)
            await writing.wait()
            # When the worker is stopping already.
            asyncio.get_running_loop().call_later(0.1, go_on.set)
        found = await shop.jobs.get(ALICE, job.id)

        assert found is not None
        assert (found.status, found.losses) == (JobStatus.SUCCEEDED, 0)
        assert len(shop.files()) == 2


async def test_a_job_that_is_canceled_while_its_end_is_written_keeps_no_files(tmp_path: Path) -> None:
    writing, go_on = asyncio.Event(), asyncio.Event()
    endpoint = TurnsEndpoint(GOOD)
    async with a_shop(tmp_path, endpoint) as shop:
        update = shop.store.update

        async def slow_update(job: Job, *, if_lease_lost: bool = False) -> Job | None:
            if job.status is JobStatus.SUCCEEDED:
                writing.set()
                await go_on.wait()
            return await update(job, if_lease_lost=if_lease_lost)

        shop.store.update = slow_update  # type: ignore[method-assign]
        async with shop.working():
            job = await submitted(shop)
            await writing.wait()
            canceled = await shop.jobs.cancel(ALICE, job.id)
            go_on.set()
            await shop.until(job, lambda _: not shop.worker._runs)

        assert (await shop.jobs.get(ALICE, job.id)) == canceled
        assert canceled.cancel_outcome is CancelOutcome.DETACHED
        assert shop.files() == []
