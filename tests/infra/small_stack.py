"""A stack with one or two constructs in it, checked by cdk-nag as whole deployments are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.config import Config, read_config
from tests.infra.deployments import Deployment

STACK = "tried"


def a_config(**values: str) -> Config:
    """A configuration of DEPLOY_<NAME> values, by default small and without an endpoint."""
    given = {"REGION": "us-east-1", "MODEL": "sketch", **values}
    return read_config({f"DEPLOY_{name}": value for name, value in given.items()})


def synthesize(folder: Path, config: Config, build: Callable[[cdk.Stack], object]) -> Deployment:
    """What becomes of the constructs that `build` puts into a stack. Raises RuntimeError for findings of cdk-nag."""
    app = cdk.App(outdir=str(folder), analytics_reporting=False)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    build(cdk.Stack(app, STACK, env=cdk.Environment(account=config.account or None, region=config.region)))
    app.synth()
    return Deployment(STACK, folder, {STACK: json.loads((folder / f"{STACK}.template.json").read_text())})
