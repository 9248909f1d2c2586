"""Walks through templates, and finds what must not be in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr

from graphql_api.settings import Settings
from tests.infra.deployments import Deployment, Resource

EVERYBODY = ("0.0.0.0/0", "::/0")

WITHOUT_RESOURCES = frozenset(
    {
        # These take no resource (AWS, Service Authorization Reference).
        "ecr:GetAuthorizationToken",
        "cloudwatch:PutMetricData",
        "application-autoscaling:DescribeScalableTargets",
    }
)

_SECRET_NAME = re.compile(r"password|secret|token|private.?key|credential", re.IGNORECASE)
_NOT_A_SECRET = re.compile(r"arn|name|id$|string|template|length|exclude|key$|version|type|status", re.IGNORECASE)
_LOGIN = re.compile(r"://[^/\s:@]+:[^/\s@]+@")
_SECRET_SETTINGS = frozenset(
    f"TEXT2IMAGE_{name.upper()}" for name, field in Settings.model_fields.items() if field.annotation is SecretStr
)


def faults(deployment: Deployment) -> list[str]:
    """Everything that is wrong with a deployment's templates, one sentence each."""
    return [
        f"{resource.stack} {resource.id} ({resource.type}): {fault}"
        for resource in deployment.resources()
        for find in (_permissions, _public_buckets, _open_doors, _plain_secrets)
        for fault in find(resource)
    ]


def statements(resource: Resource) -> Iterator[Mapping[str, Any]]:
    """The statements of every policy that a resource holds, but for those that deny."""
    for key, value in _walk(resource.properties):
        if key == "Statement" and isinstance(value, dict) and value.get("Effect") == "Allow":
            yield value


def listed(value: Any) -> list[Any]:
    """What IAM takes alone or as a list, as a list."""
    return value if isinstance(value, list) else [value]


def _permissions(resource: Resource) -> Iterator[str]:
    for statement in statements(resource):
        actions = listed(statement.get("Action", "*"))
        yield from (f"allows {action}" for action in actions if "*" in action)
        if "NotAction" in statement or "NotResource" in statement or "NotPrincipal" in statement:
            yield "allows everything but something"
        if "*" in listed(statement.get("Resource", [])) and not WITHOUT_RESOURCES.issuperset(actions):
            yield f"allows {', '.join(actions)} on everything"
        if statement.get("Principal") in ("*", {"AWS": "*"}) and "Condition" not in statement:
            yield f"lets anybody do {', '.join(actions)}"
    if resource.type in ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group"):
        yield from (f"has the managed policy {policy}" for policy in resource.properties.get("ManagedPolicyArns", ()))


def _public_buckets(resource: Resource) -> Iterator[str]:
    if resource.type != "AWS::S3::Bucket":
        return
    block = resource.properties.get("PublicAccessBlockConfiguration", {})
    for name in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"):
        if block.get(name) is not True:
            yield f"{name} is not set"
    if resource.properties.get("AccessControl", "Private") not in ("Private", "LogDeliveryWrite"):
        yield f"its ACL is {resource.properties['AccessControl']}"


def _open_doors(resource: Resource) -> Iterator[str]:
    rules: list[Mapping[str, Any]] = []
    if resource.type == "AWS::EC2::SecurityGroup":
        rules = resource.properties.get("SecurityGroupIngress", [])
    elif resource.type == "AWS::EC2::SecurityGroupIngress":
        rules = [resource.properties]
    for rule in rules:
        for key in ("CidrIp", "CidrIpv6"):
            if rule.get(key) in EVERYBODY:
                yield f"lets in {rule[key]}"
    if resource.properties.get("PubliclyAccessible") is True:
        yield "has a public address"
    if resource.type.endswith("::LoadBalancer") and resource.properties.get("Scheme") != "internal":
        yield "faces the internet"


def _plain_secrets(resource: Resource) -> Iterator[str]:
    for key, value in _walk(resource.properties):
        if not isinstance(value, str) or not value:
            continue
        if _LOGIN.search(value):
            yield f"{key} holds a login"
        if "-----BEGIN" in value and "PRIVATE" in value:
            yield f"{key} holds a private key"
        is_named_so = _SECRET_NAME.search(key) and not _NOT_A_SECRET.search(key)
        if is_named_so and not value.startswith(("{{resolve:", "arn:")):
            yield f"{key} is plain text"
    for _, variables in _walk(resource.properties):
        for variable in variables if isinstance(variables, list) else ():
            if isinstance(variable, dict) and variable.get("Name") in _SECRET_SETTINGS and "Value" in variable:
                yield f"{variable['Name']} is plain text"


def _walk(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in a value with the key that it stands under; what is in a list stands under the list's."""
    yield key, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _walk(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, key)
