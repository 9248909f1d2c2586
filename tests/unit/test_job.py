"""The life of a job."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from graphql_api.domain.errors import IllegalTransition, ModelFailed
from graphql_api.domain.job import TRANSITIONS, CancelOutcome, Job, JobPhase, JobStatus, Progress
from tests.contract.sample_jobs import a_job

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(seconds=7)


def a_job_that_is(status: JobStatus) -> Job:
    queued = a_job()
    running = queued.claimed(at=NOW)
    return {
        JobStatus.QUEUED: queued,
        JobStatus.RUNNING: running,
        JobStatus.SUCCEEDED: running.succeeded((), answered_at=NOW, at=LATER),
        JobStatus.FAILED: running.failed(ModelFailed("no"), at=LATER),
        JobStatus.CANCELED: running.canceled(CancelOutcome.STOPPED, at=LATER),
    }[status]


MOVES = {
    JobStatus.RUNNING: lambda job: job.claimed(at=NOW),
    JobStatus.QUEUED: lambda job: job.released(),
    JobStatus.SUCCEEDED: lambda job: job.succeeded((), answered_at=NOW, at=LATER),
    JobStatus.FAILED: lambda job: job.failed(ModelFailed("no"), at=LATER),
    JobStatus.CANCELED: lambda job: job.canceled(CancelOutcome.STOPPED, at=LATER),
}


@pytest.mark.parametrize(("old", "new"), list(product(JobStatus, JobStatus)))
def test_a_job_moves_as_the_table_says_and_in_no_other_way(old: JobStatus, new: JobStatus) -> None:
    job = a_job_that_is(old)

    if new in TRANSITIONS[old]:
        assert MOVES[new](job).status is new
    else:
        with pytest.raises(IllegalTransition):
            MOVES[new](job)


def test_the_final_statuses_are_those_that_nothing_follows() -> None:
    assert {status for status in JobStatus if status.is_final} == {
        JobStatus.SUCCEEDED,
        JobStatus.FAILED,
        JobStatus.CANCELED,
    }


def test_a_claim_counts_attempts_and_notes_when_it_began() -> None:
    job = a_job().claimed(at=NOW).released().claimed(at=LATER)

    assert (job.attempt, job.losses, job.started_at) == (2, 0, LATER)
    assert job.progress.phase is JobPhase.GENERATING


def test_a_job_that_was_given_back_has_not_begun() -> None:
    assert a_job().claimed(at=NOW).released().started_at is None


def test_a_job_that_loses_its_worker_too_often_fails_and_may_be_tried_again() -> None:
    job = a_job()
    for _ in range(2):
        job = job.claimed(at=NOW).lost(max_losses=3, at=LATER)
        assert job.status is JobStatus.QUEUED
    job = job.claimed(at=NOW).lost(max_losses=3, at=LATER)

    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    assert job.failure.retryable
    assert job.finished_at == LATER


def test_giving_a_job_back_is_not_counted_as_losing_it() -> None:
    job = a_job()
    for _ in range(10):
        job = job.claimed(at=NOW).released()

    assert job.losses == 0


def test_success_is_the_whole_way() -> None:
    job = a_job(steps=50).claimed(at=NOW).with_progress(Progress(fraction=0.4, step=2, total_steps=50))
    job = job.succeeded((), answered_at=NOW, at=LATER)

    assert (job.progress.fraction, job.progress.step, job.progress.phase) == (1.0, 50, JobPhase.DONE)


def test_failure_and_cancellation_keep_the_progress_that_was_made() -> None:
    running = a_job().claimed(at=NOW).with_progress(Progress(fraction=0.4, step=20, total_steps=50))

    for ended in (running.failed(ModelFailed("no"), at=LATER), running.canceled(CancelOutcome.STOPPED, at=LATER)):
        assert (ended.progress.fraction, ended.progress.step) == (0.4, 20)


def test_progress_never_goes_back() -> None:
    job = a_job().claimed(at=NOW).with_progress(Progress(fraction=0.5, step=25, total_steps=50))
    job = job.with_progress(Progress(fraction=0.3, step=15, total_steps=50, phase=JobPhase.GENERATING))

    assert (job.progress.fraction, job.progress.step) == (0.5, 25)
