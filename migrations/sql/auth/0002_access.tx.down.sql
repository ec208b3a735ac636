DROP TABLE auth.outbox;
DROP TABLE auth.feature_flags;
ALTER TABLE auth.api_keys DROP COLUMN created_by, DROP COLUMN expires_at, DROP COLUMN rate_limit_per_minute;
