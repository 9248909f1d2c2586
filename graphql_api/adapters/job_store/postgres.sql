-- What PostgresJobStore asks. A position in a list is the pair (created_at, id), ranges of positions are half open:
-- [low, high). NULL for statuses or models does not narrow.
--
-- Each statement is a transaction of its own, so no process that is stopped or lost in the middle of something can hold
-- a lock. Statements that move jobs lock in one order: keys, then jobs by ID (a claim passes over those that are locked),
-- then callers by ID, then accounts by account and month; so they never wait for each other in a circle. Deliveries are
-- locked by whoever has their job, or passed over. What is charged or told is derived from rows that have a revision, so
-- that it comes behind the callers; where there is nothing of it, it reads no table.

-- name: add_jobs
-- A job whose key is held by an earlier one is left out of the result. `place` is its place in the batch.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::integer[], $11::bigint[], $12::boolean[], $13::bigint[], $14::text[], $15::text[],
        $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::double precision[]
    ) WITH ORDINALITY AS asked (
        id, caller_id, status, model, created_at, started_at, answered_at, finished_at,
        expires_at, attempt, work, unswept, charged, prompt_folded, data,
        account, month, start_url, key, digest, key_seconds, place
    )
),
kept AS (
    INSERT INTO idempotency AS held (caller_id, key, digest, job_id, used_at)
    SELECT caller_id, key, digest, id, clock_timestamp() FROM asked WHERE key IS NOT NULL ORDER BY caller_id, key
    ON CONFLICT (caller_id, key) DO UPDATE
    SET digest = excluded.digest, job_id = excluded.job_id, used_at = excluded.used_at
    WHERE held.used_at <= clock_timestamp() - make_interval(secs => (
        SELECT asked.key_seconds FROM asked WHERE asked.id = excluded.job_id
    ))
    RETURNING job_id
),
admitted AS MATERIALIZED (
    SELECT
        asked.*,
        row_number() OVER (PARTITION BY caller_id ORDER BY place DESC) - 1 AS jobs_behind,
        row_number() OVER (PARTITION BY caller_id, model ORDER BY place) - 1 AS turns_behind
    FROM asked
    WHERE key IS NULL OR id IN (SELECT job_id FROM kept)
),
counters AS (
    INSERT INTO callers AS counter (caller_id, revision)
    SELECT caller_id, count(*) FROM admitted GROUP BY caller_id ORDER BY caller_id COLLATE "C"
    ON CONFLICT (caller_id) DO UPDATE SET revision = counter.revision + excluded.revision
    RETURNING caller_id, revision
),
-- Its caller's next round behind what waits already, and not before the round that is being served.
turns AS MATERIALIZED (
    SELECT caller_id, model, greatest(
        (SELECT turn FROM jobs WHERE status = 'QUEUED' AND model = line.model ORDER BY turn, created_at, id LIMIT 1),
        (SELECT turn + 1 FROM jobs WHERE status = 'QUEUED' AND caller_id = line.caller_id AND model = line.model
         ORDER BY turn DESC LIMIT 1),
        0
    ) AS turn
    FROM (SELECT DISTINCT caller_id, model FROM admitted) AS line
),
added AS (
    INSERT INTO jobs (
        id, caller_id, revision, status, model, created_at, started_at, answered_at, finished_at,
        expires_at, attempt, work, unswept, account, month, charged, start_url, turn, data
    )
    SELECT
        id, caller_id, counters.revision - jobs_behind, status, model, created_at, started_at, answered_at, finished_at,
        expires_at, attempt, work, unswept, account, month, charged, start_url, turns.turn + turns_behind, data
    FROM admitted JOIN counters USING (caller_id) JOIN turns USING (caller_id, model)
    RETURNING id, revision, account, month, charged
),
charges AS (
    INSERT INTO accounts AS ledger (account, month, charged)
    SELECT account, month, sum(charged)::bigint FROM added WHERE charged <> 0
    GROUP BY account, month ORDER BY account, month
    ON CONFLICT (account, month) DO UPDATE SET charged = ledger.charged + excluded.charged
),
searchable AS (
    INSERT INTO prompts (job_id, caller_id, folded) SELECT id, caller_id, prompt_folded FROM admitted
)
SELECT id, revision FROM added;

