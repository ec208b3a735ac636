-- compatible back to 0005
--
-- What kind of failure ended a job, for those who answer in its stead: NULL for
-- nearly every job, which costs nothing.
ALTER TABLE jobs.jobs
    ADD COLUMN error_kind text,
    ADD COLUMN error_code text,
    ADD CONSTRAINT fault_of_failure CHECK (error_kind IS NULL OR (status = 'failed' AND error_code IS NOT NULL));
