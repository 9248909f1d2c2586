"""What a run tells of its progress: measured where the model reports its steps, estimated where it is silent."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from graphql_api.domain.job import JobPhase, Progress, ProgressBasis
from graphql_api.ports import Preview, StepDone
from graphql_api.service.bench import Bench
from graphql_api.service.claim import Claim
from graphql_api.service.models import RunnableModel

GENERATED_FRACTION = 0.95
"""Where progress stands when the model has answered and the images are not stored yet."""


class Reporter:
    """Turns what happens in one run into reports of progress."""

    def __init__(self, claim: Claim, runnable: RunnableModel, bench: Bench) -> None:
        self._claim = claim
        self._runnable = runnable
        self._bench = bench
        self._sent_at: float | None = None

    async def held_up(self, phase: JobPhase, *, was_sent: bool) -> None:
        """The endpoint does not take the job yet. The row says so too, unless a part of the job was sent before."""
        job = self._claim.job
        if not was_sent and not (job.is_held_up and job.progress.phase is phase):
            await self._claim.write(lambda row: row.held_up(phase))
        await self._claim.report(replace(self._claim.job.progress, phase=phase, eta_seconds=None))

    async def goes_on(self) -> None:
        """A job that was held up is about to be sent."""
        if self._claim.job.is_held_up:
            await self._claim.write(lambda row: row.sent())
        await self._claim.report(replace(self._claim.job.progress, phase=JobPhase.GENERATING))

    async def generated(self) -> None:
        """The model has answered."""
        progress = self._claim.job.progress
        await self._claim.report(
            replace(progress, phase=JobPhase.STORING, fraction=GENERATED_FRACTION, preview_key=None)
        )

    async def step_done(self, step: StepDone, *, done: int, of: int) -> None:
        """The model reported a step of an invocation that comes behind `done` others, `of` so many."""
        share = (done + step.step / step.total_steps) / of
        preview_key = self._claim.job.progress.preview_key
        if step.preview is not None:
            job_id = self._claim.job.id
            preview_key = f"{job_id}/{secrets.token_hex(8)}.webp"
            await self._bench.broker.keep_preview(job_id, Preview(key=preview_key, body=step.preview))
        spent_seconds = self._spent_seconds()
        await self._claim.report(
            self._at(
                share, ProgressBasis.MEASURED, eta_seconds=spent_seconds * (1 - share) / share, preview=preview_key
            )
        )

    @asynccontextmanager
    async def sending(self, *, done: int, of: int, ago_seconds: float = 0.0) -> AsyncIterator[None]:
        """While an invocation is under way that was sent so long ago: tell how far such jobs were by then, where the
        endpoint is silent."""
        loop = asyncio.get_running_loop()
        if self._sent_at is None:
            self._sent_at = loop.time() - ago_seconds
        began = loop.time() - ago_seconds
        estimating = None if self._runnable.reports_steps else asyncio.create_task(self._estimate(began, done, of))
        try:
            yield
        finally:
            if estimating is not None:
                estimating.cancel()

    async def _estimate(self, began: float, done: int, of: int) -> None:
        all_seconds = await self._bench.estimates.inference_seconds(self._claim.job)
        if all_seconds is None:
            return
        expected_seconds = all_seconds / of
        loop = asyncio.get_running_loop()
        while (spent_seconds := loop.time() - began) < expected_seconds:
            share = (done + spent_seconds / expected_seconds) / of
            eta_seconds = all_seconds * (1 - share)
            await self._claim.report(self._at(share, ProgressBasis.ESTIMATED, eta_seconds=eta_seconds, preview=None))
            await asyncio.sleep(self._bench.options.estimate_seconds)

    def _at(self, share: float, basis: ProgressBasis, *, eta_seconds: float, preview: str | None) -> Progress:
        total_steps = self._claim.job.parameters.steps
        # A measured step is a whole one, whatever its fraction rounds to; an estimated one is not over before its time.
        step = round(share * total_steps) if basis is ProgressBasis.MEASURED else int(share * total_steps)
        return Progress(
            phase=JobPhase.GENERATING,
            fraction=round(GENERATED_FRACTION * share, 4),
            step=step,
            total_steps=total_steps,
            eta_seconds=round(eta_seconds, 3),
            basis=basis,
            preview_key=preview,
        )

    def _spent_seconds(self) -> float:
        now = asyncio.get_running_loop().time()
        return now - (now if self._sent_at is None else self._sent_at)
