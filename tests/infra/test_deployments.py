"""Whole deployments: what `make synth` writes for both environments and each kind of endpoint."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.infra.deployments import DEPLOYMENTS, Deployment, Resource, read, resource_list, synth
from tests.infra.walking import faults

CFN_LINT = Path(sys.executable).with_name("cfn-lint")
RESOURCES = Path(__file__).with_name("resources")


@pytest.fixture(scope="module", params=DEPLOYMENTS)
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    folder = tmp_path_factory.mktemp(request.param)
    done = synth(DEPLOYMENTS[request.param], folder)
    # cdk-nag is a part of it: its findings end it.
    assert done.returncode == 0, done.stdout + done.stderr
    return read(request.param, folder)


def test_synth_writes_the_stacks(deployment: Deployment) -> None:
    stacks = {"foundation", "service"} | ({"model"} if "created" in deployment.name else set())
    assert set(deployment.templates) == stacks
    for template in deployment.templates.values():
        assert len(template["Resources"]) < 400, "CloudFormation takes 500"


def test_nothing_is_open_and_no_permission_is_wider_than_its_use(deployment: Deployment) -> None:
    assert faults(deployment) == []


def test_cfn_lint_finds_nothing(deployment: Deployment) -> None:
    files = [str(path) for path in deployment.files]
    linted = subprocess.run(
        # W6001: the outputs of the service tell of the address, which is the foundation's.
        [CFN_LINT, "--ignore-checks", "W6001", "--regions", "us-east-1", "--", *files],
        capture_output=True,
        text=True,
    )
    assert linted.returncode == 0, linted.stdout


def test_list_of_resources_is_the_one_that_was_reviewed(deployment: Deployment) -> None:
    reviewed = RESOURCES / f"{deployment.name}.txt"
    assert resource_list(deployment) == (reviewed.read_text() if reviewed.exists() else ""), (
        "The resources have changed. Look at them, and write the lists anew: python -m tests.infra.write_resources"
    )


def test_outputs_name_the_addresses(deployment: Deployment) -> None:
    outputs = deployment.templates["service"]["Outputs"]
    expected = {"StudioUrl", "ExplorerUrl", "GraphqlUrl", "SubscriptionUrl", "CurlLine", "WebUrl", "KeyTask"}
    if DEPLOYMENTS[deployment.name].get("HTTP_API"):
        expected.add("FirstVersionUrl")
    assert set(outputs) == expected
    if "DOMAIN_NAME" in DEPLOYMENTS[deployment.name]:
        assert outputs["SubscriptionUrl"]["Value"] == "wss://images.example.com/graphql"
        assert outputs["ExplorerUrl"]["Value"] == "https://images.example.com/graphiql"
        body = outputs["CurlLine"]["Value"].partition(" -d '")[2].removesuffix("'")
        assert "generateImage" in json.loads(body)["query"]


def test_templates_hold_no_path_of_this_machine(deployment: Deployment) -> None:
    for path in deployment.files:
        assert str(Path(__file__).parents[2]) not in path.read_text()


# The walk itself: it must find what it looks for.


def _spoiled(type: str, **properties: Any) -> Deployment:
    template = {"Resources": {"Spoiled": {"Type": type, "Properties": deepcopy(properties)}}}
    return Deployment("spoiled", Path(), {"service": template})


def _policy(**statement: Any) -> dict[str, Any]:
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "x", **statement}
    return {"PolicyDocument": {"Statement": [allowed]}}


def _bad() -> Iterator[tuple[str, Deployment, str]]:
    policy = "AWS::IAM::Policy"
    yield "any action", _spoiled(policy, **_policy(Action="*")), "allows *"
    yield "actions by prefix", _spoiled(policy, **_policy(Action=["s3:Get*"])), "allows s3:Get*"
    yield "any resource", _spoiled(policy, **_policy(Resource="*")), "on everything"
    yield "anybody", _spoiled("AWS::SQS::QueuePolicy", **_policy(Principal="*")), "lets anybody"
    yield "a managed policy", _spoiled("AWS::IAM::Role", ManagedPolicyArns=["arn:x"]), "managed policy"
    yield "a public bucket", _spoiled("AWS::S3::Bucket"), "BlockPublicPolicy is not set"
    ingress = [{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp"}]
    yield "an open group", _spoiled("AWS::EC2::SecurityGroup", SecurityGroupIngress=ingress), "lets in 0.0.0.0/0"
    yield "an open rule", _spoiled("AWS::EC2::SecurityGroupIngress", CidrIpv6="::/0"), "lets in ::/0"
    yield "a public database", _spoiled("AWS::RDS::DBInstance", PubliclyAccessible=True), "public address"
    yield "a password", _spoiled("AWS::RDS::DBInstance", MasterUserPassword="hunter2"), "plain text"
    yield "a login", _spoiled("AWS::X", Environment=[{"Name": "A", "Value": "valkeys://me:pw@host"}]), "a login"
    secret = [{"Name": "TEXT2IMAGE_WEBHOOK_SECRET", "Value": {"Ref": "Secret"}}]
    yield "a secret setting", _spoiled("AWS::ECS::TaskDefinition", Environment=secret), "WEBHOOK_SECRET is plain"


@pytest.mark.parametrize(("what", "spoiled", "fault"), [*_bad()], ids=[what for what, *_ in _bad()])
def test_walk_finds(what: str, spoiled: Deployment, fault: str) -> None:
    assert any(fault in found for found in faults(spoiled)), faults(spoiled)


def test_walk_leaves_alone_what_is_right() -> None:
    right = {
        "MasterUserPassword": "{{resolve:secretsmanager:x}}",
        "SecretArn": "arn:aws:secretsmanager:x",
        **_policy(),
    }
    assert faults(_spoiled("AWS::X", **right)) == []
    assert list(_spoiled("AWS::X").resources("AWS::Y")) == []
    assert list(_spoiled("AWS::X").resources("AWS::X")) == [Resource("service", "Spoiled", "AWS::X", {})]
