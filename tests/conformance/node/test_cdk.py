"""The CDK's command line at the version that is pinned: npm's latest cannot read what our CDK writes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.clients.node import install_packages, node_environment, node_folder
from tests.infra.deployments import DEPLOYMENTS, ROOT, synth


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cdk") / "out"
    done = synth(DEPLOYMENTS["standard-created-async"], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def cdk(assembly: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    install_packages(ROOT / "infra")
    without_account = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
    return subprocess.run(
        [node_folder() / "node", ROOT / "infra/node_modules/aws-cdk/bin/cdk", "--app", assembly, *arguments],
        env={name: value for name, value in node_environment().items() if not name.startswith("AWS_")}
        | without_account,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_command_line_reads_the_templates_in_the_order_of_their_stacks(assembly: Path) -> None:
    listed = cdk(assembly, "list")
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.split() == [f"text2image-standard-{stack}" for stack in ("foundation", "model", "service")]


def test_deployment_without_credentials_says_so(assembly: Path) -> None:
    ended = cdk(assembly, "deploy", "--all", "--require-approval", "never")
    assert ended.returncode == 1
    assert "Unable to resolve AWS account to use" in ended.stdout + ended.stderr
