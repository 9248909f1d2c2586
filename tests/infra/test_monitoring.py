"""Metrics, alarms, dashboard and budget: they look for what the program writes, and say what to do."""

from __future__ import annotations

import json
import logging
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from graphql_api.domain.errors import ModelFailed
from graphql_api.service.queue_report import REPORT_SECONDS, QueueReport
from graphql_api.telemetry import configure_logging
from infra.alarms import Alarms
from infra.budget import Budget
from infra.config import ConfigError
from infra.database_limits import most_connections
from infra.metrics import COST, FAILED, OLDEST_QUEUED, QUEUED, SUCCEEDED
from infra.pages import DOCS
from tests.contract.sample_jobs import ALICE
from tests.infra.deployments import Deployment, Resource
from tests.infra.service_stack import CONFIGS, container, deployed, only, service, text
from tests.infra.small_stack import a_config
from tests.unit.shop import CALLER, REQUEST, ScriptedEndpoint, a_jpeg, a_shop, an_answer

METRICS = {OLDEST_QUEUED, QUEUED, SUCCEEDED, FAILED, COST}


@pytest.fixture(params=CONFIGS)
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """Every deployment, one a test."""
    return deployed(request.param)


# --- metrics of jobs -------------------------------------------------------------------------------------------------


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[Mapping[str, Any]]]]:
    """What the program has logged since it was asked last, by its own formatter."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)


def filters(deployment: Deployment) -> list[Mapping[str, Any]]:
    """The metric filters of the workers' log. That of the API has the cost alone: jobs that are canceled end there."""
    by_log: dict[str, list[Mapping[str, Any]]] = {}
    for each in deployment.resources("AWS::Logs::MetricFilter"):
        filter = {key: value for key, value in each.properties.items() if key != "LogGroupName"}
        by_log.setdefault(text(deployment, each.properties["LogGroupName"]), []).append(filter)
    api, worker = (
        container(deployment, name)["LogConfiguration"]["Options"]["awslogs-group"]["Ref"] for name in ("api", "worker")
    )
    assert by_log.keys() == {api, worker}
    cost = [each for each in by_log[worker] if each["MetricTransformations"][0]["MetricName"] == COST]
    assert by_log[api] == cost
    return by_log[worker]


def measured(lines: list[Mapping[str, Any]], deployment: Deployment) -> dict[str, list[float]]:
    """What CloudWatch would make of lines: the values of each metric."""
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    for each in filters(deployment):
        (transformation,) = each["MetricTransformations"]
        for line in lines:
            if matches(each["FilterPattern"], line):
                value = transformation["MetricValue"]
                found = line[value.removeprefix("$.")] if value.startswith("$.") else value
                values[transformation["MetricName"]].append(float(found))
    return values


def matches(pattern: str, line: Mapping[str, Any]) -> bool:
    """Whether a line matches a pattern of the one form that is used: comparisons, all of which must hold (Amazon
    CloudWatch Logs, "Filter pattern syntax")."""
    comparisons = pattern.removeprefix("{ ").removesuffix(" }").split(" && ")
    return all(_holds(each.removeprefix("(").removesuffix(")"), line) for each in comparisons)


def _holds(comparison: str, line: Mapping[str, Any]) -> bool:
    match = re.fullmatch(r'\$\.(\w+) (=|>) (?:"([^"*]+)"|(\d+))', comparison)
    assert match is not None, comparison
    field, compare, string, number = match.groups()
    if field not in line:
        return False
    compared = {"=": operator.eq, ">": operator.gt}[compare]
    return bool(compared(line[field], string if string is not None else float(number)))


async def test_end_of_a_job_counts_once_and_with_its_cost(
    tmp_path: Path, lines: Callable[[], list[Mapping[str, Any]]]
) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([an_answer(a_jpeg())]), price=100) as shop, shop.working():
        job = await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)

    found = measured(lines(), deployed("small"))
    assert job.cost is not None
    assert {name: values for name, values in found.items() if values} == {
        SUCCEEDED: [1],
        COST: [job.cost / 1_000_000],
    }


