-- compatible back to 0001
--
-- A run in shadow mode names the job that does its work once more beside it, and
-- the run of that job names the job whose work it does. Runs from before were
-- not asked how the answer was wanted.
ALTER TABLE plugins.analysis_runs
    ADD COLUMN execution_mode text NOT NULL DEFAULT 'async' CHECK (execution_mode IN ('async', 'sync', 'shadow')),
    ADD COLUMN shadow_job_id  uuid UNIQUE,
    ADD COLUMN shadow_of      uuid UNIQUE,
    ADD CONSTRAINT a_shadow_has_a_caster CHECK ((shadow_job_id IS NOT NULL) = (execution_mode = 'shadow')),
    ADD CONSTRAINT a_shadow_casts_none CHECK (num_nonnulls(shadow_job_id, shadow_of) <= 1);
