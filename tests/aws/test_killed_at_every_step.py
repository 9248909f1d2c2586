"""kill -9 at each step between submission and completion, for each kind of endpoint: one stored result, paid for at
most as often as the policy allows. The invocations are counted at the endpoint."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.conftest import BUCKET, MODELS, UNHEARD, Cloud, open_cloud
from tests.clients.moto import MotoServer
from tests.clients.server_process import clean_environment

MAX_ATTEMPTS = 2
FEWEST_STEPS = {"sd": 11, "steps": 13, "later": 16}
LONG_SECONDS = 50
"""Longer than a slow machine takes to start the next worker, and less than the worker waits for the whole job."""


@pytest.fixture(scope="module")
def cloud(moto: MotoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One with a queue of its own: a server of other tests would take notices that are waited for here."""
    with open_cloud(moto, tmp_path_factory.mktemp("own-cloud"), "killed") as opened:
        yield opened


def see_through(
    cloud: Cloud, folder: Path, model: str, crash_at: int, *, unheard_seconds: int = LONG_SECONDS
) -> dict[str, Any] | str:
    """Run the worker on a folder; what became of the job, or where the worker was killed."""
    folder.mkdir(exist_ok=True)
    models = MODELS.replace(UNHEARD, f"unheard_seconds={unheard_seconds}")
    settings = {**cloud.settings(folder, models), "data_dir": str(folder), "max_attempts": str(MAX_ATTEMPTS)}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.aws.crashing_worker", model, str(crash_at)],
        env={**clean_environment(**settings), **cloud.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if ended.returncode == -signal.SIGKILL:
        return ended.stdout.strip()
    assert ended.returncode == 0, ended.stderr
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


@pytest.mark.parametrize("model", ["sd", "steps", "later"])
def test_a_worker_that_is_killed_anywhere_leaves_one_result_that_was_paid_for_as_the_policy_says(
    cloud: Cloud, tmp_path: Path, model: str
) -> None:
    cloud.sagemaker.reset()
    whole = see_through(cloud, tmp_path / "whole", model, 0)
    assert isinstance(whole, dict)
    assert len(whole["steps"]) >= FEWEST_STEPS[model], whole["steps"]
    killed: list[str] = []
    for step in range(1, len(whole["steps"]) + 1):
        folder = tmp_path / str(step)
        first = see_through(cloud, folder, model, step)
        if isinstance(first, str):
            killed.append(first)
        # A notice that is out there must be waited for; there is none before the invocation is handed over.
        is_out_there = "after submit" in whole["steps"][:step] or "before submit" not in whole["steps"]
        job = see_through(cloud, folder, model, 0, unheard_seconds=LONG_SECONDS if is_out_there else 1)

        assert isinstance(job, dict)
        assert job["status"] == "SUCCEEDED", (first, job)
        assert stored(cloud, job) == sorted(job["keys"]), first
        assert len(job["keys"]) == 2
        runs = cloud.runs(job["id"])
        # A deferred invocation that is out there is picked up, wherever the worker was killed.
        assert runs == 1 if model == "later" else 1 <= runs <= MAX_ATTEMPTS, first
        assert job["losses"] < MAX_ATTEMPTS
    assert len(killed) >= FEWEST_STEPS[model], killed


def stored(cloud: Cloud, job: dict[str, Any]) -> list[str]:
    """The keys of everything that the bucket holds of a job."""
    listed = cloud.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"images/{job['id']}/")
    return sorted(each["Key"] for each in listed.get("Contents", ()))
