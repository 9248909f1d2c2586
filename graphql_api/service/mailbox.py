"""What one watcher has not taken yet, bounded whatever happens."""

from __future__ import annotations

import asyncio
from collections import deque

from graphql_api import metrics
from graphql_api.domain.ids import JobId
from graphql_api.ports import JobMoved, JobProgressed, Notice, Reread

MAX_MOVES = 256
MAX_PROGRESS_JOBS = 256
PROGRESS_INTERVAL_SECONDS = 0.2


class Mailbox:
    """Notices for one watcher. Moves keep their order and are never merged; a watcher that lets too many pile up gets
    one Reread in their place. Progress is conflated: per job the latest wins, and a watcher takes at most one in
    PROGRESS_INTERVAL_SECONDS, from the job that has waited longest."""

    __slots__ = ("_lost", "_moves", "_progress", "_progress_due", "_timer", "_waiter", "seen_revision")

    def __init__(self) -> None:
        self._moves: deque[JobMoved] | None = None
        self._progress: dict[JobId, JobProgressed] | None = None
        self._lost = False
        self._progress_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.seen_revision = 0
        """The latest revision that the watcher has dealt with."""

    def deliver(self, notice: Notice) -> None:
        """Put a notice in and wake the watcher."""
        if isinstance(notice, JobProgressed):
            self._put_progress(notice)
        elif isinstance(notice, JobMoved):
            self._put_move(notice)
        else:
            self._lose()
        self._wake()

    async def take(self) -> Notice:
        """The next notice, as soon as there is one."""
        loop = asyncio.get_running_loop()
        while (notice := self._next(loop.time())) is None:
            if self._progress and self._timer is None:
                self._timer = loop.call_at(self._progress_due, self._ring)
            self._waiter = loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return notice

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _next(self, now: float) -> Notice | None:
        if self._lost:
            self._lost = False
            return Reread()
        if self._moves:
            return self._moves.popleft()
        if self._progress and now >= self._progress_due:
            self._progress_due = now + PROGRESS_INTERVAL_SECONDS
            return self._progress.pop(next(iter(self._progress)))
        return None

    def _put_progress(self, notice: JobProgressed) -> None:
        if self._progress is None:
            self._progress = {}
        # A job keeps its place in the line when a later report replaces an earlier one.
        if notice.job_id in self._progress:
            metrics.PROGRESS_CONFLATED.inc()
        elif len(self._progress) >= MAX_PROGRESS_JOBS:
            return
        self._progress[notice.job_id] = notice

    def _put_move(self, notice: JobMoved) -> None:
        if self._progress:
            self._progress.pop(notice.job_id, None)
        if self._lost:
            return
        if self._moves is None:
            self._moves = deque()
        self._moves.append(notice)
        if len(self._moves) > MAX_MOVES:
            metrics.MAILBOX_OVERFLOWS.inc()
            self._lose()

    def _lose(self) -> None:
        self._lost = True
        self._moves = None

    def _ring(self) -> None:
        self._timer = None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
