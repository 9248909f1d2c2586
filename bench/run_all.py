"""Runs every benchmark, or renders what the last runs left, as Markdown for docs/benchmarks.md.

`python -m bench.run_all > results.md`, `python -m bench.run_all --render-only`
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from bench.harness import RESULTS, ROOT, table

QUESTIONS = {
    "acknowledgements": "How many durable generateImage mutations a second does one process acknowledge?",
    "event_delivery": "What does one event for one subscriber cost?",
    "latency": "How long does an event take to a subscriber?",
    "loop_lag": "Does rendering hold up the event loop?",
    "idle_subscriptions": "What does an idle subscription cost?",
    "startup": "How long until the first answer?",
    "rgb_answers": "How fast does an RGB answer become a JPEG, and does that hold up the event loop?",
    "jpeg_answers_cpu": "What CPU does an image of a JPEG answer cost, without storing it?",
    "production_path": "What does the product add to a bare invocation and a bare put?",
    "jobs_in_flight": "What memory does a job cost while a slow endpoint draws it?",
    "postgres_acknowledgements": "How many durable mutations a second does one process acknowledge on PostgreSQL?",
    "fleet_latency": "How long does an event take from a worker's commit to a subscriber of another process?",
    "claims": "How many jobs a second do workers claim, and does a long queue slow them down?",
    "job_lists": "How long does a page of a list take in a table of a million jobs?",
    "admission": "What does it cost to know who asks, and how much?",
    "hostile_queries": "What CPU does a hostile document cost?",
    "foreign_ids": "Does time tell a foreign ID from an unknown one?",
    "neighbours": "What does an honest caller notice of a hostile one?",
    "idle_watchers": "What does a watcher cost while nothing happens, with PostgreSQL and Valkey?",
    "studio": "What does the user of the Studio wait for?",
}


def main() -> None:
    """Run and render."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--render-only", action="store_true")
    if not parser.parse_args().render_only:
        for name in QUESTIONS:
            print(f"== {name}", file=sys.stderr)
            subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    results = {name: _result(name) for name in QUESTIONS if (RESULTS / f"{name}.json").exists()}
    print("\n".join(_rendered(results)))


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return result


def _rendered(results: Mapping[str, dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for name, result in results.items():
        if not lines:
            lines += _machine(result["machine"])
        rounds = max(len(found) for found in result["rounds"].values())
        notes = ", ".join(
            f"{key.replace('_', ' ')} {value}" for key, value in result["notes"].items() if _is_short(value)
        )
        lines += ["", f"## {QUESTIONS[name]}", "", *table(result), ""]
        lines.append(f"Median of {rounds} rounds (lowest to highest), {result['measured_at'][:10]}; {notes}.")
    return lines


def _machine(machine: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{package} {number}" for package, number in machine["versions"].items())
    return [
        f"Machine: {machine['cpu']}, {machine['memory_gb']} GB, {machine['system']}, Python {machine['python']}.",
        f"Versions: {versions}.",
        "Load generators run on the same machine, in a process of their own.",
    ]


def _is_short(value: object) -> bool:
    return not isinstance(value, dict | list)


if __name__ == "__main__":
    main()
