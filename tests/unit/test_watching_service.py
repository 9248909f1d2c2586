"""Watchers miss nothing, whatever the broker loses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from graphql_api.adapters.event_broker.memory import MemoryEventBroker
from graphql_api.adapters.job_store import open_job_store
from graphql_api.bootstrap import SKETCH
from graphql_api.domain.errors import JobNotFound, ModelFailed
from graphql_api.domain.events import JobEvent, JobEventKind
from graphql_api.domain.job import CancelOutcome, Job, JobStatus, Progress
from graphql_api.ports import JobMoved, JobProgressed, JobQuery, JobStore
from graphql_api.service.estimates import Estimates
from graphql_api.service.jobs import JobService
from graphql_api.service.mailbox import MAX_MOVES
from graphql_api.service.models import ModelRegistry, RunnableModel
from graphql_api.service.watching import Events, WatchService
from tests.contract.sample_jobs import ALICE, BOB, a_job

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class LossyBroker(MemoryEventBroker):
    """A broker that loses what it is told to lose."""

    is_losing = False

    async def publish(self, notice: JobMoved | JobProgressed) -> None:
        if not self.is_losing:
            await super().publish(notice)


@dataclass
class Watched:
    store: JobStore
    broker: LossyBroker
    watching: WatchService

    async def submit(self) -> Job:
        return await self._announced((await self.store.add(a_job())).job)

    async def claim(self, job: Job) -> Job:
        return await self.move(job.claimed(at=NOW))

    async def move(self, job: Job) -> Job:
        moved = await self.store.update(job)
        assert moved is not None
        return await self._announced(moved)

    async def delete(self, job: Job) -> None:
        tombstone = await self.store.delete(job.id, at=NOW)
        assert tombstone is not None
        notice = JobMoved(job_id=job.id, caller_id=ALICE, revision=tombstone.revision, job=None, is_deleted=True)
        await self.broker.publish(notice)

    async def progress(self, job: Job, step: int) -> None:
        progress = Progress(step=step, fraction=step / 20, total_steps=20)
        await self.broker.publish(JobProgressed(job_id=job.id, caller_id=ALICE, attempt=job.attempt, progress=progress))

    async def _announced(self, job: Job) -> Job:
        await self.broker.publish(JobMoved.of(job))
        return job


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    async with open_job_store(f"sqlite:{tmp_path / 'jobs'}") as store:
        broker = LossyBroker()
        nothing: Any = None
        models = ModelRegistry([RunnableModel(model=SKETCH, endpoint=nothing, codec=nothing, concurrency=1)])
        jobs = JobService(store=store, images=nothing, broker=broker, models=models, estimates=Estimates(store, models))
        yield Watched(store, broker, WatchService(jobs=jobs, store=store, broker=broker))


@asynccontextmanager
async def opened(events: Events) -> AsyncIterator[Events]:
    async with asyncio.timeout(10):
        try:
            yield events
        finally:
            await events.aclose()


async def waiting(events: Events) -> asyncio.Task[JobEvent]:
    """The next event, asked for now; the stream has begun when this returns."""
    task = asyncio.create_task(anext(events))
    for _ in range(50):
        await asyncio.sleep(0.001)
    return task


async def test_a_lost_announcement_is_found_by_the_second_check(watched: Watched) -> None:
    job = await watched.submit()
    async with opened(await watched.watching.watch_job(ALICE, job.id)) as events:
        assert (await anext(events)).kind is JobEventKind.SNAPSHOT
        watched.broker.is_losing = True
        await watched.move(job.canceled(CancelOutcome.NOT_STARTED, at=NOW))
        last = await waiting(events)
        await watched.watching.check_for_missed_notices()
        assert not last.done()
        await watched.watching.check_for_missed_notices()
        event = await last

        assert (event.kind, event.job and event.job.status) == (JobEventKind.SNAPSHOT, JobStatus.CANCELED)
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_a_lost_deletion_is_found_too(watched: Watched) -> None:
    job = await watched.submit()
    async with opened(await watched.watching.watch_job(ALICE, job.id)) as events:
        await anext(events)
        watched.broker.is_losing = True
        await watched.delete(job)
        last = await waiting(events)
        for _ in range(2):
            await watched.watching.check_for_missed_notices()
        event = await last

        assert (event.kind, event.job) == (JobEventKind.DELETED, None)


async def test_a_watcher_of_all_jobs_is_found_when_it_is_behind(watched: Watched) -> None:
    async with opened(await watched.watching.watch_caller(ALICE)) as events:
        first = await waiting(events)
        watched.broker.is_losing = True
        job = await watched.submit()
        for _ in range(2):
            await watched.watching.check_for_missed_notices()

        assert (await first).job_id == job.id


async def test_a_missing_number_makes_a_watcher_of_all_jobs_read(watched: Watched) -> None:
    async with opened(await watched.watching.watch_caller(ALICE)) as events:
        first = await waiting(events)
        watched.broker.is_losing = True
        lost = await watched.submit()
        watched.broker.is_losing = False
        seen = await watched.submit()

        assert [(await first).job_id, (await anext(events)).job_id] == [lost.id, seen.id]


async def test_a_watcher_that_is_not_behind_is_left_alone(watched: Watched) -> None:
    job = await watched.submit()
    async with opened(await watched.watching.watch_job(ALICE, job.id)) as events:
        await anext(events)
        following = await waiting(events)
        for _ in range(3):
            await watched.watching.check_for_missed_notices()
        await asyncio.sleep(0.01)

        assert not following.done()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_every_status_is_told_to_a_slow_watcher(watched: Watched) -> None:
    job = await watched.submit()
    async with opened(await watched.watching.watch_job(ALICE, job.id)) as events:
        await anext(events)
        running = await watched.claim(job)
        back = await watched.move(running.released())
        again = await watched.claim(back)
        await watched.move(again.failed(ModelFailed("no"), at=NOW))
        statuses = [event.job.status async for event in events if event.job]

        assert statuses == [JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.FAILED]


async def test_a_watcher_that_lets_too_much_pile_up_is_told_the_latest_state_of_every_job(watched: Watched) -> None:
    async with opened(await watched.watching.watch_caller(ALICE)) as events:
        jobs = [await watched.submit()]
        await anext(events)
        jobs += [await watched.submit() for _ in range(MAX_MOVES + 50)]
        told = {(await anext(events)).job_id for _ in jobs[1:]}

        assert told == {job.id for job in jobs[1:]}


async def test_progress_of_an_earlier_claim_is_not_shown(watched: Watched) -> None:
    job = await watched.submit()
    async with opened(await watched.watching.watch_job(ALICE, job.id)) as events:
        await anext(events)
        first = await watched.claim(job)
        await watched.progress(first, 10)
        second = await watched.claim(await watched.move(first.released()))
        await watched.progress(first, 15)
        await watched.progress(second, 3)
        await watched.move(second.canceled(CancelOutcome.STOPPED, at=NOW))
        seen = [event async for event in events]

        assert all(event.job is None or event.job.progress.step <= 10 for event in seen)


async def test_progress_never_goes_back_when_a_job_begins_again(watched: Watched) -> None:
    job = await watched.submit()
    async with opened(await watched.watching.watch_job(ALICE, job.id)) as events:
        await anext(events)
        first = await watched.claim(job)
        assert (await anext(events)).kind is JobEventKind.STATUS
        await watched.progress(first, 10)
        steps = [(await anext(events)).job]
        again = await watched.claim(await watched.move(first.released()))
        steps += [(await anext(events)).job for _ in range(2)]
        await watched.move(again.canceled(CancelOutcome.STOPPED, at=NOW))
        steps += [(await anext(events)).job]

        assert [job.progress.step for job in steps if job] == [10, 10, 10, 10]


async def test_jobs_of_others_are_not_there(watched: Watched) -> None:
    job = await watched.submit()
    with pytest.raises(JobNotFound):
        await watched.watching.watch_job(BOB, job.id)
    await watched.delete(job)
    with pytest.raises(JobNotFound):
        await watched.watching.watch_job(BOB, job.id, after=0)
    with pytest.raises(JobNotFound):
        await watched.watching.watch_job(ALICE, job.id)


async def test_a_filter_narrows_what_is_told_and_deletions_are_always_told(watched: Watched) -> None:
    query = JobQuery(statuses=frozenset({JobStatus.RUNNING}))
    async with opened(await watched.watching.watch_caller(ALICE, query=query)) as events:
        first = await waiting(events)
        job = await watched.submit()
        running = await watched.claim(job)
        await watched.delete(running)

        assert (await first).kind is JobEventKind.STATUS
        assert (await anext(events)).kind is JobEventKind.DELETED


async def test_a_stream_that_was_closed_leaves_nothing_behind(watched: Watched) -> None:
    job = await watched.submit()
    async with opened(await watched.watching.watch_job(ALICE, job.id)) as events:
        await anext(events)
    async with opened(await watched.watching.watch_caller(ALICE)) as events:
        await anext(events)

    assert watched.broker._subscribers == {}
    assert watched.watching._missed.by_job == {}
    assert watched.watching._missed.by_caller == {}
