"""What the product adds to the two calls that a real-time image needs, and what it costs in CPU.

The baseline is those calls alone, by the same SDK: `invoke_endpoint`, then `put_object` of the bytes that came. The
product does the same for queued jobs, and claims, decodes, checks, hashes, makes thumbnail and BlurHash, puts both
files, commits and announces. Both have 16 jobs at a time. `python -m bench.production_path --rounds 5`
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from bench.harness import ROOT, Figures, Target, arguments, free_port, report, run, stop
from graphql_api.adapters.aws import AwsOptions, open_aws
from graphql_api.bootstrap import Services, open_services
from graphql_api.domain.caller import LOCAL
from graphql_api.domain.generation import GenerationRequest
from graphql_api.domain.ids import LOCAL_CALLER, JobId
from graphql_api.domain.job import JobStatus
from graphql_api.ports import JobMoved, Notice, caller_topic
from graphql_api.settings import Settings

TARGETS = (
    Target(text="own CPU an image at most 12 ms", figure="cpu_ms", limit=12),
    Target(text="at p50 at most 15 ms over the bare calls", figure="added_ms", limit=15),
)
JOBS_AT_ONCE = 16
Call = Callable[[int], Awaitable[None]]
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=5, side=768, jobs=320, seconds=0.5)
    figures: dict[str, list[Figures]] = {"product": [], "baseline": []}
    with stub_aws(asked.side, asked.seconds):
        for turn in range(asked.rounds):
            baseline = run(bare_calls(asked.jobs))
            product = dict(run(product_jobs(asked.jobs, asked.side)))
            product["added_ms"] = product["p50_ms"] - baseline["p50_ms"]
            figures["baseline"].append(baseline)
            figures["product"].append(product)
            print(f"round {turn + 1}: product {product}  baseline {baseline}", file=sys.stderr)
    report("production_path", figures, TARGETS, side=asked.side, jobs=asked.jobs, jobs_at_once=JOBS_AT_ONCE)


@contextmanager
def stub_aws(side: int, seconds: float) -> Iterator[str]:
    """A stub in a process of its own; the SDK of this process is pointed at it."""
    port = free_port()
    command = [sys.executable, "-m", "bench.stub_aws", "--port", str(port)]
    process = subprocess.Popen([*command, "--side", str(side), "--seconds", str(seconds)], cwd=ROOT)
    os.environ.update({**ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


async def bare_calls(count: int) -> Figures:
    """The two calls, `count` times, 16 at a time."""
    durations: list[float] = []
    async with open_aws(AwsOptions()) as aws:
        runtime, s3 = await aws.sagemaker_runtime(), await aws.s3()

        async def one(number: int) -> None:
            began = time.perf_counter()
            answer = await runtime.invoke_endpoint(
                EndpointName="sd", Body=b"{}", ContentType="application/json", Accept="application/json;jpeg"
            )
            body = json.loads(await answer["Body"].read())
            image = base64.b64decode(body["generated_images"][0])
            await s3.put_object(Bucket="images", Key=f"{number}.jpg", Body=image, ContentType="image/jpeg")
            durations.append(time.perf_counter() - began)

        await _until_there(one)
        cpu_before = time.process_time()
        durations.clear()
        await _at_once(one, count)
        cpu_seconds = time.process_time() - cpu_before
    return {"p50_ms": 1000 * statistics.median(durations), "cpu_ms": 1000 * cpu_seconds / count}


async def _until_there(one: Call) -> None:
    """The first call of a client is slow, and the stub may not listen yet."""
    for _ in range(100):
        try:
            await one(0)
            return
        except (BotoCoreError, ClientError):
            await asyncio.sleep(0.1)
    raise RuntimeError("The stub does not answer.")


async def _at_once(one: Call, count: int) -> None:
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(worker() for _ in range(JOBS_AT_ONCE)))


async def product_jobs(count: int, side: int) -> Figures:
    """`count` queued jobs, run 16 at a time by the product's worker."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models.toml"
        models.write_text(
            f"[[model]]\nname = 'sd'\nendpoint = 'sagemaker:sd'\nconcurrency = {JOBS_AT_ONCE}\n"
            f"[model.defaults]\nwidth = {side}\nheight = {side}\n"
        )
        settings = Settings(
            data_dir=Path(folder), images="s3:images", models=str(models), public_url="https://img.example.org"
        )
        # First without a worker, so that all of them are queued when it begins.
        async with open_services(settings, with_worker=False) as services:
            for number in range(count):
                await services.jobs.submit(LOCAL, GenerationRequest(prompt=f"a lighthouse, {number}", seed=number))
        async with open_services(settings) as services:
            return await _timed(services, count)


async def _timed(services: Services, count: int) -> Figures:
    started: dict[JobId, float] = {}
    durations: list[float] = []
    cpu_from, all_done = [0.0], asyncio.Event()

    def note(notice: Notice) -> None:
        if not isinstance(notice, JobMoved) or notice.job is None:
            return
        if notice.job.status is JobStatus.RUNNING:
            started.setdefault(notice.job_id, time.perf_counter())
        elif notice.job.is_final:
            if notice.job.status is not JobStatus.SUCCEEDED:
                raise RuntimeError(str(notice.job.failure))
            durations.append(time.perf_counter() - started[notice.job_id])
            # The first ones pay for opening connections and importing what decodes.
            if len(durations) == JOBS_AT_ONCE:
                cpu_from[0] = time.process_time()
            if len(durations) == count:
                all_done.set()

    async with services.broker.subscribe(caller_topic(LOCAL_CALLER), note), asyncio.timeout(120):
        await all_done.wait()
    steady = durations[JOBS_AT_ONCE:]
    cpu_seconds = time.process_time() - cpu_from[0]
    return {"p50_ms": 1000 * statistics.median(steady), "cpu_ms": 1000 * cpu_seconds / len(steady)}


if __name__ == "__main__":
    main()