-- name: known_key
-- What a key stands for, if it counts; the job may have been deleted.
SELECT idempotency.digest, idempotency.job_id, data, progress, revision, claimed_at
FROM idempotency LEFT JOIN jobs ON jobs.id = idempotency.job_id
WHERE idempotency.caller_id = $1 AND key = $2 AND used_at > clock_timestamp() - make_interval(secs => $3);

-- name: queued_jobs
-- How many there are, as far as the limit.
SELECT count(*) FROM (SELECT FROM jobs WHERE status = 'QUEUED' LIMIT $1) AS queued;

-- name: update_jobs
-- Those whose row is still at the revision that the move started from.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::bigint[], $3::boolean[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::integer[], $10::boolean[], $11::bigint[], $12::text[], $13::text[], $14::text[]
    ) AS asked (
        id, from_revision, if_lease_lost, status, started_at, answered_at, finished_at, expires_at,
        attempt, unswept, charged, data, event, url
    )
),
held AS MATERIALIZED (
    SELECT
        jobs.id, jobs.caller_id, jobs.account, jobs.month,
        asked.charged - jobs.charged AS charge,
        CASE WHEN jobs.status <> asked.status THEN asked.event END AS event
    FROM jobs JOIN asked USING (id)
    WHERE jobs.revision = asked.from_revision
        AND (NOT asked.if_lease_lost OR jobs.lease_until <= clock_timestamp())
    ORDER BY jobs.id
    FOR UPDATE OF jobs
),
counters AS (
    INSERT INTO callers AS counter (caller_id, revision)
    SELECT caller_id, count(*) FROM held GROUP BY caller_id ORDER BY caller_id
    ON CONFLICT (caller_id) DO UPDATE SET revision = counter.revision + excluded.revision
    RETURNING caller_id, revision
),
numbered AS MATERIALIZED (
    SELECT held.*, counters.revision + 1 - row_number() OVER (PARTITION BY caller_id ORDER BY id DESC) AS revision
    FROM held JOIN counters USING (caller_id)
),
charges AS (
    INSERT INTO accounts AS ledger (account, month, charged)
    SELECT account, month, sum(charge)::bigint FROM numbered WHERE charge <> 0
    GROUP BY account, month HAVING sum(charge) <> 0 ORDER BY account, month
    ON CONFLICT (account, month) DO UPDATE SET charged = ledger.charged + excluded.charged
),
told AS (
    INSERT INTO deliveries (job_id, revision, caller_id, url, event, data)
    SELECT numbered.id, numbered.revision, caller_id, asked.url, numbered.event, asked.data
    FROM numbered JOIN asked USING (id)
    WHERE numbered.event IS NOT NULL
)
UPDATE jobs SET
    revision = numbered.revision, status = asked.status, started_at = asked.started_at,
    answered_at = asked.answered_at, finished_at = asked.finished_at, expires_at = asked.expires_at,
    attempt = asked.attempt, unswept = asked.unswept, charged = asked.charged, data = asked.data,
    progress = NULL, claimed_at = NULL
FROM numbered JOIN asked USING (id)
WHERE jobs.id = numbered.id
RETURNING jobs.id, jobs.revision;

-- name: find_job
-- Of the caller, where one is given.
SELECT data, progress, revision, claimed_at, NULL AS deleted_id, NULL AS caller_id, NULL AS deleted_at
FROM jobs WHERE id = $1 AND ($2::text IS NULL OR jobs.caller_id = $2)
UNION ALL
SELECT NULL, NULL, revision, NULL, job_id, caller_id, deleted_at
FROM tombstones WHERE job_id = $1 AND ($2::text IS NULL OR tombstones.caller_id = $2);

-- name: count_active
-- How many there are, as far as the limit.
SELECT count(*) FROM (
    SELECT FROM jobs WHERE caller_id = $1 AND status IN ('QUEUED', 'RUNNING') LIMIT $2
) AS active;

-- name: charged
SELECT charged FROM accounts WHERE account = $1 AND month = $2;

-- name: delete_job
-- What it had reserved is given back when it was never claimed.
WITH gone AS (
    DELETE FROM jobs WHERE id = $1 RETURNING id, caller_id, status, attempt, account, month, charged
),
counter AS (
    INSERT INTO callers AS counter (caller_id, revision) SELECT caller_id, 1 FROM gone
    ON CONFLICT (caller_id) DO UPDATE SET revision = counter.revision + 1
    RETURNING caller_id, revision
),
given_back AS (
    INSERT INTO accounts AS ledger (account, month, charged)
    SELECT account, month, -charged FROM gone JOIN counter USING (caller_id)
    WHERE status = 'QUEUED' AND attempt = 0 AND charged <> 0
    ON CONFLICT (account, month) DO UPDATE SET charged = ledger.charged + excluded.charged
)
INSERT INTO tombstones (job_id, caller_id, revision, deleted_at)
SELECT gone.id, caller_id, counter.revision, $2 FROM gone JOIN counter USING (caller_id)
RETURNING job_id, caller_id, revision, deleted_at;

