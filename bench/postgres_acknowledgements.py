"""How many generateImage mutations a second one server process acknowledges on PostgreSQL, each durable before its
answer, against what asyncpg does by hand with the same rows.

By hand there is no HTTP, no GraphQL, no events, no limit of the queue and no turn of the caller: 64 connections, each
in a loop that takes the caller's revision, inserts the job and inserts its prompt. Once as anybody writes it, three
statements in a transaction, once as one statement. All jobs are of one caller, as those of a server without sign-in
are. For information: with 1,000 callers no transaction waits for another one's row; and with a single connection none
waits either, which for one caller is the fastest that can be done by hand without batches.

`python -m bench.postgres_acknowledgements --rounds 5 --seconds 5 --connections 64`
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg

from bench.acknowledgements import acknowledgements
from bench.backing import Backing, backing, make_schema
from bench.documents import GENERATE
from bench.harness import Figures, Server, Target, arguments, latency_figures, report, run, running
from bench.load.http import post
from graphql_api.adapters.job_store.rows import JobColumns, job_columns
from graphql_api.bootstrap import SKETCH
from graphql_api.domain.generation import GenerationRequest, complete
from graphql_api.domain.ids import LOCAL_CALLER, CallerId, JobId, new_job_id
from graphql_api.domain.job import Job, Progress

TARGETS = (
    Target(
        text="rate over that by hand in three statements: at least 0.6",
        figure="per_second",
        limit=0.6,
        at_least=True,
        ratio_to="per_second",
    ),
    Target(
        text="rate over that by hand in one statement: at least 0.6",
        figure="per_second",
        limit=0.6,
        at_least=True,
        ratio_to="per_second",
        against="one_statement",
    ),
)
WARM_UP_SECONDS = 1.0
MANY_CALLERS = 1000

SIDES = (
    "product",
    "baseline",
    "one_statement",
    "one_statement_1_connection",
    "baseline_1000_callers",
    "one_statement_1000_callers",
)

Connection = Any
Insert = Callable[[Connection, JobColumns], Awaitable[None]]

TAKE_REVISION = """
INSERT INTO callers AS counter (caller_id, revision) VALUES ($1, 1)
ON CONFLICT (caller_id) DO UPDATE SET revision = counter.revision + 1
RETURNING revision
"""
INSERT_JOB = """
INSERT INTO jobs (
    id, caller_id, revision, status, model, created_at, started_at, answered_at, finished_at, expires_at, attempt, work,
    unswept, turn, data
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
RETURNING id
"""
INSERT_PROMPT = "INSERT INTO prompts (job_id, caller_id, folded) VALUES ($1, $2, $3) RETURNING job_id"
ALL_AT_ONCE = """
WITH counter AS (
    INSERT INTO callers AS counter (caller_id, revision) VALUES ($2, 1)
    ON CONFLICT (caller_id) DO UPDATE SET revision = counter.revision + 1
    RETURNING revision
),
added AS (
    INSERT INTO jobs (
        id, caller_id, revision, status, model, created_at, started_at, answered_at, finished_at, expires_at, attempt,
        work, unswept, turn, data
    )
    SELECT $1, $2, revision, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, revision, $13 FROM counter
    RETURNING id, revision
),
searchable AS (
    INSERT INTO prompts (job_id, caller_id, folded) VALUES ($1, $2, $14)
)
SELECT revision FROM added
"""


def main() -> None:
    """Measure and report."""
    asked = arguments(__doc__, rounds=5, seconds=5.0, connections=64)
    figures: dict[str, list[Figures]] = {}
    with backing() as servers:
        for turn in range(asked.rounds):
            for side in SIDES:
                if asked.only is not None and (asked.only == "product") != (side == "product"):
                    continue
                found = _measured(servers, side, seconds=asked.seconds, connections=asked.connections)
                figures.setdefault(side, []).append(found)
                shown = "  ".join(f"{name} {value:,.4g}" for name, value in found.items())
                print(f"round {turn + 1} {side}: {shown}", file=sys.stderr)
    report("postgres_acknowledgements", figures, TARGETS, seconds=asked.seconds, connections=asked.connections)


def _measured(servers: Backing, side: str, *, seconds: float, connections: int) -> Figures:
    """One round of one side on a database of its own."""
    with servers.database() as database:
        if side == "product":
            with running(servers.replica(database)) as server:
                return run(product(server, seconds=seconds, connections=connections))
        make_schema(database)
        insert = in_one_statement if side.startswith("one_statement") else in_three_statements
        callers = MANY_CALLERS if side.endswith("_callers") else 1
        connections = 1 if side.endswith("_1_connection") else connections
        return run(by_hand(database, insert, seconds=seconds, connections=connections, callers=callers))


# --- the product -----------------------------------------------------------------------------------------------------


async def product(server: Server, *, seconds: float, connections: int) -> Figures:
    """Mutations over HTTP, behind a short round that warms the server up."""
    body = {"query": GENERATE, "variables": {"input": {"prompt": "a lighthouse, @"}}}
    first, second = json.dumps(body).encode().split(b"@")
    numbers = itertools.count()

    def next_request() -> bytes:
        return post(b"%s%08d%s" % (first, next(numbers), second))

    return await acknowledgements(server, seconds=seconds, connections=connections, next_request=next_request)


# --- by hand ---------------------------------------------------------------------------------------------------------


async def by_hand(database: str, insert: Insert, *, seconds: float, connections: int, callers: int) -> Figures:
    """The same rows from this process. Each loop keeps its connection, which spares it the pool's clean-up."""
    async with asyncpg.create_pool(database, min_size=connections, max_size=connections) as pool:
        rows = new_rows(callers)
        latencies: list[float] = []
        is_counted = False
        end = time.perf_counter() + WARM_UP_SECONDS + seconds

        async def work() -> None:
            async with pool.acquire() as connection:
                while (start := time.perf_counter()) < end:
                    await insert(connection, rows())
                    if is_counted:
                        latencies.append(time.perf_counter() - start)

        workers = [asyncio.create_task(work()) for _ in range(connections)]
        await asyncio.sleep(WARM_UP_SECONDS)
        is_counted, cpu_before = True, time.process_time()
        await asyncio.gather(*workers)
        return _figures(latencies, seconds, time.process_time() - cpu_before)


async def in_three_statements(connection: Connection, row: JobColumns) -> None:
    """As anybody writes it."""
    async with connection.transaction():
        revision = await connection.fetchval(TAKE_REVISION, row.caller_id)
        await connection.fetchval(INSERT_JOB, *row[:2], revision, *row[3:13], revision, row.data)
        await connection.fetchval(INSERT_PROMPT, row.id, row.caller_id, row.prompt_folded)


async def in_one_statement(connection: Connection, row: JobColumns) -> None:
    """One round trip, and a commit by itself."""
    await connection.fetchval(ALL_AT_ONCE, *row[:2], *row[3:13], row.data, row.prompt_folded)


def new_rows(callers: int) -> Callable[[], JobColumns]:
    """Rows as the product writes them, which cost next to nothing to make."""
    numbers = itertools.count()
    caller_ids = itertools.cycle([LOCAL_CALLER] if callers == 1 else [f"caller-{number}" for number in range(callers)])
    template_id, prompt = new_job_id(), "a lighthouse, 00000000"
    template = job_columns(_job(template_id, prompt))

    def next_row() -> JobColumns:
        job_id, text = new_job_id(), f"a lighthouse, {next(numbers):08d}"
        data = template.data.replace(template_id, job_id).replace(prompt, text)
        return template._replace(id=job_id, caller_id=next(caller_ids), prompt_folded=text, data=data)

    return next_row


def _job(job_id: JobId, prompt: str) -> Job:
    parameters = complete(GenerationRequest(prompt=prompt), SKETCH, None)
    return Job(
        id=job_id,
        caller_id=CallerId(LOCAL_CALLER),
        model_name=SKETCH.name,
        parameters=parameters,
        created_at=datetime.now(UTC),
        progress=Progress(total_steps=parameters.steps),
    )


def _figures(latencies: list[float], seconds: float, cpu_seconds: float) -> Figures:
    return {
        "per_second": len(latencies) / seconds,
        **latency_figures(latencies),
        "cpu_ms_each": 1000 * cpu_seconds / len(latencies),
    }


if __name__ == "__main__":
    main()
