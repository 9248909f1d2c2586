"""What a job costs in memory while a slow real-time endpoint draws it: 500 of them in one process.

Unique memory of the process before any job and with all of them at the endpoint; the answers, and so the bytes of the
images, are not there yet. `python -m bench.jobs_in_flight --rounds 3`
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from bench.harness import ROOT, Figures, Target, arguments, report, run
from bench.production_path import stub_aws
from graphql_api.bootstrap import open_services
from graphql_api.domain.caller import LOCAL
from graphql_api.domain.generation import GenerationRequest
from graphql_api.domain.ids import LOCAL_CALLER
from graphql_api.domain.job import JobStatus
from graphql_api.ports import JobQuery
from graphql_api.settings import Settings

TARGETS = (Target(text="at most 100 kB a job", figure="kb_a_job", limit=100),)
DRAW_SECONDS = 60.0
SETTLE_SECONDS = 3.0


def main() -> None:
    """Measure and report. Each round has a process of its own, since memory that was used once is kept."""
    asked = arguments(__doc__, rounds=3, jobs=500)
    if os.environ.get("BENCH_ROUND"):
        print(run(in_flight(asked.jobs)))
        return
    figures: list[Figures] = []
    with stub_aws(64, DRAW_SECONDS):
        for _ in range(asked.rounds):
            command = [sys.executable, "-m", "bench.jobs_in_flight", "--jobs", str(asked.jobs)]
            shown = subprocess.run(
                command, cwd=ROOT, env={**os.environ, "BENCH_ROUND": "1"}, capture_output=True, text=True, check=True
            ).stdout
            figures.append({"kb_a_job": float(shown)})
            print(shown.strip(), file=sys.stderr)
    report("jobs_in_flight", {"product": figures}, TARGETS, jobs=asked.jobs)


async def in_flight(jobs: int) -> float:
    """Kilobytes a job."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models.toml"
        models.write_text(f"[[model]]\nname = 'sd'\nendpoint = 'sagemaker:sd'\nconcurrency = {jobs}\n")
        settings = Settings(
            data_dir=Path(folder), images="s3:images", models=str(models), public_url="https://img.example.org", drain=0
        )
        process = psutil.Process()
        running = JobQuery(statuses=frozenset({JobStatus.RUNNING}))
        async with open_services(settings) as services:
            # One job first, so that what is opened and imported once is not counted.
            await services.jobs.submit(LOCAL, GenerationRequest(prompt="a lighthouse"))
            await asyncio.sleep(SETTLE_SECONDS)
            before = process.memory_full_info().uss
            for _ in range(jobs - 1):
                await services.jobs.submit(LOCAL, GenerationRequest(prompt="a lighthouse"))
            async with asyncio.timeout(DRAW_SECONDS / 2):
                for delay in itertools.repeat(0.1):
                    if await services.jobs.count(LOCAL_CALLER, running) == jobs:
                        break
                    await asyncio.sleep(delay)
            await asyncio.sleep(SETTLE_SECONDS)
            after = process.memory_full_info().uss
            for row in await services.store.changes(LOCAL_CALLER, after=0, limit=jobs, active_only=True):
                await services.jobs.cancel(LOCAL_CALLER, row.id)  # type: ignore[union-attr]
    return float((after - before) / 1000 / (jobs - 1))


if __name__ == "__main__":
    main()
