"""What jobs cost: paid for what ran or may have run, and for nothing else. Decision 16."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY

from graphql_api.bootstrap import SKETCH
from graphql_api.domain.errors import (
    AnswerLost,
    GenerationFailed,
    InvocationTimedOut,
    ModelFailed,
    ModelNotReady,
    ModelUnavailable,
    ServiceUnavailable,
)
from graphql_api.domain.ids import JobId
from graphql_api.domain.job import CancelOutcome, Job, JobStatus, Tombstone
from graphql_api.ports import Answer, Invocation, JobStore, StepDone, Work
from graphql_api.service import deferring
from graphql_api.service.bench import WorkerOptions
from graphql_api.service.costs import Bill, micro_dollars
from graphql_api.service.models import InvocationPolicy
from tests.clients.waiting import eventually
from tests.unit.shop import (
    ALICE,
    CALLER,
    REQUEST,
    ScriptedDeferredEndpoint,
    ScriptedEndpoint,
    Shop,
    a_jpeg,
    a_shop,
    an_answer,
)

GOOD = an_answer(a_jpeg())
ONE_IMAGE = Answer(body=json.dumps(a_jpeg()).encode(), content_type="application/json")
START = datetime(2026, 11, 24, 12, tzinfo=UTC)
RESERVED = 2_000_000
"""What a job is expected to cost where past jobs took two seconds, and a second costs a dollar."""


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked for every second is looked for more often."""
    monkeypatch.setattr(deferring, "FIRST_LOOK_SECONDS", 0.02)