-- name: newest_jobs
-- Those next to the high end of the range, newest first.
SELECT data, progress, revision, claimed_at FROM jobs
WHERE caller_id = $1
    AND (created_at, id) >= ($2, $3) AND (created_at, id) < ($4, $5)
    AND ($6::text[] IS NULL OR status = ANY($6)) AND ($7::text[] IS NULL OR model = ANY($7))
ORDER BY created_at DESC, id DESC
LIMIT $8;

-- name: oldest_jobs
-- Those next to the low end of the range, oldest first.
SELECT data, progress, revision, claimed_at FROM jobs
WHERE caller_id = $1
    AND (created_at, id) >= ($2, $3) AND (created_at, id) < ($4, $5)
    AND ($6::text[] IS NULL OR status = ANY($6)) AND ($7::text[] IS NULL OR model = ANY($7))
ORDER BY created_at, id
LIMIT $8;

-- name: any_job
SELECT EXISTS (
    SELECT FROM jobs
    WHERE caller_id = $1
        AND (created_at, id) >= ($2, $3) AND (created_at, id) < ($4, $5)
        AND ($6::text[] IS NULL OR status = ANY($6)) AND ($7::text[] IS NULL OR model = ANY($7))
);

-- name: count_jobs
SELECT count(*) FROM jobs
WHERE caller_id = $1
    AND (created_at, id) >= ($2, $3) AND (created_at, id) < ($4, $5)
    AND ($6::text[] IS NULL OR status = ANY($6)) AND ($7::text[] IS NULL OR model = ANY($7));

-- name: newest_jobs_found
-- The same four among those whose prompt is like a pattern. They are statements of their own, since a plan that serves
-- with and without a pattern could not use the trigrams.
SELECT data, progress, revision, claimed_at FROM jobs JOIN prompts ON prompts.job_id = jobs.id
WHERE prompts.caller_id = $1 AND prompts.folded LIKE $9
    AND (created_at, id) >= ($2, $3) AND (created_at, id) < ($4, $5)
    AND ($6::text[] IS NULL OR status = ANY($6)) AND ($7::text[] IS NULL OR model = ANY($7))
ORDER BY created_at DESC, id DESC
LIMIT $8;

-- name: oldest_jobs_found
SELECT data, progress, revision, claimed_at FROM jobs JOIN prompts ON prompts.job_id = jobs.id
WHERE prompts.caller_id = $1 AND prompts.folded LIKE $9
    AND (created_at, id) >= ($2, $3) AND (created_at, id) < ($4, $5)
    AND ($6::text[] IS NULL OR status = ANY($6)) AND ($7::text[] IS NULL OR model = ANY($7))
ORDER BY created_at, id
LIMIT $8;

-- name: any_job_found
SELECT EXISTS (
    SELECT FROM jobs JOIN prompts ON prompts.job_id = jobs.id
    WHERE prompts.caller_id = $1 AND prompts.folded LIKE $8
        AND (created_at, id) >= ($2, $3) AND (created_at, id) < ($4, $5)
        AND ($6::text[] IS NULL OR status = ANY($6)) AND ($7::text[] IS NULL OR model = ANY($7))
);

-- name: count_jobs_found
SELECT count(*) FROM jobs JOIN prompts ON prompts.job_id = jobs.id
WHERE prompts.caller_id = $1 AND prompts.folded LIKE $8
    AND (created_at, id) >= ($2, $3) AND (created_at, id) < ($4, $5)
    AND ($6::text[] IS NULL OR status = ANY($6)) AND ($7::text[] IS NULL OR model = ANY($7));

-- name: changes
(
    SELECT data, progress, revision, claimed_at, NULL AS deleted_id, NULL AS caller_id, NULL AS deleted_at
    FROM jobs WHERE caller_id = $1 AND revision > $2 ORDER BY revision LIMIT $3
)
UNION ALL
(
    SELECT NULL, NULL, revision, NULL, job_id, caller_id, deleted_at
    FROM tombstones WHERE caller_id = $1 AND revision > $2 ORDER BY revision LIMIT $3
)
ORDER BY revision
LIMIT $3;

