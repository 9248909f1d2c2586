-- What accounts are charged with, and what webhooks are to be told (decision 14). Jobs that were made before this file
-- have neither account nor webhook.

-- What the ledger holds for a job, which is 0 where nobody keeps accounts; and where to tell that it started, which a
-- claim must know without a look at `data`.
ALTER TABLE jobs
    ADD COLUMN account text COLLATE "C",
    ADD COLUMN month text COLLATE "C",
    ADD COLUMN charged bigint NOT NULL DEFAULT 0,
    ADD COLUMN start_url text COLLATE "C";

-- Rows are written often and stay where they are, as those of `callers`.
CREATE TABLE accounts (
    account text COLLATE "C" NOT NULL,
    month text COLLATE "C" NOT NULL,
    charged bigint NOT NULL,
    PRIMARY KEY (account, month)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE TABLE deliveries (
    job_id text COLLATE "C" NOT NULL REFERENCES jobs ON DELETE CASCADE,
    revision bigint NOT NULL,
    caller_id text COLLATE "C" NOT NULL,
    url text COLLATE "C" NOT NULL,
    event text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    begun_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    state text COLLATE "C" NOT NULL DEFAULT 'PENDING',
    next_attempt_at timestamptz DEFAULT statement_timestamp(),
    attempts text NOT NULL DEFAULT '[]',
    -- The latest claim and its lease.
    claim bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    -- When it is worth a look: at the next attempt, but not while it is leased, and while an earlier one of its job is
    -- pending not before that one's next attempt. So a claim reads few that it cannot take.
    due_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- The job as it was at the revision, from both as in `jobs`.
    claimed_at bigint,
    data text NOT NULL,
    PRIMARY KEY (job_id, revision)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE INDEX pending_deliveries ON deliveries (due_at) WHERE state = 'PENDING';
