"""What one watcher has not taken yet."""

import asyncio

from graphql_api.domain.ids import JobId
from graphql_api.domain.job import Progress
from graphql_api.ports import JobMoved, JobProgressed, Reread
from graphql_api.service.mailbox import MAX_MOVES, MAX_PROGRESS_JOBS, PROGRESS_INTERVAL_SECONDS, Mailbox
from tests.contract.sample_jobs import ALICE


def moved(revision: int, job_id: str = "a") -> JobMoved:
    return JobMoved(job_id=JobId(job_id), caller_id=ALICE, revision=revision, job=None)


def progressed(step: int, job_id: str = "a") -> JobProgressed:
    progress = Progress(step=step, fraction=step / 100, total_steps=100)
    return JobProgressed(job_id=JobId(job_id), caller_id=ALICE, attempt=1, progress=progress)


async def test_moves_come_in_order_and_none_is_merged() -> None:
    mailbox = Mailbox()
    for revision in range(1, 51):
        mailbox.deliver(moved(revision))

    assert [await mailbox.take() for _ in range(50)] == [moved(revision) for revision in range(1, 51)]


async def test_the_latest_progress_of_a_job_wins() -> None:
    mailbox = Mailbox()
    for step in range(50):
        mailbox.deliver(progressed(step))

    assert await mailbox.take() == progressed(49)


async def test_progress_comes_at_most_five_times_a_second() -> None:
    mailbox, loop = Mailbox(), asyncio.get_running_loop()
    began = loop.time()
    for step in range(3):
        mailbox.deliver(progressed(step))
        await mailbox.take()

    assert loop.time() - began >= 2 * PROGRESS_INTERVAL_SECONDS - 0.01


async def test_a_move_does_not_wait_for_the_pace_of_progress() -> None:
    mailbox, loop = Mailbox(), asyncio.get_running_loop()
    mailbox.deliver(progressed(1))
    await mailbox.take()
    mailbox.deliver(progressed(2))
    taking = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    began = loop.time()
    mailbox.deliver(moved(7, job_id="b"))

    assert await taking == moved(7, job_id="b")
    assert loop.time() - began < PROGRESS_INTERVAL_SECONDS / 2


async def test_a_move_overtakes_the_progress_before_it() -> None:
    mailbox = Mailbox()
    mailbox.deliver(progressed(1))
    mailbox.deliver(moved(7))

    assert await mailbox.take() == moved(7)
    assert mailbox._next(asyncio.get_running_loop().time() + 10) is None


async def test_jobs_take_turns_with_their_progress() -> None:
    mailbox = Mailbox()
    for name in ("a", "b", "a", "c", "a"):
        mailbox.deliver(progressed(5, name))

    assert [(await mailbox.take()).job_id for _ in range(3)] == ["a", "b", "c"]  # type: ignore[union-attr]


async def test_too_many_moves_become_one_reread() -> None:
    mailbox = Mailbox()
    for revision in range(10 * MAX_MOVES):
        mailbox.deliver(moved(revision))

    assert await mailbox.take() == Reread()
    mailbox.deliver(moved(9_999))
    assert await mailbox.take() == moved(9_999)


async def test_the_mailbox_is_bounded_whatever_comes() -> None:
    mailbox = Mailbox()
    for number in range(5_000):
        mailbox.deliver(progressed(1, f"job {number}"))
        mailbox.deliver(moved(number, f"job {number}"))
        mailbox.deliver(progressed(1, f"other {number}"))

    assert len(mailbox._progress or ()) <= MAX_PROGRESS_JOBS
    assert len(mailbox._moves or ()) <= MAX_MOVES


async def test_a_watcher_that_is_cancelled_while_it_waits_loses_nothing() -> None:
    mailbox = Mailbox()
    taking = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    mailbox.deliver(moved(1))

    assert await mailbox.take() == moved(1)
