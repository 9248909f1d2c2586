"""When somebody is to be told, and what."""

from __future__ import annotations

from constructs import Construct

from infra import measures
from infra.alarms import Alarms, Missing
from infra.completions import Completions
from infra.dashboard import Dashboard
from infra.database import Database
from infra.database_limits import most_connections
from infra.entrance import Entrance
from infra.metrics import JobMetrics
from infra.service import Service
from infra.watched import Watched

QUEUED_SECONDS = 300
FAILED_JOBS = 2
"""In five minutes. One or two may be what somebody asked for; more are the model, or we."""
SERVER_ERRORS = 5
"""In five minutes."""
DISTRIBUTION_PERCENT = 5
DATABASE_PERCENT = 80
FREE_STORAGE_PART = 0.05
"""RDS enlarges storage that has had less than a tenth free for five minutes: below half of that, it could not."""
GIBIBYTE = 1024**3


class Monitoring(Construct):
    """Alarms with a topic, and a dashboard. Each alarm's description says what has happened, and names the section of
    docs/operations.md."""

    def __init__(self, scope: Construct, id: str, *, watched: Watched) -> None:
        super().__init__(scope, id)
        self._config = watched.config
        self.alarms = Alarms(self, "Alarms", config=watched.config)
        self._watch_jobs(watched.service.metrics, watched.model.completions)
        self._watch_requests(watched.service, watched.entrance)
        self._watch_database(watched.database)
        self._watch_tasks(watched.service)
        Dashboard(self, "Dashboard", watched=watched)

    def _watch_jobs(self, metrics: JobMetrics, completions: Completions | None) -> None:
        self.alarms.add(
            "oldest-queued-job",
            metrics.oldest_queued(),
            above=QUEUED_SECONDS,
            periods=5,
            # Who reports are the workers. If there is none, nobody would say so.
            when_missing=Missing.BREACHING,
            section="Oldest queued job",
            description=f"A job has waited for more than {QUEUED_SECONDS} seconds, or no worker reports.",
        )
        self.alarms.add(
            "failures",
            metrics.failed(),
            above=FAILED_JOBS,
            section="Failures",
            description=f"More than {FAILED_JOBS} jobs have failed in five minutes.",
        )
        self.alarms.add(
            "cost-of-a-day",
            metrics.cost(),
            above=self._config.daily_images_dollars,
            section="Cost of a day",
            description=f"Inference has cost more than {self._config.daily_images_dollars:g} US dollars in a day.",
        )
        if completions is not None:
            self.alarms.add(
                "dead-letters",
                measures.dead_letters(completions),
                above=0,
                section="Dead letters",
                description="Messages about answers of the model were received and never understood.",
            )

    def _watch_requests(self, service: Service, entrance: Entrance) -> None:
        self.alarms.add(
            "target-errors",
            measures.target_errors(entrance),
            above=SERVER_ERRORS,
            section="Errors 5xx",
            description=f"API tasks have answered more than {SERVER_ERRORS} requests with 5xx in five minutes.",
        )
        self.alarms.add(
            "balancer-errors",
            measures.balancer_errors(entrance),
            above=SERVER_ERRORS,
            section="Errors 5xx",
            description=f"The load balancer has answered more than {SERVER_ERRORS} requests with 5xx in five minutes, "
            "because no API task did.",
        )
        if self._config.region == measures.CLOUDFRONT_REGION:
            self.alarms.add(
                "distribution-errors",
                measures.distribution_errors(entrance),
                above=DISTRIBUTION_PERCENT,
                periods=3,
                section="Errors 5xx",
                description=f"More than {DISTRIBUTION_PERCENT} % of CloudFront's answers were 5xx for a quarter of an "
                "hour.",
            )
        self.alarms.add(
            "no-healthy-api-task",
            measures.healthy_tasks(service),
            below=1,
            periods=2,
            when_missing=Missing.BREACHING,
            section="No healthy API task",
            description="No API task is ready.",
        )

    def _watch_database(self, database: Database) -> None:
        if not database.is_cluster:
            self.alarms.add(
                "database-storage",
                measures.free_storage(database),
                below=self._config.database_gib * GIBIBYTE * FREE_STORAGE_PART,
                periods=3,
                section="Database",
                description="The database is running out of storage, and does not get more.",
            )
        what = "its largest capacity" if database.is_cluster else "its CPU"
        self.alarms.add(
            "database-cpu",
            measures.database_load(database),
            above=DATABASE_PERCENT,
            periods=3,
            section="Database",
            description=f"The database has used more than {DATABASE_PERCENT} % of {what} for a quarter of an hour.",
        )
        self.alarms.add(
            "database-connections",
            measures.database_connections(database),
            above=most_connections(self._config) * DATABASE_PERCENT // 100,
            periods=3,
            section="Database",
            description=f"The database has more than {DATABASE_PERCENT} % of the connections that it can have.",
        )

    def _watch_tasks(self, service: Service) -> None:
        for name in service.services:
            self.alarms.add(
                f"{name}-tasks",
                measures.missing_tasks(service, name),
                above=0,
                periods=15,
                section="Tasks",
                description=f"Fewer {name} tasks run than there should be, for a quarter of an hour.",
            )