@dataclass
class Hands:
    """A clock that a test sets."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        """So many seconds pass."""
        self.now += timedelta(seconds=seconds)


class TurnsEndpoint(ScriptedEndpoint):
    """Does one thing for each invocation, and the last one for all that follow."""

    def __init__(self, *turns: Answer | GenerationFailed | asyncio.Event) -> None:
        super().__init__([], can_stop=False, reports_steps=False)
        self._turns = list(turns)

    def invoke(self, invocation: Invocation) -> AsyncIterator[StepDone | Answer]:
        self.script = [self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]]
        return super().invoke(invocation)


class Measured:
    """What invocations of the model have taken since this was made, as they were measured one by one."""

    def __init__(self) -> None:
        self._seconds = _sample("text2image_inference_seconds_total")
        self._dollars = _sample("text2image_inference_cost_dollars_total")

    @property
    def dollars(self) -> object:
        """What that costs at a dollar a second, to be compared with."""
        seconds = _sample("text2image_inference_seconds_total") - self._seconds
        assert _sample("text2image_inference_cost_dollars_total") - self._dollars == pytest.approx(seconds, abs=1e-9)
        assert seconds > 0
        # Each invocation is rounded to a millionth.
        return pytest.approx(seconds, abs=1e-5)


def _sample(name: str) -> float:
    return REGISTRY.get_sample_value(name, {"model": "sketch"}) or 0.0


@asynccontextmanager
async def a_priced_shop(
    folder: Path,
    endpoint: ScriptedEndpoint | ScriptedDeferredEndpoint,
    *,
    policy: InvocationPolicy | None = None,
    codec: str = "jumpstart-sd",
    clock: Hands | None = None,
    price: float | None = 1.0,
    has_history: bool = True,
    options: WorkerOptions | None = None,
) -> AsyncIterator[Shop]:
    """A shop whose model costs a dollar a second, and took two seconds for such jobs."""
    options = options or WorkerOptions(drain_seconds=0, retry_seconds=0.01, estimate_seconds=0.02)
    async with a_shop(
        folder, endpoint, policy=policy, codec=codec, clock=clock or Hands(), price=price, options=options
    ) as shop:
        if has_history:
            await _add_history(shop)
        yield shop


async def _add_history(shop: Shop) -> None:
    """One job that succeeded, and took two seconds."""
    model = SKETCH.name
    job = (await shop.jobs.submit(CALLER, REQUEST)).job
    (claimed,) = await shop.store.claim("past", model_name=model, limit=1, lease_seconds=60, at=START)
    answered_at = START + timedelta(seconds=2)
    assert await shop.store.update(claimed.succeeded((), answered_at=answered_at, at=answered_at)) is not None
    (work,) = await shop.store.recent_work(model, 1)
    assert work == Work(amount=job.parameters.work, inference_seconds=2, store_seconds=0)


async def submitted(shop: Shop, *, count: int = 1) -> Job:
    return (await shop.jobs.submit(CALLER, replace(REQUEST, seed=None, count=count))).job


def dollars(job: Job) -> float | None:
    return None if job.cost is None else job.cost / 1_000_000


async def charged(shop: Shop, job: Job) -> float:
    return await shop.store.charged(ALICE, job.month) / 1_000_000


def test_seconds_times_price_are_whole_millionths() -> None:
    assert micro_dollars(replace(SKETCH, price_per_second=0.00039), 4.2) == 1638
    assert micro_dollars(replace(SKETCH, price_per_second=0.00039), -1) == 0
    assert micro_dollars(SKETCH, 4.2) is None


async def test_bill_may_be_put_on_a_row_twice(tmp_path: Path) -> None:
    async with a_priced_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = (await submitted(shop)).paid(5)
        bill = Bill(job, replace(SKETCH, price_per_second=1.0))
        bill.add(1.0)
        bill.add_unmeasured(of=2)

        assert bill.on(job).cost == bill.on(bill.on(job)).cost == 5 + 1_000_000 + RESERVED // 2


async def test_job_reserves_what_such_jobs_cost(tmp_path: Path) -> None:
    async with a_priced_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = await submitted(shop, count=2)

        assert (job.account, job.reserved, job.cost) == (ALICE, 2 * RESERVED, None)
        assert await charged(shop, job) == 4


async def test_job_reserves_nothing_where_nothing_is_known(tmp_path: Path) -> None:
    async with a_priced_shop(tmp_path / "new", ScriptedEndpoint([]), has_history=False) as shop:
        assert (await submitted(shop)).reserved == 0
    async with a_priced_shop(tmp_path / "free", ScriptedEndpoint([]), price=None) as shop:
        assert (await submitted(shop)).reserved == 0


async def test_success_costs_its_seconds(tmp_path: Path) -> None:
    measured = Measured()
    async with a_priced_shop(tmp_path, TurnsEndpoint(GOOD)) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert job.status is JobStatus.SUCCEEDED
        assert dollars(job) == measured.dollars
        assert await charged(shop, job) == dollars(job)


async def test_model_without_a_price_costs_nothing(tmp_path: Path) -> None:
    async with a_priced_shop(tmp_path, TurnsEndpoint(GOOD), price=None) as shop, shop.working():
        assert (await shop.end_of(await submitted(shop))).cost is None


@pytest.mark.parametrize(
    "error",
    [ModelFailed("It broke."), AnswerLost("Gone."), InvocationTimedOut("Late.")],
    ids=lambda e: type(e).__name__,
)
async def test_failure_that_may_have_run_costs_its_seconds(tmp_path: Path, error: GenerationFailed) -> None:
    measured = Measured()
    async with a_priced_shop(tmp_path, TurnsEndpoint(error)) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert job.status is JobStatus.FAILED
        assert dollars(job) == measured.dollars


async def test_failure_that_did_not_run_costs_nothing_and_gives_back_what_was_reserved(tmp_path: Path) -> None:
    async with a_priced_shop(tmp_path, TurnsEndpoint(ModelUnavailable("Away."))) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert (job.status, job.cost) == (JobStatus.FAILED, None)
        assert await charged(shop, job) == 0


async def test_waiting_for_an_endpoint_that_is_not_ready_costs_nothing(tmp_path: Path) -> None:
    measured = Measured()
    busy = ModelNotReady("Busy.", is_starting=False)
    async with a_priced_shop(tmp_path, TurnsEndpoint(busy, busy, GOOD)) as shop, shop.working():
        assert dollars(await shop.end_of(await submitted(shop))) == measured.dollars


async def test_every_invocation_of_a_job_is_paid_for_also_the_one_that_failed(tmp_path: Path) -> None:
    measured = Measured()
    endpoint = TurnsEndpoint(ONE_IMAGE, ModelFailed("It broke."))
    async with a_priced_shop(tmp_path, endpoint, codec="huggingface") as shop, shop.working():
        job = await shop.end_of(await submitted(shop, count=3))

        assert (job.status, len(job.images), len(endpoint.invocations)) == (JobStatus.SUCCEEDED, 1, 2)
        assert dollars(job) == measured.dollars


async def test_invocation_that_is_sent_again_is_paid_again(tmp_path: Path) -> None:
    measured = Measured()
    endpoint = TurnsEndpoint(AnswerLost("Gone."), GOOD)
    policy = InvocationPolicy(max_attempts=3, pays_again=True)
    async with a_priced_shop(tmp_path, endpoint, policy=policy) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert (job.status, job.losses) == (JobStatus.SUCCEEDED, 1)
        assert dollars(job) == measured.dollars


async def test_answer_whose_images_are_no_good_is_paid_for(tmp_path: Path) -> None:
    measured = Measured()
    async with a_priced_shop(tmp_path, TurnsEndpoint(an_answer("AAAA"))) as shop, shop.working():
        job = await shop.end_of(await submitted(shop))

        assert job.status is JobStatus.FAILED
        assert dollars(job) == measured.dollars


async def test_worker_that_stops_pays_for_what_it_had_sent_and_the_next_one_for_its_own(tmp_path: Path) -> None:
    measured = Measured()
    endpoint = TurnsEndpoint(asyncio.Event(), GOOD)
    async with a_priced_shop(tmp_path, endpoint) as shop:
        async with shop.working():
            job = await submitted(shop)
            await eventually(lambda: endpoint.invocations)
        given_back = await shop.store.find(job.id)
        assert isinstance(given_back, Job)
        assert (given_back.status, given_back.losses) == (JobStatus.QUEUED, 1)
        assert dollars(given_back) == measured.dollars

        async with shop.working():
            ended = await shop.end_of(job)
        assert (ended.status, len(endpoint.invocations)) == (JobStatus.SUCCEEDED, 2)
        assert dollars(ended) == measured.dollars


async def test_worker_that_is_lost_is_charged_with_what_was_reserved(tmp_path: Path) -> None:
    clock = Hands()
    async with a_priced_shop(tmp_path, TurnsEndpoint(GOOD), clock=clock) as shop:
        job = await submitted(shop)
        await shop.store.claim("gone", model_name="sketch", limit=1, lease_seconds=-1, at=clock())
        await shop.janitor.tidy()
        put_back = await shop.store.find(job.id)
        assert isinstance(put_back, Job)
        assert (put_back.status, put_back.cost) == (JobStatus.QUEUED, RESERVED)

        await shop.store.claim("gone", model_name="sketch", limit=1, lease_seconds=-1, at=clock())
        await shop.janitor.tidy()
        failed = await shop.store.find(job.id)
        assert isinstance(failed, Job)
        assert (failed.status, failed.cost) == (JobStatus.FAILED, 2 * RESERVED)


async def test_worker_that_is_lost_while_its_endpoint_was_not_ready_costs_nothing(tmp_path: Path) -> None:
    async with a_priced_shop(tmp_path, TurnsEndpoint(GOOD)) as shop:
        job = await submitted(shop)
        (claimed,) = await shop.store.claim("gone", model_name="sketch", limit=1, lease_seconds=-1, at=START)
        await shop.store.update(claimed.held_up(claimed.progress.phase))
        await shop.janitor.tidy()
        put_back = await shop.store.find(job.id)

        assert isinstance(put_back, Job)
        assert (put_back.status, put_back.cost) == (JobStatus.QUEUED, None)


@pytest.mark.parametrize(
    ("can_stop", "after_seconds", "outcome", "cost"),
    [
        (True, 1, CancelOutcome.STOPPED, 1),
        (True, 7, CancelOutcome.STOPPED, 7),
        (False, 1, CancelOutcome.DETACHED, 2),
        (False, 7, CancelOutcome.DETACHED, 7),
    ],
)
async def test_canceled_job_costs_what_ran_until_then_or_to_its_end_where_it_cannot_be_stopped(
    tmp_path: Path, can_stop: bool, after_seconds: float, outcome: CancelOutcome, cost: float
) -> None:
    clock, endpoint = Hands(), ScriptedEndpoint([asyncio.Event()], can_stop=can_stop)
    async with a_priced_shop(tmp_path, endpoint, clock=clock) as shop, shop.working():
        job = await submitted(shop)
        await eventually(lambda: endpoint.invocations)
        clock.forward(after_seconds)
        canceled = await shop.jobs.cancel(ALICE, job.id)

        assert (canceled.cancel_outcome, dollars(canceled)) == (outcome, cost)
        assert await charged(shop, job) == cost


class LosesAnswer:
    """A job store whose first deletion is not made, as when the connection breaks."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._has_lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def delete(self, job_id: JobId, *, at: datetime) -> Tombstone | None:
        if not self._has_lost:
            self._has_lost = True
            raise ServiceUnavailable
        return await self._store.delete(job_id, at=at)


