"""How long a published event takes to a subscriber's socket, at a rate that does not fill the server.

Host and subscribers share the machine, and so the clock (CLOCK_MONOTONIC). Each event carries its sequence number.
The publisher shares the event loop with the server, so a stall also holds up publishing: the time since an event was
due counts that wait too.

`python -m bench.latency --rounds 3 --seconds 20 --subscribers 1000 --rate 500`
"""

from __future__ import annotations

import asyncio

from bench.harness import (
    BASELINE,
    PRODUCT_HOST,
    Control,
    Figures,
    Server,
    Target,
    arguments,
    in_rotation,
    latency_figures,
    percentile,
    report,
)
from bench.watching import open_watchers

TARGETS = (
    Target(text="p50 below 3 ms", figure="p50_ms", limit=3),
    Target(text="p99 below 15 ms", figure="p99_ms", limit=15),
)
WARM_UP_SECONDS = 2.0


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=3, seconds=20.0, subscribers=1000, rate=500.0)

    async def measure(server: Server) -> Figures:
        return await latency(server, subscribers=asked.subscribers, rate=asked.rate, seconds=asked.seconds)

    figures = in_rotation((PRODUCT_HOST, BASELINE), measure, rounds=asked.rounds, only=asked.only)
    report(
        "latency", figures, TARGETS, subscribers=asked.subscribers, events_per_second=asked.rate, seconds=asked.seconds
    )


async def latency(server: Server, *, subscribers: int, rate: float, seconds: float) -> Figures:
    """One round."""
    control = await Control.connect(server)
    async with open_watchers(server, control, count=subscribers) as arrivals:
        await control.ask("stream", rate=rate, seconds=WARM_UP_SECONDS)
        await asyncio.sleep(1.0)
        arrivals.kept = []
        await control.ask("watch_gc")
        cpu_before = server.cpu_seconds()
        published = await control.ask("stream", rate=rate, seconds=seconds)
        await arrivals.wait_for(arrivals.events - len(arrivals.kept) + len(published))
        cpu_seconds = server.cpu_seconds() - cpu_before
        pauses = await control.ask("gc_pauses")
        came_at = {(number, step): now for number, step, now in arrivals.kept}
        waits = [(came_at[number, step] - at) / 1e9 for number, step, _, at in published]
        since_due = sorted((came_at[number, step] - due) / 1e9 for number, step, due, _ in published)
        return {
            **latency_figures(waits),
            "p99_since_due_ms": 1000 * percentile(since_due, 99),
            "cpu_us_each": 1e6 * cpu_seconds / len(published),
            "cpu_share": cpu_seconds / seconds,
            **gc_figures(pauses),
        }


def gc_figures(pauses: list[tuple[int, float]]) -> dict[str, float]:
    """Collections of the oldest generation, the longest pause, and the time that all took."""
    full = [milliseconds for generation, milliseconds in pauses if generation == 2]
    return {
        "gc_full_collections": len(full),
        "gc_full_max_ms": max(full, default=0.0),
        "gc_young_max_ms": max((milliseconds for generation, milliseconds in pauses if generation < 2), default=0.0),
        "gc_total_ms": sum(milliseconds for _, milliseconds in pauses),
    }


if __name__ == "__main__":
    main()
