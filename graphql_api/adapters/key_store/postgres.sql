-- name: lock_schema
SELECT pg_advisory_xact_lock($1)

-- name: versions
CREATE TABLE IF NOT EXISTS api_keys_schema_version (version integer PRIMARY KEY)

-- name: version
SELECT coalesce(max(version), 0) FROM api_keys_schema_version

-- name: add_version
INSERT INTO api_keys_schema_version VALUES ($1)

-- name: schema_1
CREATE TABLE api_keys (
    id text PRIMARY KEY,
    caller_id text NOT NULL,
    name text NOT NULL,
    account text NOT NULL,
    secret_sha256 text NOT NULL,
    role text NOT NULL,
    limits text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    revoked_at bigint
)

-- name: add_key
INSERT INTO api_keys (
    id, caller_id, name, account, secret_sha256, role, limits, created_at, expires_at, revoked_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: find_key
SELECT id, caller_id, name, account, secret_sha256, role, limits, created_at, expires_at, revoked_at
FROM api_keys
WHERE id = $1

-- name: all_keys
SELECT id, caller_id, name, account, secret_sha256, role, limits, created_at, expires_at, revoked_at
FROM api_keys
ORDER BY created_at, id

-- name: update_key
-- Whoever read the key before it was revoked must not bring it back.
UPDATE api_keys
SET caller_id = $2, name = $3, account = $4, secret_sha256 = $5, role = $6, limits = $7, created_at = $8,
    expires_at = $9, revoked_at = coalesce(revoked_at, $10)
WHERE id = $1
RETURNING id
