"""What every job store promises its janitor: the docstrings of JobUpkeep in ports.py."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from graphql_api.domain.errors import IdempotencyConflict, ModelFailed
from graphql_api.domain.ids import new_job_id
from graphql_api.domain.job import CancelOutcome, Job, Tombstone
from graphql_api.ports import IdempotencyKey, JobStore
from tests.clients.waiting import eventually
from tests.contract.sample_jobs import ALICE, LATER, NOON, a_job, added, claimed, live, moved, succeeded


async def deleted(store: JobStore, job: Job, *, seconds: float = 0.0) -> Tombstone:
    tombstone = await store.delete(job.id, at=NOON + timedelta(seconds=seconds))
    assert tombstone is not None
    return tombstone


# --- files of deleted jobs -------------------------------------------------------------------------------------------


async def test_tombstone_is_unpurged_until_it_is_purged(store: JobStore) -> None:
    first, second = await added(store), await added(store)
    tombstones = [await deleted(store, job, seconds=seconds) for seconds, job in enumerate((first, second))]

    assert await store.unpurged(10, deleted_before=LATER) == tombstones
    assert await store.unpurged(1, deleted_before=LATER) == tombstones[:1]

    await store.purged(first.id)
    await store.purged(first.id)
    await store.purged(new_job_id())

    assert await store.unpurged(10, deleted_before=LATER) == tombstones[1:]
    assert await store.find(first.id) == tombstones[0]
    assert await store.changes(ALICE, after=0, limit=10) == tombstones


async def test_job_that_was_deleted_just_now_is_not_listed_yet(store: JobStore) -> None:
    tombstone = await deleted(store, await added(store), seconds=5)

    assert await store.unpurged(10, deleted_before=NOON + timedelta(seconds=5)) == []
    assert await store.unpurged(10, deleted_before=NOON + timedelta(seconds=6)) == [tombstone]


# --- files that a job does not name ----------------------------------------------------------------------------------


async def test_job_that_succeeds_with_its_first_claim_needs_no_sweeping(store: JobStore) -> None:
    await added(store)
    await succeeded(store, await claimed(store))
    await added(store)
    await claimed(store)
    await added(store)

    assert await store.unswept(10, finished_before=LATER) == []


async def test_job_that_never_ran_needs_no_sweeping(store: JobStore) -> None:
    await moved(store, (await added(store)).canceled(CancelOutcome.NOT_STARTED, at=NOON))

    assert await store.unswept(10, finished_before=LATER) == []


async def test_job_that_ended_otherwise_is_swept_once(store: JobStore) -> None:
    await added(store)
    failed = await moved(store, (await claimed(store)).failed(ModelFailed("no"), at=NOON))
    await added(store)
    canceled = await moved(
        store, (await claimed(store)).canceled(CancelOutcome.DETACHED, at=NOON + timedelta(seconds=1))
    )
    await added(store)
    await moved(store, (await claimed(store)).released())
    later = await succeeded(store, await claimed(store), at_seconds=9)

    assert await store.unswept(10, finished_before=LATER) == [failed, canceled, later]
    assert await store.unswept(2, finished_before=LATER) == [failed, canceled]
    assert await store.unswept(10, finished_before=NOON + timedelta(seconds=1)) == [failed]

    await store.swept(failed.id)
    await store.swept(new_job_id())

    assert await store.unswept(10, finished_before=LATER) == [canceled, later]
    assert await store.find(failed.id) == failed


# --- expiry ----------------------------------------------------------------------------------------------------------


async def test_job_expires_when_its_time_has_come_and_it_has_ended(store: JobStore) -> None:
    def expiring(seconds: float | None) -> Job:
        at = None if seconds is None else NOON + timedelta(seconds=seconds)
        return replace(a_job(), expires_at=at)

    ended = []
    for seconds in (20, 10, None, 30):
        await added(store, expiring(seconds))
        ended.append(await succeeded(store, await claimed(store)))
    await added(store, expiring(5))
    await claimed(store)
    await added(store, expiring(5))

    at = NOON + timedelta(seconds=20)
    assert await store.expired(10, at=at) == [ended[1], ended[0]]
    assert await store.expired(1, at=at) == [ended[1]]
    assert await store.expired(10, at=NOON + timedelta(seconds=9)) == []

    await deleted(store, ended[1])

    assert await store.expired(10, at=at) == [ended[0]]


# --- forgetting ------------------------------------------------------------------------------------------------------


async def test_old_tombstones_are_forgotten_once_their_files_are_gone(store: JobStore) -> None:
    jobs = [await added(store) for _ in range(4)]
    for seconds, job in enumerate(jobs):
        await deleted(store, job, seconds=seconds)
    for job in jobs[1:]:
        await store.purged(job.id)
    before = NOON + timedelta(seconds=3)

    assert await store.forget(1, deleted_before=before, key_seconds=3600) == 1
    assert await store.forget(10, deleted_before=before, key_seconds=3600) == 1
    assert await store.forget(10, deleted_before=before, key_seconds=3600) == 0

    assert [await store.find(job.id) is not None for job in jobs] == [True, False, False, True]


async def test_old_keys_are_forgotten(store: JobStore) -> None:
    key = IdempotencyKey(key="key-1", digest="digest-1", valid_seconds=3600)
    job = (await store.add(a_job(), key=key)).job
    other = replace(key, digest="digest-2")

    assert await store.forget(10, deleted_before=NOON, key_seconds=3600) == 0
    with pytest.raises(IdempotencyConflict):
        await store.add(a_job(), key=other)

    assert await store.forget(10, deleted_before=NOON, key_seconds=0) == 1
    assert (await store.add(a_job(), key=other)).is_new
    assert live(await store.find(job.id)) == job


# --- duties ----------------------------------------------------------------------------------------------------------


async def test_one_of_many_holds_a_duty(store: JobStore) -> None:
    held = await asyncio.gather(*(store.hold_duty("tidy", f"worker-{n}", lease_seconds=60) for n in range(10)))

    assert sum(held) == 1
    holder = f"worker-{held.index(True)}"
    assert await store.hold_duty("tidy", holder, lease_seconds=60)
    assert not await store.hold_duty("tidy", "another", lease_seconds=60)
    assert await store.hold_duty("other", "another", lease_seconds=60)


async def test_duty_that_was_given_back_or_ran_out_is_taken_by_another(store: JobStore) -> None:
    assert await store.hold_duty("tidy", "worker-1", lease_seconds=60)
    assert await store.hold_duty("tidy", "worker-1", lease_seconds=0)
    assert await store.hold_duty("tidy", "worker-2", lease_seconds=0.05)

    async def taken() -> bool:
        return await store.hold_duty("tidy", "worker-3", lease_seconds=60)

    await eventually(taken)
    assert not await store.hold_duty("tidy", "worker-2", lease_seconds=60)


async def test_store_that_is_there_says_so(store: JobStore) -> None:
    await store.check()
