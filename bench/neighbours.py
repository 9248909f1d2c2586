"""What an honest caller notices of a hostile one: latency of mutations and of events, alone and side by side.

The honest caller uses `gql`, over HTTP and over a WebSocket, at a steady rate; the other is `bench.hostile_client`.
Alone and side by side are measured in turn on one server, with the limits that docs/security.md recommends.

`python -m bench.neighbours --rounds 3 --seconds 100 --rate 10`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from tempfile import NamedTemporaryFile

from gql import Client, GraphQLRequest, gql
from gql.client import AsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportError
from gql.transport.websockets import WebsocketsTransport

from bench.admission import new_key
from bench.harness import (
    PRODUCT_SETTINGS,
    ROOT,
    Contender,
    Figures,
    Server,
    Target,
    latency_figures,
    report,
    run,
    running,
)

LIMITS = {
    "TEXT2IMAGE_AUTH": "keys",
    "TEXT2IMAGE_REQUESTS_PER_MINUTE": "300",
    "TEXT2IMAGE_JOBS_PER_MINUTE": "10",
    "TEXT2IMAGE_JOBS_IN_FLIGHT": "1",
    "TEXT2IMAGE_SOCKETS_PER_CALLER": "10",
    "TEXT2IMAGE_STREAMS_PER_CALLER": "10",
    "TEXT2IMAGE_MAX_SOCKETS_PER_ADDRESS": "200",
}
"""What anybody may use who has a key."""
MODEL = """
[[model]]
name = "sketch"
endpoint = "sketch:?step_seconds={step_seconds}"
concurrency = 4
limits = {{ max_count = 1, max_dimension = 128, max_prompt_length = 500, max_steps = 8, size_multiple = 8 }}
defaults = {{ width = 64, height = 64, steps = 8, guidance_scale = 7.5 }}
"""
"""All share two processors here: what one image may cost is bounded as it would be by a model's limits."""
HONEST_LIMITS = ("--requests-per-minute", "2000", "--jobs-per-minute", "2000", "--jobs-in-flight", "200")
"""What the honest caller has been given, who uses more."""
SERVER = Contender(
    name="product",
    command=(sys.executable, "-m", "graphql_api", "serve", "--host", "127.0.0.1", "--port", "{port}"),
    environment={**PRODUCT_SETTINGS, **LIMITS},
)
PATIENCE_SECONDS = 30.0
GENERATE = gql(
    "mutation ($input: GenerateImageInput!) { generateImage(input: $input) { job { id } errors { __typename } } }"
)
FOLLOW = gql("subscription { jobsUpdated { kind job { id status images { url } } } }")
TARGETS = (
    Target(
        text="p99 of a mutation side by side, over alone: at most 2",
        figure="hostile_mutation_p99_ms",
        limit=2,
        ratio_to="mutation_p99_ms",
        against="product",
    ),
    Target(
        text="p99 from a mutation to its image side by side, over alone: at most 2",
        figure="hostile_image_p99_ms",
        limit=2,
        ratio_to="image_p99_ms",
        against="product",
    ),
    Target(text="errors that the honest caller saw: none", figure="errors", limit=0),
)


