-- name: schema_1
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    caller_id TEXT NOT NULL,
    name TEXT NOT NULL,
    account TEXT NOT NULL,
    secret_sha256 TEXT NOT NULL,
    role TEXT NOT NULL,
    limits TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT

-- name: add_key
INSERT INTO api_keys (
    id, caller_id, name, account, secret_sha256, role, limits, created_at, expires_at, revoked_at
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)

-- name: find_key
SELECT id, caller_id, name, account, secret_sha256, role, limits, created_at, expires_at, revoked_at
FROM api_keys
WHERE id = ?1

-- name: all_keys
SELECT id, caller_id, name, account, secret_sha256, role, limits, created_at, expires_at, revoked_at
FROM api_keys
ORDER BY created_at, id

-- name: update_key
-- Whoever read the key before it was revoked must not bring it back.
UPDATE api_keys
SET caller_id = ?2, name = ?3, account = ?4, secret_sha256 = ?5, role = ?6, limits = ?7, created_at = ?8,
    expires_at = ?9, revoked_at = coalesce(revoked_at, ?10)
WHERE id = ?1
RETURNING id
