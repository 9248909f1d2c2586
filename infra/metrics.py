"""Metrics of jobs, made by CloudWatch from two lines of the program's log (docs/observability.md)."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config import Config

QUEUE_EVENT = "queue"
ENDED_EVENT = "job ended"

OLDEST_QUEUED = "OldestQueuedSeconds"
QUEUED = "QueuedJobs"
SUCCEEDED = "SucceededJobs"
FAILED = "FailedJobs"
COST = "CostDollars"

MINUTE = cdk.Duration.minutes(1)
"""The queue is reported every 30 seconds."""


class JobMetrics(Construct):
    """The filters. Workers report the queue and the ends of jobs, API tasks those of jobs that were canceled, which may
    have cost something.

    None of the metrics has a dimension, so that sums need no expression: the namespace is the deployment's.
    """

    def __init__(
        self, scope: Construct, id: str, *, config: Config, api_log: logs.LogGroup, worker_log: logs.LogGroup
    ) -> None:
        super().__init__(scope, id)
        self.namespace = f"Text2Image/{config.prefix}"
        event = "$.event"
        queue = logs.FilterPattern.string_value(event, "=", QUEUE_EVENT)
        ended = logs.FilterPattern.string_value(event, "=", ENDED_EVENT)
        cost = (COST, _and(ended, logs.FilterPattern.number_value("$.cost_dollars", ">", 0)), "$.cost_dollars")
        of_workers = (
            (OLDEST_QUEUED, queue, "$.oldest_queued_seconds"),
            (QUEUED, queue, "$.queued_jobs"),
            (SUCCEEDED, _and(ended, logs.FilterPattern.string_value("$.status", "=", "SUCCEEDED")), "1"),
            (FAILED, _and(ended, logs.FilterPattern.string_value("$.status", "=", "FAILED")), "1"),
            cost,
        )
        for name, log, filters in (("Api", api_log, (cost,)), ("Worker", worker_log, of_workers)):
            for metric, pattern, value in filters:
                logs.MetricFilter(
                    self,
                    f"{name}{metric}",
                    log_group=log,
                    filter_pattern=pattern,
                    metric_namespace=self.namespace,
                    metric_name=metric,
                    metric_value=value,
                )

    def oldest_queued(self) -> cloudwatch.Metric:
        """Seconds that the job has waited that was queued first. No data while no worker reports."""
        return self._metric(OLDEST_QUEUED, cloudwatch.Stats.MAXIMUM, MINUTE)

    def queued(self) -> cloudwatch.Metric:
        """Jobs that wait."""
        return self._metric(QUEUED, cloudwatch.Stats.MAXIMUM, MINUTE)

    def succeeded(self) -> cloudwatch.Metric:
        """Jobs that have ended with images, in five minutes."""
        return self._metric(SUCCEEDED, cloudwatch.Stats.SUM, cdk.Duration.minutes(5))

    def failed(self) -> cloudwatch.Metric:
        """Jobs that have failed, in five minutes."""
        return self._metric(FAILED, cloudwatch.Stats.SUM, cdk.Duration.minutes(5))

    def cost(self) -> cloudwatch.Metric:
        """US dollars that jobs which have ended have cost, in a day."""
        return self._metric(COST, cloudwatch.Stats.SUM, cdk.Duration.days(1))

    def _metric(self, name: str, statistic: str, period: cdk.Duration) -> cloudwatch.Metric:
        return cloudwatch.Metric(namespace=self.namespace, metric_name=name, statistic=statistic, period=period)


def _and(one: logs.JsonPattern, other: logs.JsonPattern) -> logs.JsonPattern:
    return logs.FilterPattern.all(one, other)
