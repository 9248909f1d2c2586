"""Whether the time of an answer tells an ID of somebody else's job from one that never was.

Requests for the two, and for a job of one's own, are sent in turn over one connection, so that whatever happens to the
machine happens to all three.

`python -m bench.foreign_ids --rounds 3 --requests 3000`
"""

from __future__ import annotations

import argparse
import statistics
import time

from bench.admission import new_key
from bench.harness import PRODUCT, Contender, Figures, Server, Target, report, run, running
from bench.load.graphql import Caller
from graphql_api.domain.ids import global_id, new_job_id

SERVER = Contender(
    name="product",
    command=PRODUCT.command,
    environment={**PRODUCT.environment, "TEXT2IMAGE_AUTH": "keys"},
)
QUERY = "query ($id: ID!) { job(id: $id) { id status parameters { prompt } } }"
CANCEL = "mutation ($id: ID!) { cancelJob(input: {id: $id}) { job { id } errors { __typename } } }"
GENERATE = 'mutation { generateImage(input: {prompt: "a lighthouse"}) { job { id } } }'
TARGETS = tuple(
    Target(
        text=f"median of a {what} with a foreign ID over one with an unknown ID: at most 1.02",
        figure=f"{what}_foreign_us",
        limit=1.02,
        ratio_to=f"{what}_unknown_us",
        against="product",
    )
    for what in ("query", "mutation")
)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=3000)
    asked = parser.parse_args()
    figures: list[Figures] = []
    for _ in range(asked.rounds):
        with running(SERVER) as server:
            figures.append(run(_measure(server, asked.requests)))
    report("foreign_ids", {"product": figures}, TARGETS, requests=asked.requests)


async def _measure(server: Server, requests: int) -> Figures:
    owner = await Caller.open(server.port, token=new_key(server))
    other = await Caller.open(server.port, token=new_key(server))
    jobs = [(await owner.ask(GENERATE, {}))["data"]["generateImage"]["job"]["id"] for _ in range(200)]
    own = [(await other.ask(GENERATE, {}))["data"]["generateImage"]["job"]["id"] for _ in range(200)]
    figures: dict[str, float] = {}
    for what, document in (("query", QUERY), ("mutation", CANCEL)):
        seconds: dict[str, list[float]] = {"foreign": [], "unknown": [], "own": []}
        for number in range(requests):
            ids = {
                "foreign": jobs[number % len(jobs)],
                "unknown": global_id("GenerationJob", new_job_id()),
                "own": own[number % len(own)],
            }
            # Whichever comes first finds the caches as the last one has left them.
            for kind in list(ids) if number % 2 else reversed(list(ids)):
                began = time.perf_counter()
                await other.ask(document, {"id": ids[kind]})
                seconds[kind].append(time.perf_counter() - began)
        figures |= {f"{what}_{kind}_us": 1e6 * statistics.median(found) for kind, found in seconds.items()}
    return figures


if __name__ == "__main__":
    main()
