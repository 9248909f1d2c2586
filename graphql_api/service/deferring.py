"""How a claimed job is handed to a model that answers later (docs/decisions/0010-deferred-invocations.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from graphql_api import tracing
from graphql_api.domain.errors import (
    AnswerLost,
    GenerationFailed,
    InvocationTimedOut,
    ModelFailed,
    ModelNotReady,
    ModelUnavailable,
    ServiceUnavailable,
)
from graphql_api.domain.job import DeferredInvocation, InvocationEnd
from graphql_api.ports import Answer, DeferredEndpoint, Invocation, ModelRequest
from graphql_api.service.batch import Outcome
from graphql_api.service.bench import MAX_RETRY_SECONDS, Backoff, Bench, to_the_end
from graphql_api.service.claim import Claim
from graphql_api.service.costs import Bill
from graphql_api.service.counting import count_refusal, counted_invocation
from graphql_api.service.invoking import HoldUp, Outcomes, invocations_of
from graphql_api.service.models import RunnableModel
from graphql_api.service.reporting import Reporter

logger = logging.getLogger(__name__)

FIRST_LOOK_SECONDS = 1.0
MOST_SECONDS_WITH_NOTICES = 30.0
MOST_SECONDS_WITHOUT = 10.0


class DeferredInvocations:
    """The invocations of one job on a deferred endpoint: all are handed over, then all are waited for."""

    is_paid = False
    """Nothing is lost with this process: the row knows what was handed over."""

    def __init__(
        self,
        claim: Claim,
        runnable: RunnableModel,
        endpoint: DeferredEndpoint,
        bench: Bench,
        reporter: Reporter,
        bill: Bill,
    ) -> None:
        self._claim = claim
        self._bill = bill
        self._seconds: list[float] = []
        """Of the invocations that are over. They are paid for when all are: a worker that goes on from here takes their
        answers once more."""
        self._runnable = runnable
        self._endpoint = endpoint
        self._bench = bench
        self._reporter = reporter
        self.can_be_left = False
        """Whether the run only waits, so that another worker may as well."""

    async def outcomes(self) -> Outcomes:
        """Hand over what was not handed over before, and wait until all are over. Raises ClaimLost, and
        GenerationFailed when nothing can be handed over."""
        invocations = invocations_of(self._claim, self._runnable)
        refusal = await self._hand_all_over(invocations)
        outcomes: list[tuple[ModelRequest, Outcome]] = []
        for number, invocation in enumerate(invocations):
            if refusal is not None and self._claim.job.deferred_invocation(invocation.id) is None:
                outcomes.append((invocation.request, refusal))
            else:
                outcome = await self._outcome(invocation, done=number, of=len(invocations))
                outcomes.append((invocation.request, outcome))
        for seconds in self._seconds:
            self._bill.add(seconds)
        return outcomes

    async def _hand_all_over(self, invocations: Sequence[Invocation]) -> GenerationFailed | None:
        """Up to the first that is refused; those before it were taken, and are paid for. Returns why it was refused."""
        for invocation in invocations:
            if self._claim.job.deferred_invocation(invocation.id) is None:
                try:
                    await self._hand_over(invocation)
                except GenerationFailed as error:
                    if not self._claim.job.deferred:
                        raise
                    return error
        return None

    async def _outcome(self, invocation: Invocation, *, done: int, of: int) -> Outcome:
        try:
            with (
                counted_invocation(
                    self._runnable.model,
                    pay=self._seconds.append,
                    age=lambda: self._age_of(self._record(invocation)),
                    others_go_on=True,
                ),
                tracing.span("wait for model", invocation_id=invocation.id, model=self._runnable.model.name),
            ):
                return await self._answer(invocation, done=done, of=of)
        except GenerationFailed as error:
            # The others were handed over already, and are paid for.
            return error

    async def _hand_over(self, invocation: Invocation) -> None:
        """Send it, and send it again as long as it is certainly not taken. Raises GenerationFailed when it will not
        be."""
        hold_up = HoldUp(self._runnable, self._bench, self._reporter)
        while True:
            try:
                await self._send(invocation)
                return
            except ModelNotReady as error:
                count_refusal(self._runnable.model)
                if await self._note_refusal(invocation):
                    return
                await hold_up.wait(error, was_sent=bool(self._claim.job.deferred))
            except (AnswerLost, InvocationTimedOut) as error:
                logger.warning("nobody knows whether invocation %s was taken: %s", invocation.id, error)
                return
            except GenerationFailed:
                if await self._note_refusal(invocation):
                    return
                raise

    async def _send(self, invocation: Invocation) -> None:
        record = DeferredInvocation(id=invocation.id, sent_at=self._bench.clock())
        await self._claim.write(lambda row: row.sent().with_deferred(row.deferred_invocation(record.id) or record))
        await self._reporter.goes_on()
        if not self._record(invocation).is_known:
            # Known only when it has come through to the row, so it is not left halfway.
            await to_the_end(self._submit(invocation))

    async def _submit(self, invocation: Invocation) -> None:
        sent_as = self._record(invocation).sent_as
        with tracing.span("hand to model", invocation_id=sent_as, model=self._runnable.model.name):
            placement = await self._endpoint.submit(replace(invocation, id=sent_as))
        await self._claim.write(
            lambda row: row.with_deferred(
                (row.deferred_invocation(invocation.id) or self._record(invocation)).located(placement)
            )
        )

    async def _note_refusal(self, invocation: Invocation) -> bool:
        """It was not taken. Forget it, unless it was sent before. True when an earlier sending was heard of after
        all."""
        record = self._record(invocation)
        if not record.is_known and not record.resends:
            await self._claim.write(lambda row: row.without_deferred(invocation.id))
        return record.is_known

    async def _answer(self, invocation: Invocation, *, done: int, of: int) -> Answer:
        loop, unseen_since = asyncio.get_running_loop(), 0.0
        pause_seconds = FIRST_LOOK_SECONDS
        most_seconds = MOST_SECONDS_WITH_NOTICES if self._bench.options.hears_notices else MOST_SECONDS_WITHOUT
        async with self._reporter.sending(done=done, of=of, ago_seconds=self._age_of(self._record(invocation))):
            while True:
                self._claim.changed.clear()
                record = self._record(invocation)
                try:
                    answer = await self._look(record)
                except ServiceUnavailable as error:
                    # It may be there all the same.
                    unseen_since = unseen_since or loop.time()
                    if loop.time() - unseen_since > self._bench.options.store_seconds:
                        raise AnswerLost("The model's answer cannot be fetched.") from error
                    await self._wait(pause_seconds)
                    continue
                unseen_since = 0.0
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
        """The answer, if it is there. Raises GenerationFailed when there will be none, ServiceUnavailable when nobody
        can tell."""
        if record.placement is not None:
            try:
                answer = await self._endpoint.collect(record.placement)
            except ServiceUnavailable:
                if record.ended in (None, InvocationEnd.COMPLETED):
                    raise
                # A report of a failure is nice to have, and may be forbidden to look for.
                answer = None
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
        if record.is_known:
            return False
        return not self._bench.options.hears_notices or self._age_of(record) > self._endpoint.unheard_seconds

    async def _send_again(self, invocation: Invocation) -> None:
        if not self._runnable.policy.allows_another(self._claim.job):
            raise AnswerLost("Nobody knows what became of the request to the model.")
        logger.warning("invocation %s is sent again: nothing was heard of it", invocation.id)
        again = self._record(invocation).sent_again(at=self._bench.clock())
        losses = self._claim.job.losses + 1
        self._bill.add_unmeasured(of=len(self._claim.job.deferred))
        await self._claim.write(lambda row: self._bill.on(row.with_losses(losses).with_deferred(again)))
        await Backoff(self._bench.options.retry_seconds, most_seconds=MAX_RETRY_SECONDS).pause()
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
