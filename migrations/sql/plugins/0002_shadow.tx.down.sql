ALTER TABLE plugins.analysis_runs
    DROP COLUMN shadow_of,
    DROP COLUMN shadow_job_id,
    DROP COLUMN execution_mode;
