DROP TABLE jobs.outbox;
DROP TABLE jobs.workers;
DROP TABLE jobs.job_artifacts;
DROP TABLE jobs.job_attempts;
DROP TABLE jobs.jobs;
DROP TABLE jobs.job_types;
