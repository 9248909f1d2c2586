"""Places in the queue, asked for together: those of a page of jobs are one question to the store rather than hundreds,
behind which the reads of all others would wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from graphql_api.domain.ids import JobId
from graphql_api.domain.job import Job
from graphql_api.ports import JobQueue


class QueuePlaces:
    """Answers in one question to the store, for each model, what is asked while the event loop turns once."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._asked: dict[JobId, tuple[Job, asyncio.Future[int]]] = {}
        self._looking: set[asyncio.Task[None]] = set()

    async def jobs_ahead(self, job: Job) -> int:
        """How many queued jobs of the same model will be claimed before this queued one. Raises ServiceUnavailable."""
        asked = self._asked.get(job.id)
        if asked is None:
            if not self._asked:
                asyncio.get_running_loop().call_soon(self._begin)
            asked = self._asked[job.id] = (job, asyncio.get_running_loop().create_future())
        # Who gives up does not take the answer from the others.
        return await asyncio.shield(asked[1])

    def _begin(self) -> None:
        asked, self._asked = self._asked, {}
        by_model: dict[str, list[tuple[Job, asyncio.Future[int]]]] = {}
        for job, future in asked.values():
            by_model.setdefault(job.model_name, []).append((job, future))
        for together in by_model.values():
            task = asyncio.create_task(self._look(together))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

    async def _look(self, together: Sequence[tuple[Job, asyncio.Future[int]]]) -> None:
        try:
            ahead = await self._queue.jobs_ahead([job for job, _ in together])
        except Exception as error:
            for _, future in together:
                future.set_exception(error)
                # Told to whoever waits, if anybody still does.
                future.exception()
            return
        for job, future in together:
            # One that was claimed meanwhile has nobody ahead.
            future.set_result(ahead.get(job.id, 0))
