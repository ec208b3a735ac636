ALTER TABLE auth.api_keys
    ADD COLUMN rate_limit_per_minute integer CHECK (rate_limit_per_minute BETWEEN 1 AND 1000000),
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN created_by text NOT NULL DEFAULT 'bootstrap';

COMMENT ON COLUMN auth.api_keys.rate_limit_per_minute IS 'NULL: the default of the role';
COMMENT ON COLUMN auth.api_keys.expires_at IS 'NULL: never';

CREATE TABLE auth.feature_flags (
    name        text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,63}$'),
    enabled     boolean NOT NULL,
    min_role    text NOT NULL CHECK (min_role IN ('viewer', 'operator', 'researcher', 'admin')),
    description text NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_by  text NOT NULL DEFAULT 'bootstrap'
);

INSERT INTO auth.feature_flags (name, enabled, min_role, description) VALUES
    ('shadow_execution', true, 'researcher', 'Run a job beside another one and compare the two.'),
    ('ml_plugins',       true, 'admin',      'Let analyses use the plugins that learn.'),
    ('raw_mode',         true, 'researcher', 'Use RAW mode, where hits are flagged and not blocked.');

CREATE TABLE auth.outbox (
    id         uuid PRIMARY KEY,
    body       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
