"""The side door of a bench host: a socket that takes orders, one JSON object a line.

Both hosts, the product's and the baseline's, publish events from a coroutine of the server's own process and measure
inside of it what cannot be seen from outside. The side door is the same code in both, and costs nothing while a
benchmark does not use it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

LAG_INTERVAL_SECONDS = 0.001


class Host(Protocol):
    """What a bench host can do."""

    async def create_jobs(self, count: int) -> Sequence[str]:
        """Write this many jobs; their IDs, as clients spell them."""
        ...

    async def publish(self, number: int, sequence: int) -> None:
        """Publish a change of the job at this position of `create_jobs`, with `sequence` as its progress step."""
        ...

    def live(self) -> int:
        """How many subscriptions it knows to be live; 0 where subscribers are told by a snapshot."""
        ...


class SideDoor:
    """Carries out orders on a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._jobs = 0
        self._sequence = 0
        self._pauses = GcPauses()
        self._lag = LoopLag()

    async def create_jobs(self, count: int) -> list[str]:
        """Jobs to subscribe to."""
        self._jobs = count
        return list(await self._host.create_jobs(count))

    async def live(self) -> int:
        """How many subscriptions are live."""
        return self._host.live()

    async def fire(self, per_job: int = 1) -> int:
        """Publish to every job at once; the number of events."""
        for _ in range(per_job):
            self._sequence += 1
            for number in range(self._jobs):
                await self._host.publish(number, self._sequence)
        return per_job * self._jobs

    async def stream(self, rate: float, seconds: float) -> list[tuple[int, int, int, int]]:
        """Publish to one job after the other, `rate` events a second in total, each at its own time.

        Returns of each: job number, sequence, when it was due and when it was published (time.monotonic_ns).
        """
        published = []
        start = time.monotonic()
        for count in range(int(rate * seconds)):
            due = start + count / rate
            delay = due - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            number = count % self._jobs
            self._sequence += number == 0
            published.append((number, self._sequence, round(due * 1e9), time.monotonic_ns()))
            await self._host.publish(number, self._sequence)
        return published

    async def watch_gc(self) -> None:
        """Start to time collections of the cyclic garbage collector."""
        self._pauses.start()

    async def gc_pauses(self) -> list[tuple[int, float]]:
        """Generation and milliseconds of each collection since `watch_gc`."""
        return self._pauses.stop()

    async def watch_lag(self) -> None:
        """Start to measure how late the event loop is."""
        self._lag.start()

    async def lag(self) -> list[float]:
        """Milliseconds of lateness of each timer since `watch_lag`."""
        return self._lag.stop()

    async def collect_garbage(self) -> dict[str, int]:
        """Collect, and count the objects that are tracked."""
        gc.collect()
        return {"objects": len(gc.get_objects()), "tasks": len(asyncio.all_tasks())}

    async def trace_memory(self) -> None:
        """Start to note where memory is allocated; slows everything down."""
        gc.collect()
        tracemalloc.start(1)

    async def allocations(self, by: str, count: int) -> list[tuple[str, int, int]]:
        """Place, bytes and blocks of what was allocated since `trace_memory` and lives: `by` "filename" or "lineno"."""
        gc.collect()
        found = tracemalloc.take_snapshot().statistics(by)[:count]
        return [(str(one.traceback), one.size, one.count) for one in found]

    async def objects_by_type(self) -> dict[str, int]:
        """How many objects of each type the garbage collector tracks."""
        gc.collect()
        return dict(Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects()))


class GcPauses:
    """Times every collection."""

    def __init__(self) -> None:
        self._started_at = 0
        self._pauses: list[tuple[int, float]] = []

    def start(self) -> None:
        """Begin."""
        gc.callbacks.append(self._note)

    def stop(self) -> list[tuple[int, float]]:
        """End; generation and milliseconds of each."""
        gc.callbacks.remove(self._note)
        pauses, self._pauses = self._pauses, []
        return pauses

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._started_at = time.perf_counter_ns()
        else:
            self._pauses.append((info["generation"], (time.perf_counter_ns() - self._started_at) / 1e6))


class LoopLag:
    """Sets a timer again and again and notes how late it rings. loop.time() of uvloop counts whole milliseconds, so
    lateness is taken from another clock. A timer that rings late stands for those that would have been due meanwhile:
    without them a long stall would count as one sample."""

    def __init__(self) -> None:
        self._lateness: list[float] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin."""
        self._set(asyncio.get_running_loop())

    def stop(self) -> list[float]:
        """End; milliseconds of each timer."""
        if self._timer is not None:
            self._timer.cancel()
        lateness, self._lateness = self._lateness, []
        return lateness

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        due = time.perf_counter() + LAG_INTERVAL_SECONDS
        self._timer = loop.call_later(LAG_INTERVAL_SECONDS, self._ring, loop, due)

    def _ring(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        late = max(0.0, time.perf_counter() - due)
        self._lateness.append(1000 * late)
        while (late := late - LAG_INTERVAL_SECONDS) > 0:
            self._lateness.append(1000 * late)
        self._set(loop)


@asynccontextmanager
async def side_door(host: Host, port: int) -> AsyncIterator[None]:
    """Keep the side door of a host open."""
    async with taking_orders(SideDoor(host), port):
        yield


@asynccontextmanager
async def taking_orders(orders: object, port: int) -> AsyncIterator[None]:
    """Let the coroutines of an object be called over a socket."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(json.dumps(await _carry_out(orders, json.loads(line))).encode() + b"\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def _carry_out(orders: object, line: dict[str, Any]) -> dict[str, Any]:
    method = getattr(orders, line.pop("order"))
    try:
        return {"result": await method(**line)}
    except Exception as error:
        return {"error": repr(error)}
