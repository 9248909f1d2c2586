"""Whole deployments made within this process, and what stands in them with references followed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from infra.app import build
from infra.config import Config
from tests.infra.deployments import KEY_FILE, Deployment, Resource, read
from tests.infra.small_stack import a_config
from tests.infra.walking import listed

ECR_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/text2image:1.2"

CONFIGS: Mapping[str, Config] = {
    "small": a_config(MODEL="", ENDPOINT_NAME="sd21", IMAGE=ECR_IMAGE, REGION="eu-west-1", LOG_DAYS="7"),
    "standard": a_config(
        ENVIRONMENT="standard",
        MODEL="stable-diffusion-2-1-base",
        ENDPOINT_KIND="async",
        INSTANCES_MIN="0",
        INSTANCE_DOLLARS_PER_HOUR="1.8",
        WEBHOOKS="true",
        HTTP_API="true",
        STUDIO="false",
        EXPLORER="false",
        ALARM_EMAIL="team@example.com",
        ALLOWED_ORIGINS="https://app.example.com,https://www.example.com",
        RETENTION_DAYS="90",
        DOLLARS_PER_MONTH="50",
        ARCHITECTURE="arm64",
        URL_PUBLIC_KEYS=str(KEY_FILE),
        URL_PRIVATE_KEY_SECRET_ARN="arn:aws:secretsmanager:us-east-1:123456789012:secret:url-key-AbCdEf",
    ),
    "foreign": a_config(
        MODEL="",
        ENDPOINT_NAME="sd21-async",
        ENDPOINT_KIND="async",
        ENDPOINT_BUCKET="model-answers",
        COMPLETIONS_TOPIC_ARN="arn:aws:sns:us-east-1:123456789012:model-answers",
        AUTH="jwt",
        JWT_ISSUER="https://id.example.com",
        JWT_AUDIENCE="text2image",
        JWT_AUDIENCE_CLAIM="client_id",
        IMAGE="registry.example.com/text2image:1.2",
    ),
}
"""A real-time endpoint that exists; an asynchronous one that is made, with all that can be had; one that somebody else
has made, with a bucket of its own."""


@cache
def deployed(name: str) -> Deployment:
    """One of `CONFIGS`, checked by cdk-nag, whose findings raise RuntimeError. Its files are gone."""
    with tempfile.TemporaryDirectory() as folder:
        build(CONFIGS[name], folder).synth()
        return read(name, Path(folder))


def only(deployment: Deployment, type: str, **properties: Any) -> Resource:
    """The one resource of a type that has these properties."""
    (found,) = (
        resource
        for resource in deployment.resources(type)
        if properties.items() <= {key: _hashable(value) for key, value in resource.properties.items()}.items()
    )
    return found


def container(deployment: Deployment, name: str) -> Mapping[str, Any]:
    """The only container of a task, `api` or `worker`."""
    (found,) = task(deployment, name).properties["ContainerDefinitions"]
    container: Mapping[str, Any] = found
    return container


def task(deployment: Deployment, name: str) -> Resource:
    """The task definition of `api` or `worker`."""
    (found,) = (
        each
        for each in deployment.resources("AWS::ECS::TaskDefinition")
        if each.properties["Family"].endswith(f"-{name}")
    )
    return found


def service(deployment: Deployment, name: str) -> Resource:
    """The ECS service of `api` or `worker`."""
    (found,) = (
        each
        for each in deployment.resources("AWS::ECS::Service")
        if text(deployment, each.properties["TaskDefinition"]) == task(deployment, name).id
    )
    return found


def scaling(deployment: Deployment, name: str) -> tuple[Resource, list[Resource]]:
    """The scalable target of a service, and its policies."""
    own = f".{service(deployment, name).id}.Name"
    (target,) = (
        each
        for each in deployment.resources("AWS::ApplicationAutoScaling::ScalableTarget")
        if own in f".{text(deployment, each.properties['ResourceId']).replace('/', '.')}"
    )
    policies = [
        each
        for each in deployment.resources("AWS::ApplicationAutoScaling::ScalingPolicy")
        if text(deployment, each.properties["ScalingTargetId"]) == target.id
    ]
    return target, policies


def role_statements(deployment: Deployment, role: Any) -> list[dict[str, Any]]:
    """What a role is allowed, by itself and by policies beside it, with references followed and lists as lists."""
    id = text(deployment, role).removesuffix(".Arn")
    documents = [
        each["PolicyDocument"]
        for resource in deployment.resources("AWS::IAM::Role")
        if resource.id == id
        for each in resource.properties.get("Policies", ())
    ]
    documents += [
        policy.properties["PolicyDocument"]
        for policy in deployment.resources("AWS::IAM::Policy")
        if id in [text(deployment, each) for each in policy.properties["Roles"]]
    ]
    return [
        {
            **statement,
            "Action": listed(statement["Action"]),
            "Resource": [text(deployment, each) for each in listed(statement["Resource"])],
        }
        for document in documents
        for statement in document["Statement"]
    ]


def text(deployment: Deployment, value: Any) -> str:
    """A value of a template as one text: references are the names of what they refer to, such as `Bucket.Arn`, also
    over the border of a stack."""
    match value:
        case {"Fn::Join": [delimiter, parts]}:
            return str(delimiter).join(text(deployment, part) for part in parts)
        case {"Fn::GetAtt": [id, attribute]}:
            return f"{id}.{attribute}"
        case {"Fn::ImportValue": name}:
            return text(deployment, _exported(deployment)[name])
        case {"Fn::GetStackOutput": {"StackName": stack, "OutputName": name}}:
            template = deployment.templates[stack.rpartition("-")[2]]
            return text(deployment, template["Outputs"][name]["Value"])
        case {"Fn::Sub": str(template)}:
            return template.replace("${", "").replace("}", "")
        case {"Fn::Select": [index, {"Fn::Split": [_, whole]}]}:
            return f"{text(deployment, whole)}[{index}]"
        case {"Ref": "AWS::Partition"}:
            return "aws"
        case {"Ref": str(id)}:
            return id
        case str() | int():
            return str(value)
        case _:
            raise TypeError(f"no text: {value}")


def environment(deployment: Deployment, name: str) -> dict[str, str]:
    """The variables of a container, but for its secrets."""
    return {each["Name"]: text(deployment, each["Value"]) for each in container(deployment, name)["Environment"]}


def secrets(deployment: Deployment, name: str) -> dict[str, str]:
    """The secrets of a container: variables, and what they come from."""
    return {each["Name"]: text(deployment, each["ValueFrom"]) for each in container(deployment, name)["Secrets"]}


def output(deployment: Deployment, name: str) -> str:
    """An output of the service's stack."""
    return text(deployment, deployment.templates["service"]["Outputs"][name]["Value"])


def _exported(deployment: Deployment) -> Mapping[str, Any]:
    return dict(_exports(deployment))


def _exports(deployment: Deployment) -> Iterator[tuple[str, Any]]:
    for template in deployment.templates.values():
        for each in template.get("Outputs", {}).values():
            if "Export" in each:
                yield each["Export"]["Name"], each["Value"]


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)
