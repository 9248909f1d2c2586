"""The roles of the tasks: the statements of docs/aws.md, section 4, and not one more."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pytest

from infra.model_connection import ModelConnection
from infra.pages import DOCS
from infra.permissions import api_statements, worker_statements
from tests.infra.deployments import Deployment
from tests.infra.service_stack import CONFIGS, deployed, environment, only, role_statements, secrets, task
from tests.infra.walking import listed

ALWAYS = {"Draw", "Images", "SeeWhatIsMissing", "DatabaseLogin"}
ASYNCHRONOUS = {"AsynchronousRequests", "AsynchronousAnswers", "Completions"}

Statements = Mapping[str, tuple[frozenset[str], frozenset[str]]]
"""By the names of statements: what is allowed, and on what."""


def documented() -> Statements:
    """The JSON of docs/aws.md."""
    section = (DOCS / "aws.md").read_text("utf-8").partition("## 4. ")[2].partition("\n## ")[0]
    match = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert match is not None
    return _by_name(json.loads(match[1])["Statement"])


def granted(deployment: Deployment, name: str) -> Statements:
    """What a task's role is allowed, by itself and by policies beside it, with the names of docs/aws.md."""
    statements = role_statements(deployment, task(deployment, name).properties["TaskRoleArn"])
    return _by_name(
        {**each, "Resource": [_as_documented(deployment, resource) for resource in each["Resource"]]}
        for each in statements
    )


def _by_name(statements: Iterable[Mapping[str, Any]]) -> Statements:
    found = {}
    for each in statements:
        assert each["Effect"] == "Allow" and each.keys() <= {"Sid", "Effect", "Action", "Resource"}
        assert each["Sid"] not in found
        found[each["Sid"]] = (frozenset(listed(each["Action"])), frozenset(listed(each["Resource"])))
    return found


def _as_documented(deployment: Deployment, resource: str) -> str:
    bucket = _bucket(deployment)
    endpoint = environment(deployment, "worker")["TEXT2IMAGE_ENDPOINT"].partition(":")[2].partition("?")[0]
    region = CONFIGS[deployment.name].region
    for ours, theirs in (
        (f"{bucket}.Arn", "arn:aws:s3:::<bucket>"),
        (_database_secret(deployment), "<ARN of the secret of the database>"),
        (f"arn:aws:sagemaker:{region}:AWS::AccountId:endpoint/{endpoint}", _ENDPOINT),
        (_queue(deployment), "arn:aws:sqs:<region>:<account>:<queue>"),
    ):
        if ours and resource.startswith(ours):
            return f"{theirs}{resource.removeprefix(ours)}"
    return resource


_ENDPOINT = "arn:aws:sagemaker:<region>:<account>:endpoint/<endpoint>"


def _bucket(deployment: Deployment) -> str:
    return environment(deployment, "api")["TEXT2IMAGE_IMAGES"].removeprefix("s3:")


def _database_secret(deployment: Deployment) -> str:
    secret = environment(deployment, "api")["TEXT2IMAGE_DATABASE_SECRET"]
    assert secret.endswith(".MasterUserSecret.SecretArn")
    return secret


def _queue(deployment: Deployment) -> str:
    """The ARN of the queue that the workers are told to read."""
    url = environment(deployment, "worker").get("TEXT2IMAGE_COMPLETIONS", "")
    return f"{url.removeprefix('sqs:')}.Arn" if url else ""


def without(statements: Statements, *, names: Collection[str] = (), **actions: str) -> Statements:
    """Statements but for some, or for actions of some."""
    return {
        name: (allowed - {actions[name]} if name in actions else allowed, resources)
        for name, (allowed, resources) in statements.items()
        if name not in names
    }


@pytest.fixture(params=CONFIGS)
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """Every deployment, one a test."""
    return deployed(request.param)


def test_page_has_the_statements_that_are_divided_here() -> None:
    assert documented().keys() == ALWAYS | ASYNCHRONOUS


