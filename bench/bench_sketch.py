"""How long does the built-in renderer take for 768 x 768 and 50 steps, JPEG included?

Run: python bench/bench_sketch.py [runs]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from graphql_api.adapters.model_endpoint.sketch.frame import frame_for
from graphql_api.adapters.model_endpoint.sketch.prompt_reading import read_prompt
from graphql_api.adapters.model_endpoint.sketch.renderer import Canvas, Sketch, draw
from graphql_api.adapters.model_endpoint.sketch.scene import paint_scene
from graphql_api.adapters.model_endpoint.sketch.wire import encode_answer, encode_jpeg, encode_preview

PROMPTS = (
    "a sunset over the ocean",
    "a city at night in the rain, neon",
    "portrait of an old sailor, pencil sketch",
    "snowy mountains under the aurora",
    "a garden of wild flowers, oil painting",
    "autumn path",
    "a prompt of unknown things",
)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    say("768x768, 50 steps, with JPEG of quality 90; milliseconds, median (lowest - highest)")
    for prompt in PROMPTS:
        sketch = sketch_of(prompt)
        report(prompt, partial(picture_of, sketch), runs)
    say("phases of the first prompt")
    report_phases(sketch_of(PROMPTS[0]), runs)


def sketch_of(prompt: str) -> Sketch:
    return Sketch(prompt=prompt, negative_prompt=None, width=768, height=768, steps=50, guidance_scale=7.5, seed=1)


def picture_of(sketch: Sketch) -> bytes:
    return encode_jpeg(last_canvas(sketch).pixels())


def last_canvas(sketch: Sketch) -> Canvas:
    *_, last = draw(sketch)
    return last


def report_phases(sketch: Sketch, runs: int) -> None:
    canvas = last_canvas(sketch)
    pixels, preview = canvas.pixels(), canvas.preview()
    scene = read_prompt(sketch.prompt, None)
    for shrink in (4, 2, 1):
        frame = frame_for(width=768, height=768, shrink=shrink, key="bench", tiles={})
        report(f"scene at 1/{shrink}", partial(paint_scene, frame, scene, 7.5), runs)
    report("pixels()", canvas.pixels, runs)
    report("preview()", canvas.preview, runs)
    report("encode_preview", lambda: encode_preview(preview), runs)
    report("encode_jpeg", lambda: encode_jpeg(pixels), runs)
    report("answer as nested RGB", lambda: encode_answer([pixels], "", "application/json"), runs)
    report("steps and all, no JPEG", lambda: last_canvas(sketch), runs)


def report(name: str, work: Callable[[], Any], runs: int) -> None:
    work()
    walls, cpus = zip(*(timed(work) for _ in range(runs)), strict=True)
    say(f"{name:45s} wall {spread(walls)}   cpu {spread(cpus)}")


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def spread(times: tuple[float, ...]) -> str:
    return f"{statistics.median(times):7.1f} ({min(times):.1f} - {max(times):.1f})"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
