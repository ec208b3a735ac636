-- A job's row is written three times and more; what never changes after the
-- submit and is not needed for a change lives in job_inputs, written once.
--
-- No column of an index changes on a job's way from queued to succeeded, so the
-- changes are heap-only. What the sweeper looks for is found through
-- dispatches and claims, which have one row for a transaction and not for a job.
ALTER TABLE jobs.job_artifacts DROP CONSTRAINT job_artifacts_job_id_fkey;
DROP INDEX jobs.jobs_due, jobs.jobs_dispatched, jobs.jobs_leased, jobs.jobs_newest;
ALTER TABLE jobs.jobs RENAME TO jobs_before;
ALTER INDEX jobs.jobs_pkey RENAME TO jobs_before_pkey;

CREATE TABLE jobs.jobs (
    -- What never changes stands at both ends: the log of a change holds what
    -- lies between the first and the last byte that differ.
    id               uuid PRIMARY KEY,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    max_attempts     smallint NOT NULL CHECK (max_attempts BETWEEN 1 AND 10),
    timeout_seconds  integer NOT NULL CHECK (timeout_seconds BETWEEN 1 AND 86400),
    -- Counts the state changes; the id of the event of a change is made of it.
    version          integer NOT NULL DEFAULT 1,
    attempt_count    smallint NOT NULL DEFAULT 0,
    snooze_count     integer NOT NULL DEFAULT 0,
    status           text NOT NULL CHECK (status IN ('queued', 'running', 'retry_wait', 'succeeded', 'failed', 'cancelled')),
    next_run_at      timestamptz,
    -- When a run message for the current wait was last written; NULL while the
    -- job waits in Postgres for next_run_at.
    dispatched_at    timestamptz,
    lease_owner      text,
    lease_token      uuid,
    lease_expires_at timestamptz,
    started_at       timestamptz,
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at      timestamptz,
    progress         real CHECK (progress BETWEEN 0 AND 100),
    progress_text    text,
    result           text,
    error_text       text,
    job_type         text NOT NULL,
    execution_mode   text NOT NULL CHECK (execution_mode IN ('async', 'sync')),
    priority         text NOT NULL DEFAULT 'normal' CHECK (priority IN ('high', 'normal', 'low')),
    created_by       text NOT NULL,
    request_id       text,
    trace_parent     text,
    tags             text[] CHECK (cardinality(tags) BETWEEN 1 AND 16),

    -- Both are NULL on the way from queued to succeeded; that keeps their
    -- indexes out of it.
    due_at           timestamptz GENERATED ALWAYS AS (CASE WHEN status IN ('queued', 'retry_wait') AND dispatched_at IS NULL THEN next_run_at END) STORED,
    setback          text GENERATED ALWAYS AS (CASE WHEN status IN ('retry_wait', 'failed', 'cancelled') THEN status END) STORED,

    CONSTRAINT attempts_within_limit CHECK (attempt_count BETWEEN 0 AND max_attempts),
    CONSTRAINT lease_while_running CHECK (
        (status = 'running') = (lease_owner IS NOT NULL AND lease_token IS NOT NULL AND lease_expires_at IS NOT NULL AND started_at IS NOT NULL)
    ),
    CONSTRAINT attempt_while_running CHECK (status <> 'running' OR attempt_count >= 1),
    CONSTRAINT next_run_while_waiting CHECK ((status IN ('queued', 'retry_wait')) = (next_run_at IS NOT NULL)),
    CONSTRAINT finished_once CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT result_of_success CHECK (result IS NULL OR status = 'succeeded')
) WITH (fillfactor = 40);

CREATE TABLE jobs.job_inputs (
    job_id          uuid PRIMARY KEY,
    payload         text NOT NULL,
    idempotency_key text,
    request_hash    bytea,
    CONSTRAINT hash_of_key CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
);

-- Jobs whose run message was written in one transaction. A row goes once
-- nothing older is left in its lane of the broker.
CREATE TABLE jobs.dispatches (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    queue         text NOT NULL,
    priority      text NOT NULL,
    dispatched_at timestamptz NOT NULL,
    job_ids       uuid[] NOT NULL
);

CREATE INDEX dispatches_oldest ON jobs.dispatches (queue, priority, dispatched_at);

-- Jobs that were claimed in one transaction, to be looked at when the first of
-- their leases may have run out.
CREATE TABLE jobs.claims (
    id      uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    look_at timestamptz NOT NULL,
    job_ids uuid[] NOT NULL
);

CREATE INDEX claims_next ON jobs.claims (look_at);

INSERT INTO jobs.jobs (id, created_at, max_attempts, timeout_seconds, version, attempt_count, status, next_run_at, dispatched_at, lease_owner, lease_token,
    lease_expires_at, started_at, updated_at, finished_at, result, error_text, job_type, execution_mode, created_by, request_id, trace_parent)
SELECT id, created_at, max_attempts, timeout_seconds, version, attempt_count, status, next_run_at, dispatched_at, lease_owner, lease_token,
    lease_expires_at, CASE WHEN status = 'running' THEN started_at END, updated_at, finished_at, result, error_text, job_type, execution_mode,
    created_by, request_id, trace_parent
FROM jobs.jobs_before;

-- A hash made before knows nothing of the fields that requests have since, so
-- a key used before this migration conflicts when it is used again.
INSERT INTO jobs.job_inputs (job_id, payload, idempotency_key, request_hash)
SELECT id, payload, idempotency_key, request_hash FROM jobs.jobs_before;

INSERT INTO jobs.dispatches (queue, priority, dispatched_at, job_ids)
SELECT t.queue, j.priority, min(j.dispatched_at), array_agg(j.id)
FROM jobs.jobs AS j JOIN jobs.job_types AS t ON t.name = j.job_type
WHERE j.status IN ('queued', 'retry_wait') AND j.dispatched_at IS NOT NULL
GROUP BY t.queue, j.priority;

INSERT INTO jobs.claims (look_at, job_ids)
SELECT min(lease_expires_at), array_agg(id) FROM jobs.jobs WHERE status = 'running' HAVING count(*) > 0;

DROP TABLE jobs.jobs_before;

CREATE INDEX jobs_newest ON jobs.jobs (created_at, id);
CREATE INDEX jobs_of_type ON jobs.jobs (job_type, created_at, id);
CREATE INDEX jobs_of_owner ON jobs.jobs (created_by, created_at, id);
CREATE INDEX jobs_due ON jobs.jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_set_back ON jobs.jobs (setback, created_at, id) WHERE setback IS NOT NULL;
CREATE INDEX jobs_tagged ON jobs.jobs USING gin (tags) WHERE tags IS NOT NULL;
