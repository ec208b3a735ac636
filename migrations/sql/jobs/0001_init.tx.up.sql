CREATE TABLE jobs.job_types (
    name             text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9_-]{1,64}$'),
    queue            text NOT NULL CHECK (queue ~ '^[A-Za-z0-9_-]{1,64}$'),
    max_attempts     smallint NOT NULL DEFAULT 3 CHECK (max_attempts BETWEEN 1 AND 10),
    timeout_seconds  integer NOT NULL CHECK (timeout_seconds BETWEEN 1 AND 86400),
    mode_gated       boolean NOT NULL DEFAULT false,
    runs_per_message smallint NOT NULL DEFAULT 1 CHECK (runs_per_message BETWEEN 1 AND 32),
    enabled          boolean NOT NULL DEFAULT true
);

INSERT INTO jobs.job_types (name, queue, timeout_seconds, mode_gated, runs_per_message, enabled) VALUES
    ('ingest_batch',    'corpus',  900, false, 1,  true),
    ('integrity_audit', 'corpus',  900, false, 1,  true),
    ('analyze',         'plugins', 300, true,  1,  true),
    ('noop',            'bench',   30,  false, 32, false);

CREATE TABLE jobs.jobs (
    id               uuid PRIMARY KEY,
    job_type         text NOT NULL,
    status           text NOT NULL CHECK (status IN ('queued', 'running', 'retry_wait', 'succeeded', 'failed', 'cancelled')),
    execution_mode   text NOT NULL CHECK (execution_mode IN ('async', 'sync')),
    -- Counts the state changes; the id of the event of a change is made of it.
    version          integer NOT NULL DEFAULT 1,
    attempt_count    smallint NOT NULL DEFAULT 0,
    max_attempts     smallint NOT NULL CHECK (max_attempts BETWEEN 1 AND 10),
    timeout_seconds  integer NOT NULL,
    payload          text NOT NULL,
    result           text,
    error_text       text,
    idempotency_key  text,
    request_hash     bytea,
    created_by       text NOT NULL,
    request_id       text,
    trace_parent     text,
    next_run_at      timestamptz,
    -- When a run message for the current wait was last written; NULL while the
    -- job waits in Postgres for next_run_at.
    dispatched_at    timestamptz,
    lease_owner      text,
    lease_token      uuid,
    lease_expires_at timestamptz,
    started_at       timestamptz,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at      timestamptz,

    CONSTRAINT attempts_within_limit CHECK (attempt_count BETWEEN 0 AND max_attempts),
    CONSTRAINT lease_while_running CHECK (
        (status = 'running') = (lease_owner IS NOT NULL AND lease_token IS NOT NULL AND lease_expires_at IS NOT NULL AND started_at IS NOT NULL)
    ),
    CONSTRAINT attempt_while_running CHECK (status <> 'running' OR attempt_count >= 1),
    CONSTRAINT next_run_while_waiting CHECK ((status IN ('queued', 'retry_wait')) = (next_run_at IS NOT NULL)),
    CONSTRAINT finished_once CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT result_of_success CHECK (result IS NULL OR status = 'succeeded'),
    CONSTRAINT hash_of_key CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);

-- Foreign keys on the hot path cost a look-up for each row of a batch. The jobs
-- service is the only writer and checks the type before it writes.

-- Only jobs that somebody still has to look after are in these three: waiting
-- here for their time, waiting in the broker, running.
CREATE INDEX jobs_due ON jobs.jobs (next_run_at) WHERE status IN ('queued', 'retry_wait') AND dispatched_at IS NULL;
CREATE INDEX jobs_dispatched ON jobs.jobs (dispatched_at) WHERE status IN ('queued', 'retry_wait') AND dispatched_at IS NOT NULL;
CREATE INDEX jobs_leased ON jobs.jobs (lease_expires_at) WHERE status = 'running';
CREATE INDEX jobs_newest ON jobs.jobs (created_at DESC, id DESC);

CREATE TABLE jobs.job_attempts (
    job_id         uuid NOT NULL,
    -- The job's version that ended the attempt; an attempt given back and
    -- taken again has the same number twice but never the same version.
    version        integer NOT NULL,
    attempt_number smallint NOT NULL CHECK (attempt_number >= 1),
    status         text NOT NULL CHECK (status IN ('succeeded', 'failed', 'cancelled')),
    worker         text NOT NULL,
    error_text     text,
    runtime_ms     bigint,
    started_at     timestamptz NOT NULL,
    finished_at    timestamptz NOT NULL,
    PRIMARY KEY (job_id, version)
);

CREATE TABLE jobs.job_artifacts (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id           uuid NOT NULL REFERENCES jobs.jobs (id) ON DELETE CASCADE,
    artifact_type    text NOT NULL,
    artifact_ref     text,
    artifact_payload text,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX job_artifacts_of_job ON jobs.job_artifacts (job_id);

CREATE TABLE jobs.workers (
    name         text NOT NULL,
    queue        text NOT NULL,
    job_types    text[] NOT NULL,
    in_flight    integer NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, queue)
);

CREATE TABLE jobs.outbox (
    id         uuid PRIMARY KEY,
    body       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
