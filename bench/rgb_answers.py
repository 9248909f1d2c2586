"""From an answer of nested RGB integers to a JPEG, and how late the event loop is while four are decoded at once.

The baseline is `json.loads`, `numpy.array`, Pillow: without thumbnail, BlurHash and hash, which the product makes too.
Both run in a process that is set up like the server, with threads like its own.

`python -m bench.rgb_answers --rounds 9`
"""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
from PIL import Image

from bench.answers import finished, rgb_answer
from bench.harness import Figures, Target, arguments, latency_figures, report, run
from graphql_api.bootstrap import CPU_NICENESS
from graphql_api.commands.process import GC_THRESHOLDS, SWITCH_SECONDS
from graphql_api.ports import Answer
from graphql_api.service.pictures import JPEG_QUALITY

TARGETS = (
    Target(text="at most an eighth of the baseline's time", figure="wall_ms", limit=1 / 8, ratio_to="wall_ms"),
    Target(text="loop lag p99 below 10 ms", figure="lag_p99_ms", limit=10),
)
AT_ONCE = 4
TIMER_SECONDS = 0.001

Work = Callable[[Answer, int], object]


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=9, side=768, seconds=3.0)
    answer = rgb_answer(asked.side)
    _be_like_the_server()
    works: dict[str, Work] = {"product": finished, "baseline": by_the_book}
    figures: dict[str, list[Figures]] = {}
    for turn in range(asked.rounds):
        for name, work in works.items():
            if asked.only in (None, name):
                found = {**alone(work, answer, asked.side), **run(together(work, answer, asked.side, asked.seconds))}
                figures.setdefault(name, []).append(found)
                shown = "  ".join(f"{figure} {value:,.4g}" for figure, value in found.items())
                print(f"round {turn + 1} {name}: {shown}", file=sys.stderr)
    report("rgb_answers", figures, TARGETS, side=asked.side, body_bytes=len(answer.body), at_once=AT_ONCE)


def by_the_book(answer: Answer, side: int) -> bytes:
    """What a tutorial does with such an answer."""
    pixels = np.array(json.loads(answer.body)["generated_images"][0], np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4")
    return file.getvalue()


def alone(work: Work, answer: Answer, side: int) -> Figures:
    """One answer with nothing else going on, after one that warms up."""
    work(answer, side)
    wall, cpu = time.perf_counter(), time.thread_time()
    work(answer, side)
    return {"wall_ms": 1000 * (time.perf_counter() - wall), "cpu_ms": 1000 * (time.thread_time() - cpu)}


async def together(work: Work, answer: Answer, side: int, seconds: float) -> Figures:
    """As many answers as threads like the product's get done, while a timer looks how late the event loop is."""
    lateness: list[float] = []
    timer = asyncio.create_task(_watch(lateness))
    with ThreadPoolExecutor(AT_ONCE, initializer=_be_nice) as executor:
        started_at = time.perf_counter()
        done = await asyncio.gather(
            *(_keep_busy(executor, work, answer, side, started_at + seconds) for _ in range(AT_ONCE))
        )
        taken_seconds = time.perf_counter() - started_at
    timer.cancel()
    return {
        **{f"lag_{name}": value for name, value in latency_figures(lateness).items()},
        "answers_a_second": sum(done) / taken_seconds,
    }


async def _watch(lateness: list[float]) -> None:
    while True:
        due = time.perf_counter() + TIMER_SECONDS
        await asyncio.sleep(TIMER_SECONDS)
        lateness.append(max(0.0, time.perf_counter() - due))


async def _keep_busy(executor: Executor, work: Work, answer: Answer, side: int, until: float) -> int:
    done = 0
    while time.perf_counter() < until:
        await asyncio.get_running_loop().run_in_executor(executor, work, answer, side)
        done += 1
    return done


def _be_like_the_server() -> None:
    # The baseline makes millions of lists. A collector that is not told otherwise doubles its time, and more.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)


def _be_nice() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), CPU_NICENESS)


if __name__ == "__main__":
    main()
