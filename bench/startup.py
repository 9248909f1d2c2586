"""How long it takes from the start of the process to the first answered query.

`python -m bench.startup --rounds 7`
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from bench.harness import (
    BASELINE,
    PRODUCT,
    ROOT,
    Contender,
    Figures,
    Target,
    answers,
    arguments,
    filled,
    free_port,
    report,
    stop,
)

TARGETS = (
    Target(text="first answer within 1.2 s", figure="seconds", limit=1.2),
    Target(text="no AWS SDK imported on the way", figure="aws_modules", limit=0),
)
START_SECONDS = 30.0
AWS_PACKAGES = ("boto3", "botocore", "aioboto3", "aiobotocore", "s3transfer")
SLOWEST_SHOWN = 12


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=7)
    figures: dict[str, list[Figures]] = {}
    imports = _imports(PRODUCT) if asked.only != "baseline" else {}
    for _ in range(asked.rounds):
        for contender in (PRODUCT, BASELINE):
            if asked.only in (None, contender.name):
                found: dict[str, float] = {"seconds": _seconds_to_first_answer(contender)}
                if contender is PRODUCT:
                    found["aws_modules"] = sum(name.partition(".")[0] in AWS_PACKAGES for name in imports)
                    found["modules"] = len(imports)
                figures.setdefault(contender.name, []).append(found)
    slowest = sorted(imports.items(), key=lambda item: -item[1])[:SLOWEST_SHOWN]
    report("startup", figures, TARGETS, slowest_imports_self_ms=dict(slowest))
    for name, milliseconds in slowest:
        print(f"{milliseconds:8.1f} ms in {name} itself")


def _seconds_to_first_answer(contender: Contender) -> float:
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command, environment = filled(contender, port=port, control_port=free_port(), folder=folder)
        started_at = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while not answers(port):
                if process.poll() is not None or time.perf_counter() - started_at > START_SECONDS:
                    raise RuntimeError(f"The {contender.name} did not start.")
                time.sleep(0.002)
            return time.perf_counter() - started_at
        finally:
            stop(process)


def _imports(contender: Contender) -> dict[str, float]:
    """Modules that are imported up to the first answer, and the milliseconds that each took itself."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        port = free_port()
        command, environment = filled(contender, port=port, control_port=free_port(), folder=folder)
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", *command[1:]],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not answers(port) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            stop(process)
        log.seek(0)
        return {
            name.strip(): int(own.partition(":")[2]) / 1000
            for line in log
            if line.startswith("import time:") and "imported package" not in line
            for own, _, name in (line.split("|"),)
        }


if __name__ == "__main__":
    main()
