"""Somebody who watches a job through a broker."""

from __future__ import annotations

import secrets
from dataclasses import replace

from graphql_api.domain.ids import CallerId
from graphql_api.domain.job import Job
from graphql_api.ports import EventBroker, JobMoved, Notice, Reread, job_topic
from tests.clients.waiting import eventually
from tests.contract.sample_jobs import NOON, a_job


def running() -> Job:
    """A running job of a caller whom no other test has."""
    caller_id = CallerId(f"caller-{secrets.token_hex(8)}")
    return replace(a_job(caller_id=caller_id).claimed(at=NOON), revision=2)


class Watcher:
    """Must learn of every move of its job: by a notice, or by reading again."""

    def __init__(self, job: Job | None = None) -> None:
        self.job = job or running()
        self.topic = job_topic(self.job.id)
        self.channel = f"text2image:job:{{{self.job.id}}}"
        self.notices: list[Notice] = []

    def deliver(self, notice: Notice) -> None:
        """What the broker calls."""
        self.notices.append(notice)

    @property
    def moves(self) -> list[JobMoved]:
        """The moves that it was told of."""
        return [notice for notice in self.notices if isinstance(notice, JobMoved)]

    def move(self, revision: int) -> JobMoved:
        """A move of its job."""
        return JobMoved.of(replace(self.job, revision=revision))

    async def reread(self) -> None:
        """Wait until it was told to read again."""
        await eventually(lambda: Reread() in self.notices)

    async def hears(self, publisher: EventBroker) -> None:
        """Assert that what is published from now on arrives."""
        move = self.move(1_000_000 + len(self.notices))
        await publisher.publish(move)
        await eventually(lambda: move in self.notices)
