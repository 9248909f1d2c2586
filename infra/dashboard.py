"""The dashboard: what the alarms look at, and what explains it."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra import measures
from infra.config import Config
from infra.entrance import Entrance
from infra.watched import Watched

WIDTH = 8


class Dashboard(Construct):
    """A row each for jobs, requests, tasks, and what is behind them."""

    def __init__(self, scope: Construct, id: str, *, watched: Watched) -> None:
        super().__init__(scope, id)
        config, service, database, model = watched.config, watched.service, watched.database, watched.model
        metrics = service.metrics
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=config.prefix)
        dashboard.add_widgets(
            _graph("Jobs in five minutes", metrics.succeeded(), metrics.failed()),
            _graph("Queue: jobs, and seconds of the oldest", metrics.queued(), right=[metrics.oldest_queued()]),
            _graph("US dollars a day", metrics.cost()),
        )
        dashboard.add_widgets(*_requests(watched.entrance))
        services = service.services.values()
        dashboard.add_widgets(
            _graph("CPU of tasks, %", *(each.metric_cpu_utilization() for each in services)),
            _graph("Memory of tasks, %", *(each.metric_memory_utilization() for each in services)),
            _graph("Missing tasks", *(measures.missing_tasks(service, name) for name in service.services)),
        )
        dashboard.add_widgets(
            _graph("Load of the database, %", measures.database_load(database)),
            _graph("Connections of the database", measures.database_connections(database)),
            *([_model(config, model.endpoint_name)] if model.endpoint_name else []),
            *([_graph("Dead letters", measures.dead_letters(model.completions))] if model.completions else []),
        )


def _requests(entrance: Entrance) -> list[cloudwatch.GraphWidget]:
    balancer, period = entrance.balancer.metrics, measures.FIVE_MINUTES
    slowest = balancer.target_response_time(statistic=cloudwatch.Stats.percentile(95), period=period)
    errors = (measures.target_errors(entrance), measures.balancer_errors(entrance))
    return [
        _graph("Requests, and seconds of 95 % of them", balancer.request_count(period=period), right=[slowest]),
        _graph("Errors 5xx, and % of CloudFront's answers", *errors, right=[measures.distribution_errors(entrance)]),
        _graph("Open connections", balancer.active_connection_count(period=period)),
    ]


def _model(config: Config, endpoint_name: str) -> cloudwatch.GraphWidget:
    if config.is_async:
        return _graph("Backlog of the model", measures.backlog(endpoint_name))
    return _graph(
        "Invocations of the model, and microseconds",
        measures.invocations(endpoint_name),
        right=[measures.model_latency(endpoint_name)],
    )


def _graph(title: str, *left: cloudwatch.IMetric, right: Sequence[cloudwatch.IMetric] = ()) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(left), right=list(right), width=WIDTH)
