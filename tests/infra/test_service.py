"""The processes on AWS: what they are told the program understands, and their times fit into each other."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Mapping
from typing import Any

import pytest
import typer

from graphql_api import __main__ as program
from graphql_api.adapters.database_login import check_has_no_login
from graphql_api.adapters.valkey_url import parse_valkey_url
from graphql_api.bootstrap import check_shared, declared_models
from graphql_api.commands.process import CLOSING_SECONDS
from graphql_api.commands.serve import GIVING_BACK_SECONDS, check_reach
from graphql_api.http.health import ALIVE_PATH, CHECK_SECONDS, READY_PATH
from graphql_api.settings import Settings
from infra.config import Config
from infra.database_limits import most_connections
from infra.http_api import LIMIT_SECONDS
from infra.key import OUTPUT
from infra.network import CIDR
from tests.image.dockerfile import Stage, stages
from tests.infra.deployments import Deployment, Resource
from tests.infra.service_stack import (
    CONFIGS,
    ECR_IMAGE,
    container,
    deployed,
    environment,
    only,
    output,
    scaling,
    secrets,
    service,
    task,
    text,
)
from tests.infra.walking import faults

TASKS = ("api", "worker")

KILL_SECONDS = 120
"""The most that Fargate waits (AWS, "Amazon ECS task definition parameters for Fargate": stopTimeout)."""


@pytest.fixture(params=CONFIGS)
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """Every deployment, one a test."""
    return deployed(request.param)


@pytest.fixture
def image() -> Stage:
    """What the Dockerfile says of the image."""
    return stages()[-1]


def config_of(deployment: Deployment) -> Config:
    return CONFIGS[deployment.name]


@pytest.fixture
def settings(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Settings]:
    """The settings of both processes, as they read them from their environment and the secrets in it."""
    found = {}
    for name in TASKS:
        for known in list(os.environ):
            if known.startswith("TEXT2IMAGE_"):
                monkeypatch.delenv(known)
        # ECS puts the content of the secret where the template has its ARN.
        drawn = dict.fromkeys(secrets(deployment, name), "x" * 64)
        for variable, value in (environment(deployment, name) | drawn).items():
            monkeypatch.setenv(variable, value)
        found[name] = Settings()
    return found


# --- what the processes are told -------------------------------------------------------------------------------------


def test_every_variable_is_a_setting_or_a_port(deployment: Deployment) -> None:
    known = {f"TEXT2IMAGE_{name.upper()}" for name in Settings.model_fields}
    for name in TASKS:
        assert environment(deployment, name).keys() - known == ({"HEALTH_PORT"} if name == "worker" else set())


def test_both_share_database_and_events(settings: Mapping[str, Settings]) -> None:
    api, worker = settings["api"], settings["worker"]
    for each in (api, worker):
        check_shared(each)
        check_has_no_login(each.database_url)
        assert each.database_secret
    for field in ("database", "database_secret", "events", "images", "public_url", "endpoint", "codec", "concurrency"):
        assert getattr(api, field) == getattr(worker, field)


def test_database_is_verified_by_the_bundle_that_the_image_has(settings: Mapping[str, Settings], image: Stage) -> None:
    match = re.fullmatch(
        r"postgresql://[^/@]+:\d+/text2image\?sslmode=verify-full&sslrootcert=(.+)", settings["api"].database
    )
    assert match is not None
    assert any(value.endswith(match[1]) for value in image.values("COPY"))


def test_connections_of_all_processes_fit_during_a_deployment(
    deployment: Deployment, settings: Mapping[str, Settings]
) -> None:
    config = config_of(deployment)
    tasks = config.api_tasks_max + config.worker_tasks_max
    assert 2 * tasks * settings["api"].database_connections <= most_connections(config)


def test_events_are_a_cluster_with_tls_and_a_user_without_a_password(settings: Mapping[str, Settings]) -> None:
    for each in settings.values():
        parsed = parse_valkey_url(each.events, password=each.events_password.get_secret_value())
        assert parsed.is_cluster
        assert each.events.startswith("valkeys://text2image@")


def test_model_is_one_that_the_program_knows(deployment: Deployment, settings: Mapping[str, Settings]) -> None:
    schemes = {"small": "sagemaker", "standard": "sagemaker-async", "foreign": "sagemaker-async"}
    for each in settings.values():
        (declared,) = declared_models(each)
        assert declared.entry.endpoint.partition(":")[0] == schemes[deployment.name]
        price = config_of(deployment).instance_dollars_per_hour / 3600
        assert declared.model.price_per_second == (pytest.approx(price) if price else None)


def test_only_workers_read_the_queue_of_answers(deployment: Deployment, settings: Mapping[str, Settings]) -> None:
    assert settings["api"].completions == ""
    assert settings["worker"].completions.startswith("sqs:") == config_of(deployment).is_async


def test_callers_must_sign_in(deployment: Deployment, settings: Mapping[str, Settings]) -> None:
    api, config = settings["api"], config_of(deployment)
    check_reach(api, "0.0.0.0")
    assert api.auth == config.auth
    assert (api.jwt_issuer, api.jwt_audience) == (config.jwt_issuer, config.jwt_audience)
    assert api.jwt_audience_claim == config.jwt_audience_claim
    assert not api.open_to_all


def test_only_the_load_balancer_is_believed(settings: Mapping[str, Settings]) -> None:
    assert settings["api"].trusted_proxies == (CIDR,)
    assert settings["api"].allowed_hosts == ("*",)


def test_what_may_be_chosen_reaches_the_program(deployment: Deployment, settings: Mapping[str, Settings]) -> None:
    api, config = settings["api"], config_of(deployment)
    assert ",".join(api.allowed_origins) == config.allowed_origins
    assert (api.studio, api.explorer) == (config.studio, config.explorer)
    assert api.retention == config.retention_days * 86_400
    assert (api.jobs_per_minute, api.dollars_per_month) == (config.jobs_per_minute, config.dollars_per_month)
    assert settings["worker"].concurrency == config.concurrency
    assert {each.log_format for each in settings.values()} == {"json"}


def test_urls_of_images_are_those_of_the_distribution(deployment: Deployment, settings: Mapping[str, Settings]) -> None:
    distribution = only(deployment, "AWS::CloudFront::Distribution")
    assert settings["api"].public_url == f"https://{distribution.id}.DomainName"
    assert settings["api"].images == f"s3:{_bucket_of(deployment, distribution)}"


def test_who_signs_urls_has_both_the_key_and_its_id(deployment: Deployment, settings: Mapping[str, Settings]) -> None:
    config = config_of(deployment)
    signing = {"api": bool(config.url_public_keys), "worker": bool(config.url_public_keys) and config.webhooks}
    for name, each in settings.items():
        assert bool(each.url_key_id) is bool(each.url_private_key.get_secret_value()) is signing[name]


def _bucket_of(deployment: Deployment, distribution: Resource) -> str:
    (origin,) = (
        text(deployment, each["DomainName"])
        for each in distribution.properties["DistributionConfig"]["Origins"]
        if "S3OriginConfig" in each
    )
    return origin.partition(".")[0]


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_no_secret_is_plain_and_nothing_is_open(deployment: Deployment) -> None:
    assert faults(deployment) == []


def test_secrets_are_injected_and_no_more_than_are_used(deployment: Deployment) -> None:
    config = config_of(deployment)
    expected = {"TEXT2IMAGE_EVENTS_PASSWORD"}
    if config.webhooks:
        expected |= {"TEXT2IMAGE_WEBHOOK_SECRET", "TEXT2IMAGE_URL_PRIVATE_KEY"}
    assert secrets(deployment, "worker").keys() == secrets(deployment, "api").keys() == expected


def test_secret_of_webhooks_survives_the_service() -> None:
    deployment = deployed("standard")
    id = secrets(deployment, "api")["TEXT2IMAGE_WEBHOOK_SECRET"]
    secret = deployment.templates["foundation"]["Resources"][id]
    assert secret["DeletionPolicy"] == "Retain"
    assert secret["Properties"]["GenerateSecretString"]["PasswordLength"] >= 32


# --- containers ------------------------------------------------------------------------------------------------------


def test_health_check_is_that_of_the_image(deployment: Deployment, image: Stage) -> None:
    options = dict(re.findall(r"--([\w-]+)=(\d+)", image.value("HEALTHCHECK").partition("CMD")[0]))
    for name in TASKS:
        check = container(deployment, name)["HealthCheck"]
        assert check["Command"] == ["CMD", *image.command("HEALTHCHECK")]
        assert ALIVE_PATH in check["Command"][-1]
        assert {
            "interval": str(check["Interval"]),
            "timeout": str(check["Timeout"]),
            "start-period": str(check["StartPeriod"]),
            "retries": str(check["Retries"]),
        } == options


def test_ports_are_those_of_image_and_program(deployment: Deployment, image: Stage) -> None:
    port = _default(program.serve, "port")
    assert image.value("EXPOSE") == str(port)
    for name in TASKS:
        assert [each["ContainerPort"] for each in container(deployment, name)["PortMappings"]] == [port]
    assert only(deployment, "AWS::ElasticLoadBalancingV2::TargetGroup").properties["Port"] == port
    assert environment(deployment, "worker")["HEALTH_PORT"] == str(port)


def test_commands_are_understood_as_they_are_meant(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_PORT", environment(deployment, "worker")["HEALTH_PORT"])
    api, worker = (_parsed(container(deployment, name)["Command"]) for name in TASKS)
    assert (api["host"], api["port"], api["run_jobs"]) == ("0.0.0.0", 8000, False)
    # Its health is asked for from within the container, and from nowhere else.
    assert (worker["health_host"], worker["health_port"], worker["model"]) == ("127.0.0.1", 8000, ())


def _parsed(arguments: list[str]) -> Mapping[str, Any]:
    commands = typer.main.get_command(program.app)
    assert isinstance(commands, typer.core.TyperGroup)
    context = commands.make_context("text2image", list(arguments))
    name, command, rest = commands.resolve_command(context, list(arguments))
    assert command is not None
    parameters: Mapping[str, Any] = command.make_context(name, rest, parent=context).params
    return parameters


def _default(command: Any, name: str) -> Any:
    return inspect.signature(command).parameters[name].default


def test_containers_can_write_to_nothing_and_are_nobody(deployment: Deployment, image: Stage) -> None:
    for name in TASKS:
        found = container(deployment, name)
        assert found["User"] == image.value("USER")
        assert found["ReadonlyRootFilesystem"] is True
        assert found["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
        assert found.get("MountPoints", []) == []


def test_a_container_may_have_many_sockets(deployment: Deployment) -> None:
    for name in TASKS:
        (limit,) = container(deployment, name)["Ulimits"]
        assert limit["Name"] == "nofile"
        assert limit["SoftLimit"] == limit["HardLimit"] >= 50_000


def test_sizes_and_processors_are_those_that_were_chosen(deployment: Deployment) -> None:
    config = config_of(deployment)
    for name, cpu, memory in (
        ("api", config.api_cpu, config.api_memory),
        ("worker", config.worker_cpu, config.worker_memory),
    ):
        properties = task(deployment, name).properties
        assert (properties["Cpu"], properties["Memory"]) == (str(cpu), str(memory))
        assert properties["RuntimePlatform"]["CpuArchitecture"] == config.architecture.upper()


def test_image_is_the_one_that_was_named_or_is_built(deployment: Deployment) -> None:
    images = {text(deployment, container(deployment, name)["Image"]) for name in TASKS}
    (image,) = images
    if deployment.name == "small":
        assert image == ECR_IMAGE.replace("amazonaws.com", "AWS::URLSuffix")
    elif deployment.name == "foreign":
        assert image == CONFIGS["foreign"].image
    else:
        assert "cdk-hnb659fds-container-assets" in image


def test_logs_are_kept_as_long_as_was_chosen(deployment: Deployment) -> None:
    for name in TASKS:
        options = container(deployment, name)["LogConfiguration"]["Options"]
        group = deployment.templates["service"]["Resources"][options["awslogs-group"]["Ref"]]["Properties"]
        assert group["RetentionInDays"] == config_of(deployment).log_days
        assert options["mode"] == "non-blocking"


# --- times that fit into each other ----------------------------------------------------------------------------------


def test_processes_drain_before_they_are_killed(deployment: Deployment, settings: Mapping[str, Settings]) -> None:
    for name, each in settings.items():
        stop = container(deployment, name)["StopTimeout"]
        assert stop <= KILL_SECONDS
        assert each.drain_delay + each.drain + GIVING_BACK_SECONDS + CLOSING_SECONDS < stop
    # An image of a real-time endpoint takes up to a minute.
    assert settings["worker"].drain > 60


def test_program_keeps_connections_longer_than_the_load_balancer(
    deployment: Deployment, settings: Mapping[str, Settings]
) -> None:
    attributes = only(deployment, "AWS::ElasticLoadBalancingV2::LoadBalancer").properties["LoadBalancerAttributes"]
    (idle,) = (each["Value"] for each in attributes if each["Key"] == "idle_timeout.timeout_seconds")
    assert settings["api"].keep_alive > int(idle)


def test_waits_for_an_image_end_before_whoever_is_in_front_gives_up(
    deployment: Deployment, settings: Mapping[str, Settings]
) -> None:
    wait = settings["api"].rest_wait
    distribution = only(deployment, "AWS::CloudFront::Distribution").properties["DistributionConfig"]
    timeouts = [
        each["VpcOriginConfig"]["OriginReadTimeout"] for each in distribution["Origins"] if "VpcOriginConfig" in each
    ]
    assert timeouts
    assert all(wait < timeout for timeout in timeouts)
    if config_of(deployment).http_api:
        assert wait < LIMIT_SECONDS


def test_task_that_stops_may_end_the_longest_request(deployment: Deployment, settings: Mapping[str, Settings]) -> None:
    attributes = only(deployment, "AWS::ElasticLoadBalancingV2::TargetGroup").properties["TargetGroupAttributes"]
    (delay,) = (each["Value"] for each in attributes if each["Key"] == "deregistration_delay.timeout_seconds")
    assert settings["api"].rest_wait < int(delay) <= 60


# --- services --------------------------------------------------------------------------------------------------------


def test_deployment_keeps_its_tasks_and_rolls_back(deployment: Deployment) -> None:
    for name in TASKS:
        configuration = service(deployment, name).properties["DeploymentConfiguration"]
        assert configuration["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
        assert (configuration["MinimumHealthyPercent"], configuration["MaximumPercent"]) == (100, 200)


def test_number_of_tasks_is_left_to_scaling(deployment: Deployment) -> None:
    for name in TASKS:
        assert "DesiredCount" not in service(deployment, name).properties


def test_traffic_goes_to_tasks_that_are_ready(deployment: Deployment) -> None:
    group = only(deployment, "AWS::ElasticLoadBalancingV2::TargetGroup").properties
    assert (group["HealthCheckPath"], group["Matcher"]) == (READY_PATH, {"HttpCode": "200"})
    # Whether parts answer is known after so long, at the latest.
    assert CHECK_SECONDS < group["HealthCheckTimeoutSeconds"] < group["HealthCheckIntervalSeconds"]
    (balanced,) = service(deployment, "api").properties["LoadBalancers"]
    assert balanced["ContainerName"] == "api"
    assert "LoadBalancers" not in service(deployment, "worker").properties


def test_traffic_of_every_path_comes_after_what_the_entrance_refuses(deployment: Deployment) -> None:
    group = only(deployment, "AWS::ElasticLoadBalancingV2::TargetGroup")
    rules = sorted(
        (each.properties for each in deployment.resources("AWS::ElasticLoadBalancingV2::ListenerRule")),
        key=lambda rule: int(rule["Priority"]),
    )
    refused, served = rules
    assert refused["Actions"][0]["Type"] == "fixed-response"
    assert served["Priority"] == 10
    assert served["Conditions"][0]["PathPatternConfig"]["Values"] == ["/*"]
    assert [text(deployment, each["TargetGroupArn"]) for each in served["Actions"]] == [group.id]


def test_service_waits_for_the_rule_that_brings_it_traffic(deployment: Deployment) -> None:
    rules = [
        each.id for each in deployment.resources("AWS::ElasticLoadBalancingV2::ListenerRule") if each.stack == "service"
    ]
    whole = deployment.templates["service"]["Resources"][service(deployment, "api").id]
    assert set(rules) <= set(whole["DependsOn"])


def test_load_balancer_reaches_the_tasks_and_nobody_else_does(deployment: Deployment) -> None:
    tasks = _tasks_group(deployment)
    rules = [
        each.properties
        for each in deployment.resources("AWS::EC2::SecurityGroupIngress")
        if text(deployment, each.properties["GroupId"]) == tasks
    ]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in rules] == [(8000, 8000)]
    (balancer,) = only(deployment, "AWS::ElasticLoadBalancingV2::LoadBalancer").properties["SecurityGroups"]
    assert text(deployment, rules[0]["SourceSecurityGroupId"]) == text(deployment, balancer)


def test_tasks_stand_where_the_network_has_a_way_out(deployment: Deployment) -> None:
    for name in TASKS:
        place = service(deployment, name).properties["NetworkConfiguration"]["AwsvpcConfiguration"]
        is_public = config_of(deployment).egress == "public"
        assert place["AssignPublicIp"] == ("ENABLED" if is_public else "DISABLED")
        assert len(place["Subnets"]) == config_of(deployment).zones


def _tasks_group(deployment: Deployment) -> str:
    (group,) = service(deployment, "api").properties["NetworkConfiguration"]["AwsvpcConfiguration"]["SecurityGroups"]
    return text(deployment, group)


def test_one_off_task_has_what_run_task_asks_for(deployment: Deployment) -> None:
    place = service(deployment, "api").properties["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert json.loads(output(deployment, OUTPUT)) == {
        "cluster": only(deployment, "AWS::ECS::Cluster").id,
        "task_definition": task(deployment, "worker").id,
        "subnets": [text(deployment, each) for each in place["Subnets"]],
        "security_groups": [_tasks_group(deployment)],
        "assign_public_ip": place["AssignPublicIp"],
    }


# --- scaling ---------------------------------------------------------------------------------------------------------


def test_numbers_of_tasks_stay_between_those_that_were_chosen(deployment: Deployment) -> None:
    config = config_of(deployment)
    for name in TASKS:
        target, _ = scaling(deployment, name)
        limits = (target.properties["MinCapacity"], target.properties["MaxCapacity"])
        assert limits == (getattr(config, f"{name}_tasks_min"), getattr(config, f"{name}_tasks_max"))


def test_api_follows_its_cpu_and_its_memory(deployment: Deployment) -> None:
    _, policies = scaling(deployment, "api")
    followed = {
        tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]: tracking["TargetValue"]
        for tracking in (each.properties["TargetTrackingScalingPolicyConfiguration"] for each in policies)
    }
    assert followed == {"ECSServiceAverageCPUUtilization": 60, "ECSServiceAverageMemoryUtilization": 70}


def test_workers_follow_the_oldest_job_that_waits_and_go_slowly(deployment: Deployment) -> None:
    _, policies = scaling(deployment, "worker")
    steps = {policy.id: policy.properties["StepScalingPolicyConfiguration"] for policy in policies}
    alarms = {
        id: alarm.properties
        for alarm in deployment.resources("AWS::CloudWatch::Alarm")
        for id in steps
        if id in [text(deployment, each) for each in alarm.properties.get("AlarmActions", ())]
    }
    assert {alarm["MetricName"] for alarm in alarms.values()} == {"OldestQueuedSeconds"}
    changes = {}
    for id, policy in steps.items():
        for step in policy["StepAdjustments"]:
            lower = (
                alarms[id]["Threshold"] + step["MetricIntervalLowerBound"]
                if "MetricIntervalLowerBound" in step
                else None
            )
            changes[lower] = step["ScalingAdjustment"]
    assert changes == {None: -1, 30: 1, 120: 2}
    (out,) = (id for id, alarm in alarms.items() if alarm["ComparisonOperator"].startswith("Greater"))
    (back,) = steps.keys() - {out}
    assert alarms[back]["EvaluationPeriods"] >= 10 * alarms[out]["EvaluationPeriods"]
    assert steps[back]["Cooldown"] > steps[out]["Cooldown"]