async def test_failure_counts_and_has_no_cost_without_a_price(
    tmp_path: Path, lines: Callable[[], list[Mapping[str, Any]]]
) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([ModelFailed("No.")])) as shop, shop.working():
        await shop.end_of((await shop.jobs.submit(CALLER, REQUEST)).job)

    assert {name: values for name, values in measured(lines(), deployed("small")).items() if values} == {FAILED: [1]}


async def test_canceled_job_is_neither_success_nor_failure(
    tmp_path: Path, lines: Callable[[], list[Mapping[str, Any]]]
) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        job = (await shop.jobs.submit(CALLER, REQUEST)).job
        await shop.jobs.cancel(ALICE, job.id)

    told = lines()
    assert "job ended" in {line["event"] for line in told}
    assert not any(measured(told, deployed("small")).values())


async def test_queue_is_measured_also_when_it_is_empty(
    tmp_path: Path, lines: Callable[[], list[Mapping[str, Any]]]
) -> None:
    configure_logging("info", "json")
    async with a_shop(tmp_path, ScriptedEndpoint([])) as shop:
        now = datetime.now(UTC)
        report = QueueReport(shop.store, shop.janitor, clock=lambda: now + timedelta(seconds=90))
        await shop.janitor.tidy()
        await report.report()
        await shop.jobs.submit(CALLER, REQUEST)
        await report.report()

    found = measured(lines(), deployed("small"))
    assert found[QUEUED] == [0, 1]
    nobody, oldest = found[OLDEST_QUEUED]
    assert nobody == 0
    assert 80 < oldest <= 90


def test_metrics_of_two_deployments_are_kept_apart(deployment: Deployment) -> None:
    spaces = {each["MetricTransformations"][0]["MetricNamespace"] for each in filters(deployment)}
    assert spaces == {f"Text2Image/{CONFIGS[deployment.name].prefix}"}
    assert {each["MetricTransformations"][0]["MetricName"] for each in filters(deployment)} == METRICS


# --- alarms ----------------------------------------------------------------------------------------------------------


def alarms(deployment: Deployment) -> dict[str, Mapping[str, Any]]:
    """The alarms that somebody hears of, by the end of their names."""
    prefix = f"{CONFIGS[deployment.name].prefix}-"
    return {
        name.removeprefix(prefix): each.properties
        for each in deployment.resources("AWS::CloudWatch::Alarm")
        if (name := each.properties.get("AlarmName", "")).startswith(prefix)
    }


ALWAYS = {
    "oldest-queued-job",
    "failures",
    "cost-of-a-day",
    "target-errors",
    "balancer-errors",
    "no-healthy-api-task",
    "database-cpu",
    "database-connections",
    "api-tasks",
    "worker-tasks",
}


def test_there_is_an_alarm_for_all_that_can_go_wrong() -> None:
    # CloudFront's metrics are in us-east-1, and Aurora's storage has no size.
    assert alarms(deployed("small")).keys() == ALWAYS | {"database-storage"}
    assert alarms(deployed("standard")).keys() == ALWAYS | {"dead-letters", "distribution-errors"}
    assert alarms(deployed("foreign")).keys() == ALWAYS | {"dead-letters", "distribution-errors", "database-storage"}


def test_alarm_says_where_it_is_written_what_to_do(deployment: Deployment) -> None:
    page = (DOCS / "operations.md").read_text("utf-8").partition("## What each alarm means")[2].partition("\n## ")[0]
    sections = set(re.findall(r"^### (.*)$", page, re.MULTILINE))
    named = set()
    for name, alarm in alarms(deployment).items():
        match = re.search(r'What to do: docs/operations.md, "(.+)"\.$', alarm["AlarmDescription"])
        assert match is not None, name
        named.add(match[1])
    assert named <= sections
    # The budget is no alarm of CloudWatch.
    assert sections - {"Budget"} - named <= ({"Dead letters"} if deployment.name == "small" else set())


def test_alarm_is_told_when_it_begins_and_when_it_is_over(deployment: Deployment) -> None:
    topic = _topic(deployment).id
    for name, alarm in alarms(deployment).items():
        for told in ("AlarmActions", "OKActions"):
            assert [text(deployment, each) for each in alarm[told]] == [topic], name


def test_silence_of_the_workers_is_an_alarm_and_other_silence_is_none(deployment: Deployment) -> None:
    breaching = {name for name, each in alarms(deployment).items() if each["TreatMissingData"] == "breaching"}
    assert breaching == {"oldest-queued-job", "no-healthy-api-task"}


