"""`make key`: the token stays here, the task hears the fingerprint."""

from __future__ import annotations

import json
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.stub import Stubber

from graphql_api.service.api_keys import DrawnKey
from infra.key import NotMade, make_key

TASK = {
    "cluster": "text2image-small",
    "task_definition": "arn:aws:ecs:us-east-1:123456789012:task-definition/worker:7",
    "subnets": ["subnet-1", "subnet-2"],
    "security_groups": ["sg-1"],
    "assign_public_ip": "ENABLED",
}
ARN = "arn:aws:ecs:us-east-1:123456789012:task/text2image-small/1"
TOKEN, FINGERPRINT = "t2i_0123456789ab_secret", "0123456789ab:" + 64 * "f"


class Aws:
    """Real clients of boto3, which check requests and answers against the services' own descriptions."""

    def __init__(self) -> None:
        login = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        self.cloudformation: Any = boto3.client("cloudformation", **login)
        self.ecs: Any = boto3.client("ecs", **login)
        self.stacks = Stubber(self.cloudformation)
        self.tasks = Stubber(self.ecs)

    def has_stack(self, **outputs: str) -> None:
        shown = [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()]
        stack = {"StackName": "s", "StackStatus": "CREATE_COMPLETE", "CreationTime": "2026-11-24", "Outputs": shown}
        self.stacks.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "text2image-small-service"})

    def starts_task(self, command: list[str]) -> None:
        expected = {
            "cluster": "text2image-small",
            "taskDefinition": TASK["task_definition"],
            "launchType": "FARGATE",
            "networkConfiguration": {
                "awsvpcConfiguration": {
                    "subnets": ["subnet-1", "subnet-2"],
                    "securityGroups": ["sg-1"],
                    "assignPublicIp": "ENABLED",
                }
            },
            "overrides": {"containerOverrides": [{"name": "worker", "command": command}]},
        }
        self.tasks.add_response("run_task", {"tasks": [{"taskArn": ARN}], "failures": []}, expected)

    def shows_task(self, status: str, **container: Any) -> None:
        task = {"taskArn": ARN, "lastStatus": status, "containers": [{"name": "worker", **container}]}
        self.tasks.add_response("describe_tasks", {"tasks": [task], "failures": []})

    def make(self, *arguments: str) -> str:
        with self.stacks, self.tasks:
            return make_key(
                arguments,
                stack="text2image-small-service",
                cloudformation=self.cloudformation,
                ecs=self.ecs,
                draw=lambda: DrawnKey(TOKEN, FINGERPRINT),
                sleep=lambda _: None,
            )


def test_task_is_told_the_fingerprint_and_never_the_token() -> None:
    aws = Aws()
    aws.has_stack(KeyTask=json.dumps(TASK))
    aws.starts_task(["keys", "create", "web shop", "--jobs-per-minute", "60", "--fingerprint", FINGERPRINT])
    aws.shows_task("PENDING")
    aws.shows_task("STOPPED", exitCode=0)
    assert aws.make("web shop", "--jobs-per-minute", "60") == TOKEN
    aws.tasks.assert_no_pending_responses()


def test_task_that_fails_makes_no_key() -> None:
    aws = Aws()
    aws.has_stack(KeyTask=json.dumps(TASK))
    aws.starts_task(["keys", "create", "me", "--fingerprint", FINGERPRINT])
    aws.shows_task("STOPPED", exitCode=1)
    with pytest.raises(NotMade, match="ended with 1: its log says why"):
        aws.make("me")


def test_task_that_is_not_started_says_why() -> None:
    aws = Aws()
    aws.has_stack(KeyTask=json.dumps(TASK))
    aws.tasks.add_response("run_task", {"tasks": [], "failures": [{"arn": ARN, "reason": "RESOURCE:MEMORY"}]})
    with pytest.raises(NotMade, match="not started: RESOURCE:MEMORY"):
        aws.make("me")


def test_stack_that_is_not_there_is_named() -> None:
    aws = Aws()
    aws.stacks.add_client_error("describe_stacks", "ValidationError", "Stack does not exist", 400)
    with pytest.raises(NotMade, match="text2image-small-service cannot be read; was it deployed"):
        aws.make("me")


def test_stack_of_an_older_version_is_told_to_be_deployed() -> None:
    aws = Aws()
    aws.has_stack(GraphqlUrl="https://x")
    with pytest.raises(NotMade, match="deploy this version of it first"):
        aws.make("me")
