"""What the product computes for each image of an answer that holds JPEGs: its own CPU time, and of which parts.

Without putting the files into a store. `python -m bench.jpeg_answers_cpu --rounds 7`
"""

from __future__ import annotations

import hashlib
import io
import statistics
import sys
import time
from collections.abc import Callable, Mapping

from PIL import Image

from bench.answers import finished, jpeg_answer, parameters
from bench.harness import Figures, Target, arguments, report
from graphql_api.codecs import codec_named
from graphql_api.ports import EncodedPicture, ModelRequest
from graphql_api.service.pictures import finish

TARGETS = (Target(text="at most 7 ms of CPU an image", figure="cpu_ms", limit=7),)


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=7, side=768, images=50)
    works = works_of(asked.side)
    figures: list[Figures] = []
    for turn in range(asked.rounds):
        found = {name: cpu_ms(work, asked.images) for name, work in works.items()}
        figures.append(found)
        print(
            f"round {turn + 1}: " + "  ".join(f"{name} {value:.3g}" for name, value in found.items()), file=sys.stderr
        )
    body_bytes = len(jpeg_answer(asked.side).body)
    report("jpeg_answers_cpu", {"product": figures}, TARGETS, side=asked.side, body_bytes=body_bytes)


def works_of(side: int) -> Mapping[str, Callable[[], object]]:
    """All of it, then what it consists of; `of_which_pixels` and `of_which_hash` are parts of `of_which_finish`."""
    answer = jpeg_answer(side)
    codec = codec_named("jumpstart-sd")
    request = ModelRequest(body=b"", content_type="", accept="")
    (picture,) = codec.decode(request, answer)
    assert isinstance(picture, EncodedPicture)
    file, wanted = picture.body, parameters(side)
    return {
        "cpu_ms": lambda: finished(answer, side),
        "of_which_decode": lambda: codec.decode(request, answer),
        "of_which_finish": lambda: finish(
            picture, parameters=wanted, index=0, model_name="bench", embed_parameters=True
        ),
        "of_which_pixels": lambda: Image.open(io.BytesIO(file)).load(),
        "of_which_hash": lambda: hashlib.sha256(file).hexdigest(),
    }


def cpu_ms(work: Callable[[], object], times: int) -> float:
    """Median CPU time of this thread. Nothing here starts others."""
    taken = []
    for _ in range(times):
        before = time.thread_time()
        work()
        taken.append(1000 * (time.thread_time() - before))
    return statistics.median(taken)


if __name__ == "__main__":
    main()
