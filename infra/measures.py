"""What AWS' own services measure of this deployment. Those of jobs are in `metrics`."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elbv2

from infra.completions import Completions
from infra.database import Database
from infra.entrance import Entrance
from infra.model_endpoint import VARIANT
from infra.service import Service

CLOUDFRONT_REGION = "us-east-1"
"""Where CloudFront's metrics are. Alarms on them cannot be anywhere else; graphs can."""

MINUTE, FIVE_MINUTES = cdk.Duration.minutes(1), cdk.Duration.minutes(5)

Stats = cloudwatch.Stats


def target_errors(entrance: Entrance) -> cloudwatch.Metric:
    """Answers 5xx of API tasks."""
    kind = elbv2.HttpCodeTarget.TARGET_5XX_COUNT
    return entrance.balancer.metrics.http_code_target(kind, statistic=Stats.SUM, period=FIVE_MINUTES)


def balancer_errors(entrance: Entrance) -> cloudwatch.Metric:
    """Answers 5xx that the load balancer gave because no API task did."""
    kind = elbv2.HttpCodeElb.ELB_5XX_COUNT
    return entrance.balancer.metrics.http_code_elb(kind, statistic=Stats.SUM, period=FIVE_MINUTES)


def distribution_errors(entrance: Entrance) -> cloudwatch.Metric:
    """How many of CloudFront's answers are 5xx, in percent."""
    return cloudwatch.Metric(
        namespace="AWS/CloudFront",
        metric_name="5xxErrorRate",
        dimensions_map={"DistributionId": entrance.distribution.distribution_id, "Region": "Global"},
        statistic=Stats.AVERAGE,
        period=FIVE_MINUTES,
        region=CLOUDFRONT_REGION,
    )


def healthy_tasks(service: Service) -> cloudwatch.Metric:
    """API tasks that the load balancer sends requests to."""
    return service.target_group.metrics.healthy_host_count(statistic=Stats.MINIMUM, period=MINUTE)


def missing_tasks(service: Service, name: str) -> cloudwatch.MathExpression:
    """How many tasks of a service should run, and do not; `api` or `worker`."""

    which = service.services[name]

    def count(metric: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="ECS/ContainerInsights",
            metric_name=metric,
            dimensions_map={"ClusterName": service.cluster.cluster_name, "ServiceName": which.service_name},
            statistic=Stats.AVERAGE,
            period=MINUTE,
        )

    return cloudwatch.MathExpression(
        expression=f"{name}_desired - {name}_running",
        label=f"missing tasks of {name}",
        # Names must differ from those of the other service in the same graph.
        using_metrics={f"{name}_desired": count("DesiredTaskCount"), f"{name}_running": count("RunningTaskCount")},
        period=MINUTE,
    )


def database_load(database: Database) -> cloudwatch.Metric:
    """Percent: of the CPU of an instance, or of Aurora's largest capacity."""
    return _of_database(database, "ACUUtilization" if database.is_cluster else "CPUUtilization", Stats.AVERAGE)


def database_connections(database: Database) -> cloudwatch.Metric:
    """Connections that are open."""
    return _of_database(database, "DatabaseConnections", Stats.MAXIMUM)


def free_storage(database: Database) -> cloudwatch.Metric:
    """Bytes that an instance has left. Aurora's storage has no size."""
    return _of_database(database, "FreeStorageSpace", Stats.MINIMUM)


def dead_letters(completions: Completions) -> cloudwatch.Metric:
    """Messages that nobody understood."""
    return completions.dead_letters.metric_approximate_number_of_messages_visible(
        statistic=Stats.MAXIMUM, period=FIVE_MINUTES
    )


def backlog(endpoint_name: str) -> cloudwatch.Metric:
    """Invocations that an asynchronous endpoint has before it."""
    return _of_endpoint(endpoint_name, "ApproximateBacklogSize", Stats.MAXIMUM)


def invocations(endpoint_name: str) -> cloudwatch.Metric:
    """Invocations of an endpoint that answers at once."""
    return _of_endpoint(endpoint_name, "Invocations", Stats.SUM, VariantName=VARIANT)


def model_latency(endpoint_name: str) -> cloudwatch.Metric:
    """Microseconds that its model took."""
    return _of_endpoint(endpoint_name, "ModelLatency", Stats.AVERAGE, VariantName=VARIANT)


def _of_database(database: Database, name: str, statistic: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/RDS",
        metric_name=name,
        dimensions_map=database.dimensions,
        statistic=statistic,
        period=FIVE_MINUTES,
    )


def _of_endpoint(endpoint_name: str, name: str, statistic: str, **dimensions: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/SageMaker",
        metric_name=name,
        dimensions_map={"EndpointName": endpoint_name, **dimensions},
        statistic=statistic,
        period=FIVE_MINUTES,
    )