async def test_job_that_is_deleted_while_it_runs_is_charged_once_however_often_that_is_tried(tmp_path: Path) -> None:
    clock, endpoint = Hands(), ScriptedEndpoint([asyncio.Event()], can_stop=True)
    async with a_priced_shop(tmp_path, endpoint, clock=clock) as shop, shop.working():
        job = await submitted(shop)
        await eventually(lambda: endpoint.invocations)
        clock.forward(3)
        jobs = replace(shop.jobs, store=cast("JobStore", LosesAnswer(shop.store)))
        with pytest.raises(ServiceUnavailable):
            await jobs.delete(ALICE, job.id)
        clock.forward(3)
        await jobs.delete(ALICE, job.id)

        assert await jobs.get(ALICE, job.id) is None
        assert await charged(shop, job) == 3


async def test_job_that_is_canceled_in_the_queue_costs_nothing(tmp_path: Path) -> None:
    async with a_priced_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = await submitted(shop)

        assert (await shop.jobs.cancel(ALICE, job.id)).cost is None
        assert await charged(shop, job) == 0


async def test_job_that_is_canceled_while_its_endpoint_is_not_ready_costs_nothing(tmp_path: Path) -> None:
    clock, endpoint = Hands(), TurnsEndpoint(ModelNotReady("Starting.", is_starting=True))
    async with a_priced_shop(tmp_path, endpoint, clock=clock) as shop, shop.working():
        job = await submitted(shop)
        await shop.until(job, lambda found: found.is_held_up)
        clock.forward(60)

        assert (await shop.jobs.cancel(ALICE, job.id)).cost is None


