"""The stock baseline: Strawberry's ASGI app with default settings, SQLAlchemy's ORM over aiosqlite, uvicorn[standard].

`python -m bench.baseline.stock_server --port 8000 --control 8001`

The environment changes one thing at a time, for the experiments in docs/benchmarks.md: STOCK_GC (freeze, off),
STOCK_GC_THRESHOLD (three numbers), STOCK_WS (the name of a WebSocket implementation of uvicorn), STOCK_DEFLATE (off),
STOCK_LOOP (asyncio), STOCK_LEAK (off).
"""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import strawberry
import uvicorn
from graphql.execution.executor import Executor
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL

from bench.baseline.stock_events import broker
from bench.baseline.stock_schema import (
    GenerateImageInput,
    GenerationJob,
    Image,
    JobEvent,
    JobEventKind,
    JobPhase,
    JobProgress,
    JobStatus,
    as_job,
    new_row,
    schema,
)
from bench.baseline.stock_store import create_tables, engine, new_session
from bench.harness import raise_file_limit
from bench.hosting import side_door


class StockHost:
    """The baseline behind the side door."""

    def __init__(self) -> None:
        self._jobs: list[GenerationJob] = []

    async def create_jobs(self, count: int) -> Sequence[str]:
        rows = [new_row(GenerateImageInput(prompt="a lighthouse"), revision=number) for number in range(count)]
        async with new_session() as session, session.begin():
            session.add_all(rows)
        self._jobs = [as_job(row) for row in rows]
        return [row.id for row in rows]

    async def publish(self, number: int, sequence: int) -> None:
        job = self._jobs[number]
        moved = replace(
            job,
            status=JobStatus.RUNNING,
            progress=JobProgress(fraction=0.5, step=sequence, total_steps=50, phase=JobPhase.GENERATING),
            images=[
                Image(url=f"/images/{job.id}/0.jpg", thumbnail_url=f"/images/{job.id}/0.webp", width=512, height=512)
            ],
        )
        event = JobEvent(
            kind=JobEventKind.STATUS,
            cursor=str(sequence),
            occurred_at=datetime.now(UTC),
            job_id=strawberry.ID(job.id),
            job=moved,
        )
        await broker.publish(job.id, event)

    def live(self) -> int:
        return broker.count()


def stop_the_leak() -> None:
    """What graphql-core 3.3.2 leaks: events of a subscription share a memo whose keys are new objects each time."""
    inherited = Executor.build_per_event_executor

    def build_per_event_executor(self: Executor[Any], payload: Any) -> Executor[Any]:
        executor = inherited(self, payload)
        executor._relevant_sub_fields = {}
        return executor

    setattr(Executor, "build_per_event_executor", build_per_event_executor)  # noqa: B010


def create_app(control_port: int) -> Starlette:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await create_tables()
        if os.environ.get("STOCK_GC") == "freeze":
            gc.collect()
            gc.freeze()
        if os.environ.get("STOCK_GC") == "off":
            gc.disable()
        if threshold := os.environ.get("STOCK_GC_THRESHOLD"):
            gc.set_threshold(*(int(number) for number in threshold.split(",")))
        async with side_door(StockHost(), control_port):
            yield
        await engine.dispose()

    graphql: GraphQL[Any, Any] = GraphQL(schema)
    routes = [Route("/graphql", graphql), WebSocketRoute("/graphql", graphql)]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control", type=int, required=True)
    arguments = parser.parse_args()
    raise_file_limit()
    if os.environ.get("STOCK_LEAK") == "off":
        stop_the_leak()
    uvicorn.run(
        create_app(arguments.control),
        host="127.0.0.1",
        port=arguments.port,
        access_log=False,
        log_level="warning",
        loop=os.environ.get("STOCK_LOOP", "auto"),
        ws=os.environ.get("STOCK_WS", "auto"),
        ws_per_message_deflate=os.environ.get("STOCK_DEFLATE") != "off",
    )


if __name__ == "__main__":
    main()