def test_workers_of_a_realtime_endpoint_may_do_what_the_page_says() -> None:
    # The page says what to leave out: all that is asynchronous, and reading images, which CloudFront does.
    expected = without(documented(), names=ASYNCHRONOUS, Draw="sagemaker:InvokeEndpointAsync", Images="s3:GetObject")
    assert granted(deployed("small"), "worker") == expected


def test_workers_of_an_asynchronous_endpoint_may_do_what_the_page_says() -> None:
    expected = without(documented(), Draw="sagemaker:InvokeEndpoint", Images="s3:GetObject")
    assert granted(deployed("standard"), "worker") == expected


def test_answers_in_a_bucket_of_the_endpoint_are_read_there_and_nowhere_else() -> None:
    found = granted(deployed("foreign"), "worker")
    expected = dict(without(documented(), Draw="sagemaker:InvokeEndpoint", Images="s3:GetObject"))
    theirs = "arn:aws:s3:::model-answers"
    expected["AsynchronousAnswers"] = (frozenset({"s3:GetObject"}), frozenset({f"{theirs}/*"}))
    expected["SeeWhatIsMissing"] = (frozenset({"s3:ListBucket"}), frozenset({"arn:aws:s3:::<bucket>", theirs}))
    assert found == expected


def test_api_tasks_neither_draw_nor_store(deployment: Deployment) -> None:
    page = documented()
    assert granted(deployment, "api") == {
        "Draw": (frozenset({"sagemaker:DescribeEndpoint"}), page["Draw"][1]),
        "Images": (frozenset({"s3:DeleteObject"}), page["Images"][1]),
        "SeeWhatIsMissing": page["SeeWhatIsMissing"],
        "DatabaseLogin": page["DatabaseLogin"],
    }


def test_roles_are_taken_by_tasks_of_this_account_only(deployment: Deployment) -> None:
    for name in ("api", "worker"):
        role = task(deployment, name).properties["TaskRoleArn"]["Fn::GetAtt"][0]
        trust = deployment.templates["service"]["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]
        (statement,) = trust["Statement"]
        assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_built_in_renderer_needs_no_endpoint() -> None:
    sketch = ModelConnection(setting="sketch:", codec="jumpstart-sd")
    for divide in (api_statements, worker_statements):
        statements = divide(model=sketch, bucket_arn="arn:aws:s3:::b", database_secret_arn="arn:aws:secretsmanager:s")
        assert {each.sid for each in statements} == ALWAYS - {"Draw"}


def test_execution_roles_read_the_secrets_that_they_inject_and_no_other(deployment: Deployment) -> None:
    for name in ("api", "worker"):
        statements = role_statements(deployment, task(deployment, name).properties["ExecutionRoleArn"])
        read = {
            resource
            for each in statements
            if "secretsmanager:GetSecretValue" in each["Action"]
            for resource in each["Resource"]
        }
        assert read == set(secrets(deployment, name).values())


def test_execution_roles_pull_one_repository_and_write_one_log(deployment: Deployment) -> None:
    for name in ("api", "worker"):
        statements = role_statements(deployment, task(deployment, name).properties["ExecutionRoleArn"])
        by_action = {action: each["Resource"] for each in statements for action in each["Action"]}
        group = f"/{CONFIGS[deployment.name].prefix}/{name}"
        assert by_action["logs:PutLogEvents"] == [
            f"{only(deployment, 'AWS::Logs::LogGroup', LogGroupName=group).id}.Arn"
        ]
        assert (
            by_action.get("ecr:BatchGetImage")
            == {
                "small": ["arn:aws:ecr:us-east-1:123456789012:repository/team/text2image"],
                "standard": [
                    "arn:aws:ecr:us-east-1:AWS::AccountId:repository/"
                    "cdk-hnb659fds-container-assets-AWS::AccountId-us-east-1"
                ],
                # Of a registry elsewhere IAM knows nothing.
                "foreign": None,
            }[deployment.name]
        )