async def test_deferred_job_costs_the_seconds_from_its_sending_to_its_answer(tmp_path: Path) -> None:
    clock, endpoint = Hands(), ScriptedDeferredEndpoint()
    async with a_priced_shop(tmp_path, endpoint, clock=clock, codec="huggingface") as shop, shop.working():
        job = await submitted(shop, count=2)
        await shop.until(job, lambda found: len(found.deferred) == 2 and all(each.is_known for each in found.deferred))
        clock.forward(3)
        endpoint.answers |= {f"s3://out/{job.id}.0": ONE_IMAGE, f"s3://out/{job.id}.1": ModelFailed("It broke.")}
        ended = await shop.end_of(job)

        assert (ended.status, dollars(ended)) == (JobStatus.SUCCEEDED, 6)
        assert await charged(shop, job) == 6


async def test_deferred_job_that_was_not_taken_costs_nothing(tmp_path: Path) -> None:
    endpoint = ScriptedDeferredEndpoint(refusals=[ModelUnavailable("It is away.")])
    async with a_priced_shop(tmp_path, endpoint) as shop, shop.working():
        ended = await shop.end_of(await submitted(shop))

        assert (ended.status, ended.cost) == (JobStatus.FAILED, None)


async def test_answer_of_a_deferred_job_is_paid_for_once_however_many_workers_wait_for_it(tmp_path: Path) -> None:
    clock, endpoint = Hands(), ScriptedDeferredEndpoint()
    async with a_priced_shop(tmp_path, endpoint, clock=clock, codec="huggingface") as shop:
        async with shop.working():
            job = await submitted(shop, count=2)
            await shop.until(job, lambda found: len(found.deferred) == 2)
            clock.forward(1)
            endpoint.answers[f"s3://out/{job.id}.0"] = ONE_IMAGE
        await shop.store.claim("gone", model_name="sketch", limit=1, lease_seconds=-1, at=clock())
        await shop.janitor.tidy()
        put_back = await shop.store.find(job.id)
        assert isinstance(put_back, Job)
        assert (put_back.status, put_back.cost) == (JobStatus.QUEUED, None)

        endpoint.answers[f"s3://out/{job.id}.1"] = ONE_IMAGE
        async with shop.working():
            assert dollars(await shop.end_of(job)) == 2


