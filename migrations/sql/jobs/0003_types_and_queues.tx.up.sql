ALTER TABLE jobs.job_types
    -- A JSON Schema that payloads must follow.
    ADD COLUMN payload_schema  text,
    ADD COLUMN backoff_seconds integer[] NOT NULL DEFAULT '{2,10,30}' CHECK (cardinality(backoff_seconds) BETWEEN 1 AND 20),
    -- The least role that may submit.
    ADD COLUMN min_role        text NOT NULL DEFAULT 'operator' CHECK (min_role IN ('operator', 'researcher', 'admin')),
    ADD COLUMN updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN updated_by      text NOT NULL DEFAULT 'nexus';

-- Queues that differ from the default: a queue without a row is not paused.
CREATE TABLE jobs.queues (
    name       text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9_-]{1,64}$'),
    paused     boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_by text NOT NULL
);

-- Parts of commands that are larger than a message, until the last has come.
CREATE TABLE jobs.command_parts (
    command_id uuid NOT NULL,
    part       integer NOT NULL CHECK (part >= 0),
    parts      integer NOT NULL CHECK (parts BETWEEN 1 AND 128),
    body       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (command_id, part),
    CONSTRAINT part_of_parts CHECK (part < parts)
);

CREATE INDEX command_parts_oldest ON jobs.command_parts (created_at);
