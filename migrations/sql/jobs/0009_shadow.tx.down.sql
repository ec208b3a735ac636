UPDATE jobs.jobs SET execution_mode = 'sync' WHERE execution_mode = 'shadow';

-- The database has named the constraint itself.
DO $$
DECLARE
    name text;
BEGIN
    SELECT conname INTO STRICT name FROM pg_constraint
    WHERE conrelid = 'jobs.jobs'::regclass AND contype = 'c' AND pg_get_constraintdef(oid) LIKE '%execution_mode%';
    EXECUTE format('ALTER TABLE jobs.jobs DROP CONSTRAINT %I', name);
END $$;

ALTER TABLE jobs.jobs ADD CONSTRAINT known_execution_mode CHECK (execution_mode IN ('async', 'sync'));
