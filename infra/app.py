"""Writes the CloudFormation templates: `python -m infra.app [folder]`, or `make synth`.

Needs neither credentials nor a network, nor Docker: the image is built at deployment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.config import Config, ConfigError, read_config
from infra.network import without_lookup
from infra.stacks import FoundationStack, ModelStack, ServiceStack

OUT = "cdk.out"

CONTEXT = {
    # Exports, which are old and known. The new Fn::GetStackOutput ("weak") would hold on to nothing, but would stand in
    # places (within Fn::Split) where neither CloudFormation's documentation nor cfn-lint say that it may.
    "@aws-cdk/core:defaultCrossStackReferences": "strong",
}


def build(config: Config, out: str | Path = OUT) -> cdk.App:
    """The app with all its stacks, which `synth` writes into a folder, checked by cdk-nag.

    Raises ConfigError for what only the constructs can find out, such as a file that cannot be read.
    """
    app = cdk.App(outdir=str(out), analytics_reporting=False, context={**CONTEXT, **without_lookup(config)})
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    cdk.Tags.of(app).add("text2image", config.prefix)
    env = cdk.Environment(account=config.account or None, region=config.region)
    foundation = FoundationStack(app, f"{config.prefix}-foundation", config=config, env=env)
    model = None
    if config.creates_endpoint:
        model = ModelStack(app, f"{config.prefix}-model", config=config, foundation=foundation, env=env)
    ServiceStack(app, f"{config.prefix}-service", config=config, foundation=foundation, model=model, env=env)
    return app


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Synthesize; returns the exit code."""
    try:
        app = build(read_config(environ), *arguments[:1])
    except ConfigError as error:
        print(f"Nothing was written: {error}", file=sys.stderr)
        return 2
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
