"""What every job store promises: the docstrings of JobStore in ports.py, sentence by sentence."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_api.domain.errors import IdempotencyConflict, JobFailureCode, ModelFailed, QueueFull
from graphql_api.domain.ids import CallerId, JobId, new_job_id
from graphql_api.domain.job import CancelOutcome, Job, JobPhase, JobStatus, Progress, Tombstone, WithheldImage
from graphql_api.domain.webhook import WebhookEvent
from graphql_api.ports import IdempotencyKey, JobPage, JobPosition, JobQuery, JobStore, PageRequest, QueueDepth, Work
from tests.contract.sample_jobs import (
    ACME,
    ALICE,
    BOB,
    CAROL,
    LATER,
    NOON,
    a_job,
    added,
    an_image,
    charged_to,
    claimed,
    claims,
    in_status,
    live,
    moved,
    newest_first,
    position_of,
    succeeded,
    told,
)

HALFWAY = Progress(phase=JobPhase.GENERATING, fraction=0.5, step=10, total_steps=20, eta_seconds=2.5)


def a_key(key: str = "key-1", *, digest: str = "digest-1", valid_seconds: float = 3600.0) -> IdempotencyKey:
    return IdempotencyKey(key=key, digest=digest, valid_seconds=valid_seconds)


# --- add and find ----------------------------------------------------------------------------------------------------


async def test_added_job_is_found_as_it_was_with_its_first_revision(store: JobStore) -> None:
    job = a_job(prompt="Grüße, 狐 🦊 'quoted' %_\\ \n")

    submitted = await store.add(job)

    assert submitted.is_new
    assert submitted.job == replace(job, revision=1)
    assert await store.find(job.id) == submitted.job


async def test_every_field_of_a_job_survives(store: JobStore) -> None:
    withheld = WithheldImage(index=1, code=JobFailureCode.CONTENT_BLOCKED, message="withheld")
    await added(store, replace(a_job(), reference="order 7", losses=1))
    running = await claimed(store)
    images = (an_image(0), an_image(2))
    end = NOON + timedelta(microseconds=1)

    ended = await moved(store, running.succeeded(images, answered_at=NOON, at=end, withheld=(withheld,)))

    assert ended.images == images
    assert await store.find(ended.id) == ended


async def test_failure_and_cancel_outcome_survive(store: JobStore) -> None:
    await added(store)
    failed = await moved(store, (await claimed(store)).failed(ModelFailed("The model broke."), at=NOON))
    canceled = await moved(store, (await added(store)).canceled(CancelOutcome.NOT_STARTED, at=NOON))

    assert await store.find(failed.id) == failed
    assert await store.find(canceled.id) == canceled


async def test_unknown_job_is_not_found(store: JobStore) -> None:
    assert await store.find(new_job_id()) is None


async def test_account_cost_and_webhook_of_a_job_survive(store: JobStore) -> None:
    job = charged_to(ACME, told(WebhookEvent.JOB_FAILED, WebhookEvent.JOB_CANCELED))
    await added(store, job)
    running = await claimed(store)
    assert (running.account, running.reserved, running.webhook) == (ACME, job.reserved, job.webhook)

    ended = await moved(store, running.paid(3).failed(ModelFailed("no"), at=NOON))

    assert ended.cost == 3
    assert await store.find(ended.id) == ended


async def test_job_of_another_caller_is_not_found(store: JobStore) -> None:
    job = await added(store)
    deleted = await added(store)
    tombstone = await store.delete(deleted.id, at=NOON)

    assert await store.find(job.id, caller_id=ALICE) == job
    assert await store.find(deleted.id, caller_id=ALICE) == tombstone
    assert await store.find(new_job_id(), caller_id=ALICE) is None
    for stranger in (BOB, CallerId(""), CallerId("alice "), CallerId("Alice"), CallerId("%")):
        assert await store.find(job.id, caller_id=stranger) is None
        assert await store.find(deleted.id, caller_id=stranger) is None


async def test_active_jobs_of_a_caller_are_counted_as_far_as_the_limit(store: JobStore) -> None:
    for _ in range(3):
        await added(store)
    await added(store, a_job(caller_id=BOB))
    await added(store, a_job(caller_id=BOB, model_name="other"))
    await claimed(store)
    await succeeded(store, await claimed(store))

    assert [await store.count_active(caller, 10) for caller in (ALICE, BOB, CAROL)] == [3, 1, 0]
    assert [await store.count_active(ALICE, limit) for limit in (0, 2, 3, 4)] == [0, 2, 3, 3]

    waiting = await added(store)
    await moved(store, waiting.canceled(CancelOutcome.NOT_STARTED, at=NOON))
    assert await store.count_active(ALICE, 10) == 3


async def test_concurrent_adds_take_revisions_without_gaps(store: JobStore) -> None:
    submitted = await asyncio.gather(
        *(store.add(a_job(caller_id=caller)) for _ in range(40) for caller in (ALICE, BOB))
    )

    for caller in (ALICE, BOB):
        revisions = [one.job.revision for one in submitted if one.job.caller_id == caller]
        assert sorted(revisions) == list(range(1, 41))
        assert await store.caller_revision(caller) == 40


async def test_revisions_become_visible_in_order(store: JobStore) -> None:
    adding = asyncio.gather(*(store.add(a_job()) for _ in range(100)))
    while not adding.done():
        revision = await store.caller_revision(ALICE)
        seen = [changed.revision for changed in await store.changes(ALICE, after=0, limit=1000)]
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) >= revision
    await adding


async def test_revisions_of_many_callers_are_read_at_once(store: JobStore) -> None:
    for caller in (ALICE, BOB, ALICE):
        await added(store, a_job(caller_id=caller))

    assert await store.caller_revisions([ALICE, BOB, CAROL]) == {ALICE: 2, BOB: 1}
    assert await store.caller_revisions([]) == {}


# --- idempotency keys ------------------------------------------------------------------------------------------------


async def test_known_key_leads_to_the_earlier_job_at_its_latest_state(store: JobStore) -> None:
    earlier = (await store.add(a_job(), key=a_key())).job
    running = await claimed(store)

    again = await store.add(a_job(), key=a_key())

    assert not again.is_new
    assert again.job == running
    assert again.job.id == earlier.id
    assert await store.count(ALICE, JobQuery()) == 1
    assert await store.caller_revision(ALICE) == 2


async def test_fifty_concurrent_adds_with_one_key_make_one_job(store: JobStore) -> None:
    submitted = await asyncio.gather(*(store.add(a_job(), key=a_key()) for _ in range(50)))

    assert len({one.job.id for one in submitted}) == 1
    assert sum(one.is_new for one in submitted) == 1
    assert await store.count(ALICE, JobQuery()) == 1
    assert await store.caller_revision(ALICE) == 1


async def test_keys_of_two_callers_do_not_meet(store: JobStore) -> None:
    first = await store.add(a_job(caller_id=ALICE), key=a_key())
    second = await store.add(a_job(caller_id=BOB), key=a_key(digest="digest-2"))

    assert first.is_new
    assert second.is_new


async def test_key_with_another_digest_is_a_conflict(store: JobStore) -> None:
    earlier = (await store.add(a_job(), key=a_key())).job

    with pytest.raises(IdempotencyConflict, match="other input") as caught:
        await store.add(a_job(), key=a_key(digest="digest-2"))

    assert caught.value.existing_job_id == earlier.id
    assert await store.count(ALICE, JobQuery()) == 1


async def test_key_of_a_deleted_job_is_a_conflict_that_says_so(store: JobStore) -> None:
    earlier = (await store.add(a_job(), key=a_key())).job
    await store.delete(earlier.id, at=NOON)

    with pytest.raises(IdempotencyConflict, match="deleted") as caught:
        await store.add(a_job(), key=a_key())

    assert caught.value.existing_job_id == earlier.id


async def test_key_counts_no_longer_than_it_is_valid(store: JobStore) -> None:
    await store.add(a_job(), key=a_key())

    later = await store.add(a_job(), key=a_key(digest="digest-2", valid_seconds=0.0))

    assert later.is_new
    assert (await store.add(a_job(), key=a_key(digest="digest-2"))).job == later.job


async def test_job_is_found_by_its_key_at_its_latest_state(store: JobStore) -> None:
    assert await store.find_by_key(ALICE, a_key()) is None
    await store.add(a_job(), key=a_key())
    running = await claimed(store)

    assert await store.find_by_key(ALICE, a_key()) == running
    assert await store.find_by_key(ALICE, a_key("key-2")) is None
    assert await store.find_by_key(BOB, a_key()) is None
    assert await store.find_by_key(BOB, a_key(digest="digest-2")) is None


async def test_looking_for_a_key_neither_uses_nor_renews_it(store: JobStore) -> None:
    assert await store.find_by_key(ALICE, a_key()) is None
    first = await store.add(a_job(), key=a_key(digest="digest-2"))
    assert first.is_new
    assert await store.find_by_key(ALICE, a_key(valid_seconds=0.0)) is None

    assert not (await store.add(a_job(), key=a_key(digest="digest-2"))).is_new


async def test_key_that_is_looked_for_with_another_digest_is_a_conflict(store: JobStore) -> None:
    earlier = (await store.add(a_job(), key=a_key())).job

    with pytest.raises(IdempotencyConflict, match="other input") as caught:
        await store.find_by_key(ALICE, a_key(digest="digest-2"))

    assert caught.value.existing_job_id == earlier.id
    assert await store.find_by_key(ALICE, a_key(digest="digest-2", valid_seconds=0.0)) is None


async def test_key_of_a_deleted_job_that_is_looked_for_is_a_conflict(store: JobStore) -> None:
    earlier = (await store.add(a_job(), key=a_key())).job
    await store.delete(earlier.id, at=NOON)

    with pytest.raises(IdempotencyConflict, match="deleted") as caught:
        await store.find_by_key(ALICE, a_key())

    assert caught.value.existing_job_id == earlier.id


async def test_refused_add_does_not_use_up_its_key(store: JobStore) -> None:
    await added(store)
    with pytest.raises(QueueFull):
        await store.add(a_job(), key=a_key(), max_queued=1)

    assert (await store.add(a_job(), key=a_key(digest="digest-2"))).is_new


# --- a full queue ----------------------------------------------------------------------------------------------------


async def test_full_queue_takes_no_job(store: JobStore) -> None:
    await added(store, a_job(caller_id=BOB))
    await added(store)

    with pytest.raises(QueueFull) as caught:
        await store.add(a_job(), max_queued=2)

    assert caught.value.retry_after_seconds > 0
    assert await store.count(ALICE, JobQuery()) == 1
    assert (await store.add(a_job(), max_queued=3)).is_new


async def test_concurrent_adds_do_not_overfill_the_queue(store: JobStore) -> None:
    results = await asyncio.gather(*(store.add(a_job(), max_queued=5) for _ in range(20)), return_exceptions=True)

    assert sum(isinstance(result, QueueFull) for result in results) == 15
    assert await store.count(ALICE, JobQuery()) == 5


async def test_known_key_passes_a_full_queue(store: JobStore) -> None:
    earlier = await store.add(a_job(), key=a_key())

    assert (await store.add(a_job(), key=a_key(), max_queued=1)).job == earlier.job


async def test_only_queued_jobs_fill_the_queue(store: JobStore) -> None:
    async def is_full() -> bool:
        try:
            probe = await store.add(a_job(), max_queued=1)
        except QueueFull:
            return True
        await store.delete(probe.job.id, at=NOON)
        return False

    queued = await added(store)
    assert await is_full()
    running = await claimed(store)
    assert not await is_full()
    queued = await moved(store, running.released())
    assert await is_full()
    await moved(store, queued.canceled(CancelOutcome.NOT_STARTED, at=NOON))
    assert not await is_full()
    queued = await added(store)
    assert await is_full()
    await store.delete(queued.id, at=NOON)
    assert not await is_full()


# --- update ----------------------------------------------------------------------------------------------------------


async def test_update_writes_the_move_and_takes_the_next_revision(store: JobStore) -> None:
    job = await added(store)
    await added(store)

    canceled = job.canceled(CancelOutcome.NOT_STARTED, at=NOON)
    updated = await store.update(canceled)

    assert updated == replace(canceled, revision=3)
    assert await store.find(job.id) == updated


async def test_update_from_an_earlier_revision_changes_nothing(store: JobStore) -> None:
    job = await added(store)
    running = await claimed(store)

    assert await store.update(job.canceled(CancelOutcome.NOT_STARTED, at=NOON)) is None
    assert await store.find(job.id) == running
    assert await store.caller_revision(ALICE) == running.revision


async def test_one_of_twenty_concurrent_updates_wins(store: JobStore) -> None:
    job = await added(store)

    results = await asyncio.gather(
        *(store.update(replace(job, status=JobStatus.CANCELED, reference=f"caller {number}")) for number in range(20))
    )

    (winner,) = [result for result in results if result is not None]
    assert winner.revision == 2
    assert await store.find(job.id) == winner
    assert await store.caller_revision(ALICE) == 2


async def test_update_of_an_unknown_or_deleted_job_changes_nothing(store: JobStore) -> None:
    job = await added(store)
    await store.delete(job.id, at=NOON)

    assert await store.update(job) is None
    assert await store.update(a_job()) is None
    assert isinstance(await store.find(job.id), Tombstone)


# --- delete ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", JobStatus)
async def test_delete_leaves_a_tombstone_with_a_revision_of_its_own(store: JobStore, status: JobStatus) -> None:
    job = await in_status(store, a_job(), status)
    deleted_at = NOON + timedelta(hours=1, microseconds=7)

    tombstone = await store.delete(job.id, at=deleted_at)

    assert tombstone == Tombstone(job_id=job.id, caller_id=ALICE, revision=3, deleted_at=deleted_at)
    assert await store.find(job.id) == tombstone
    assert await store.count(ALICE, JobQuery()) == 0
    assert await store.caller_revision(ALICE) == 3


async def test_delete_without_a_job_does_nothing(store: JobStore) -> None:
    job = await added(store)
    await store.delete(job.id, at=NOON)

    assert await store.delete(job.id, at=NOON) is None
    assert await store.delete(new_job_id(), at=NOON) is None
    assert await store.caller_revision(ALICE) == 2


async def test_one_of_many_concurrent_deletes_makes_the_tombstone(store: JobStore) -> None:
    job = await added(store)

    results = await asyncio.gather(*(store.delete(job.id, at=NOON) for _ in range(10)))

    assert sum(result is not None for result in results) == 1


# --- changes ---------------------------------------------------------------------------------------------------------


async def test_changes_are_jobs_and_tombstones_at_their_latest_state_by_rising_revision(store: JobStore) -> None:
    first, second, third = [await added(store, a_job(seconds=number)) for number in range(3)]
    await added(store, a_job(caller_id=BOB))
    tombstone = await store.delete(second.id, at=NOON)
    running = await claimed(store)

    assert running.id == first.id
    assert await store.changes(ALICE, after=0, limit=10) == [third, tombstone, running]
    assert await store.changes(ALICE, after=third.revision, limit=10) == [tombstone, running]
    assert await store.changes(ALICE, after=third.revision, limit=1) == [tombstone]
    assert await store.changes(ALICE, after=running.revision, limit=10) == []


async def test_changes_can_be_read_in_steps(store: JobStore) -> None:
    jobs = [await added(store) for _ in range(10)]
    for job in jobs[::3]:
        await store.delete(job.id, at=NOON)
    seen: list[Job | Tombstone] = []

    while found := await store.changes(ALICE, after=seen[-1].revision if seen else 0, limit=3):
        seen.extend(found)

    assert seen == list(await store.changes(ALICE, after=0, limit=100))
    assert len(seen) == 10


async def test_active_changes_are_queued_and_running_jobs_only(store: JobStore) -> None:
    jobs = {status: await in_status(store, a_job(), status) for status in JobStatus}
    deleted = await added(store)
    await store.delete(deleted.id, at=NOON)

    assert await store.changes(ALICE, after=0, limit=10, active_only=True) == [
        jobs[JobStatus.QUEUED],
        jobs[JobStatus.RUNNING],
    ]
    after = jobs[JobStatus.QUEUED].revision
    assert await store.changes(ALICE, after=after, limit=10, active_only=True) == [jobs[JobStatus.RUNNING]]
    assert await store.changes(ALICE, after=0, limit=1, active_only=True) == [jobs[JobStatus.QUEUED]]


async def test_changes_show_saved_progress(store: JobStore) -> None:
    await added(store)
    running = await claimed(store)
    await store.renew(running, "worker-1", lease_seconds=60, progress=HALFWAY)

    assert await store.changes(ALICE, after=0, limit=10) == [replace(running, progress=HALFWAY)]


async def test_revision_of_a_caller_without_jobs_is_zero(store: JobStore) -> None:
    await added(store)

    assert await store.caller_revision(BOB) == 0


async def test_revisions_are_those_of_jobs_and_tombstones_and_leave_out_unknown_ones(store: JobStore) -> None:
    first, second = await added(store), await added(store, a_job(caller_id=BOB))
    tombstone = await store.delete(second.id, at=NOON)
    assert tombstone is not None

    found = await store.revisions([first.id, second.id, new_job_id(), first.id])

    assert found == {first.id: first.revision, second.id: tombstone.revision}
    assert await store.revisions([]) == {}


# --- claim -----------------------------------------------------------------------------------------------------------


async def test_claim_takes_the_first_job_and_makes_it_run(store: JobStore) -> None:
    older = await added(store, a_job(seconds=0))
    later = await added(store, a_job(seconds=1))
    at = NOON + timedelta(minutes=1)

    (job,) = await store.claim("worker-1", model_name="sketch", limit=1, lease_seconds=60, at=at)

    assert job == replace(older.claimed(at=at), revision=3)
    assert await store.find(older.id) == job
    assert await store.find(later.id) == later


async def test_jobs_of_a_caller_are_claimed_in_the_order_in_which_they_were_added(store: JobStore) -> None:
    jobs = [await added(store, a_job(seconds=seconds)) for seconds in (3, 1, 2)]
    await added(store, a_job(model_name="other"))

    assert [job.id for job in await claims(store, 5)] == [job.id for job in jobs]


async def test_jobs_of_one_batch_are_claimed_in_their_order(store: JobStore) -> None:
    jobs = [a_job(seconds=-number) for number in range(20)]
    await asyncio.gather(*(store.add(job) for job in jobs))

    assert [job.id for job in await claims(store, 50)] == [job.id for job in jobs]


async def test_nothing_is_claimed_from_an_empty_queue(store: JobStore) -> None:
    await added(store)

    assert await store.claim("worker-1", model_name="other", limit=1, lease_seconds=60, at=NOON) == []
    assert await claims(store, 0) == []


async def test_caller_with_one_job_does_not_wait_for_all_jobs_of_another(store: JobStore) -> None:
    await asyncio.gather(*(store.add(a_job()) for _ in range(200)))
    await claims(store, 3)
    of_bob = await added(store, a_job(caller_id=BOB, seconds=9))

    assert (await store.jobs_ahead([of_bob]))[of_bob.id] <= 1
    assert of_bob.id in {job.id for job in await claims(store, 2)}


async def test_callers_are_served_in_turn_however_they_come(store: JobStore) -> None:
    await asyncio.gather(*(store.add(a_job()) for _ in range(9)))
    await asyncio.gather(*(store.add(a_job(caller_id=BOB, seconds=1)) for _ in range(3)))
    await asyncio.gather(*(store.add(a_job(caller_id=CAROL, seconds=2)) for _ in range(2)))

    served = [job.caller_id for job in await claims(store, 20)]

    assert served == [ALICE, BOB, CAROL, ALICE, BOB, CAROL, ALICE, BOB, *[ALICE] * 6]


async def test_caller_who_was_served_often_is_not_made_to_wait_for_it(store: JobStore) -> None:
    for _ in range(20):
        await added(store)
        await claimed(store)
    await asyncio.gather(*(store.add(a_job(caller_id=BOB)) for _ in range(10)))
    of_alice = await added(store, a_job(seconds=9))

    assert (await store.jobs_ahead([of_alice]))[of_alice.id] <= 1


async def test_released_job_keeps_its_turn(store: JobStore) -> None:
    first, *_ = [await added(store) for _ in range(3)]
    await added(store, a_job(caller_id=BOB, seconds=-1))
    (running,) = [job for job in await claims(store, 2) if job.id == first.id]

    await moved(store, running.released())

    assert (await claimed(store)).id == first.id


async def test_no_job_is_claimed_twice_by_concurrent_workers(store: JobStore) -> None:
    jobs = [await added(store) for _ in range(60)]

    claims = await asyncio.gather(
        *(
            store.claim(f"worker-{number}", model_name="sketch", limit=3, lease_seconds=60, at=NOON)
            for number in range(30)
        )
    )

    assert sorted(job.id for claim in claims for job in claim) == sorted(job.id for job in jobs)


async def test_released_job_is_claimed_again_with_the_next_attempt(store: JobStore) -> None:
    await added(store)
    first = await claimed(store)
    await moved(store, first.released())

    second = await claimed(store)

    assert (first.attempt, second.attempt) == (1, 2)


# --- renew -----------------------------------------------------------------------------------------------------------


async def test_renew_saves_progress_without_a_revision(store: JobStore) -> None:
    await added(store)
    running = await claimed(store)

    assert await store.renew(running, "worker-1", lease_seconds=60, progress=HALFWAY)

    assert await store.find(running.id) == replace(running, progress=HALFWAY)
    assert await store.caller_revision(ALICE) == running.revision


async def test_move_after_renew_needs_no_reading(store: JobStore) -> None:
    await added(store)
    running = await claimed(store)
    await store.renew(running, "worker-1", lease_seconds=60, progress=HALFWAY)

    ended = await succeeded(store, running)

    assert await store.find(running.id) == ended


async def test_renew_extends_a_lease_even_one_that_ran_out(store: JobStore) -> None:
    await added(store)
    running = await claimed(store, lease_seconds=0)

    assert await store.renew(running, "worker-1", lease_seconds=60, progress=HALFWAY)

    assert await store.lost_leases(10) == []


async def test_renew_of_an_ended_job_fails(store: JobStore) -> None:
    await added(store)
    running = await claimed(store)
    ended = await succeeded(store, running)

    assert not await store.renew(running, "worker-1", lease_seconds=60, progress=HALFWAY)
    assert await store.find(running.id) == ended


async def test_renew_of_a_deleted_or_unknown_job_fails(store: JobStore) -> None:
    await added(store)
    running = await claimed(store)
    await store.delete(running.id, at=NOON)

    assert not await store.renew(running, "worker-1", lease_seconds=60, progress=HALFWAY)
    assert not await store.renew(a_job(), "worker-1", lease_seconds=60, progress=HALFWAY)


async def test_renew_of_a_released_job_fails(store: JobStore) -> None:
    await added(store)
    running = await claimed(store)
    released = await moved(store, running.released())

    assert not await store.renew(running, "worker-1", lease_seconds=60, progress=HALFWAY)
    assert await store.find(running.id) == released


@pytest.mark.parametrize("worker_id", ["worker-1", "worker-2"])
async def test_renew_fails_once_the_job_was_claimed_again(store: JobStore, worker_id: str) -> None:
    await added(store)
    first = await claimed(store, worker_id="worker-1")
    await moved(store, first.released())
    second = await claimed(store, worker_id=worker_id)

    assert not await store.renew(first, "worker-1", lease_seconds=60, progress=HALFWAY)
    assert await store.renew(second, worker_id, lease_seconds=60, progress=HALFWAY)


async def test_renew_by_a_worker_that_does_not_hold_the_claim_fails(store: JobStore) -> None:
    await added(store)
    running = await claimed(store, worker_id="worker-1")

    assert not await store.renew(running, "worker-2", lease_seconds=60, progress=HALFWAY)
    assert await store.find(running.id) == running


# --- lost leases -----------------------------------------------------------------------------------------------------


async def test_expired_lease_is_listed_as_lost(store: JobStore) -> None:
    await added(store)
    running = await claimed(store, lease_seconds=0)

    assert await store.lost_leases(10) == [running]


async def test_lease_that_holds_is_not_lost(store: JobStore) -> None:
    await added(store)
    await claimed(store, lease_seconds=60)

    assert await store.lost_leases(10) == []


async def test_job_that_does_not_run_has_no_lease_to_lose(store: JobStore) -> None:
    await added(store)
    running = await claimed(store, lease_seconds=0)
    released = await moved(store, running.released())
    assert await store.lost_leases(10) == []

    await moved(store, released.canceled(CancelOutcome.NOT_STARTED, at=NOON))

    assert await store.lost_leases(10) == []


async def test_lease_that_was_renewed_after_it_was_listed_is_not_taken_away(store: JobStore) -> None:
    await added(store)
    running = await claimed(store, lease_seconds=0)
    (listed,) = await store.lost_leases(10)
    assert await store.renew(running, "worker-1", lease_seconds=60, progress=HALFWAY)

    assert await store.update(listed.released(), if_lease_lost=True) is None
    assert live(await store.find(running.id)).status is JobStatus.RUNNING


async def test_lease_that_is_still_lost_is_taken_away(store: JobStore) -> None:
    await added(store)
    await claimed(store, lease_seconds=0)
    (listed,) = await store.lost_leases(10)
    updated = await store.update(listed.released(), if_lease_lost=True)

    assert updated is not None
    assert updated.status is JobStatus.QUEUED


async def test_lost_leases_are_listed_up_to_the_limit(store: JobStore) -> None:
    for _ in range(3):
        await added(store)
    await store.claim("worker-1", model_name="sketch", limit=3, lease_seconds=0, at=NOON)

    assert len(await store.lost_leases(2)) == 2


# --- looking at the queue --------------------------------------------------------------------------------------------


async def test_jobs_ahead_are_those_of_the_model_that_are_claimed_before(store: JobStore) -> None:
    jobs = [await added(store, a_job(seconds=-number)) for number in range(6)]
    await added(store, a_job(model_name="other", seconds=-9))
    await claimed(store)

    queued = jobs[1:]
    one_by_one = [(await store.jobs_ahead([job]))[job.id] for job in queued]
    assert one_by_one == [0, 1, 2, 3, 4]
    assert await store.jobs_ahead(queued) == dict(zip((job.id for job in queued), one_by_one, strict=True))
    assert await store.jobs_ahead([]) == {}


async def test_depths_are_the_queued_jobs_of_each_model_and_the_age_of_the_oldest(store: JobStore) -> None:
    assert await store.depths() == []

    for seconds in (5, 3, 4):
        await added(store, a_job(seconds=seconds))
    other = await added(store, a_job(model_name="other"))
    await claimed(store)

    depths = sorted(await store.depths(), key=lambda depth: depth.model_name)
    assert depths == [
        QueueDepth(model_name="other", jobs=1, oldest_created_at=other.created_at),
        QueueDepth(model_name="sketch", jobs=2, oldest_created_at=NOON + timedelta(seconds=3)),
    ]


async def test_orphans_are_queued_jobs_of_other_models(store: JobStore) -> None:
    jobs = {model: await added(store, a_job(model_name=model)) for model in ("a", "b", "c", "d")}
    await in_status(store, a_job(model_name="b"), JobStatus.RUNNING)
    await in_status(store, a_job(model_name="e"), JobStatus.SUCCEEDED)

    async def orphans(models: list[str], limit: int = 10, before: datetime = LATER) -> set[JobId]:
        return {job.id for job in await store.orphans(models, limit, created_before=before)}

    assert await orphans(["a", "c", "x"]) == {jobs["b"].id, jobs["d"].id}
    assert await orphans([]) == {job.id for job in jobs.values()}
    assert len(await orphans(["a"], 2)) == 2
    assert await orphans(["a", "b", "c", "d"]) == set()
    assert await orphans(["a"], before=NOON) == set()


async def test_empty_queue_has_no_orphans(store: JobStore) -> None:
    assert await store.orphans(["a"], 10, created_before=LATER) == []


async def test_recent_work_is_what_succeeded_on_the_model_latest_first(store: JobStore) -> None:
    for number in range(3):
        await added(store, a_job(steps=number + 1))
        await succeeded(store, await claimed(store), inference_seconds=number + 0.5, at_seconds=number + 0.75)
    await added(store)
    await moved(store, (await claimed(store)).failed(ModelFailed("no"), at=NOON))
    await in_status(store, a_job(model_name="other"), JobStatus.CANCELED)

    work = [
        Work(amount=512 * 256 * 2 * (number + 1), inference_seconds=number + 0.5, store_seconds=0.25)
        for number in (2, 1, 0)
    ]
    assert await store.recent_work("sketch", 10) == work
    assert await store.recent_work("sketch", 2) == work[:2]
    assert await store.recent_work("other", 10) == []


# --- the list --------------------------------------------------------------------------------------------------------


async def test_page_holds_the_newest_jobs_of_the_caller_first(store: JobStore) -> None:
    jobs = newest_first([await added(store, a_job(seconds=seconds)) for seconds in (2, 0, 1)])
    await added(store, a_job(caller_id=BOB))

    page = await store.page(ALICE, JobQuery(), PageRequest(limit=2))

    assert page == JobPage(jobs=tuple(jobs[:2]), has_next=True, has_previous=False)


async def test_page_of_exactly_everything_has_nothing_beside_it(store: JobStore) -> None:
    jobs = newest_first([await added(store) for _ in range(3)])

    for from_end in (False, True):
        page = await store.page(ALICE, JobQuery(), PageRequest(limit=3, from_end=from_end))
        assert page == JobPage(jobs=tuple(jobs), has_next=False, has_previous=False)


async def test_page_of_nothing_has_nothing_beside_it(store: JobStore) -> None:
    await added(store, a_job(caller_id=BOB))

    assert await store.page(ALICE, JobQuery(), PageRequest(limit=3)) == JobPage(
        jobs=(), has_next=False, has_previous=False
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_list_with_ties_can_be_walked_in_both_directions(store: JobStore, size: int) -> None:
    jobs = newest_first([await added(store, a_job(seconds=number // 3)) for number in range(7)])
    forward: list[Job] = []
    backward: list[Job] = []

    has_more = True
    while has_more:
        page = await store.page(
            ALICE, JobQuery(), PageRequest(limit=size, after=position_of(forward[-1]) if forward else None)
        )
        assert page.has_previous is bool(forward)
        forward += page.jobs
        has_more = page.has_next
    has_more = True
    while has_more:
        before = position_of(backward[0]) if backward else None
        page = await store.page(ALICE, JobQuery(), PageRequest(limit=size, before=before, from_end=True))
        assert page.has_next is bool(backward)
        backward = [*page.jobs, *backward]
        has_more = page.has_previous

    assert forward == backward == jobs


async def test_page_shows_saved_progress(store: JobStore) -> None:
    await added(store)
    running = await claimed(store)
    await store.renew(running, "worker-1", lease_seconds=60, progress=HALFWAY)

    page = await store.page(ALICE, JobQuery(), PageRequest(limit=1))

    assert page.jobs == (replace(running, progress=HALFWAY),)


@pytest.mark.parametrize(
    ("search", "finds"),
    [
        ("FOX", True),
        ("", True),
        ("fox%", False),
        ("f_x", False),
        ("STRASSE", True),
        ("straße", True),
        ("ΣΊΣΥΦΟΣ", True),
        ("the fox", False),
        ("\ud800", False),
        ("\0", False),
    ],
)
async def test_search_ignores_case_and_knows_no_wildcards(store: JobStore, search: str, finds: bool) -> None:
    job = await added(store, a_job(prompt="A Fox in der Straße with Σίσυφος"))
    query = JobQuery(search=search)

    page = await store.page(ALICE, query, PageRequest(limit=10))

    assert query.matches(job) is finds
    assert page.jobs == ((job,) if finds else ())
    assert await store.count(ALICE, query) == int(finds)


@pytest.mark.parametrize("name", ["sketch", "sketch\0", "\ud800", "SKETCH"])
async def test_model_names_are_compared_exactly(store: JobStore, name: str) -> None:
    job = await added(store)
    query = JobQuery(model_names=frozenset({name}))

    page = await store.page(ALICE, query, PageRequest(limit=10))

    assert list(page.jobs) == [job] * query.matches(job)


WORDS = st.sampled_from(["fox", "FOX", "ß", "ss", "SS", "İ", "ı", "%", "_", "'", "Σ", "ς", "狐", " "])  # noqa: RUF001
PROMPTS = st.lists(WORDS, min_size=1, max_size=4).map("".join)
SECONDS = st.integers(0, 4)
MODELS = st.sampled_from(["a", "b", "c"])
QUERIES = st.builds(
    JobQuery,
    statuses=st.frozensets(st.sampled_from(JobStatus), max_size=3),
    model_names=st.frozensets(MODELS, max_size=2),
    search=st.none() | PROMPTS,
    created_after=st.none() | SECONDS.map(lambda seconds: NOON + timedelta(seconds=seconds)),
    created_before=st.none() | SECONDS.map(lambda seconds: NOON + timedelta(seconds=seconds)),
)


def cut(jobs: Sequence[Job], page: PageRequest) -> list[Job]:
    """What PageRequest says, on a list that is newest first."""

    def place(position: JobPosition) -> tuple[object, str]:
        return position.created_at, position.job_id

    kept = [job for job in jobs if page.after is None or place(position_of(job)) < place(page.after)]
    kept = [job for job in kept if page.before is None or place(position_of(job)) > place(page.before)]
    return kept[max(0, len(kept) - page.limit) :] if page.from_end else kept[: page.limit]


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_page_and_count_agree_with_the_query(store: JobStore, data: st.DataObject) -> None:
    caller_id = CallerId(uuid.uuid4().hex)
    rows = data.draw(st.lists(st.tuples(PROMPTS, SECONDS, MODELS, st.sampled_from(JobStatus)), max_size=8))
    jobs = newest_first(
        [
            await in_status(store, a_job(caller_id=caller_id, prompt=prompt, seconds=seconds, model_name=model), status)
            for prompt, seconds, model, status in rows
        ]
    )
    positions = st.none() | st.builds(
        JobPosition,
        created_at=SECONDS.map(lambda seconds: NOON + timedelta(seconds=seconds)),
        job_id=st.sampled_from([new_job_id(), *(job.id for job in jobs)]),
    )
    for _ in range(5):
        query = data.draw(QUERIES)
        request = data.draw(
            st.builds(PageRequest, limit=st.integers(1, 9), after=positions, before=positions, from_end=st.booleans())
        )
        matching = [job for job in jobs if query.matches(job)]

        page = await store.page(caller_id, query, request)

        assert list(page.jobs) == cut(matching, request)
        if page.jobs:
            assert page.has_previous is (page.jobs[0] != matching[0])
            assert page.has_next is (page.jobs[-1] != matching[-1])
        assert await store.count(caller_id, query) == len(matching)