def test_queue_is_looked_at_no_more_often_than_it_is_reported(deployment: Deployment) -> None:
    assert alarms(deployment)["oldest-queued-job"]["Period"] >= 2 * REPORT_SECONDS


def test_thresholds_are_those_that_were_chosen(deployment: Deployment) -> None:
    config, found = CONFIGS[deployment.name], alarms(deployment)
    assert found["oldest-queued-job"]["Threshold"] == 300
    assert found["cost-of-a-day"]["Threshold"] == config.daily_images_dollars
    assert found["cost-of-a-day"]["Period"] == 86_400
    assert found["database-connections"]["Threshold"] < most_connections(config)
    if config.database == "instance":
        storage = found["database-storage"]
        assert storage["ComparisonOperator"] == "LessThanThreshold"
        # RDS makes it larger below a tenth.
        assert storage["Threshold"] < config.database_gib * 1024**3 / 10


def test_alarms_look_at_what_is_there(deployment: Deployment) -> None:
    found, config = alarms(deployment), CONFIGS[deployment.name]
    kind = "Cluster" if config.database == "aurora" else "Instance"
    database = {each["Name"]: each["Value"] for each in found["database-cpu"]["Dimensions"]}
    assert database == {f"DB{kind}Identifier": config.prefix}
    group = only(deployment, "AWS::ElasticLoadBalancingV2::TargetGroup")
    healthy = {each["Name"]: text(deployment, each["Value"]) for each in found["no-healthy-api-task"]["Dimensions"]}
    assert healthy["TargetGroup"] == f"{group.id}.TargetGroupFullName"
    for name in ("api", "worker"):
        stats = [each["MetricStat"]["Metric"] for each in found[f"{name}-tasks"]["Metrics"] if "MetricStat" in each]
        assert {each["MetricName"] for each in stats} == {"DesiredTaskCount", "RunningTaskCount"}
        services = {text(deployment, each["Value"]) for stat in stats for each in stat["Dimensions"]}
        cluster = only(deployment, "AWS::ECS::Cluster").id
        assert services == {cluster, f"{service(deployment, name).id}.Name"}


def test_container_insights_count_the_tasks(deployment: Deployment) -> None:
    settings = only(deployment, "AWS::ECS::Cluster").properties["ClusterSettings"]
    assert {"Name": "containerInsights", "Value": "enabled"} in settings


def test_dead_letters_are_those_of_the_queue_that_workers_read() -> None:
    for name in ("standard", "foreign"):
        deployment = deployed(name)
        (watched,) = alarms(deployment)["dead-letters"]["Dimensions"]
        queues = {each.id: each.properties for each in deployment.resources("AWS::SQS::Queue")}
        dead = {
            text(deployment, each["RedrivePolicy"]["deadLetterTargetArn"]).removesuffix(".Arn")
            for each in queues.values()
            if "RedrivePolicy" in each
        }
        assert {text(deployment, watched["Value"])} == {f"{id}.QueueName" for id in dead}


def _topic(deployment: Deployment) -> Resource:
    (topic,) = (each for each in deployment.resources("AWS::SNS::Topic") if each.stack == "service")
    return topic


def test_cloudwatch_may_tell_the_topic_and_only_over_tls(deployment: Deployment) -> None:
    topic = _topic(deployment).id
    (policy,) = (
        each.properties["PolicyDocument"]["Statement"]
        for each in deployment.resources("AWS::SNS::TopicPolicy")
        if [text(deployment, one) for one in each.properties["Topics"]] == [topic]
    )
    denied, allowed = sorted(policy, key=lambda each: each["Effect"] == "Allow")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert (allowed["Action"], text(deployment, allowed["Resource"])) == ("sns:Publish", topic)
    assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_address_hears_of_alarms_if_there_is_one(deployment: Deployment) -> None:
    told = [
        (each.properties["Protocol"], each.properties["Endpoint"])
        for each in deployment.resources("AWS::SNS::Subscription")
        if text(deployment, each.properties["TopicArn"]) == _topic(deployment).id
    ]
    assert told == ([("email", "team@example.com")] if deployment.name == "standard" else [])


