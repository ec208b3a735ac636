DROP INDEX jobs.jobs_of_lane, jobs.jobs_of_owner, jobs.jobs_set_back;
CREATE INDEX jobs_of_owner ON jobs.jobs (created_by, created_at, id);
CREATE INDEX jobs_set_back ON jobs.jobs (setback, created_at, id) WHERE setback IS NOT NULL;
