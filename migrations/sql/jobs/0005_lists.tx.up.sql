-- Lists of a lane that few jobs are in would go through all the others. Jobs of
-- the usual lane are left out: their lists soon find some, and their submits
-- pay nothing for this.
CREATE INDEX jobs_of_lane ON jobs.jobs (priority, created_at, id, job_type, created_by) WHERE priority <> 'normal';

-- What stands behind the id orders nothing. It lets a second filter pass over
-- entries without reading their rows, which lie scattered over the whole table.
DROP INDEX jobs.jobs_of_owner, jobs.jobs_set_back;
CREATE INDEX jobs_of_owner ON jobs.jobs (created_by, created_at, id, job_type);
CREATE INDEX jobs_set_back ON jobs.jobs (setback, created_at, id, job_type, created_by, priority) WHERE setback IS NOT NULL;
