-- Where the events of a job are posted is needed by few jobs and read by one
-- service; that there is such a place, by every event of the job.
ALTER TABLE jobs.jobs ADD COLUMN hooked boolean CHECK (hooked);
ALTER TABLE jobs.job_inputs ADD COLUMN webhook text;

COMMENT ON COLUMN jobs.jobs.hooked IS 'NULL or true: nearly no job has a webhook, and NULL costs nothing';
COMMENT ON COLUMN jobs.job_inputs.webhook IS 'JSON';
