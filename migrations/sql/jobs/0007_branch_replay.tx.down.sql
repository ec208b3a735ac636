UPDATE jobs.job_types SET enabled = false WHERE name = 'branch_replay';
