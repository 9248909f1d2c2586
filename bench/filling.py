"""Tables full of jobs, made by the database itself.

One job is turned into a row by the product's own code; the rest are copies of it with another ID, caller, instant and
prompt, in the columns and in `data`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import asyncpg

from bench.harness import run
from bench.sample_image import sample_image
from graphql_api.adapters.job_store.rows import job_columns, microseconds
from graphql_api.bootstrap import SKETCH
from graphql_api.domain.generation import GenerationRequest, complete
from graphql_api.domain.ids import CallerId, JobId
from graphql_api.domain.job import Job, Progress

START = datetime(2026, 1, 1, tzinfo=UTC)
GAP = timedelta(seconds=1)
"""Between one job and the next."""
WAITED, TOOK = timedelta(seconds=2), timedelta(seconds=9)

_ID = "01900000-0000-7000-8000-00000000000f"
_CALLER = "caller-of-the-template"
_PROMPT = "prompt of the template"

RARE = "zeppelin"
"""A word in one prompt of a thousand."""
COMMON = "lighthouse"
"""A word in one prompt of eight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """How many jobs of how many callers, who ask in turn. All of them are queued, or all have succeeded."""

    jobs: int
    callers: int
    is_queued: bool

    def caller(self, number: int) -> CallerId:
        """One of the callers."""
        return CallerId(f"caller-{number % self.callers}")


def fill(database: str, filling: Filling) -> None:
    """Fill the tables of a database, which are empty, and leave them vacuumed and analyzed.

    Indexes are made afterwards, which is faster; they are the product's.
    """

    async def work() -> None:
        connection = await asyncpg.connect(database)
        try:
            await _fill(connection, filling)
        finally:
            await connection.close()

    run(work())


async def _fill(connection: asyncpg.Connection[asyncpg.Record], filling: Filling) -> None:
    # Foreign keys hold by construction; to look each of them up would take longer than all the rest.
    await connection.execute("SET session_replication_role = replica")
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('jobs', 'prompts') "
        "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['indexname']}")
    row = job_columns(_template(is_queued=filling.is_queued))
    await connection.execute(
        "INSERT INTO callers (caller_id, revision) "
        "SELECT 'caller-' || n % $2, count(*) FROM generate_series(0, $1::bigint - 1) AS n GROUP BY 1",
        filling.jobs,
        filling.callers,
    )
    await connection.execute(
        _COPIES,
        filling.jobs,
        filling.callers,
        microseconds(START),
        GAP // timedelta(microseconds=1),
        row.status,
        row.model,
        None if row.started_at is None else row.started_at - row.created_at,
        None if row.finished_at is None else row.finished_at - row.created_at,
        row.attempt,
        row.work,
        row.data,
        _ID,
        _CALLER,
        _PROMPT,
        _text(START),
        timeout=600,
    )
    for index in indexes:
        await connection.execute(index["indexdef"], timeout=600)
    await connection.execute("VACUUM (ANALYZE)", timeout=600)
    await connection.execute("CHECKPOINT", timeout=600)


_WORDS = (
    f"(ARRAY['{COMMON}', 'sunset', 'forest', 'city at night', 'portrait', 'garden', 'ship', 'mountain'])[1 + hash % 8]",
    "(ARRAY['stormy', 'calm', 'golden', 'misty', 'neon', 'snowy', 'burning'])[1 + hash / 8 % 7]",
    "(ARRAY['oil painting', 'pencil sketch', 'photograph', 'watercolour', 'woodcut'])[1 + hash / 56 % 5]",
    "(ARRAY['wide angle', 'close up', 'from above', 'dramatic light', 'soft light', 'at dusk'])[1 + hash / 280 % 6]",
)
# n counts the jobs; the ID is a UUID of version 7 with its instant, as new_job_id makes them.
_COPIES = f"""
WITH numbered AS (
    SELECT n, 'caller-' || n % $2 AS caller_id, $3::bigint + n * $4::bigint AS created_at, md5(n::text) AS random,
        (hashint8(n)::bigint & 2147483647)::integer AS hash
    FROM generate_series(0, $1::bigint - 1) AS n
),
spelled AS MATERIALIZED (
    SELECT n, caller_id, created_at, regexp_replace(
            lpad(to_hex(created_at / 1000), 12, '0') || '7' || substr(random, 1, 3) || '8' || substr(random, 4, 15),
            '^(.{{8}})(.{{4}})(.{{4}})(.{{4}})(.{{12}})$', '\\1-\\2-\\3-\\4-\\5'
        ) AS id,
        concat_ws(', ', {", ".join(_WORDS)}, substr(random, 20, 6),
            CASE WHEN hash % 1000 = 7 THEN '{RARE}' END) AS prompt
    FROM numbered
),
added AS (
    INSERT INTO jobs (
        id, caller_id, revision, status, model, created_at, started_at, answered_at, finished_at, attempt, work,
        unswept, turn, data
    )
    SELECT id, caller_id, n / $2 + 1, $5, $6, created_at, created_at + $7::bigint, created_at + $8::bigint,
        created_at + $8::bigint, $9, $10, false, n / $2,
        replace(replace(replace(replace($11::text, $12::text, id), $13::text, caller_id), $14::text, prompt), $15::text,
            to_char(to_timestamp(created_at / 1000000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS'))
    FROM spelled
    ORDER BY n
)
INSERT INTO prompts (job_id, caller_id, folded) SELECT id, caller_id, prompt FROM spelled ORDER BY n
"""


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S")


def _template(*, is_queued: bool) -> Job:
    job = Job(
        id=JobId(_ID),
        caller_id=CallerId(_CALLER),
        model_name=SKETCH.name,
        parameters=complete(GenerationRequest(prompt=_PROMPT, seed=42), SKETCH, None),
        created_at=START,
        progress=Progress(total_steps=50),
    )
    if is_queued:
        return job
    done_at = START + WAITED + TOOK
    running = job.claimed(at=START + WAITED)
    return replace(running.succeeded((sample_image(job),), answered_at=done_at, at=done_at), revision=1)
