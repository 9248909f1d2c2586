"""Jobs and invocations as figures, and the ends of jobs as lines of the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from graphql_api import log_context, metrics
from graphql_api.domain.errors import GenerationFailed, ModelUnavailable
from graphql_api.domain.generation import Model
from graphql_api.domain.job import Job
from graphql_api.service.costs import dollars

logger = logging.getLogger(__name__)


def count_end(job: Job) -> None:
    """Count and log a job that has ended, and how long its phases took; any other is passed over. To be called by
    whoever wrote the end, once."""
    if job.finished_at is None or not job.is_final:
        return
    outcome = job.status.value.lower()
    code = "" if job.failure is None else job.failure.code.value
    metrics.JOBS_FINISHED.labels(job.model_name, outcome, code).inc()
    _observe(job, "queued", job.created_at, job.started_at or job.finished_at)
    if job.started_at is not None:
        _observe(job, "generating", job.started_at, job.answered_at or job.finished_at)
    if job.answered_at is not None:
        _observe(job, "storing", job.answered_at, job.finished_at)
    # Machines look for this text, see docs/observability.md.
    logger.info(
        "job ended",
        extra=log_context.only_here(
            job_id=job.id,
            caller_id=job.caller_id,
            model=job.model_name,
            status=job.status.value,
            code=code or None,
            cost_dollars=dollars(job.cost),
            seconds=round(max((job.finished_at - job.created_at).total_seconds(), 0.0), 3),
        ),
    )


def _observe(job: Job, phase: str, began: datetime, ended: datetime) -> None:
    # Instants may come from the clocks of two machines.
    seconds = max((ended - began).total_seconds(), 0.0)
    metrics.JOB_SECONDS.labels(job.model_name, phase, job.status.value.lower()).observe(seconds)


@contextmanager
def counted_invocation(
    model: Model,
    *,
    pay: Callable[[float], None],
    age: Callable[[], float] | None = None,
    others_go_on: bool = False,
) -> Iterator[None]:
    """Count an invocation by how the context is left: its outcome, its seconds and what they cost. `pay` is called with
    the seconds, unless the model has certainly not run. `age` tells how long ago it was sent, where that is not when
    the context was entered. With `others_go_on`, one that is left early is left to another worker, which counts it
    then."""
    loop = asyncio.get_running_loop()
    began, outcome = loop.time(), "left"
    try:
        yield
        outcome = "answered"
    except ModelUnavailable:
        outcome = "not_ready"
        raise
    except GenerationFailed as error:
        outcome = error.code.value.lower()
        raise
    finally:
        if outcome == "not_ready":
            count_refusal(model)
        elif outcome != "left" or not others_go_on:
            metrics.INVOCATIONS.labels(model.name, outcome).inc()
            seconds = loop.time() - began if age is None else age()
            _count_seconds(model, seconds)
            pay(seconds)


def count_refusal(model: Model) -> None:
    """Count an invocation that the model has certainly not run."""
    metrics.INVOCATIONS.labels(model.name, "not_ready").inc()


def _count_seconds(model: Model, seconds: float) -> None:
    metrics.INFERENCE_SECONDS.labels(model.name).inc(seconds)
    if model.price_per_second is not None:
        metrics.INFERENCE_DOLLARS.labels(model.name).inc(seconds * model.price_per_second)
