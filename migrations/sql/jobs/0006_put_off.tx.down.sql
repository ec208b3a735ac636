ALTER TABLE jobs.job_attempts DROP COLUMN lease_token;
ALTER TABLE jobs.jobs DROP COLUMN put_back_token, DROP COLUMN deferred_since, DROP COLUMN defer_count;
