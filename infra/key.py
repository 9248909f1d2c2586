"""`make key NAME=...`: makes an API key of a deployment, whose token never leaves this machine.

The token is drawn here; a one-off task of the deployment is told its fingerprint and nothing else, since what a task
prints is a log.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from graphql_api.service.api_keys import DrawnKey, draw_key
from infra.config import SKETCH, ConfigError, read_config

OUTPUT = "KeyTask"
"""Output of the service stack: what RunTask needs, as JSON."""

CONTAINER = "worker"
PATIENCE_SECONDS = 300.0
LOOK_SECONDS = 3.0


class NotMade(Exception):
    """There is no key to show; the message says why."""


def make_key(
    arguments: Sequence[str],
    *,
    stack: str,
    cloudformation: Any,
    ecs: Any,
    draw: Callable[[], DrawnKey] = draw_key,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """The token of a new key. The arguments are those of `text2image keys create`. Raises NotMade.

    `cloudformation` and `ecs` are clients of boto3.
    """
    task = _task(cloudformation, stack)
    key = draw()
    command = ["keys", "create", *arguments, "--fingerprint", key.fingerprint]
    try:
        started = ecs.run_task(
            cluster=task["cluster"],
            taskDefinition=task["task_definition"],
            launchType="FARGATE",
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": task["subnets"],
                    "securityGroups": task["security_groups"],
                    "assignPublicIp": task["assign_public_ip"],
                }
            },
            overrides={"containerOverrides": [{"name": CONTAINER, "command": command}]},
        )
        if started["failures"]:
            raise NotMade(f"the task was not started: {started['failures'][0].get('reason', 'no reason was given')}")
        _wait_for_end(ecs, task["cluster"], started["tasks"][0]["taskArn"], sleep)
    except (BotoCoreError, ClientError) as error:
        raise NotMade(str(error)) from error
    return key.token


def _task(cloudformation: Any, stack: str) -> Mapping[str, Any]:
    try:
        [described] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        raise NotMade(f"the stack {stack} cannot be read; was it deployed, with the same DEPLOY_*? {error}") from error
    for output in described.get("Outputs", ()):
        if output["OutputKey"] == OUTPUT:
            task: Mapping[str, Any] = json.loads(output["OutputValue"])
            return task
    raise NotMade(f"the stack {stack} has no output {OUTPUT}: deploy this version of it first")


def _wait_for_end(ecs: Any, cluster: str, arn: str, sleep: Callable[[float], None]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        [found] = ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
        if found["lastStatus"] == "STOPPED":
            [container] = [each for each in found["containers"] if each["name"] == CONTAINER]
            if container.get("exitCode") == 0:
                return
            reason = container.get("reason") or found.get("stoppedReason") or "its log says why"
            raise NotMade(f"the task ended with {container.get('exitCode')}: {reason}")
        sleep(LOOK_SECONDS)
    raise NotMade(
        f"the task {arn} did not end within {PATIENCE_SECONDS:.0f} s; if it makes the key after all, `keys list` shows "
        "it, and nobody has its token"
    )


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Make a key, and print its token; returns the exit code."""
    # Here, since templates are made without the SDK.
    import boto3  # type: ignore[import-untyped]

    try:
        # What runs the model does not matter here, and need not be said again.
        given = environ if "DEPLOY_ENDPOINT_NAME" in environ else {"DEPLOY_MODEL": SKETCH, **environ}
        config = read_config(given)
        session = boto3.Session(region_name=config.region)
        token = make_key(
            arguments,
            stack=f"{config.prefix}-service",
            cloudformation=session.client("cloudformation"),
            ecs=session.client("ecs"),
        )
    except (ConfigError, NotMade) as error:
        print(f"There is no key to show: {error}", file=sys.stderr)
        return 1
    print(token)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