class Honest:
    """What the honest caller saw. Times are in seconds."""

    def __init__(self) -> None:
        self.mutations: list[float] = []
        self.images: list[float] = []
        self.errors: list[str] = []
        self.everything = asyncio.Event()
        """Set while every image that was asked for has come."""
        self._asked_at: dict[str, float] = {}
        self._shown_at: dict[str, float] = {}

    def asked(self, job_id: str, at: float) -> None:
        """A job was acknowledged that was asked for at a time. Its image may have come before the answer."""
        self._asked_at[job_id] = at
        self._join(job_id)

    def shown(self, job_id: str) -> None:
        """The image of a job came."""
        self._shown_at[job_id] = time.perf_counter()
        self._join(job_id)

    def figures(self, prefix: str) -> dict[str, float]:
        """Percentiles in milliseconds."""
        return {
            f"{prefix}{what}_{name}": value
            for what, seconds in (("mutation", self.mutations), ("image", self.images))
            for name, value in latency_figures(seconds).items()
        }

    def _join(self, job_id: str) -> None:
        if job_id in self._asked_at and job_id in self._shown_at:
            self.images.append(self._shown_at.pop(job_id) - self._asked_at.pop(job_id))
        if self._asked_at:
            self.everything.clear()
        else:
            self.everything.set()


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=100.0, help="of each of the two, in each round")
    parser.add_argument("--rate", type=float, default=10.0, help="mutations a second of the honest caller")
    parser.add_argument("--step-seconds", type=float, default=0.0, help="as if the model ran elsewhere, so long a step")
    parser.add_argument("--each", type=int, default=2, help="tasks for each kind of attack")
    asked = parser.parse_args()
    attacks: Counter[str] = Counter()
    figures: list[Figures] = []
    with NamedTemporaryFile("w", suffix=".toml") as models, ExitStack() as stack:
        models.write(MODEL.format(step_seconds=asked.step_seconds))
        models.flush()
        server = stack.enter_context(running(SERVER.with_environment(TEXT2IMAGE_MODELS=models.name)))
        honest_token, hostile_token = new_key(server, *HONEST_LIMITS), new_key(server)
        run(_observe(server, honest_token, seconds=5, rate=asked.rate))
        for _ in range(asked.rounds):
            alone = run(_observe(server, honest_token, seconds=asked.seconds, rate=asked.rate))
            with _hostile(server, hostile_token, each=asked.each, attacks=attacks):
                beside = run(_observe(server, honest_token, seconds=asked.seconds, rate=asked.rate))
            errors = [*alone.errors, *beside.errors]
            if errors:
                print(f"The honest caller saw {errors[:5]}", file=sys.stderr)
            figures.append({**alone.figures(""), **beside.figures("hostile_"), "errors": len(errors)})
            print({name: round(value, 2) for name, value in figures[-1].items()}, file=sys.stderr)
    report(
        "neighbours",
        {"product": figures},
        TARGETS,
        seconds=asked.seconds,
        rate=asked.rate,
        step_seconds=asked.step_seconds,
        attacks=dict(attacks),
    )


async def _observe(server: Server, token: str, *, seconds: float, rate: float) -> Honest:
    """Ask for images at a steady rate, and wait for each."""
    seen = Honest()
    headers = {"Authorization": f"Bearer {token}"}
    http = AIOHTTPTransport(url=f"http://127.0.0.1:{server.port}/graphql", headers=headers)
    async with Client(transport=http) as session, _following(server, headers, seen):
        began = time.perf_counter()
        asking = []
        for number in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            asking.append(asyncio.create_task(_ask(session, seen, number)))
        await asyncio.gather(*asking)
        try:
            await asyncio.wait_for(seen.everything.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            seen.errors.append("an image did not come")
    return seen


async def _ask(session: AsyncClientSession, seen: Honest, number: int) -> None:
    wanted = {"prompt": f"a lighthouse, {number}", "steps": 1, "size": {"dimensions": {"width": 64, "height": 64}}}
    request = GraphQLRequest(GENERATE, variable_values={"input": wanted})
    began = time.perf_counter()
    try:
        payload = (await session.execute(request))["generateImage"]
    except (TransportError, OSError) as error:
        seen.errors.append(repr(error))
        return
    seen.mutations.append(time.perf_counter() - began)
    if payload["errors"]:
        seen.errors.append(str(payload["errors"]))
    else:
        seen.asked(payload["job"]["id"], began)


@asynccontextmanager
async def _following(server: Server, headers: dict[str, str], seen: Honest) -> AsyncIterator[None]:
    """Note the images that come, over a WebSocket."""
    ready = asyncio.Event()
    transport = WebsocketsTransport(
        url=f"ws://127.0.0.1:{server.port}/graphql",
        init_payload=headers,
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )

    async def follow() -> None:
        async with Client(transport=transport) as session:
            ready.set()
            async for result in session.subscribe(FOLLOW):
                job = result["jobsUpdated"]["job"]
                if job is not None and job["images"]:
                    seen.shown(job["id"])

    task = asyncio.create_task(follow())
    await ready.wait()
    try:
        yield
    finally:
        if task.done():
            seen.errors.append(f"the subscription ended: {task.exception()!r}")
        task.cancel()
        await asyncio.wait([task])


@contextmanager
def _hostile(server: Server, token: str, *, each: int, attacks: Counter[str]) -> Iterator[None]:
    """Let the hostile caller do what it can."""
    command = [sys.executable, "-m", "bench.hostile_client", "--port", str(server.port), "--token", token]
    process = subprocess.Popen([*command, "--each", str(each)], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        done, _ = process.communicate(timeout=30)
        attacks.update(json.loads(done))


if __name__ == "__main__":
    main()
