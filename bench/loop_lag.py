"""How late the event loop is while four jobs render. The baseline renders nothing, so the product is measured alone.

`python -m bench.loop_lag --rounds 3`
"""

from __future__ import annotations

import asyncio
import time

from bench.harness import (
    PRODUCT_HOST,
    Control,
    Figures,
    Server,
    Target,
    arguments,
    in_rotation,
    latency_figures,
    report,
)
from bench.load.graphql import ask
from bench.watching import ARRIVE_SECONDS

TARGETS = (Target(text="p99 below 10 ms", figure="p99_ms", limit=10),)
JOBS = 4
SUBMIT = "mutation($input: GenerateImageInput!) { generateImage(input: $input) { job { id } errors { __typename } } }"
STATUSES = "{ jobs(first: 100) { edges { node { status } } } }"
POLL_SECONDS = 0.5


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=3, side=768, steps=50)

    async def measure(server: Server) -> Figures:
        return await loop_lag(server, side=asked.side, steps=asked.steps)

    host = PRODUCT_HOST.with_environment(BENCH_WORKER="on", TEXT2IMAGE_CONCURRENCY=str(JOBS))
    figures = in_rotation((host,), measure, rounds=asked.rounds)
    report("loop_lag", figures, TARGETS, jobs=JOBS, side=asked.side, steps=asked.steps)


async def loop_lag(server: Server, *, side: int, steps: int) -> Figures:
    """One round: from the first submission until the last job has ended."""
    control = await Control.connect(server)
    size = {"dimensions": {"width": side, "height": side}}
    await control.ask("watch_lag")
    started_at, cpu_before = time.perf_counter(), server.cpu_seconds()
    for number in range(JOBS):
        wanted = {"prompt": f"a lighthouse, {number}", "size": size, "steps": steps}
        answer = await ask(server.port, SUBMIT, {"input": wanted})
        if answer["generateImage"]["errors"]:
            raise RuntimeError(str(answer))
    while not await _all_succeeded(server.port):
        if time.perf_counter() - started_at > ARRIVE_SECONDS:
            raise RuntimeError("The jobs did not end.")
        await asyncio.sleep(POLL_SECONDS)
    seconds, cpu_seconds = time.perf_counter() - started_at, server.cpu_seconds() - cpu_before
    lateness = await control.ask("lag")
    return {
        **latency_figures([milliseconds / 1000 for milliseconds in lateness]),
        "timers": len(lateness),
        "seconds": seconds,
        "cpu_share": cpu_seconds / seconds,
    }


async def _all_succeeded(port: int) -> bool:
    statuses = [edge["node"]["status"] for edge in (await ask(port, STATUSES, {}))["jobs"]["edges"]]
    if set(statuses) & {"FAILED", "CANCELED"}:
        raise RuntimeError(f"A job did not succeed: {statuses}")
    return statuses == ["SUCCEEDED"] * JOBS


if __name__ == "__main__":
    main()
