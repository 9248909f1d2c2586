"""Whether the server is up, what it counts, and pictures of what it is doing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import REGISTRY, Metric
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from graphql_api import metrics
from graphql_api.http import json
from graphql_api.ports import EventBroker, QueueDepth
from graphql_api.service.clock import utc_now

logger = logging.getLogger(__name__)

T = TypeVar("T")

CHECK_SECONDS = 5.0
"""How long a part may take to answer."""
CHECKS_ARE_FRESH_SECONDS = 1.0
DEPTHS_ARE_FRESH_SECONDS = 2.0
NO_STORE = {"Cache-Control": "no-store"}

ALIVE_PATH, READY_PATH, METRICS_PATH = "/healthz", "/readyz", "/metrics"
PROBE_PATHS = (ALIVE_PATH, READY_PATH)
"""What load balancers ask for, by whatever address they know the server. They tell nothing that is a secret."""


class _Kept(Generic[T]):
    """What `read` returns, read at most once in so many seconds however many ask, and once for all who ask meanwhile:
    probes are no way to load what they look at."""

    def __init__(self, read: Callable[[], Awaitable[T]], fresh_seconds: float) -> None:
        self._read = read
        self._fresh_seconds = fresh_seconds
        self._reading: asyncio.Task[T] | None = None
        self._stale_at = 0.0

    async def get(self) -> T:
        """The latest, which must not be changed."""
        if self._reading is None or (self._reading.done() and asyncio.get_running_loop().time() >= self._stale_at):
            self._reading = asyncio.create_task(self._read_once())
        return await asyncio.shield(self._reading)

    async def _read_once(self) -> T:
        try:
            return await self._read()
        finally:
            self._stale_at = asyncio.get_running_loop().time() + self._fresh_seconds


@dataclass(frozen=True, slots=True)
class Part:
    """Something that the server needs, or would miss. `check` raises when it does not answer."""

    name: str
    check: Callable[[], Awaitable[None]]
    is_needed: bool


class Readiness:
    """Whether this replica can take traffic.

    Without the job store it cannot. Without the event broker it is degraded, and still takes traffic: watchers fall
    back on reading rows, and all replicas share the broker, so that leaving the load balancer would take all of them
    away at once and put nothing right. A replica that drains takes no traffic.
    """

    def __init__(self, parts: Sequence[Part], draining: asyncio.Event) -> None:
        self._parts = parts
        self._draining = draining
        self._looks = _Kept(self._look, CHECKS_ARE_FRESH_SECONDS)
        self._were_up: dict[str, bool] = {}

    async def up(self) -> dict[str, bool]:
        """Which parts answer, by name."""
        return await self._looks.get()

    async def answer(self) -> tuple[int, dict[str, object]]:
        """The HTTP status, and what to say. It names parts, never where they are."""
        are_up = await self.up()
        if self._draining.is_set():
            code, status = 503, "draining"
        elif not all(are_up[part.name] for part in self._parts if part.is_needed):
            code, status = 503, "unavailable"
        else:
            code, status = 200, "ready" if all(are_up.values()) else "degraded"
        parts = {name: "up" if is_up else "down" for name, is_up in are_up.items()}
        return code, {"status": status, "draining": self._draining.is_set(), "parts": parts}

    async def _look(self) -> dict[str, bool]:
        results = await asyncio.gather(*(self._is_up(part) for part in self._parts))
        return {part.name: is_up for part, is_up in zip(self._parts, results, strict=True)}

    async def _is_up(self, part: Part) -> bool:
        fault: Exception | None = None
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await part.check()
        except Exception as error:
            fault = error
        is_up = fault is None
        if is_up is not self._were_up.get(part.name, True):
            # Once, not with every probe.
            logger.log(
                logging.INFO if is_up else logging.WARNING,
                "the %s %s",
                part.name.replace("_", " "),
                "answers again" if is_up else "does not answer",
                exc_info=fault,
            )
        self._were_up[part.name] = is_up
        metrics.PART_UP.labels(part.name).set(is_up)
        return is_up


def health_routes(readiness: Readiness) -> list[Route]:
    """GET /healthz answers as long as the process does; GET /readyz tells whether to send it traffic, and why not."""

    async def live(request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=NO_STORE)

    async def ready(request: Request) -> Response:
        code, answer = await readiness.answer()
        return Response(json.encode(answer), status_code=code, media_type="application/json", headers=NO_STORE)

    return [Route(ALIVE_PATH, live), Route(READY_PATH, ready)]


def metrics_routes(
    readiness: Readiness, depths: Callable[[], Awaitable[Sequence[QueueDepth]]], model_names: Sequence[str]
) -> list[Route]:
    """GET /metrics, for Prometheus. What cannot be read now is left out, rather than make the answer an error."""

    async def read_queue() -> Sequence[QueueDepth] | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await depths()
        except Exception as error:
            logger.warning("the depths of the queue were not read: %s", error)
            return None

    queue = _Kept(read_queue, DEPTHS_ARE_FRESH_SECONDS)

    async def show(request: Request) -> Response:
        found, _ = await asyncio.gather(queue.get(), readiness.up())
        families = [] if found is None else _queue_families(found, model_names)
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        # Reading the files of /proc and writing hundreds of lines would hold up every event that is due.
        body = await asyncio.to_thread(encode, _Families(families))
        return Response(body, headers={"Content-Type": media_type, **NO_STORE})

    return [Route(METRICS_PATH, show)]


def _queue_families(found: Sequence[QueueDepth], model_names: Sequence[str]) -> list[Metric]:
    metrics.QUEUED_JOBS.clear()
    metrics.OLDEST_QUEUED.clear()
    for name in model_names:
        metrics.QUEUED_JOBS.labels(name).set(0)
        metrics.OLDEST_QUEUED.labels(name).set(0)
    for depth in found:
        age = (utc_now() - depth.oldest_created_at).total_seconds()
        metrics.QUEUED_JOBS.labels(depth.model_name).set(depth.jobs)
        metrics.OLDEST_QUEUED.labels(depth.model_name).set(max(age, 0.0))
    return list(metrics.QUEUE.collect())


class _Families:
    """Everything that the process counts, behind what was read for this answer."""

    def __init__(self, read: Sequence[Metric]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client.registry.Collector."""
        yield from self._read
        yield from REGISTRY.collect()


def preview_routes(broker: EventBroker) -> list[Route]:
    """GET /previews/<key>: the unfinished image of a running job. A key is good for as long as its job runs, and a
    little longer."""

    async def show(request: Request) -> Response:
        body = await broker.preview(request.path_params["key"])
        headers = {**NO_STORE, "X-Content-Type-Options": "nosniff"}
        if body is None:
            return PlainTextResponse("There is no such preview any more.\n", status_code=404, headers=headers)
        return Response(body, media_type="image/webp", headers=headers)

    return [Route("/previews/{key:path}", show)]
