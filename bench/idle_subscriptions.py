"""What an idle subscription costs: memory, and the time to open them all.

`python -m bench.idle_subscriptions --rounds 3 --subscriptions 5000`
"""

from __future__ import annotations

import asyncio
import time

from bench.harness import (
    BASELINE,
    PRODUCT_HOST,
    Control,
    Figures,
    Server,
    Target,
    arguments,
    in_rotation,
    report,
)
from bench.watching import open_watchers

TARGETS = (
    Target(text="at most 40 kB each", figure="kb_each", limit=40),
    Target(text="all open within 12 s", figure="open_seconds", limit=12),
)
WARM_UP_SUBSCRIPTIONS = 50
IDLE_SECONDS = 5.0


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=3, subscriptions=5000, deflate=1)

    async def measure(server: Server) -> Figures:
        return await idle_subscriptions(server, count=asked.subscriptions, deflate=bool(asked.deflate))

    figures = in_rotation((PRODUCT_HOST, BASELINE), measure, rounds=asked.rounds, only=asked.only)
    report(
        "idle_subscriptions",
        figures,
        TARGETS,
        subscriptions=asked.subscriptions,
        client_offers_deflate=bool(asked.deflate),
    )


async def idle_subscriptions(server: Server, *, count: int, deflate: bool) -> Figures:
    """One round. The client offers compression as every browser does, unless told otherwise."""
    async with open_watchers(server, await Control.connect(server), count=WARM_UP_SUBSCRIPTIONS, deflate=deflate):
        pass
    control = await Control.connect(server)
    job_ids = await control.ask("create_jobs", count=count)
    await asyncio.sleep(1.0)
    before, objects_before = await _memory(server, control)
    started_at = time.perf_counter()
    async with open_watchers(server, control, count=count, job_ids=job_ids, deflate=deflate) as arrivals:
        open_seconds = arrivals.open_at - started_at
        await asyncio.sleep(1.0)
        after, objects = await _memory(server, control)
        cpu_before = server.cpu_seconds()
        await asyncio.sleep(IDLE_SECONDS)
        return {
            "kb_each": (after - before) / count / 1000,
            "open_seconds": open_seconds,
            "objects_each": (objects["objects"] - objects_before["objects"]) / count,
            "tasks_each": (objects["tasks"] - objects_before["tasks"]) / count,
            "idle_cpu_share": (server.cpu_seconds() - cpu_before) / IDLE_SECONDS,
            "uss_mb": after / 1e6,
        }


async def _memory(server: Server, control: Control) -> tuple[int, dict[str, int]]:
    objects = await control.ask("collect_garbage")
    return server.uss_bytes(), objects


if __name__ == "__main__":
    main()
