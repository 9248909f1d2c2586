"""What every job store promises of accounts: they are charged with what their jobs hold back and cost, once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from graphql_api.adapters.job_store import open_job_store
from graphql_api.domain.errors import IdempotencyConflict, ModelFailed, QueueFull
from graphql_api.domain.job import CancelOutcome, Job, JobStatus
from graphql_api.ports import IdempotencyKey, JobStore
from tests.clients.waiting import PATIENCE_SECONDS
from tests.contract.sample_jobs import (
    ACME,
    ALICE,
    BOB,
    CAROL,
    MARCH,
    NOON,
    a_job,
    added,
    charged_to,
    claimed,
    live,
    moved,
    succeeded,
)

End = Callable[[Job], Job]


def ended_well(job: Job) -> Job:
    return job.succeeded((), answered_at=NOON, at=NOON)


def ended_badly(job: Job) -> Job:
    return job.failed(ModelFailed("The model broke."), at=NOON)


def stopped(job: Job) -> Job:
    return job.canceled(CancelOutcome.STOPPED, at=NOON)


def a_key(digest: str = "digest-1", *, valid_seconds: float = 3600.0) -> IdempotencyKey:
    return IdempotencyKey(key="key-1", digest=digest, valid_seconds=valid_seconds)


# --- add -------------------------------------------------------------------------------------------------------------


async def test_new_job_holds_back_what_it_is_expected_to_cost(store: JobStore) -> None:
    await added(store, charged_to(ACME, reserved=700))
    await added(store, charged_to(ACME, a_job(caller_id=BOB), reserved=50))

    assert await store.charged(ACME, MARCH) == 750


async def test_account_without_jobs_is_charged_with_nothing(store: JobStore) -> None:
    await added(store, charged_to(ACME))

    assert await store.charged("other", MARCH) == 0
    assert await store.charged(ACME, "2026-04") == 0


async def test_job_that_nobody_keeps_accounts_of_is_charged_to_nobody(store: JobStore) -> None:
    await added(store, charged_to("", reserved=700))
    await succeeded(store, (await claimed(store)).paid(900))

    assert await store.charged("", MARCH) == 0


async def test_job_is_charged_in_the_month_of_its_submission(store: JobStore) -> None:
    for at in (datetime(2026, 3, 31, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)):
        await added(store, replace(charged_to(ACME, reserved=at.month), created_at=at))

    # Both end in May.
    for job in [await claimed(store), await claimed(store)]:
        end = datetime(2026, 5, 2, tzinfo=UTC)
        await moved(store, job.paid(10 * job.created_at.month).succeeded((), answered_at=end, at=end))

    assert [await store.charged(ACME, month) for month in (MARCH, "2026-04", "2026-05")] == [30, 40, 0]


async def test_repeated_key_charges_once(store: JobStore) -> None:
    for _ in range(3):
        await store.add(charged_to(ACME), key=a_key())
    await asyncio.gather(*(store.add(charged_to(ACME), key=a_key()) for _ in range(30)))

    assert await store.charged(ACME, MARCH) == 700


async def test_key_that_counts_no_more_charges_again(store: JobStore) -> None:
    await store.add(charged_to(ACME), key=a_key())
    await store.add(charged_to(ACME), key=a_key("digest-2", valid_seconds=0.0))

    assert await store.charged(ACME, MARCH) == 1400


async def test_job_that_is_refused_charges_nothing(store: JobStore) -> None:
    await store.add(charged_to(ACME, reserved=1), key=a_key())

    with pytest.raises(QueueFull):
        await store.add(charged_to(ACME), max_queued=1)
    with pytest.raises(IdempotencyConflict):
        await store.add(charged_to(ACME), key=a_key("digest-2"))

    assert await store.charged(ACME, MARCH) == 1


async def test_concurrent_jobs_of_many_callers_add_up(store: JobStore) -> None:
    callers = (ALICE, BOB, CAROL)

    await asyncio.gather(
        *(
            store.add(charged_to(account, a_job(caller_id=callers[number % 3]), reserved=number))
            for number in range(100)
            for account in (ACME, "other", "")
        )
    )

    assert await store.charged(ACME, MARCH) == await store.charged("other", MARCH) == sum(range(100))


async def test_charges_are_there_after_reopening(store_url: str) -> None:
    async with open_job_store(store_url) as store:
        await added(store, charged_to(ACME))
    async with open_job_store(store_url) as store:
        await moved(store, ended_well((await claimed(store)).paid(900)))
        assert await store.charged(ACME, MARCH) == 900


# --- update ----------------------------------------------------------------------------------------------------------


async def test_claim_and_giving_back_hold_back_the_same(store: JobStore) -> None:
    await added(store, charged_to(ACME))

    running = await claimed(store)
    assert await store.charged(ACME, MARCH) == 700

    await moved(store, running.released())
    assert await store.charged(ACME, MARCH) == 700


async def test_running_job_is_charged_with_its_cost_once_that_is_more_than_expected(store: JobStore) -> None:
    await added(store, charged_to(ACME))

    running = await moved(store, (await claimed(store)).paid(600))
    assert await store.charged(ACME, MARCH) == 700

    await moved(store, running.paid(300))
    assert await store.charged(ACME, MARCH) == 900


@pytest.mark.parametrize("end", [ended_well, ended_badly, stopped])
@pytest.mark.parametrize("paid", [None, 100, 700, 2**40])
async def test_end_settles_the_cost(store: JobStore, end: End, paid: int | None) -> None:
    await added(store, charged_to(ACME))

    await moved(store, end((await claimed(store)).paid(paid)))

    assert await store.charged(ACME, MARCH) == (paid or 0)


async def test_cancel_before_the_start_charges_nothing(store: JobStore) -> None:
    job = await added(store, charged_to(ACME))

    await moved(store, job.canceled(CancelOutcome.NOT_STARTED, at=NOON))

    assert await store.charged(ACME, MARCH) == 0


async def test_cost_of_an_ended_job_can_still_be_corrected(store: JobStore) -> None:
    await added(store, charged_to(ACME))
    canceled = await moved(store, stopped(await claimed(store)))

    await moved(store, canceled.paid(250))

    assert await store.charged(ACME, MARCH) == 250


async def test_update_that_comes_too_late_charges_nothing(store: JobStore) -> None:
    await added(store, charged_to(ACME))
    running = await claimed(store)
    await moved(store, ended_well(running.paid(100)))

    assert await store.update(ended_badly(running.paid(5_000))) is None
    assert await store.update(ended_badly(running.paid(5_000)), if_lease_lost=True) is None

    assert await store.charged(ACME, MARCH) == 100


async def test_one_of_many_concurrent_ends_is_charged(store: JobStore) -> None:
    await added(store, charged_to(ACME))
    running = await claimed(store)

    results = await asyncio.gather(*(store.update(ended_well(running.paid(amount))) for amount in range(1, 21)))

    (won,) = [result for result in results if result is not None]
    assert await store.charged(ACME, MARCH) == won.cost


async def test_changes_that_cancel_out_leave_the_account_as_it_was(store: JobStore) -> None:
    for _ in range(2):
        await added(store, charged_to(ACME))
    more, less = await claimed(store), await claimed(store)

    await asyncio.gather(moved(store, ended_well(more.paid(800))), moved(store, ended_well(less.paid(600))))

    assert await store.charged(ACME, MARCH) == 1400


# --- delete ----------------------------------------------------------------------------------------------------------


async def test_deleting_a_job_that_was_never_claimed_gives_back(store: JobStore) -> None:
    kept = await added(store, charged_to(ACME, reserved=1))
    job = await added(store, charged_to(ACME))

    assert await store.delete(job.id, at=NOON) is not None
    assert await store.delete(job.id, at=NOON) is None

    assert await store.charged(ACME, MARCH) == kept.charged == 1


async def test_deleting_a_job_that_was_claimed_gives_nothing_back(store: JobStore) -> None:
    await added(store, charged_to(ACME))
    running = await claimed(store)
    await store.delete(running.id, at=NOON)
    assert await store.charged(ACME, MARCH) == 700

    await added(store, charged_to(ACME))
    waiting = await moved(store, (await claimed(store)).released())
    await store.delete(waiting.id, at=NOON)
    assert await store.charged(ACME, MARCH) == 1400


@pytest.mark.parametrize("end", [ended_well, ended_badly, stopped])
async def test_deleting_an_ended_job_leaves_its_cost(store: JobStore, end: End) -> None:
    await added(store, charged_to(ACME))
    ended = await moved(store, end((await claimed(store)).paid(90)))

    await store.delete(ended.id, at=NOON)

    assert await store.charged(ACME, MARCH) == 90


async def test_deleting_a_canceled_job_gives_nothing_back_twice(store: JobStore) -> None:
    job = await added(store, charged_to(ACME))
    await moved(store, job.canceled(CancelOutcome.NOT_STARTED, at=NOON))

    await store.delete(job.id, at=NOON)

    assert await store.charged(ACME, MARCH) == 0


# --- all of it -------------------------------------------------------------------------------------------------------


async def test_accounts_hold_the_sum_of_their_jobs_whatever_becomes_of_them_at_the_same_time(store: JobStore) -> None:
    chance = random.Random(5)
    accounts = (ACME, "other")
    jobs = [
        charged_to(chance.choice(accounts), a_job(caller_id=chance.choice((ALICE, BOB))), reserved=number)
        for number in range(120)
    ]

    async def work(name: str) -> None:
        while not submitting.done() or sum(depth.jobs for depth in await store.depths()) > 20:
            for job in await store.claim(name, model_name="sketch", limit=2, lease_seconds=60, at=NOON):
                end = chance.choice((ended_well, ended_badly, stopped, Job.released))
                await store.update(end(job.paid(chance.choice((None, 1_000)))))

    async def interfere() -> None:
        for job in chance.sample(jobs, 40):
            found = await store.find(job.id)
            if isinstance(found, Job) and not found.is_final:
                await store.update(found.canceled(CancelOutcome.NOT_STARTED, at=NOON))

    submitting = asyncio.gather(*(store.add(job) for job in jobs))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(submitting, work("a"), work("b"), work("c"), interfere())

    found = [live(await store.find(job.id)) for job in jobs]
    assert {job.status for job in found} > {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED}
    for account in accounts:
        assert await store.charged(account, MARCH) == sum(job.charged for job in found if job.account == account)
