-- What SqliteJobStore asks. A position in a list is the pair (created_at, id), ranges of positions are half open:
-- [low, high). NULL for statuses, models or search does not narrow. Parameters are positional, which is faster, and named
-- where one occurs more than once.

-- name: forget_leases
-- Whoever held them was the process that had the store before.
UPDATE jobs SET lease_until = 0 WHERE status = 'RUNNING';

-- name: forget_claimed_deliveries
UPDATE deliveries SET lease_until = 0, due_at = next_attempt_at WHERE state = 'PENDING' AND lease_until > 0;

-- name: forget_duties
DELETE FROM duties;

-- name: admission
-- What decides whether a job is added: how long the queue is, and what the idempotency key stands for.
SELECT queue_depth.jobs, idempotency.digest, idempotency.job_id, idempotency.used_at
FROM queue_depth
LEFT JOIN idempotency ON idempotency.caller_id = ? AND idempotency.key = ?;

-- name: insert_job
-- The columns of JobColumns, in its order, then the turn.
INSERT INTO jobs (
    id, caller_id, revision, status, model, created_at, started_at, answered_at, finished_at,
    expires_at, attempt, work, unswept, charged, prompt_folded, data, turn
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: known_key
SELECT digest, job_id, used_at FROM idempotency WHERE caller_id = ? AND key = ?;

-- name: count_active
-- How many there are, as far as the limit.
SELECT count(*) FROM (SELECT 1 FROM jobs WHERE caller_id = ? AND status IN ('QUEUED', 'RUNNING') LIMIT ?);

-- name: charge
INSERT INTO accounts (account, month, charged) VALUES (?, ?, ?)
ON CONFLICT (account, month) DO UPDATE SET charged = charged + excluded.charged;

-- name: charged
SELECT charged FROM accounts WHERE account = ? AND month = ?;

-- name: next_turn
-- The caller's next round behind what waits already, and not before the round that is being served.
SELECT max(
    ifnull((SELECT turn FROM jobs WHERE status = 'QUEUED' AND model = :model ORDER BY turn, created_at, id LIMIT 1), 0),
    ifnull((SELECT max(turn) + 1 FROM jobs WHERE status = 'QUEUED' AND caller_id = :caller_id AND model = :model), 0)
);

-- name: keep_key
INSERT INTO idempotency (caller_id, key, digest, job_id, used_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (caller_id, key) DO UPDATE
SET digest = excluded.digest, job_id = excluded.job_id, used_at = excluded.used_at;

-- name: change_queue_depth
UPDATE queue_depth SET jobs = jobs + ?;

-- name: take_revision
-- The caller's next revision is taken ...
INSERT INTO callers (caller_id, revision) VALUES (?, 1)
ON CONFLICT (caller_id) DO UPDATE SET revision = revision + 1;

-- name: caller_revision
-- ... and read: RETURNING would need SQLite 3.35, which some systems that are still in use do not have.
SELECT revision FROM callers WHERE caller_id = ?;

-- name: update_job
-- The columns of JobColumns, in its order, then the ID. The progress in `data` is the latest from now on.
UPDATE jobs SET (
    id, caller_id, revision, status, model, created_at, started_at, answered_at, finished_at,
    expires_at, attempt, work, unswept, charged, prompt_folded, data
) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), progress = NULL
WHERE id = ?;

-- name: job_state
SELECT caller_id, revision, status, attempt, lease_until, charged FROM jobs WHERE id = ?;

-- name: job
-- Of the caller, where one is given.
SELECT data, progress FROM jobs WHERE id = ? AND caller_id = ifnull(?, caller_id);

-- name: tombstone
SELECT job_id, caller_id, revision, deleted_at FROM tombstones WHERE job_id = ? AND caller_id = ifnull(?, caller_id);

-- name: delete_job
DELETE FROM jobs WHERE id = ?;

-- name: insert_tombstone
INSERT INTO tombstones (job_id, caller_id, revision, deleted_at) VALUES (?, ?, ?, ?);

-- name: unpurged
SELECT job_id, caller_id, revision, deleted_at FROM tombstones
WHERE purged = 0 AND deleted_at < ?
ORDER BY deleted_at, job_id
LIMIT ?;

-- name: mark_purged
UPDATE tombstones SET purged = 1 WHERE job_id = ?;

-- name: newest_jobs
-- Those next to the high end of the range, newest first.
SELECT data, progress FROM jobs
WHERE caller_id = :caller_id
    AND (created_at, id) >= (:low_at, :low_id) AND (created_at, id) < (:high_at, :high_id)
    AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    AND (:models IS NULL OR model IN (SELECT value FROM json_each(:models)))
    AND (:search IS NULL OR instr(prompt_folded, :search))
ORDER BY created_at DESC, id DESC
LIMIT :limit;

-- name: oldest_jobs
-- Those next to the low end of the range, oldest first.
SELECT data, progress FROM jobs
WHERE caller_id = :caller_id
    AND (created_at, id) >= (:low_at, :low_id) AND (created_at, id) < (:high_at, :high_id)
    AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    AND (:models IS NULL OR model IN (SELECT value FROM json_each(:models)))
    AND (:search IS NULL OR instr(prompt_folded, :search))
ORDER BY created_at, id
LIMIT :limit;

-- name: count_jobs
SELECT count(*) FROM jobs
WHERE caller_id = :caller_id
    AND (created_at, id) >= (:low_at, :low_id) AND (created_at, id) < (:high_at, :high_id)
    AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
    AND (:models IS NULL OR model IN (SELECT value FROM json_each(:models)))
    AND (:search IS NULL OR instr(prompt_folded, :search));

-- name: any_job
SELECT EXISTS (
    SELECT 1 FROM jobs
    WHERE caller_id = :caller_id
        AND (created_at, id) >= (:low_at, :low_id) AND (created_at, id) < (:high_at, :high_id)
        AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
        AND (:models IS NULL OR model IN (SELECT value FROM json_each(:models)))
        AND (:search IS NULL OR instr(prompt_folded, :search))
);

-- name: changed_jobs
SELECT data, progress FROM jobs
WHERE caller_id = ? AND revision > ?
ORDER BY revision
LIMIT ?;

-- name: changed_active_jobs
SELECT data, progress FROM jobs
WHERE caller_id = ? AND revision > ? AND status IN ('QUEUED', 'RUNNING')
ORDER BY revision
LIMIT ?;

-- name: changed_tombstones
SELECT job_id, caller_id, revision, deleted_at FROM tombstones
WHERE caller_id = ? AND revision > ?
ORDER BY revision
LIMIT ?;

-- name: caller_revisions
SELECT caller_id, revision FROM callers WHERE caller_id IN (SELECT value FROM json_each(?));

-- name: revisions
SELECT id, revision FROM jobs WHERE id IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT job_id, revision FROM tombstones WHERE job_id IN (SELECT value FROM json_each(:ids));

-- name: claim_candidates
SELECT data, progress FROM jobs
WHERE status = 'QUEUED' AND model = ?
ORDER BY turn, created_at, id
LIMIT ?;

-- name: grant_lease
UPDATE jobs SET worker_id = ?, lease_until = ? WHERE id = ?;

-- name: renew_lease
-- Only for the claim that the worker holds.
UPDATE jobs SET lease_until = ?, progress = ?
WHERE id = ? AND status = 'RUNNING' AND attempt = ? AND worker_id = ?;

-- name: lost_leases
-- Those that are lost longest first.
SELECT data, progress FROM jobs
WHERE status = 'RUNNING' AND lease_until <= ?
ORDER BY lease_until
LIMIT ?;

-- name: jobs_ahead
SELECT count(*) FROM jobs
WHERE status = 'QUEUED' AND model = ?
    AND (turn, created_at, id) < (SELECT turn, created_at, id FROM jobs WHERE id = ?);

-- name: jobs_ahead_of_each
-- Of several jobs, in one pass over the queue.
SELECT id, ahead FROM (
    SELECT id, row_number() OVER (ORDER BY turn, created_at, id) - 1 AS ahead
    FROM jobs WHERE status = 'QUEUED' AND model = :model
)
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: orphans
-- From model to model in the index, since looking at every queued job would take long when there are many.
WITH RECURSIVE queued_models (model) AS (
    SELECT min(model) FROM jobs WHERE status = 'QUEUED'
    UNION ALL
    SELECT (SELECT min(jobs.model) FROM jobs WHERE status = 'QUEUED' AND jobs.model > queued_models.model)
    FROM queued_models
    WHERE model IS NOT NULL
)
SELECT data, progress FROM jobs
WHERE status = 'QUEUED' AND created_at < ?
    AND model IN (SELECT model FROM queued_models WHERE model NOT IN (SELECT value FROM json_each(?)))
LIMIT ?;

-- name: recent_work
SELECT work, started_at, answered_at, finished_at FROM jobs
WHERE status = 'SUCCEEDED' AND model = ?
ORDER BY finished_at DESC
LIMIT ?;

-- name: depths
SELECT model, count(*), min(created_at) FROM jobs WHERE status = 'QUEUED' GROUP BY model;

-- name: unswept
SELECT data, progress FROM jobs
WHERE unswept = 1 AND finished_at < ?
ORDER BY finished_at
LIMIT ?;

-- name: mark_swept
UPDATE jobs SET unswept = 0 WHERE id = ?;

-- name: expired
SELECT data, progress FROM jobs
WHERE finished_at IS NOT NULL AND expires_at <= ?
ORDER BY expires_at
LIMIT ?;

-- name: forget_tombstones
DELETE FROM tombstones WHERE job_id IN (
    SELECT job_id FROM tombstones WHERE purged = 1 AND deleted_at < ? ORDER BY deleted_at LIMIT ?
);

-- name: forget_keys
DELETE FROM idempotency WHERE (caller_id, key) IN (
    SELECT caller_id, key FROM idempotency WHERE used_at <= ? ORDER BY used_at LIMIT ?
);

-- name: hold_duty
-- A row is written, or none when another holds the duty.
INSERT INTO duties (duty, holder, lease_until) VALUES (:duty, :holder, :lease_until)
ON CONFLICT (duty) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until
WHERE holder = excluded.holder OR lease_until <= :now;

-- name: queue_delivery
INSERT INTO deliveries (
    job_id, revision, caller_id, url, event, data, created_at, begun_at, next_attempt_at, due_at
) VALUES (:job_id, :revision, :caller_id, :url, :event, :data, :now, :now, :now, :now);

-- name: deliveries
SELECT job_id, caller_id, revision, url, event, created_at, begun_at, state, next_attempt_at, attempts FROM deliveries
WHERE job_id = ?
ORDER BY revision;

-- name: due_deliveries
-- The columns of `deliveries`, then those of the claim.
SELECT
    job_id, caller_id, revision, url, event, created_at, begun_at, state, next_attempt_at, attempts,
    claim, data
FROM deliveries AS due
WHERE state = 'PENDING' AND due_at <= ? AND NOT EXISTS (
    SELECT 1 FROM deliveries AS earlier
    WHERE earlier.job_id = due.job_id AND earlier.revision < due.revision AND earlier.state = 'PENDING'
)
ORDER BY due_at
LIMIT ?;

-- name: lease_delivery
UPDATE deliveries SET claim = :claim, lease_until = :lease_until, due_at = :lease_until
WHERE job_id = :job_id AND revision = :revision;

-- name: save_delivery
-- Without attempts, those that are there stay.
UPDATE deliveries SET
    state = :state, begun_at = :begun_at, next_attempt_at = :next_attempt_at, attempts = ifnull(:attempts, attempts),
    claim = claim + 1, lease_until = 0, due_at = ifnull(:next_attempt_at, due_at)
WHERE job_id = :job_id AND revision = :revision AND claim = ifnull(:claim, claim);

-- name: line_up_deliveries
-- Those behind one that was just saved wait for it no longer than it is pending.
UPDATE deliveries SET due_at = max(next_attempt_at, lease_until, ifnull(:next_attempt_at, 0))
WHERE job_id = :job_id AND revision > :revision AND state = 'PENDING';

-- name: delete_deliveries
DELETE FROM deliveries WHERE job_id = ?;

-- name: check
SELECT 1;
