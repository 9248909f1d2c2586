"""How a claimed job is handed to a model that answers later (docs/decisions/0010-deferred-invocations.md)."""

from __future__ import annotations

import asyncio
import logging

from graphql_api.domain.errors import (
    AnswerLost,
    GenerationFailed,
    InvocationTimedOut,
    ModelFailed,
    ModelNotReady,
    ModelUnavailable,
    ServiceUnavailable,
)
from graphql_api.domain.job import DeferredInvocation, InvocationEnd, Job, Placement
from graphql_api.ports import Answer, DeferredEndpoint, Invocation
from graphql_api.service.batch import Outcome
from graphql_api.service.bench import Bench
from graphql_api.service.claim import Claim
from graphql_api.service.invoking import HoldUp, Outcomes, invocations_of
from graphql_api.service.models import RunnableModel
from graphql_api.service.reporting import Reporter

logger = logging.getLogger(__name__)

FIRST_LOOK_SECONDS = 1.0
MOST_SECONDS_WITH_NOTICES = 30.0
MOST_SECONDS_WITHOUT = 10.0


class DeferredInvocations:
    """The invocations of one job on a deferred endpoint: all are handed over, then all are waited for."""

    def __init__(
        self, claim: Claim, runnable: RunnableModel, endpoint: DeferredEndpoint, bench: Bench, reporter: Reporter
    ) -> None:
        self._claim = claim
        self._runnable = runnable
        self._endpoint = endpoint
        self._bench = bench
        self._reporter = reporter
        self.is_paid = False
        """Nothing is lost with this process: the row knows what was handed over."""
        self.can_be_left = False
        """Whether the run only waits, so that another worker may as well."""

    async def outcomes(self) -> Outcomes:
        """Hand over what was not handed over before, and wait until all are over. Raises ClaimLost, and
        GenerationFailed when one cannot be handed over."""
        invocations = invocations_of(self._claim, self._runnable)
        for invocation in invocations:
            await self._hand_over(invocation)
        return [
            (each.request, await self._outcome(each, done=number, of=len(invocations)))
            for number, each in enumerate(invocations)
        ]

    async def _outcome(self, invocation: Invocation, *, done: int, of: int) -> Outcome:
        try:
            return await self._answer(invocation, done=done, of=of)
        except GenerationFailed as error:
            # The others were handed over already, and are paid for.
            return error

    async def _hand_over(self, invocation: Invocation) -> None:
        hold_up = HoldUp(self._runnable, self._bench, self._reporter)
        while self._claim.job.deferred_invocation(invocation.id) is None:
            try:
                await self._submit(invocation)
            except ModelNotReady as error:
                await self._claim.write(lambda row: row.without_deferred(invocation.id))
                await hold_up.wait(error)
            except (AnswerLost, InvocationTimedOut) as error:
                logger.warning("nobody knows whether invocation %s was taken: %s", invocation.id, error)

    async def _submit(self, invocation: Invocation) -> None:
        record = DeferredInvocation(id=invocation.id, sent_at=self._bench.clock())
        await self._claim.write(lambda row: row.sent().with_deferred(record))
        await self._reporter.goes_on()
        placement = await self._endpoint.submit(invocation)
        await self._claim.write(lambda row: _located(row, record, placement))

    async def _answer(self, invocation: Invocation, *, done: int, of: int) -> Answer:
        pause_seconds = FIRST_LOOK_SECONDS
        most_seconds = MOST_SECONDS_WITH_NOTICES if self._bench.options.hears_notices else MOST_SECONDS_WITHOUT
        async with self._reporter.sending(done=done, of=of, ago_seconds=self._age_of(self._record(invocation))):
            while True:
                self._claim.changed.clear()
                record = self._record(invocation)
                answer = await self._look(record)
                if answer is not None:
                    return answer
                if self._age_of(record) > self._endpoint.longest_seconds:
                    raise InvocationTimedOut("The model has not answered for as long as it may take.")
                if self._is_unheard(record):
                    await self._send_again(invocation)
                    continue
                await self._wait(pause_seconds)
                pause_seconds = min(1.5 * pause_seconds, most_seconds)

    def _record(self, invocation: Invocation) -> DeferredInvocation:
        record = self._claim.job.deferred_invocation(invocation.id)
        assert record is not None, "records are taken away only by this run, and put back before it goes on"
        return record

    def _age_of(self, record: DeferredInvocation) -> float:
        return (self._bench.clock() - record.sent_at).total_seconds()

    async def _look(self, record: DeferredInvocation) -> Answer | None:
        """The answer, if it is there. Raises GenerationFailed when there will be none."""
        if record.placement is not None:
            try:
                answer = await self._endpoint.collect(record.placement)
            except ServiceUnavailable:
                return None
            if answer is not None:
                return answer
        match record.ended:
            case InvocationEnd.FAILED:
                raise ModelFailed("The model met an error.")
            case InvocationEnd.EXPIRED:
                raise ModelUnavailable("The model did not get to the request in time.")
            case _:
                return None

    def _is_unheard(self, record: DeferredInvocation) -> bool:
        """Whether nobody knows if it was taken, and nobody is going to tell."""
        if record.placement is not None or record.ended is not None:
            return False
        return not self._bench.options.hears_notices or self._age_of(record) > self._endpoint.unheard_seconds

    async def _send_again(self, invocation: Invocation) -> None:
        if not self._runnable.policy.allows_another(self._claim.job):
            raise AnswerLost("Nobody knows what became of the request to the model.")
        logger.warning("invocation %s is sent again: nothing was heard of it", invocation.id)
        await self._claim.write(lambda row: row.with_loss().without_deferred(invocation.id))
        await self._hand_over(invocation)

    async def _wait(self, seconds: float) -> None:
        """Until somebody has written the row, or it is time to look again."""
        self.can_be_left = True
        try:
            async with asyncio.timeout(seconds):
                await self._claim.changed.wait()
        except TimeoutError:
            return
        finally:
            self.can_be_left = False


def _located(row: Job, record: DeferredInvocation, placement: Placement) -> Job:
    """The row with the places of an invocation; a notice may have told them already."""
    return row.with_deferred((row.deferred_invocation(record.id) or record).located(placement))
