"""Where the memory of an idle subscription and the CPU of an event go. For people who optimise, not for a table.

`python -m bench.explain memory --only baseline`, `python -m bench.explain cpu --only product` (needs py-spy and root)
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench.event_delivery import event_delivery
from bench.harness import BASELINE, PRODUCT_HOST, Control, Figures, Server, run, running
from bench.watching import open_watchers

SUBSCRIPTIONS = 300
SAMPLES_PER_SECOND = 400
SHOWN = 45


def main() -> None:
    """Explain one side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("memory", "cpu"))
    parser.add_argument("--only", choices=("product", "baseline"), required=True)
    parser.add_argument("--volleys", type=int, default=50)
    asked = parser.parse_args()
    with running(BASELINE if asked.only == "baseline" else PRODUCT_HOST) as server:
        if asked.what == "memory":
            run(explain_memory(server))
        else:
            run(explain_cpu(server, volleys=asked.volleys))


async def explain_memory(server: Server) -> None:
    """Print bytes and blocks per subscription by file and by line, and tracked objects by type. zlib is not seen."""
    async with open_watchers(server, await Control.connect(server), count=20, deflate=False):
        pass
    control = await Control.connect(server)
    job_ids = await control.ask("create_jobs", count=SUBSCRIPTIONS)
    await asyncio.sleep(0.5)
    before = Counter(await control.ask("objects_by_type"))
    await control.ask("trace_memory")
    async with open_watchers(server, control, count=SUBSCRIPTIONS, job_ids=job_ids):
        for by in ("filename", "lineno"):
            print(f"\nbytes and blocks per subscription, by {by}")
            for place, size, blocks in await control.ask("allocations", by=by, count=SHOWN):
                print(f"{size / SUBSCRIPTIONS:9.0f} {blocks / SUBSCRIPTIONS:8.1f}  {_short(place)}")
        print("\ntracked objects per subscription, by type")
        after = Counter(await control.ask("objects_by_type"))
        for name, count in (after - before).most_common(SHOWN):
            print(f"{count / SUBSCRIPTIONS:9.2f}  {name}")


async def explain_cpu(server: Server, *, volleys: int) -> None:
    """Print the share of samples in each function, alone and with what it calls, while events are delivered."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stacks"
        spy = await asyncio.create_subprocess_exec(
            *("py-spy", "record", "--pid", str(server.process.pid), "--format", "raw", "--output", str(path)),
            *("--rate", str(SAMPLES_PER_SECOND), "--duration", "600", "--nonblocking"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        figures: Figures = await event_delivery(server, subscribers=200, volleys=volleys, deflate=False)
        spy.send_signal(signal.SIGINT)
        await spy.wait()
        stacks = list(_stacks(path))
    total = sum(count for _, count in stacks)
    print(figures)
    alone, inclusive = Counter[str](), Counter[str]()
    for frames, count in stacks:
        alone[frames[-1]] += count
        for frame in set(frames):
            inclusive[frame] += count
    for title, counts in (("alone", alone), ("with what it calls", inclusive)):
        print(f"\nshare of {total} samples, {title}")
        for frame, count in counts.most_common(SHOWN):
            print(f"{100 * count / total:6.1f} %  {frame}")


def _stacks(path: Path) -> Iterator[tuple[list[str], int]]:
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        yield [_short(frame.rsplit(":", 1)[0]) for frame in stack.split(";")], int(count)


def _short(place: str) -> str:
    return place.rpartition("site-packages/")[2].rpartition("lib/python3.11/")[2]


if __name__ == "__main__":
    main()
