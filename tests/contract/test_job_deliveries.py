"""What every job store promises of deliveries: what a webhook asked for is told, in order, by one sender at a time."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from graphql_api.domain.errors import ModelFailed
from graphql_api.domain.ids import JobId, new_job_id
from graphql_api.domain.job import CancelOutcome, Job, JobPhase, JobStatus, Progress
from graphql_api.domain.webhook import Delivery, DeliveryAttempt, DeliveryState, WebhookEvent
from graphql_api.ports import DueDelivery, JobStore
from tests.contract.sample_jobs import HOOK, NOON, a_job, added, an_image, claimed, moved, told

STARTED, SUCCEEDED, FAILED, CANCELED = WebhookEvent

REFUSED = DeliveryAttempt(at=NOON, seconds=0.25, status_code=503, problem="The receiver answered 503.")
TAKEN = DeliveryAttempt(at=NOON, seconds=0.125, status_code=204)


async def due(store: JobStore, limit: int = 10, *, lease_seconds: float = 60.0) -> Sequence[DueDelivery]:
    return await store.claim_deliveries(limit, lease_seconds=lease_seconds)


async def next_due(store: JobStore, *, lease_seconds: float = 60.0) -> DueDelivery:
    (only,) = await due(store, 1, lease_seconds=lease_seconds)
    return only


def delivered(delivery: Delivery) -> Delivery:
    return delivery.attempted(TAKEN, next_attempt_at=None)


def put_off(delivery: Delivery, *, seconds: float) -> Delivery:
    """To be tried again so many seconds from now."""
    return delivery.attempted(REFUSED, next_attempt_at=datetime.now(UTC) + timedelta(seconds=seconds))


async def deliver(store: JobStore, claim: DueDelivery) -> None:
    assert await store.save_delivery(delivered(claim.delivery), claim=claim.claim)


async def ended(store: JobStore, running: Job, event: WebhookEvent) -> Job:
    """A running job after the move that an event tells of."""
    match event:
        case WebhookEvent.JOB_SUCCEEDED:
            return await moved(store, running.succeeded((an_image(),), answered_at=NOON, at=NOON))
        case WebhookEvent.JOB_FAILED:
            return await moved(store, running.failed(ModelFailed("no"), at=NOON))
        case WebhookEvent.JOB_CANCELED:
            return await moved(store, running.canceled(CancelOutcome.STOPPED, at=NOON))
        case _:
            return running


async def overwrite(store_url: str, job_id: JobId, column: str, value: str) -> None:
    """Write to the delivery of a job what a newer version of the program might."""
    if store_url.startswith("sqlite:"):
        with contextlib.closing(sqlite3.connect(store_url.removeprefix("sqlite:"))) as db, db:
            db.execute(f"UPDATE deliveries SET {column} = ? WHERE job_id = ?", (value, job_id))
        return
    connection = await asyncpg.connect(store_url)
    try:
        await connection.execute(f"UPDATE deliveries SET {column} = $1 WHERE job_id = $2", value, job_id)
    finally:
        await connection.close()


async def run_through(store: JobStore, job: Job) -> Job:
    """A new job that has succeeded."""
    await added(store, job)
    return await ended(store, await claimed(store), SUCCEEDED)


# --- queuing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", WebhookEvent)
async def test_move_that_the_webhook_asked_for_is_queued_at_once(store: JobStore, event: WebhookEvent) -> None:
    await added(store, told(event))
    job = await ended(store, await claimed(store), event)

    (delivery,) = await store.deliveries(job.id)

    assert delivery == Delivery(
        job_id=job.id,
        caller_id=job.caller_id,
        revision=job.revision,
        url=HOOK,
        event=event,
        created_at=delivery.created_at,
        begun_at=delivery.created_at,
        next_attempt_at=delivery.created_at,
    )
    assert abs(delivery.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    (claim,) = await due(store)
    assert claim.delivery == delivery
    assert claim.job == job


@pytest.mark.parametrize("event", [SUCCEEDED, FAILED, CANCELED])
async def test_move_that_the_webhook_did_not_ask_for_is_not_queued(store: JobStore, event: WebhookEvent) -> None:
    others = set(WebhookEvent) - {event, STARTED}
    for job in (a_job(), told(*others)):
        await added(store, job)
        await ended(store, await claimed(store), event)

        assert await store.deliveries(job.id) == []
    assert await due(store) == []


async def test_cancel_of_a_waiting_job_is_told(store: JobStore) -> None:
    job = await added(store, told())

    canceled = await moved(store, job.canceled(CancelOutcome.NOT_STARTED, at=NOON))

    (claim,) = await due(store)
    assert (claim.delivery.event, claim.job) == (CANCELED, canceled)


async def test_what_a_running_job_writes_down_and_its_renewals_tell_nothing(store: JobStore) -> None:
    await added(store, told())
    running = await claimed(store)
    halfway = Progress(phase=JobPhase.GENERATING, fraction=0.5, step=10, total_steps=20)

    assert await store.renew(running, "worker-1", lease_seconds=60, progress=halfway)
    running = await moved(store, running.held_up(JobPhase.WAITING))
    await moved(store, running.sent())

    assert [each.event for each in await store.deliveries(running.id)] == [STARTED]


async def test_correction_of_an_ended_job_tells_nothing(store: JobStore) -> None:
    job = await run_through(store, told(SUCCEEDED))

    await moved(store, job.paid(5))

    assert len(await store.deliveries(job.id)) == 1


async def test_each_claim_is_told_and_giving_back_is_not(store: JobStore) -> None:
    await added(store, told())
    first = await claimed(store)
    await moved(store, first.released())
    second = await claimed(store)

    assert [(each.event, each.revision) for each in await store.deliveries(first.id)] == [
        (STARTED, first.revision),
        (STARTED, second.revision),
    ]


async def test_update_that_comes_too_late_tells_nothing(store: JobStore) -> None:
    await added(store, told(SUCCEEDED, FAILED))
    running = await claimed(store)
    await ended(store, running, SUCCEEDED)

    assert await store.update(running.failed(ModelFailed("no"), at=NOON)) is None

    assert [each.event for each in await store.deliveries(running.id)] == [SUCCEEDED]


async def test_one_of_many_concurrent_ends_is_told(store: JobStore) -> None:
    await added(store, told(SUCCEEDED))
    running = await claimed(store)

    await asyncio.gather(*(store.update(running.succeeded((), answered_at=NOON, at=NOON)) for _ in range(20)))

    assert len(await store.deliveries(running.id)) == 1


async def test_every_job_of_a_claim_is_told_of_by_itself(store: JobStore) -> None:
    jobs = [await added(store, told(STARTED) if number % 2 else a_job()) for number in range(6)]
    running = await store.claim("worker-1", model_name="sketch", limit=6, lease_seconds=60, at=NOON)

    claims = await due(store)

    assert {claim.delivery.job_id for claim in claims} == {job.id for job in jobs[1::2]}
    assert all(claim.job in running for claim in claims)


async def test_unknown_job_has_no_deliveries(store: JobStore) -> None:
    assert await store.deliveries(new_job_id()) == []
    assert await store.deliveries(JobId("no\0such")) == []


# --- claiming --------------------------------------------------------------------------------------------------------


async def test_job_is_told_as_it_was_at_the_revision(store: JobStore) -> None:
    await added(store, told())
    running = await claimed(store)
    done = await ended(store, running, SUCCEEDED)

    first = await next_due(store)
    await deliver(store, first)
    second = await next_due(store)

    assert (first.delivery.event, first.job) == (STARTED, running)
    assert first.job.status is JobStatus.RUNNING
    assert (second.delivery.event, second.job) == (SUCCEEDED, done)


async def test_job_is_told_of_by_rising_revision_one_at_a_time(store: JobStore) -> None:
    await added(store, told())
    await moved(store, (await claimed(store)).released())
    await ended(store, await claimed(store), FAILED)

    seen = []
    while claims := await due(store):
        (claim,) = claims
        assert await due(store) == []
        seen.append(claim.delivery.event)
        await deliver(store, claim)

    assert seen == [STARTED, STARTED, FAILED]


async def test_deliveries_of_other_jobs_do_not_wait_for_one_that_fails(store: JobStore) -> None:
    stuck = await run_through(store, told())
    other = await run_through(store, told(SUCCEEDED))

    claims = {claim.delivery.job_id: claim for claim in await due(store)}
    await store.save_delivery(put_off(claims[stuck.id].delivery, seconds=3600), claim=claims[stuck.id].claim)
    await deliver(store, claims[other.id])

    assert await due(store) == []
    assert [each.state for each in await store.deliveries(stuck.id)] == [DeliveryState.PENDING] * 2
    assert [each.state for each in await store.deliveries(other.id)] == [DeliveryState.DELIVERED]


async def test_delivery_that_is_given_up_lets_the_next_one_go(store: JobStore) -> None:
    job = await run_through(store, told())
    first = await next_due(store)
    later = put_off(first.delivery, seconds=3600)
    assert await store.save_delivery(later, claim=first.claim)
    assert await due(store) == []

    given_up = replace(later, state=DeliveryState.GAVE_UP, next_attempt_at=None)
    assert await store.save_delivery(given_up)

    assert (await next_due(store)).delivery.event is SUCCEEDED
    assert (await store.deliveries(job.id))[0] == given_up


async def test_move_behind_a_delivery_that_was_put_off_waits_for_it(store: JobStore) -> None:
    await added(store, told())
    running = await claimed(store)
    first = await next_due(store)
    assert await store.save_delivery(put_off(first.delivery, seconds=3600), claim=first.claim)

    await ended(store, running, SUCCEEDED)

    assert await due(store) == []


async def test_delivery_comes_back_when_its_next_attempt_is_due(store: JobStore) -> None:
    await run_through(store, told(SUCCEEDED))
    first = await next_due(store)

    again = put_off(first.delivery, seconds=-1)
    assert await store.save_delivery(again, claim=first.claim)

    second = await next_due(store)
    assert second.delivery == again
    assert second.claim != first.claim


async def test_those_due_longest_come_first_up_to_the_limit(store: JobStore) -> None:
    jobs = [await run_through(store, told(SUCCEEDED)) for _ in range(4)]
    for claim in await due(store):
        seconds = (-30, -10, -40, -20)[[job.id for job in jobs].index(claim.delivery.job_id)]
        assert await store.save_delivery(put_off(claim.delivery, seconds=seconds), claim=claim.claim)

    claims = [*await due(store, 3), *await due(store, 3)]

    assert [claim.delivery.job_id for claim in claims] == [jobs[number].id for number in (2, 0, 3, 1)]


async def test_claimed_delivery_is_not_claimed_again_while_its_lease_holds(store: JobStore) -> None:
    await run_through(store, told(SUCCEEDED))
    await next_due(store, lease_seconds=60)

    assert await due(store) == []


async def test_lease_that_ran_out_lets_another_claim_it(store: JobStore) -> None:
    await run_through(store, told(SUCCEEDED))
    first = await next_due(store, lease_seconds=0)

    second = await next_due(store)

    assert second.delivery == first.delivery
    assert second.claim != first.claim


async def test_delivery_that_is_claimed_again_still_holds_back_the_next_one(store: JobStore) -> None:
    await run_through(store, told())

    for _ in range(3):
        assert (await next_due(store, lease_seconds=0)).delivery.event is STARTED


async def test_concurrent_claims_never_share_a_delivery(store: JobStore) -> None:
    jobs = [await run_through(store, told()) for _ in range(30)]

    claims = await asyncio.gather(*(due(store, 4) for _ in range(20)))

    ids = [claim.delivery.job_id for batch in claims for claim in batch]
    assert len(ids) == len(set(ids))
    assert all(claim.delivery.event is STARTED for batch in claims for claim in batch)
    # Whoever passed over what others were about to claim finds nothing more.
    rest = await due(store, 100)
    assert {*ids, *(claim.delivery.job_id for claim in rest)} == {job.id for job in jobs}


@pytest.mark.parametrize(
    "fault",
    [
        ("attempts", '[{"at": 1}]'),
        ("event", "JOB_ADMIRED"),
        ("data", '{"id": "of a newer version"}'),
        ("data", "no JSON"),
    ],
    ids=["attempts", "event", "job", "json"],
)
async def test_delivery_that_this_version_cannot_read_does_not_hold_up_its_neighbors(
    store: JobStore, store_url: str, fault: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    bad, *good = [await run_through(store, told(SUCCEEDED)) for _ in range(4)]
    await overwrite(store_url, bad.id, *fault)

    claims = await due(store)

    assert [claim.delivery.job_id for claim in claims] == [job.id for job in good]
    (line,) = (record.getMessage() for record in caplog.records)
    assert "cannot be read" in line
    assert bad.id in line
    for claim in claims:
        await deliver(store, claim)
    assert await due(store) == []


# --- saving ----------------------------------------------------------------------------------------------------------


async def test_what_became_of_a_delivery_is_kept(store: JobStore) -> None:
    job = await run_through(store, told(SUCCEEDED))
    claim = await next_due(store)
    unheard = DeliveryAttempt(at=NOON + timedelta(microseconds=1), seconds=1e-3, problem="Grüße: no answer.")
    over = claim.delivery.attempted(unheard, next_attempt_at=NOON).attempted(TAKEN, next_attempt_at=None)

    assert await store.save_delivery(over, claim=claim.claim)

    assert over.state is DeliveryState.DELIVERED
    assert await store.deliveries(job.id) == [over]
    assert await due(store) == []


async def test_claim_that_somebody_took_over_saves_nothing(store: JobStore) -> None:
    job = await run_through(store, told(SUCCEEDED))
    late = await next_due(store, lease_seconds=0)
    current = await next_due(store)

    assert not await store.save_delivery(delivered(late.delivery), claim=late.claim)
    assert await store.deliveries(job.id) == [late.delivery]

    await deliver(store, current)


async def test_claim_ends_with_its_first_save(store: JobStore) -> None:
    await run_through(store, told(SUCCEEDED))
    claim = await next_due(store)
    await deliver(store, claim)

    assert not await store.save_delivery(put_off(claim.delivery, seconds=0), claim=claim.claim)
    assert await due(store) == []


async def test_claim_whose_lease_ran_out_saves_while_nobody_took_it_over(store: JobStore) -> None:
    await run_through(store, told(SUCCEEDED))
    claim = await next_due(store, lease_seconds=0)

    await deliver(store, claim)

    assert await due(store) == []


async def test_replayed_delivery_is_due_again_with_its_job_at_the_same_revision(store: JobStore) -> None:
    job = await run_through(store, told(SUCCEEDED))
    claim = await next_due(store)
    await deliver(store, claim)
    at = datetime.now(UTC) - timedelta(seconds=1)

    replayed = delivered(claim.delivery).replayed(at=at)
    assert await store.save_delivery(replayed)

    again = await next_due(store)
    assert (again.delivery, again.job) == (replayed, job)
    assert again.delivery.attempts == (TAKEN,)
    assert again.delivery.begun_at == at


async def test_replay_takes_the_claim_from_whoever_holds_it(store: JobStore) -> None:
    await run_through(store, told(SUCCEEDED))
    claim = await next_due(store)

    assert await store.save_delivery(claim.delivery.replayed(at=NOON))

    assert not await store.save_delivery(delivered(claim.delivery), claim=claim.claim)
    await deliver(store, await next_due(store))


async def test_replay_keeps_an_attempt_that_was_written_since_the_delivery_was_read(store: JobStore) -> None:
    job = await run_through(store, told(SUCCEEDED))
    (read_before,) = await store.deliveries(job.id)
    claim = await next_due(store)
    await deliver(store, claim)

    assert await store.save_delivery(read_before.replayed(at=NOON))

    (replayed,) = await store.deliveries(job.id)
    assert replayed == delivered(claim.delivery).replayed(at=NOON)
    assert replayed.attempts == (TAKEN,)


async def test_replay_of_an_earlier_delivery_leaves_a_later_one_to_whoever_holds_it(store: JobStore) -> None:
    await run_through(store, told())
    first = await next_due(store)
    await deliver(store, first)
    later = await next_due(store)

    assert await store.save_delivery(delivered(first.delivery).replayed(at=NOON))
    again = await next_due(store)
    assert again.delivery.event is STARTED
    await deliver(store, again)

    assert await due(store) == []
    await deliver(store, later)


async def test_deletion_of_a_job_takes_its_deliveries_along(store: JobStore) -> None:
    kept = await run_through(store, told(SUCCEEDED))
    job = await run_through(store, told())
    claims = {claim.delivery.job_id: claim for claim in await due(store)}
    await store.delete(job.id, at=NOON)

    assert await store.deliveries(job.id) == []
    assert not await store.save_delivery(delivered(claims[job.id].delivery), claim=claims[job.id].claim)
    assert not await store.save_delivery(delivered(claims[job.id].delivery))
    assert len(await store.deliveries(kept.id)) == 1


async def test_delivery_that_never_was_is_not_saved(store: JobStore) -> None:
    await run_through(store, told(SUCCEEDED))
    (claim,) = await due(store)

    assert not await store.save_delivery(replace(claim.delivery, revision=99))
    assert not await store.save_delivery(replace(claim.delivery, job_id=new_job_id()))
