CREATE TABLE auth.api_keys (
    id               uuid PRIMARY KEY,
    owner            text NOT NULL UNIQUE CHECK (owner ~ '^[A-Za-z0-9_-]{1,64}$'),
    key_hash         text NOT NULL UNIQUE CHECK (key_hash ~ '^[0-9a-f]{64}$'),
    role             text NOT NULL CHECK (role IN ('viewer', 'operator', 'researcher', 'admin')),
    raw_mode_enabled boolean NOT NULL DEFAULT false,
    enabled          boolean NOT NULL DEFAULT true,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at     timestamptz
);

COMMENT ON COLUMN auth.api_keys.key_hash IS 'lower-case hexadecimal SHA-256 of the key; the key itself is never stored';
