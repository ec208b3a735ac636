-- compatible back to 0005
--
-- A job whose handler found something it needs unavailable is put off: how often,
-- and since when without a break. NULL costs the others nothing.
ALTER TABLE jobs.jobs
    ADD COLUMN defer_count    integer,
    ADD COLUMN deferred_since timestamptz,
    -- The lease under which the job was last given back or put off. A worker that
    -- repeats such a report has its first answer again.
    ADD COLUMN put_back_token uuid;

-- The lease under which the end of the attempt was reported; NULL where it ended
-- without a report.
ALTER TABLE jobs.job_attempts ADD COLUMN lease_token uuid;
