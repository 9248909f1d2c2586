"""How much CPU the server spends on one event for one subscriber, when it is kept as busy as it can be.

Each job has one subscriber on a socket of its own. A volley publishes one event to every job through the in-process
broker; the next volley is fired when the last event of this one has arrived.

`python -m bench.event_delivery --rounds 5 --volleys 50 --subscribers 200`
"""

from __future__ import annotations

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
    Target(
        text="CPU for an event, over the baseline's: at most 0.5",
        figure="cpu_us_each",
        limit=0.5,
        ratio_to="cpu_us_each",
    ),
)
WARM_UP_VOLLEYS = 5


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=5, volleys=50, subscribers=200, deflate=0)

    async def measure(server: Server) -> Figures:
        return await event_delivery(
            server, subscribers=asked.subscribers, volleys=asked.volleys, deflate=bool(asked.deflate)
        )

    figures = in_rotation((PRODUCT_HOST, BASELINE), measure, rounds=asked.rounds, only=asked.only)
    report("event_delivery", figures, TARGETS, subscribers=asked.subscribers, volleys=asked.volleys)


async def event_delivery(server: Server, *, subscribers: int, volleys: int, deflate: bool) -> Figures:
    """One round."""
    control = await Control.connect(server)
    async with open_watchers(server, control, count=subscribers, deflate=deflate) as arrivals:

        async def fire(times: int) -> None:
            for _ in range(times):
                expected = arrivals.events + subscribers
                await control.ask("fire")
                await arrivals.wait_for(expected)

        await fire(WARM_UP_VOLLEYS)
        cpu_before, system_before = server.cpu_seconds(), server.system_seconds()
        started_at, bytes_before = time.perf_counter(), arrivals.bytes
        await fire(volleys)
        events, seconds = volleys * subscribers, time.perf_counter() - started_at
        return {
            "per_second": events / seconds,
            "cpu_us_each": 1e6 * (server.cpu_seconds() - cpu_before) / events,
            "of_it_system_us": 1e6 * (server.system_seconds() - system_before) / events,
            "bytes_each": (arrivals.bytes - bytes_before) / events,
        }


if __name__ == "__main__":
    main()