-- name: changed_active_jobs
SELECT data, progress, revision, claimed_at FROM jobs
WHERE caller_id = $1 AND revision > $2 AND status IN ('QUEUED', 'RUNNING')
ORDER BY revision
LIMIT $3;

-- name: caller_revision
SELECT revision FROM callers WHERE caller_id = $1;

-- name: caller_revisions
SELECT caller_id, revision FROM callers WHERE caller_id = ANY($1);

-- name: revisions
SELECT id, revision FROM jobs WHERE id = ANY($1)
UNION ALL
SELECT job_id, revision FROM tombstones WHERE job_id = ANY($1);

-- name: claim_jobs
WITH next AS MATERIALIZED (
    SELECT id, caller_id, turn, created_at FROM jobs
    WHERE status = 'QUEUED' AND model = $1
    ORDER BY turn, created_at, id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
),
counters AS (
    INSERT INTO callers AS counter (caller_id, revision)
    SELECT caller_id, count(*) FROM next GROUP BY caller_id ORDER BY caller_id
    ON CONFLICT (caller_id) DO UPDATE SET revision = counter.revision + excluded.revision
    RETURNING caller_id, revision
),
numbered AS (
    SELECT id, counters.revision + 1
        - row_number() OVER (PARTITION BY caller_id ORDER BY turn DESC, created_at DESC, id DESC) AS revision
    FROM next JOIN counters USING (caller_id)
),
claimed AS (
    UPDATE jobs SET
        revision = numbered.revision, status = 'RUNNING', attempt = attempt + 1, started_at = $3, answered_at = NULL,
        claimed_at = $3, worker_id = $4, lease_until = clock_timestamp() + make_interval(secs => $5), progress = NULL
    FROM numbered
    WHERE jobs.id = numbered.id
    RETURNING data, progress, jobs.revision, claimed_at, turn, created_at, jobs.id, caller_id, start_url
),
told AS (
    INSERT INTO deliveries (job_id, revision, caller_id, url, event, claimed_at, data)
    SELECT id, revision, caller_id, start_url, 'JOB_STARTED', claimed_at, data FROM claimed
    WHERE start_url IS NOT NULL
)
SELECT data, progress, revision, claimed_at, turn, created_at, id FROM claimed;

-- name: renew_lease
-- Only for the claim that the worker holds.
UPDATE jobs SET lease_until = clock_timestamp() + make_interval(secs => $4), progress = $5
WHERE id = $1 AND status = 'RUNNING' AND attempt = $2 AND worker_id = $3
RETURNING true;

-- name: lost_leases
-- Those that are lost longest first.
SELECT data, progress, revision, claimed_at FROM jobs
WHERE status = 'RUNNING' AND lease_until <= clock_timestamp()
ORDER BY lease_until
LIMIT $1;

-- name: jobs_ahead
SELECT count(*) FROM jobs
WHERE status = 'QUEUED' AND model = $2
    AND (turn, created_at, id) < (SELECT turn, created_at, id FROM jobs WHERE id = $1);

-- name: jobs_ahead_of_each
-- Of several jobs, in one pass over the queue.
SELECT id, ahead FROM (
    SELECT id, row_number() OVER (ORDER BY turn, created_at, id) - 1 AS ahead
    FROM jobs WHERE status = 'QUEUED' AND model = $1
) AS line
WHERE id = ANY($2);

-- name: orphans
-- From model to model in the index, since looking at every queued job would take long when there are many.
WITH RECURSIVE queued_models (model) AS (
    SELECT min(model) FROM jobs WHERE status = 'QUEUED'
    UNION ALL
    SELECT (SELECT min(jobs.model) FROM jobs WHERE status = 'QUEUED' AND jobs.model > queued_models.model)
    FROM queued_models
    WHERE model IS NOT NULL
)
SELECT data, progress, revision, claimed_at FROM jobs
WHERE status = 'QUEUED' AND created_at < $3
    AND model IN (SELECT model FROM queued_models WHERE model <> ALL($1))
LIMIT $2;

-- name: recent_work
SELECT work, started_at, answered_at, finished_at FROM jobs
WHERE status = 'SUCCEEDED' AND model = $1
ORDER BY finished_at DESC
LIMIT $2;

