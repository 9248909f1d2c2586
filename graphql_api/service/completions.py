"""Notices of deferred endpoints: whoever receives one writes it into the job's row, for the run that waits there.

A message is deleted once the row holds what it says, or when there is nothing to hold any more. What is not ours, or
cannot be read, stays for the dead-letter queue: another deployment may share the queue.
"""

from __future__ import annotations

import asyncio
import logging

from graphql_api.domain.errors import ServiceUnavailable
from graphql_api.domain.ids import as_job_id
from graphql_api.domain.job import InvocationEnd, Job, Placement, Tombstone, invocation_sent_as
from graphql_api.ports import CompletionNotice, CompletionQueue, EventBroker, JobMoved, JobStore
from graphql_api.service.bench import Backoff

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 30.0


class Completions:
    """Takes notices from the queue, for all jobs of all workers."""

    def __init__(self, queue: CompletionQueue, store: JobStore, broker: EventBroker) -> None:
        self._queue = queue
        self._store = store
        self._broker = broker

    async def run(self) -> None:
        """Until cancelled."""
        backoff = Backoff(FIRST_PAUSE_SECONDS, most_seconds=MAX_PAUSE_SECONDS)
        while True:
            try:
                await self.take()
            except ServiceUnavailable as error:
                logger.warning("notices of completed invocations are not taken: %s", error, exc_info=error)
                await backoff.pause()
            else:
                backoff = Backoff(FIRST_PAUSE_SECONDS, most_seconds=MAX_PAUSE_SECONDS)

    async def take(self) -> None:
        """The notices that are there now. Raises ServiceUnavailable; then they come again."""
        notices = await self._queue.receive()
        are_met = await asyncio.gather(*(self._note(notice) for notice in notices))
        await self._queue.forget([each.receipt for each, is_met in zip(notices, are_met, strict=True) if is_met])

    async def _note(self, notice: CompletionNotice) -> bool:
        """Write what a notice says. False when it is not for us."""
        if notice.invocation_id is None or notice.ended is None:
            logger.warning("a message of the completion queue is no notice of an invocation: %s", notice.shape)
            return False
        job_id = as_job_id(notice.invocation_id.partition(".")[0])
        row = None if job_id is None else await self._store.find(job_id)
        if row is None:
            logger.warning("a notice names invocation %.64r, which is of no job here", notice.invocation_id)
            return False
        # Somebody else may write the row at the same time; then it is read again.
        while (changed := _with_notice(row, notice.invocation_id, notice.ended, notice.placement)) is not None:
            saved = await self._store.update(changed)
            if saved is not None:
                await self._broker.publish(JobMoved.of(saved))
                break
            row = await self._store.find(changed.id)
        return True


def _with_notice(
    row: Job | Tombstone | None, invocation_id: str, end: InvocationEnd, placement: Placement | None
) -> Job | None:
    """The job with what a notice says, or None when there is nothing to add."""
    waits = isinstance(row, Job) and not row.is_final
    record = row.deferred_invocation(invocation_sent_as(invocation_id)) if isinstance(row, Job) and waits else None
    if not isinstance(row, Job) or record is None:
        logger.info("invocation %s ended, and nobody waits for it any more", invocation_id)
        return None
    told = record.told(invocation_id, end, placement)
    return None if told == record else row.with_deferred(told)
