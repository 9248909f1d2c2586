"""How many generateImage mutations a second one process acknowledges, each durable before its answer.

`python -m bench.acknowledgements --rounds 5 --seconds 5`
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable

from bench.documents import GENERATE
from bench.harness import BASELINE, PRODUCT, Figures, Server, Target, arguments, in_rotation, latency_figures, report
from bench.load.http import closed_loop, post

TARGETS = (
    Target(
        text="rate over the baseline's: at least 10",
        figure="per_second",
        limit=10,
        at_least=True,
        ratio_to="per_second",
    ),
    Target(text="p99 over the baseline's p50: below 1", figure="p99_ms", limit=1, ratio_to="p50_ms"),
)
WARM_UP_SECONDS = 1.0


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=5, seconds=5.0, connections=32)

    async def measure(server: Server) -> Figures:
        return await acknowledgements(
            server, seconds=asked.seconds, connections=asked.connections, next_request=requests()
        )

    figures = in_rotation((PRODUCT, BASELINE), measure, rounds=asked.rounds, only=asked.only)
    report("acknowledgements", figures, TARGETS, seconds=asked.seconds, connections=asked.connections)


async def acknowledgements(
    server: Server, *, seconds: float, connections: int, next_request: Callable[[], bytes]
) -> Figures:
    """One round, behind a short one that warms the server up."""

    async def load(for_seconds: float) -> list[float]:
        loop = await closed_loop(
            server.port, connections=connections, seconds=for_seconds, next_request=next_request, is_good=_is_good
        )
        if loop.bad:
            raise RuntimeError(f"{len(loop.bad)} answers were no acknowledgements, such as {loop.bad[0]!r}")
        return loop.latencies

    await load(WARM_UP_SECONDS)
    cpu_before = server.cpu_seconds()
    latencies = await load(seconds)
    cpu_seconds = server.cpu_seconds() - cpu_before
    return {
        "per_second": len(latencies) / seconds,
        **latency_figures(latencies),
        "cpu_ms_each": 1000 * cpu_seconds / len(latencies),
    }


def requests(headers: bytes = b"") -> Callable[[], bytes]:
    """Requests that differ in prompt and key; `headers` are lines of more of them."""
    run, numbers = uuid.uuid4().hex, itertools.count()
    body = {"query": GENERATE, "variables": {"input": {"prompt": "a lighthouse, @", "idempotencyKey": f"{run}-@"}}}
    first, second, third = json.dumps(body).encode().split(b"@")

    def next_request() -> bytes:
        number = b"%08d" % next(numbers)
        return post(b"".join((first, number, second, number, third)), headers)

    return next_request


def _is_good(body: bytes) -> bool:
    packed = body.replace(b": ", b":")
    return b'"status":"QUEUED"' in packed and b'"errors":[]' in packed


if __name__ == "__main__":
    main()
