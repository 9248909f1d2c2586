-- The round of the queue in which a job's caller is served (decision 11), when it expires, and whether it has ended and
-- may have left files that it does not name. Jobs that ended before this file are taken to have left none.

ALTER TABLE jobs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN expires_at INTEGER;
ALTER TABLE jobs ADD COLUMN unswept INTEGER NOT NULL DEFAULT 0;

DROP INDEX queued_jobs;
CREATE INDEX queued_jobs ON jobs (model, turn, created_at, id) WHERE status = 'QUEUED';
CREATE INDEX queued_jobs_of_caller ON jobs (caller_id, model, turn) WHERE status = 'QUEUED';
CREATE INDEX expiring_jobs ON jobs (expires_at) WHERE finished_at IS NOT NULL AND expires_at IS NOT NULL;
CREATE INDEX unswept_jobs ON jobs (finished_at) WHERE unswept = 1;
CREATE INDEX purged_tombstones ON tombstones (deleted_at) WHERE purged = 1;
CREATE INDEX idempotency_by_age ON idempotency (used_at);

CREATE TABLE duties (
    duty TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    lease_until INTEGER NOT NULL
) WITHOUT ROWID;
