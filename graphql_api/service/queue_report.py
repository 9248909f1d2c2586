"""The length of the queue as a line of the log, for machines that read logs and no metrics."""

from __future__ import annotations

import asyncio
import logging

from graphql_api import log_context
from graphql_api.domain.errors import ServiceUnavailable
from graphql_api.ports import JobStore
from graphql_api.service.clock import Clock, utc_now
from graphql_api.service.janitor import Janitor

logger = logging.getLogger(__name__)

REPORT_SECONDS = 30.0


class QueueReport:
    """Logs the queue every 30 seconds, in the process whose janitor is on duty: one of any number."""

    def __init__(self, store: JobStore, janitor: Janitor, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._janitor = janitor
        self._clock = clock

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            await self.report()

    async def report(self) -> None:
        """Report once, if it is for this process to do and the store answers."""
        if not self._janitor.is_on_duty:
            return
        try:
            depths = await self._store.depths()
        except ServiceUnavailable:
            # The janitor says so.
            return
        now = self._clock()
        waits = [(now - each.oldest_created_at).total_seconds() for each in depths]
        # Machines look for this text, see docs/observability.md.
        logger.info(
            "queue",
            extra=log_context.only_here(
                queued_jobs=sum(each.jobs for each in depths),
                oldest_queued_seconds=round(max(waits, default=0.0), 3),
            ),
        )
