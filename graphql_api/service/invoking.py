"""How a claimed job is sent to its model: at once, again, or not at all (docs/decisions/0009-paid-once.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from graphql_api import tracing
from graphql_api.domain.errors import AnswerLost, GenerationFailed, InvocationTimedOut, ModelNotReady, ModelUnavailable
from graphql_api.domain.job import JobPhase
from graphql_api.ports import Answer, Invocation, ModelEndpoint, ModelRequest
from graphql_api.service.batch import Outcome
from graphql_api.service.bench import Backoff, Bench
from graphql_api.service.claim import Claim
from graphql_api.service.costs import Bill
from graphql_api.service.counting import counted_invocation
from graphql_api.service.models import RunnableModel
from graphql_api.service.reporting import Reporter

logger = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 15.0

Outcomes = Sequence[tuple[ModelRequest, Outcome]]
"""What came of each invocation of a job."""


def invocations_of(claim: Claim, runnable: RunnableModel) -> list[Invocation]:
    """Every invocation that a job needs. They are the same each time that the job is looked at."""
    job = claim.job
    requests = runnable.codec.encode(job.parameters)
    return [
        Invocation(
            id=job.id if len(requests) == 1 else f"{job.id}.{number}",
            job_id=job.id,
            request=request,
            timeout_seconds=runnable.policy.timeout_seconds,
        )
        for number, request in enumerate(requests)
    ]


class HoldUp:
    """Waiting for an endpoint that does not take an invocation. Says so in the row, and gives up in the end."""

    def __init__(self, runnable: RunnableModel, bench: Bench, reporter: Reporter) -> None:
        self._reporter = reporter
        self._backoff = Backoff(bench.options.retry_seconds, most_seconds=MAX_WAIT_SECONDS)
        self._until = asyncio.get_running_loop().time() + runnable.policy.patience_seconds

    async def wait(self, error: ModelNotReady, *, was_sent: bool = False) -> None:
        """Wait before the next attempt. Raises the error when there has been enough of that.

        `was_sent` tells that a part of the job was sent before, so that it does not count as held up.
        """
        if asyncio.get_running_loop().time() > self._until:
            raise error
        phase = JobPhase.STARTING if error.is_starting else JobPhase.WAITING
        await self._reporter.held_up(phase, was_sent=was_sent)
        await self._backoff.pause()

    async def wait_after_loss(self) -> None:
        """Wait before an invocation is paid for once more."""
        await self._backoff.pause()


class DirectInvocations:
    """The invocations of one job on an endpoint that answers the call itself, in turn."""

    can_be_left = False
    """Nobody else can go on where this process is."""

    def __init__(
        self,
        claim: Claim,
        runnable: RunnableModel,
        endpoint: ModelEndpoint,
        bench: Bench,
        reporter: Reporter,
        bill: Bill,
    ) -> None:
        self._claim = claim
        self._bill = bill
        self._runnable = runnable
        self._endpoint = endpoint
        self._bench = bench
        self._reporter = reporter
        self.is_paid = False
        """Whether something was sent that may have run, and whose answer would be lost with this process."""

    async def outcomes(self) -> Outcomes:
        """Run them, up to the first that fails. Raises ClaimLost, and GenerationFailed when it is the first of all."""
        await self._forget_deferred()
        invocations = invocations_of(self._claim, self._runnable)
        outcomes: list[tuple[ModelRequest, Outcome]] = []
        for number, invocation in enumerate(invocations):
            try:
                outcome: Outcome = await self._answer(invocation, done=number, of=len(invocations))
            except GenerationFailed as error:
                if not outcomes:
                    raise
                return [*outcomes, *((rest.request, error) for rest in invocations[number:])]
            outcomes.append((invocation.request, outcome))
        return outcomes

    async def _forget_deferred(self) -> None:
        """What a deferred endpoint was handed, before the model was put on this one, is lost."""
        if not self._claim.job.deferred:
            return
        self._bill.add_unmeasured()
        if not self._runnable.policy.allows_another(self._claim.job):
            raise AnswerLost("The model was moved while it had the request.")
        losses = self._claim.job.losses + 1
        await self._claim.write(lambda row: replace(row.with_losses(losses), deferred=()))

    async def _answer(self, invocation: Invocation, *, done: int, of: int) -> Answer:
        hold_up = HoldUp(self._runnable, self._bench, self._reporter)
        had_paid = self.is_paid
        while True:
            try:
                self.is_paid = True
                with (
                    counted_invocation(self._runnable.model, pay=self._bill.add),
                    tracing.span("invoke model", invocation_id=invocation.id, model=self._runnable.model.name),
                ):
                    return await self._invoke(invocation, done=done, of=of)
            except ModelNotReady as error:
                self.is_paid = had_paid
                await hold_up.wait(error, was_sent=had_paid)
            except ModelUnavailable:
                self.is_paid = had_paid
                raise
            except GenerationFailed as error:
                await self._count_loss(invocation, error)
                await hold_up.wait_after_loss()
            await self._reporter.goes_on()

    async def _invoke(self, invocation: Invocation, *, done: int, of: int) -> Answer:
        answer: Answer | None = None
        try:
            async with (
                self._reporter.sending(done=done, of=of),
                asyncio.timeout(invocation.timeout_seconds),
            ):
                async for update in self._endpoint.invoke(invocation):
                    if isinstance(update, Answer):
                        answer = update
                    else:
                        await self._reporter.step_done(update, done=done, of=of)
        except TimeoutError as error:
            raise InvocationTimedOut("The model took longer than the server allows.") from error
        if answer is None:
            raise GenerationFailed("The server met an unexpected fault.")
        return answer

    async def _count_loss(self, invocation: Invocation, error: GenerationFailed) -> None:
        """Note that an invocation may have been paid for in vain, if the policy allows another; else raise the
        error."""
        policy = self._runnable.policy
        if not (policy.pays_again and error.retryable and policy.allows_another(self._claim.job)):
            raise error
        logger.warning("invocation %s is sent again, as the model's policy says: %s", invocation.id, error)
        losses = self._claim.job.losses + 1
        await self._claim.write(lambda row: row.with_losses(losses))
