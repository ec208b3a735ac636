ALTER TABLE jobs.jobs DROP CONSTRAINT fault_of_failure, DROP COLUMN error_code, DROP COLUMN error_kind;
