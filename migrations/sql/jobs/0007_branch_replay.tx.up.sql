-- compatible back to 0005
--
-- Branches are replayed by jobs of a type of their own.
INSERT INTO jobs.job_types (name, queue, timeout_seconds, mode_gated, runs_per_message, enabled)
VALUES ('branch_replay', 'corpus', 300, false, 1, true)
ON CONFLICT (name) DO NOTHING;
