-- What accounts are charged with, and what webhooks are to be told (decision 14). Jobs that were made before this file
-- have neither account nor webhook.

-- What the ledger holds for a job, which is 0 where nobody keeps accounts.
ALTER TABLE jobs ADD COLUMN charged INTEGER NOT NULL DEFAULT 0;

CREATE TABLE accounts (
    account TEXT NOT NULL,
    month TEXT NOT NULL,
    charged INTEGER NOT NULL,
    PRIMARY KEY (account, month)
) WITHOUT ROWID;

-- They go with their job without a foreign key, for which SQLite would look here whenever a job is written.
CREATE TABLE deliveries (
    job_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    caller_id TEXT NOT NULL,
    url TEXT NOT NULL,
    event TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    begun_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'PENDING',
    next_attempt_at INTEGER,
    attempts TEXT NOT NULL DEFAULT '[]',
    -- The latest claim and its lease. 0 is in the past: nobody has it.
    claim INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0,
    -- When it is worth a look: at the next attempt, but not while it is leased, and while an earlier one of its job is
    -- pending not before that one's next attempt. So a claim reads few that it cannot take.
    due_at INTEGER NOT NULL,
    -- The job as it was at the revision.
    data TEXT NOT NULL,
    PRIMARY KEY (job_id, revision)
);

CREATE INDEX pending_deliveries ON deliveries (due_at) WHERE state = 'PENDING';