-- name: depths
SELECT model, count(*), min(created_at) FROM jobs WHERE status = 'QUEUED' GROUP BY model;

-- name: deliveries
SELECT job_id, caller_id, revision, url, event, created_at, begun_at, state, next_attempt_at, attempts FROM deliveries
WHERE job_id = $1
ORDER BY revision;

-- name: claim_deliveries
-- The time of the statement, since no index is searched for the time of the clock.
WITH due AS MATERIALIZED (
    SELECT job_id, revision, due_at FROM deliveries AS due
    WHERE state = 'PENDING' AND due_at <= statement_timestamp() AND NOT EXISTS (
        SELECT FROM deliveries AS earlier
        WHERE earlier.job_id = due.job_id AND earlier.revision < due.revision AND earlier.state = 'PENDING'
    )
    ORDER BY due_at
    LIMIT $1
    FOR UPDATE OF due SKIP LOCKED
),
lease AS MATERIALIZED (
    SELECT clock_timestamp() + make_interval(secs => $2) AS ends_at
)
UPDATE deliveries SET claim = claim + 1, lease_until = lease.ends_at, due_at = lease.ends_at
FROM due, lease
WHERE deliveries.job_id = due.job_id AND deliveries.revision = due.revision
RETURNING
    deliveries.job_id, caller_id, deliveries.revision, url, event, created_at, begun_at, state, next_attempt_at,
    attempts, claim, claimed_at, data, due.due_at AS since;

-- name: save_delivery
-- Those behind it wait for it no longer than it is pending. Whoever has the lock of the job may lock its deliveries.
-- Without attempts, those that are there stay.
WITH job AS MATERIALIZED (
    SELECT id FROM jobs WHERE id = $1 FOR NO KEY UPDATE
),
saved AS (
    UPDATE deliveries SET
        state = $3, begun_at = $4, next_attempt_at = $5, attempts = coalesce($6, attempts),
        claim = claim + 1, lease_until = '-infinity', due_at = coalesce($5, due_at)
    FROM job
    WHERE job_id = job.id AND revision = $2 AND claim = coalesce($7, claim)
    RETURNING job_id, revision, next_attempt_at
),
behind AS (
    UPDATE deliveries AS later
    SET due_at = greatest(later.next_attempt_at, later.lease_until, saved.next_attempt_at)
    FROM saved
    WHERE later.job_id = saved.job_id AND later.revision > saved.revision AND later.state = 'PENDING'
)
SELECT true FROM saved;

-- name: unpurged
SELECT job_id, caller_id, revision, deleted_at FROM tombstones
WHERE NOT purged AND deleted_at < $2
ORDER BY deleted_at, job_id
LIMIT $1;

-- name: mark_purged
UPDATE tombstones SET purged = true WHERE job_id = $1;

-- name: unswept
SELECT data, progress, revision, claimed_at FROM jobs
WHERE unswept AND finished_at < $2
ORDER BY finished_at
LIMIT $1;

-- name: mark_swept
UPDATE jobs SET unswept = false WHERE id = $1;

-- name: expired
SELECT data, progress, revision, claimed_at FROM jobs
WHERE finished_at IS NOT NULL AND expires_at <= $2
ORDER BY expires_at
LIMIT $1;

-- name: forget_tombstones
WITH forgotten AS (
    DELETE FROM tombstones
    WHERE job_id IN (SELECT job_id FROM tombstones WHERE purged AND deleted_at < $2 ORDER BY deleted_at LIMIT $1)
    RETURNING 1
)
SELECT count(*) FROM forgotten;

-- name: forget_keys
-- Locked before they are deleted: one that was used again in the meantime is a new one.
WITH old AS MATERIALIZED (
    SELECT caller_id, key FROM idempotency
    WHERE used_at <= clock_timestamp() - make_interval(secs => $2)
    ORDER BY used_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
),
forgotten AS (
    DELETE FROM idempotency USING old
    WHERE idempotency.caller_id = old.caller_id AND idempotency.key = old.key
        AND used_at <= clock_timestamp() - make_interval(secs => $2)
    RETURNING 1
)
SELECT count(*) FROM forgotten;

-- name: check
SELECT 1;

-- name: hold_duty
INSERT INTO duties AS held (duty, holder, lease_until)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (duty) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until
WHERE held.holder = excluded.holder OR held.lease_until <= clock_timestamp()
RETURNING true;
