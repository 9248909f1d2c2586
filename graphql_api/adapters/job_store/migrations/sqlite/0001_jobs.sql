-- Instants are microseconds since 1970 in UTC. Columns of `jobs` other than the lease and `progress` repeat what `data`
-- holds, so that it can be searched; rows.py derives all of them from one value.

CREATE TABLE callers (
    caller_id TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    caller_id TEXT NOT NULL REFERENCES callers,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL,
    model TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    answered_at INTEGER,
    finished_at INTEGER,
    attempt INTEGER NOT NULL,
    work INTEGER NOT NULL,
    -- The lease, which counts while the job runs. 0 is in the past: a running job without a lease is a lost one.
    worker_id TEXT,
    lease_until INTEGER NOT NULL DEFAULT 0,
    prompt_folded TEXT NOT NULL,
    -- Saved with the lease and newer than the progress in `data`; NULL when there is none.
    progress TEXT,
    -- The whole job as JSON. Last, so that the columns before it are read without it.
    data TEXT NOT NULL
);

CREATE INDEX jobs_of_caller_by_age ON jobs (caller_id, created_at, id);
CREATE INDEX jobs_of_caller_by_revision ON jobs (caller_id, revision);
CREATE INDEX active_jobs_of_caller ON jobs (caller_id, revision) WHERE status IN ('QUEUED', 'RUNNING');
CREATE INDEX queued_jobs ON jobs (model, created_at, id) WHERE status = 'QUEUED';
CREATE INDEX leases ON jobs (lease_until) WHERE status = 'RUNNING';
CREATE INDEX succeeded_jobs ON jobs (model, finished_at) WHERE status = 'SUCCEEDED';

-- How many jobs are queued: counting them for each new one would take longer than writing it. No triggers, with which
-- SQLite keeps a journal for each statement; that alone costs a fifth of an insert.
CREATE TABLE queue_depth (jobs INTEGER NOT NULL);
INSERT INTO queue_depth VALUES (0);

CREATE TABLE idempotency (
    caller_id TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    job_id TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (caller_id, key)
) WITHOUT ROWID;

CREATE TABLE tombstones (
    job_id TEXT NOT NULL PRIMARY KEY,
    caller_id TEXT NOT NULL REFERENCES callers,
    revision INTEGER NOT NULL,
    deleted_at INTEGER NOT NULL,
    purged INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX tombstones_of_caller ON tombstones (caller_id, revision);
CREATE INDEX unpurged_tombstones ON tombstones (deleted_at, job_id) WHERE purged = 0;
