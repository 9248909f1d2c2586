"""SageMaker endpoints: what they may do, how many instances they have, and how they tell of their answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns

from graphql_api.adapters.completion_queue.sqs import WAIT_SECONDS
from infra.completions import VISIBILITY, Completions
from infra.config import Config, ConfigError
from infra.jumpstart import MODELS
from infra.model_endpoint import ASYNC_FAILURES, ASYNC_INPUTS, ASYNC_OUTPUTS, ModelEndpoint
from tests.infra.deployments import Deployment, Resource
from tests.infra.small_stack import STACK, a_config, synthesize
from tests.infra.walking import faults, listed

MODEL = "stable-diffusion-2-1-base"

CONFIGS: Mapping[str, Config] = {
    "realtime": a_config(MODEL=MODEL, LOG_DAYS="7"),
    "realtime-scaled": a_config(MODEL=MODEL, INSTANCES_MIN="2", INSTANCES_MAX="5"),
    "async": a_config(MODEL=MODEL, ENDPOINT_KIND="async", INSTANCES_MAX="2"),
    "async-from-zero": a_config(MODEL=MODEL, ENDPOINT_KIND="async", INSTANCES_MIN="0", INSTANCES_MAX="3"),
    "archive": a_config(MODEL="stable-diffusion-xl-1-0", INSTANCE_TYPE="ml.g5.4xlarge"),
}


@pytest.fixture(scope="module")
def deployments(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Deployment]:
    """Each kind of endpoint, with the bucket in the same stack."""

    def build(stack: cdk.Stack, config: Config) -> None:
        bucket = s3.Bucket.from_bucket_name(stack, "Images", "images")
        endpoint = ModelEndpoint(stack, "Endpoint", config=config, bucket=bucket)
        for name in ("endpoint_name", "endpoint_arn"):
            cdk.CfnOutput(stack, name.replace("_", ""), value=getattr(endpoint, name))
        if endpoint.completions is not None:
            cdk.CfnOutput(stack, "queue", value=endpoint.completions.queue.queue_arn)

    return {
        name: synthesize(tmp_path_factory.mktemp(name), config, partial(build, config=config))
        for name, config in CONFIGS.items()
    }


@pytest.fixture(params=CONFIGS)
def each(request: pytest.FixtureRequest, deployments: Mapping[str, Deployment]) -> Deployment:
    """Each kind of endpoint, one a test."""
    return deployments[request.param]


def _only(deployment: Deployment, type: str) -> Resource:
    (resource,) = deployment.resources(type)
    return resource


def _variant(deployment: Deployment) -> Mapping[str, Any]:
    (variant,) = _only(deployment, "AWS::SageMaker::EndpointConfig").properties["ProductionVariants"]
    return dict(variant)


def _granted(deployment: Deployment) -> dict[str, list[str]]:
    """Action -> the resources on which the endpoint's role may do it."""
    granted: dict[str, list[str]] = {}
    (policy,) = _only(deployment, "AWS::IAM::Role").properties["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]:
        for action in listed(statement["Action"]):
            granted.setdefault(action, []).extend(map(_text, listed(statement["Resource"])))
    return granted


def _text(value: Any) -> str:
    """A value of a template, with what is only known at deployment in <>."""
    match value:
        case {"Fn::Join": [delimiter, parts]}:
            return str(delimiter).join(map(_text, parts))
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Ref": name}:
            return f"<{name}>"
        case _:
            return str(value)


def _policies(deployment: Deployment) -> Iterator[Mapping[str, Any]]:
    for policy in deployment.resources("AWS::ApplicationAutoScaling::ScalingPolicy"):
        yield policy.properties


# --- the endpoint ----------------------------------------------------------------------------------------------------


def test_nothing_is_open_and_no_permission_is_wider_than_its_use(each: Deployment) -> None:
    assert faults(each) == []


def test_configuration_has_no_name_since_it_is_replaced_by_every_change(each: Deployment) -> None:
    configuration = _only(each, "AWS::SageMaker::EndpointConfig")
    assert "EndpointConfigName" not in configuration.properties
    endpoint = _only(each, "AWS::SageMaker::Endpoint").properties
    assert endpoint["EndpointConfigName"] == {"Fn::GetAtt": [configuration.id, "EndpointConfigName"]}


def test_container_reaches_no_network(each: Deployment) -> None:
    assert _only(each, "AWS::SageMaker::Model").properties["EnableNetworkIsolation"] is True


def test_container_has_time_to_load_its_weights(each: Deployment) -> None:
    assert _variant(each)["ContainerStartupHealthCheckTimeoutInSeconds"] == 600
    assert "VolumeSizeInGB" not in _variant(each)


def test_weights_that_are_a_folder_are_not_named_as_an_archive(deployments: Mapping[str, Deployment]) -> None:
    container = _only(deployments["realtime"], "AWS::SageMaker::Model").properties["PrimaryContainer"]
    assert container["ModelDataSource"]["S3DataSource"] == {
        "S3Uri": MODELS[MODEL].data_url("us-east-1"),
        "S3DataType": "S3Prefix",
        "CompressionType": "None",
    }
    assert "ModelDataUrl" not in container


def test_weights_that_are_an_archive_are_named_by_their_url(deployments: Mapping[str, Deployment]) -> None:
    container = _only(deployments["archive"], "AWS::SageMaker::Model").properties["PrimaryContainer"]
    assert container["ModelDataUrl"] == MODELS["stable-diffusion-xl-1-0"].data_url("us-east-1")
    assert "ModelDataSource" not in container


def test_name_and_arn_are_no_references_to_the_stack(each: Deployment) -> None:
    name = _only(each, "AWS::SageMaker::Endpoint").properties["EndpointName"]
    outputs = each.templates[STACK]["Outputs"]
    assert outputs["endpointname"]["Value"] == name
    assert _text(outputs["endpointarn"]["Value"]) == (
        f"arn:<AWS::Partition>:sagemaker:us-east-1:<AWS::AccountId>:endpoint/{name}"
    )
    # ARNs of endpoints are in lower case.
    assert name == name.lower()


def test_kinds_have_names_of_their_own(deployments: Mapping[str, Deployment]) -> None:
    names = {_only(deployments[kind], "AWS::SageMaker::Endpoint").properties["EndpointName"] for kind in CONFIGS}
    assert names == {"text2image-small-realtime", "text2image-small-async"}


def test_log_group_is_there_before_sagemaker_makes_one_that_never_forgets(
    deployments: Mapping[str, Deployment],
) -> None:
    deployment = deployments["realtime"]
    log, endpoint = (_only(deployment, type) for type in ("AWS::Logs::LogGroup", "AWS::SageMaker::Endpoint"))
    assert log.properties["LogGroupName"] == f"/aws/sagemaker/Endpoints/{endpoint.properties['EndpointName']}"
    assert log.properties["RetentionInDays"] == 7
    assert log.id in deployment.templates[STACK]["Resources"][endpoint.id]["DependsOn"]
    assert _granted(deployment)["logs:PutLogEvents"] == [f"<{log.id}.Arn>"]
    assert "logs:CreateLogGroup" not in _granted(deployment)


def test_role_of_a_realtime_endpoint_has_nothing_to_do_with_our_bucket(deployments: Mapping[str, Deployment]) -> None:
    granted = _granted(deployments["realtime"])
    weights = "arn:aws:s3:::jumpstart-cache-prod-us-east-1"
    assert granted.pop("s3:GetObject") == [f"{weights}/{MODELS[MODEL].data_key}*"]
    assert granted.pop("s3:ListBucket") == [weights]
    assert granted.pop("ecr:BatchGetImage") == [MODELS[MODEL].repository_arn("us-east-1")]
    assert set(granted) == {
        "cloudwatch:PutMetricData",
        "ecr:BatchCheckLayerAvailability",
        "ecr:GetAuthorizationToken",
        "ecr:GetDownloadUrlForLayer",
        "logs:CreateLogStream",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
    }


def test_role_of_an_asynchronous_endpoint_reads_inputs_writes_answers_and_tells_of_them(
    deployments: Mapping[str, Deployment],
) -> None:
    deployment = deployments["async"]
    granted = _granted(deployment)
    bucket = "arn:<AWS::Partition>:s3:::images"
    assert granted["s3:GetObject"][1:] == [f"{bucket}/{ASYNC_INPUTS}/*"]
    assert granted["s3:PutObject"] == [f"{bucket}/{ASYNC_OUTPUTS}/*", f"{bucket}/{ASYNC_FAILURES}/*"]
    assert granted["s3:ListBucket"][1:] == [bucket]
    assert granted["sns:Publish"] == [f"<{_only(deployment, 'AWS::SNS::Topic').id}>"]
    assert not granted.keys() & {"s3:DeleteObject", "sqs:SendMessage", "sagemaker:InvokeEndpoint"}


def test_role_is_sagemakers_alone(each: Deployment) -> None:
    role = _only(each, "AWS::IAM::Role").properties
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert "ManagedPolicyArns" not in role


# --- how many instances ----------------------------------------------------------------------------------------------


def test_endpoint_of_a_fixed_size_does_not_scale(deployments: Mapping[str, Deployment]) -> None:
    deployment = deployments["realtime"]
    assert not list(deployment.resources("AWS::ApplicationAutoScaling::ScalableTarget"))
    assert _variant(deployment)["InitialInstanceCount"] == 1
    assert "RetainAllVariantProperties" not in _only(deployment, "AWS::SageMaker::Endpoint").properties


@pytest.mark.parametrize(
    ("kind", "first", "least", "most"), [("realtime-scaled", 2, 2, 5), ("async-from-zero", 1, 0, 3)]
)
def test_endpoint_scales_between_its_bounds(
    deployments: Mapping[str, Deployment], kind: str, first: int, least: int, most: int
) -> None:
    deployment = deployments[kind]
    target = _only(deployment, "AWS::ApplicationAutoScaling::ScalableTarget")
    endpoint, variant = _only(deployment, "AWS::SageMaker::Endpoint"), _variant(deployment)
    assert (target.properties["MinCapacity"], target.properties["MaxCapacity"]) == (least, most)
    name = endpoint.properties["EndpointName"]
    assert target.properties["ResourceId"] == f"endpoint/{name}/variant/{variant['VariantName']}"
    # SageMaker makes no endpoint without instances; the policies take it to zero.
    assert variant["InitialInstanceCount"] == first
    assert endpoint.id in deployment.templates[STACK]["Resources"][target.id]["DependsOn"]
    assert "aws-service-role/sagemaker.application-autoscaling" in _text(target.properties["RoleARN"])
    assert endpoint.properties["RetainAllVariantProperties"] is True


def test_realtime_endpoint_follows_the_requests_that_it_has_in_hand(deployments: Mapping[str, Deployment]) -> None:
    (policy,) = _policies(deployments["realtime-scaled"])
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    metric = tracking["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert metric == "SageMakerVariantConcurrentRequestsPerModelHighResolution"
    assert tracking["TargetValue"] == 1


def test_asynchronous_endpoint_at_zero_has_a_policy_that_wakes_it_and_one_that_follows_the_backlog(
    deployments: Mapping[str, Deployment],
) -> None:
    deployment = deployments["async-from-zero"]
    by_type = {policy["PolicyType"]: policy for policy in _policies(deployment)}
    assert set(by_type) == {"TargetTrackingScaling", "StepScaling"}
    tracking = by_type["TargetTrackingScaling"]["TargetTrackingScalingPolicyConfiguration"]
    backlog = tracking["CustomizedMetricSpecification"]
    assert (backlog["MetricName"], backlog["Namespace"]) == ("ApproximateBacklogSizePerInstance", "AWS/SageMaker")
    assert backlog["Dimensions"] == [{"Name": "EndpointName", "Value": "text2image-small-async"}]
    step = by_type["StepScaling"]["StepScalingPolicyConfiguration"]
    assert step["AdjustmentType"] == "ChangeInCapacity"
    assert step["StepAdjustments"] == [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]
    alarm = _only(deployment, "AWS::CloudWatch::Alarm").properties
    assert alarm["MetricName"] == "HasBacklogWithoutCapacity"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanOrEqualToThreshold", 1)
    assert (alarm["Period"], alarm["EvaluationPeriods"]) == (60, 2)
    assert alarm["Dimensions"] == backlog["Dimensions"]


def test_asynchronous_endpoint_that_never_sleeps_needs_no_waking(deployments: Mapping[str, Deployment]) -> None:
    assert [policy["PolicyType"] for policy in _policies(deployments["async"])] == ["TargetTrackingScaling"]


# --- answers of asynchronous endpoints -------------------------------------------------------------------------------


def test_asynchronous_endpoint_draws_one_image_at_a_time_and_writes_where_the_bucket_forgets(
    deployments: Mapping[str, Deployment],
) -> None:
    deployment = deployments["async"]
    inference = _only(deployment, "AWS::SageMaker::EndpointConfig").properties["AsyncInferenceConfig"]
    assert inference["ClientConfig"] == {"MaxConcurrentInvocationsPerInstance": 1}
    output = inference["OutputConfig"]
    assert output["S3OutputPath"] == "s3://images/async-outputs/"
    assert output["S3FailurePath"] == "s3://images/async-failures/"
    topic = {"Ref": _only(deployment, "AWS::SNS::Topic").id}
    assert output["NotificationConfig"] == {"SuccessTopic": topic, "ErrorTopic": topic}


def test_realtime_endpoint_has_neither_topic_nor_queue(deployments: Mapping[str, Deployment]) -> None:
    for kind in ("realtime", "realtime-scaled", "archive"):
        assert not list(deployments[kind].resources("AWS::SNS::Topic", "AWS::SQS::Queue"))
        assert "AsyncInferenceConfig" not in _only(deployments[kind], "AWS::SageMaker::EndpointConfig").properties
        assert "queue" not in deployments[kind].templates[STACK]["Outputs"]


def _queues(deployment: Deployment) -> tuple[Resource, Resource]:
    """The queue and its dead letters."""
    dead, queue = sorted(deployment.resources("AWS::SQS::Queue"), key=lambda each: "RedrivePolicy" in each.properties)
    return queue, dead


def test_topic_leads_to_the_queue_and_the_queue_to_dead_letters(deployments: Mapping[str, Deployment]) -> None:
    deployment = deployments["async"]
    queue, dead = _queues(deployment)
    subscription = _only(deployment, "AWS::SNS::Subscription").properties
    dead_arn = {"Fn::GetAtt": [dead.id, "Arn"]}
    assert subscription["TopicArn"] == {"Ref": _only(deployment, "AWS::SNS::Topic").id}
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("sqs", {"Fn::GetAtt": [queue.id, "Arn"]})
    assert subscription["RedrivePolicy"]["deadLetterTargetArn"] == dead_arn
    assert queue.properties["RedrivePolicy"] == {"deadLetterTargetArn": dead_arn, "maxReceiveCount": 5}
    assert dead.properties["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert deployment.templates[STACK]["Outputs"]["queue"]["Value"] == subscription["Endpoint"]


def test_message_stays_hidden_longer_than_a_worker_waits_for_one(deployments: Mapping[str, Deployment]) -> None:
    queue, _ = _queues(deployments["async"])
    assert queue.properties["VisibilityTimeout"] == VISIBILITY.to_seconds() > WAIT_SECONDS


def test_queues_are_encrypted_and_take_messages_of_the_topic_over_tls_only(
    deployments: Mapping[str, Deployment],
) -> None:
    deployment = deployments["async"]
    topic = {"Ref": _only(deployment, "AWS::SNS::Topic").id}
    queues = _queues(deployment)
    assert all(queue.properties["SqsManagedSseEnabled"] is True for queue in queues)
    policies = list(deployment.resources("AWS::SQS::QueuePolicy"))
    assert len(policies) == len(queues)
    for policy in policies:
        denied, allowed = policy.properties["PolicyDocument"]["Statement"]
        assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
        assert (allowed["Action"], allowed["Principal"]) == ("sqs:SendMessage", {"Service": "sns.amazonaws.com"})
        assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": topic}}


def test_topic_takes_messages_over_tls_only(deployments: Mapping[str, Deployment]) -> None:
    (denied,) = _only(deployments["async"], "AWS::SNS::TopicPolicy").properties["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_queue_can_be_subscribed_to_the_topic_of_an_endpoint_that_exists(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    arn = "arn:aws:sns:us-east-1:123456789012:model-answers"

    def build(stack: cdk.Stack) -> None:
        Completions(stack, "Completions", topic=sns.Topic.from_topic_arn(stack, "Topic", arn))

    deployment = synthesize(tmp_path_factory.mktemp("existing"), a_config(), build)

    assert faults(deployment) == []
    assert _only(deployment, "AWS::SNS::Subscription").properties["TopicArn"] == arn
    assert not list(deployment.resources("AWS::SNS::Topic"))


# --- between stacks, and what is refused -----------------------------------------------------------------------------


def test_bucket_of_another_stack_is_imported_and_its_permissions_acknowledged(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    config = CONFIGS["async"]

    def build(stack: cdk.Stack) -> None:
        other = cdk.Stack(stack, "Foundation", env=cdk.Environment(region=config.region))
        logs = s3.Bucket(other, "Logs", enforce_ssl=True)
        cdk.Validations.of(logs).acknowledge(cdk.Acknowledgment(id="AwsSolutions-S1", reason="It holds the logs."))
        bucket = s3.Bucket(other, "Images", enforce_ssl=True, server_access_logs_bucket=logs)
        ModelEndpoint(stack, "Endpoint", config=config, bucket=bucket)

    deployment = synthesize(tmp_path_factory.mktemp("apart"), config, build)

    (inputs,) = (each for each in _granted(deployment)["s3:GetObject"] if ASYNC_INPUTS in each)
    assert inputs.startswith("{'Fn::ImportValue': ")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"REGION": "mx-central-1"}, "not known in mx-central-1; create the endpoint yourself"),
        ({"INSTANCE_TYPE": "ml.g6.xlarge"}, "write ml.p3.2xlarge or ml.g4dn.4xlarge"),
    ],
)
def test_what_jumpstart_does_not_offer_is_refused_in_one_line(values: dict[str, str], message: str) -> None:
    config = a_config(MODEL=MODEL, **values)
    stack = cdk.Stack(cdk.App(), STACK)
    bucket = s3.Bucket.from_bucket_name(stack, "Images", "images")
    with pytest.raises(ConfigError, match=message) as refused:
        ModelEndpoint(stack, "Endpoint", config=config, bucket=bucket)
    assert "\n" not in str(refused.value)
