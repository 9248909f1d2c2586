"""What a watcher is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from graphql_api.domain.ids import JobId
from graphql_api.domain.job import Job


class JobEventKind(StrEnum):
    """What a job event reports."""

    SNAPSHOT = "SNAPSHOT"
    PROGRESS = "PROGRESS"
    STATUS = "STATUS"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """A change of a job. `revision` is where a watcher resumes; `job` is None when it was deleted."""

    kind: JobEventKind
    job_id: JobId
    job: Job | None
    revision: int
    occurred_at: datetime