@pytest.mark.parametrize("limit", [None, 1.0], ids=["neither", "both"])
def test_alarm_has_one_side(limit: float | None) -> None:
    metric = cdk.aws_cloudwatch.Metric(namespace="n", metric_name="m")
    found = Alarms(cdk.Stack(), "Alarms", config=a_config())
    with pytest.raises(ValueError, match="either above or below"):
        found.add("x", metric, section="s", description="d", above=limit, below=limit)


@pytest.mark.parametrize(
    ("values", "gib"),
    [
        ({"DATABASE_INSTANCE": "t4g.micro"}, 0.75),
        ({"DATABASE_INSTANCE": "t4g.medium"}, 3),
        ({"DATABASE_INSTANCE": "m8g.large"}, 6),
        ({"DATABASE_INSTANCE": "r8g.large"}, 12),
        ({"DATABASE_INSTANCE": "r8g.2xlarge"}, 48),
        ({"DATABASE": "aurora", "AURORA_CAPACITY_MAX": "4"}, 8),
    ],
    ids=str,
)
def test_connections_are_what_the_memory_allows(values: dict[str, str], gib: float) -> None:
    assert most_connections(a_config(**values)) == min(int(gib * 1024**3 / 9_531_392), 5_000)


def test_aurora_that_may_be_small_takes_fewer_connections() -> None:
    large = {"DATABASE": "aurora", "AURORA_CAPACITY_MAX": "64"}
    assert most_connections(a_config(**large, AURORA_CAPACITY_MIN="0.5")) == 2_000
    assert most_connections(a_config(**large, AURORA_CAPACITY_MIN="2")) == 5_000


@pytest.mark.parametrize("name", ["x2g.large", "t4g", "db.t4g.micro", "m8g.metal"])
def test_class_of_unknown_memory_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"DEPLOY_DATABASE_INSTANCE={name} is no class t, m or r; write one"):
        most_connections(a_config(DATABASE_INSTANCE=name))


# --- the dashboard ---------------------------------------------------------------------------------------------------


def test_dashboard_shows_every_metric_that_has_an_alarm(deployment: Deployment) -> None:
    dashboard = only(deployment, "AWS::CloudWatch::Dashboard").properties
    assert dashboard["DashboardName"] == CONFIGS[deployment.name].prefix
    shown = text(deployment, dashboard["DashboardBody"])
    drawn = {
        metric["MetricStat"]["Metric"]["MetricName"] if "MetricStat" in metric else metric.get("Expression", "")
        for alarm in alarms(deployment).values()
        for metric in alarm.get("Metrics", ())
    } | {alarm["MetricName"] for alarm in alarms(deployment).values() if "MetricName" in alarm}
    # Healthy hosts are behind "missing tasks", and free storage behind the load: numbers that say nothing day by day.
    for name in drawn - {"HealthyHostCount", "FreeStorageSpace"}:
        assert name in shown, name
    places = [(each["x"], each["y"]) for each in json.loads(shown)["widgets"]]
    assert len(places) == len(set(places))


# --- the budget ------------------------------------------------------------------------------------------------------


def test_budget_tells_the_address_before_the_money_is_gone() -> None:
    budget = only(deployed("standard"), "AWS::Budgets::Budget").properties
    assert budget["Budget"]["TimeUnit"] == "MONTHLY"
    assert budget["Budget"]["BudgetLimit"] == {"Amount": round(CONFIGS["standard"].budget_dollars), "Unit": "USD"}
    notifications = {
        (each["Notification"]["NotificationType"], each["Notification"]["Threshold"]): [
            (one["SubscriptionType"], one["Address"]) for one in each["Subscribers"]
        ]
        for each in budget["NotificationsWithSubscribers"]
    }
    told = [("EMAIL", "team@example.com")]
    assert notifications == {("ACTUAL", 80): told, ("FORECASTED", 100): told}


def test_without_an_address_there_is_no_budget_and_the_synthesis_says_so() -> None:
    assert list(deployed("small").resources("AWS::Budgets::Budget")) == []
    stack = cdk.Stack()
    Budget(stack, "Budget", config=a_config())
    (message,) = cdk.assertions.Annotations.from_stack(stack).find_info("*", cdk.assertions.Match.any_value())
    assert "DEPLOY_ALARM_EMAIL" in str(message.entry.data)
