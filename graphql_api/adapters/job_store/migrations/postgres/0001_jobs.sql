-- Instants of jobs are microseconds since 1970 in UTC, as in the other stores; what the clock of the database times
-- (leases, duties, keys) is timestamptz. Columns of `jobs` other than the claim, the lease and `progress` repeat what
-- `data` holds, so that it can be searched; rows.py derives all of them from one value. IDs compare by their bytes.

CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

-- A row is locked from the moment that its caller takes a revision until that is committed, so revisions become visible
-- in order. Rows are written often and stay where they are: room for the next version is left beside each.
CREATE TABLE callers (
    caller_id text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE TABLE jobs (
    id text COLLATE "C" PRIMARY KEY,
    caller_id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    started_at bigint,
    answered_at bigint,
    finished_at bigint,
    expires_at bigint,
    attempt integer NOT NULL,
    work bigint NOT NULL,
    -- Whether it has ended and may have left files that it does not name.
    unswept boolean NOT NULL,
    -- The round of the queue in which its caller is served; see decision 11.
    turn bigint NOT NULL,
    -- The claim and its lease, which count while the job runs. `data` is the job before its latest claim.
    claimed_at bigint,
    worker_id text COLLATE "C",
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    -- Saved with the lease and newer than the progress in `data`; NULL when there is none.
    progress text,
    -- The whole job as JSON.
    data text NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE INDEX jobs_of_caller_by_age ON jobs (caller_id, created_at, id);
CREATE INDEX jobs_of_caller_by_revision ON jobs (caller_id, revision);
CREATE INDEX active_jobs_of_caller ON jobs (caller_id, revision) WHERE status IN ('QUEUED', 'RUNNING');
CREATE INDEX queued_jobs ON jobs (model, turn, created_at, id) WHERE status = 'QUEUED';
CREATE INDEX queued_jobs_of_caller ON jobs (caller_id, model, turn) WHERE status = 'QUEUED';
-- Without the lease, so that renewing one touches no index.
CREATE INDEX running_jobs ON jobs (id) WHERE status = 'RUNNING';
CREATE INDEX succeeded_jobs ON jobs (model, finished_at) WHERE status = 'SUCCEEDED';
CREATE INDEX expiring_jobs ON jobs (expires_at) WHERE finished_at IS NOT NULL AND expires_at IS NOT NULL;
CREATE INDEX unswept_jobs ON jobs (finished_at) WHERE unswept;

-- What is searched, in a table of its own: it never changes, and the moves of a job would write its trigrams again.
CREATE TABLE prompts (
    job_id text COLLATE "C" PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    caller_id text COLLATE "C" NOT NULL,
    folded text COLLATE "C" NOT NULL
);

CREATE INDEX prompts_by_trigram ON prompts USING gin (caller_id, folded gin_trgm_ops);

CREATE TABLE idempotency (
    caller_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL,
    job_id text COLLATE "C" NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (caller_id, key)
);

CREATE INDEX idempotency_by_age ON idempotency (used_at);

CREATE TABLE tombstones (
    job_id text COLLATE "C" PRIMARY KEY,
    caller_id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    deleted_at bigint NOT NULL,
    purged boolean NOT NULL DEFAULT false
);

CREATE INDEX tombstones_of_caller ON tombstones (caller_id, revision);
CREATE INDEX unpurged_tombstones ON tombstones (deleted_at, job_id) WHERE NOT purged;
CREATE INDEX purged_tombstones ON tombstones (deleted_at) WHERE purged;

CREATE TABLE duties (
    duty text COLLATE "C" PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    lease_until timestamptz NOT NULL
);
