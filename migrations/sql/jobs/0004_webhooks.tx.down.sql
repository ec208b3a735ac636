ALTER TABLE jobs.job_inputs DROP COLUMN webhook;
ALTER TABLE jobs.jobs DROP COLUMN hooked;
