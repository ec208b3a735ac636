DROP TABLE jobs.command_parts;
DROP TABLE jobs.queues;
ALTER TABLE jobs.job_types
    DROP COLUMN payload_schema,
    DROP COLUMN backoff_seconds,
    DROP COLUMN min_role,
    DROP COLUMN updated_at,
    DROP COLUMN updated_by;
