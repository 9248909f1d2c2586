"""What jobs cost: the seconds of their invocations times the price of their model.

Amounts are in whole millionths of a US dollar, so that sums are exact. What certainly did not run costs nothing. What
nobody measured, since its worker was lost, counts as what was reserved for the job.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from graphql_api.domain.generation import Model
from graphql_api.domain.job import CancelOutcome, Job, JobStatus

MICRO_DOLLARS = 1_000_000
"""In a US dollar."""


def micro_dollars(model: Model, seconds: float) -> int | None:
    """What so many seconds of inference cost; None when the model has no price."""
    price = model.price_per_second
    return None if price is None else round(max(seconds, 0.0) * price * MICRO_DOLLARS)


def dollars(amount: int | None) -> float | None:
    """An amount in US dollars."""
    return None if amount is None else amount / MICRO_DOLLARS


class Bill:
    """What one claim of a job has to pay."""

    def __init__(self, job: Job, model: Model) -> None:
        self._model = model
        self._before = job.cost
        self._reserved = job.reserved
        self._amount: int | None = None

    def add(self, seconds: float) -> None:
        """An invocation ran, or may have run, for so long."""
        self._add(micro_dollars(self._model, seconds))

    def add_unmeasured(self, *, of: int = 1) -> None:
        """One of the job's `of` invocations may have run for nobody knows how long."""
        self._add(_known(self._reserved // of))

    def on(self, row: Job) -> Job:
        """The row with all of this claim paid. It may be made again, on top of a row where it is already."""
        return replace(row, cost=self._before).paid(self._amount)

    def _add(self, amount: int | None) -> None:
        if amount is not None:
            self._amount = (self._amount or 0) + amount


def with_lost_worker(job: Job) -> Job:
    """A running job whose worker is silent, with what that worker may have run. An answer that is out there is paid for
    by whoever takes it."""
    return job if job.deferred or job.is_held_up else job.paid(_known(job.reserved))


def with_cancellation(job: Job, model: Model, outcome: CancelOutcome, *, at: datetime) -> Job:
    """A job that is about to be canceled, with what ran for it until now; where the model cannot be stopped, at least
    with what was reserved, since it runs to its end."""
    if outcome is CancelOutcome.NOT_STARTED:
        return job
    if job.deferred:
        began: datetime | None = min(each.sent_at for each in job.deferred)
    else:
        began = None if job.is_held_up or job.status is not JobStatus.RUNNING else job.started_at
    amount = None if began is None else micro_dollars(model, (at - began).total_seconds())
    if amount is not None and outcome is CancelOutcome.DETACHED:
        amount = max(amount, job.reserved)
    return job.paid(amount)


def _known(amount: int) -> int | None:
    # Nothing is reserved where nothing is known.
    return amount or None
