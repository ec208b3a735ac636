-- compatible back to 0005
--
-- A result, or the payload of an artifact, that is too large for a message is kept
-- in parts, which nothing reads that does not ask for them. Nearly no job has one, and
-- NULL costs nothing.
ALTER TABLE jobs.jobs
    ADD COLUMN result_bytes integer,
    ADD CONSTRAINT large_result CHECK (result_bytes IS NULL OR (result_bytes > 0 AND result IS NULL AND status = 'succeeded'));

ALTER TABLE jobs.job_artifacts
    ADD COLUMN payload_bytes integer,
    ADD CONSTRAINT large_payload CHECK (payload_bytes IS NULL OR (payload_bytes > 0 AND artifact_payload IS NULL));

-- Parts are put before the report of a run, under its lease, and kept with the report.
CREATE TABLE jobs.output_parts (
    job_id      uuid NOT NULL,
    -- The result is 0, the artifacts are counted from 1.
    output      smallint NOT NULL CHECK (output >= 0),
    part        integer NOT NULL CHECK (part >= 0),
    lease_token uuid NOT NULL,
    kept        boolean NOT NULL DEFAULT false,
    body        bytea NOT NULL CHECK (octet_length(body) > 0),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_id, output, part, lease_token)
);

-- Compressing takes longer than all else that is done with a part.
ALTER TABLE jobs.output_parts ALTER COLUMN body SET STORAGE EXTERNAL;

-- What no report has kept goes once its lease is gone.
CREATE INDEX output_parts_not_kept ON jobs.output_parts (created_at) WHERE NOT kept;