async def test_deferred_invocation_that_is_sent_again_is_charged_as_it_was_reserved(tmp_path: Path) -> None:
    clock = Hands()
    endpoint = ScriptedDeferredEndpoint(refusals=[AnswerLost("Gone.")], answers={})
    async with a_priced_shop(tmp_path, endpoint, clock=clock) as shop, shop.working():
        job = await submitted(shop)
        await shop.until(job, lambda found: bool(found.deferred and found.deferred[0].is_known))
        clock.forward(1)
        endpoint.answers[f"s3://out/{job.id}.r1"] = GOOD
        ended = await shop.end_of(job)

        assert (ended.status, ended.losses, dollars(ended)) == (JobStatus.SUCCEEDED, 1, 3)


async def test_canceled_deferred_job_costs_at_least_what_was_reserved_since_it_runs_on(tmp_path: Path) -> None:
    clock, endpoint = Hands(), ScriptedDeferredEndpoint()
    async with a_priced_shop(tmp_path, endpoint, clock=clock) as shop:
        async with shop.working():
            job = await submitted(shop)
            await shop.until(job, lambda found: bool(found.deferred))
        # It waits for another worker now.
        clock.forward(1)
        canceled = await shop.jobs.cancel(ALICE, job.id)

        assert (canceled.cancel_outcome, dollars(canceled)) == (CancelOutcome.DETACHED, 2)


async def test_estimate_tells_seconds_dollars_and_the_queue(tmp_path: Path) -> None:
    async with a_priced_shop(tmp_path, ScriptedEndpoint([])) as shop:
        alone = await shop.jobs.estimate(REQUEST)
        for _ in range(3):
            await submitted(shop)
        behind = await shop.jobs.estimate(replace(REQUEST, count=2))

        assert (alone.seconds, alone.dollars, alone.jobs_ahead) == (2, 2, 0)
        # Two run at a time, and those ahead are taken to be like it.
        assert (behind.seconds, behind.dollars, behind.jobs_ahead) == (4 * (1 + 3 / 2), 4, 3)


async def test_estimate_of_what_nobody_knows_says_so(tmp_path: Path) -> None:
    async with a_priced_shop(tmp_path / "new", ScriptedEndpoint([]), has_history=False) as shop:
        unknown = await shop.jobs.estimate(REQUEST)
    async with a_priced_shop(tmp_path / "free", ScriptedEndpoint([]), price=None) as shop:
        free = await shop.jobs.estimate(REQUEST)

    assert (unknown.seconds, unknown.dollars, unknown.jobs_ahead) == (None, None, 0)
    assert (free.seconds, free.dollars) == (2, None)
