DROP INDEX jobs.jobs_newest, jobs.jobs_due;
ALTER TABLE jobs.jobs RENAME TO jobs_after;
ALTER INDEX jobs.jobs_pkey RENAME TO jobs_after_pkey;

CREATE TABLE jobs.jobs (
    id               uuid PRIMARY KEY,
    job_type         text NOT NULL,
    status           text NOT NULL CHECK (status IN ('queued', 'running', 'retry_wait', 'succeeded', 'failed', 'cancelled')),
    execution_mode   text NOT NULL CHECK (execution_mode IN ('async', 'sync')),
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

INSERT INTO jobs.jobs (id, job_type, status, execution_mode, version, attempt_count, max_attempts, timeout_seconds, payload, result, error_text,
    idempotency_key, request_hash, created_by, request_id, trace_parent, next_run_at, dispatched_at, lease_owner, lease_token, lease_expires_at,
    started_at, created_at, updated_at, finished_at)
SELECT j.id, j.job_type, j.status, j.execution_mode, j.version, j.attempt_count, j.max_attempts, j.timeout_seconds, i.payload, j.result, j.error_text,
    i.idempotency_key, i.request_hash, j.created_by, j.request_id, j.trace_parent, j.next_run_at, j.dispatched_at, j.lease_owner, j.lease_token,
    j.lease_expires_at, j.started_at, j.created_at, j.updated_at, j.finished_at
FROM jobs.jobs_after AS j JOIN jobs.job_inputs AS i ON i.job_id = j.id;

DELETE FROM jobs.job_artifacts AS a WHERE NOT EXISTS (SELECT FROM jobs.jobs AS j WHERE j.id = a.job_id);

DROP TABLE jobs.claims;
DROP TABLE jobs.dispatches;
DROP TABLE jobs.job_inputs;
DROP TABLE jobs.jobs_after;

CREATE INDEX jobs_due ON jobs.jobs (next_run_at) WHERE status IN ('queued', 'retry_wait') AND dispatched_at IS NULL;
CREATE INDEX jobs_dispatched ON jobs.jobs (dispatched_at) WHERE status IN ('queued', 'retry_wait') AND dispatched_at IS NOT NULL;
CREATE INDEX jobs_leased ON jobs.jobs (lease_expires_at) WHERE status = 'running';
CREATE INDEX jobs_newest ON jobs.jobs (created_at DESC, id DESC);
ALTER TABLE jobs.job_artifacts ADD CONSTRAINT job_artifacts_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs.jobs (id) ON DELETE CASCADE;
