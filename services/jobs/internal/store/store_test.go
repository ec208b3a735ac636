package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
	"nexus.internal/services/jobs/internal/store"
)

func TestRowsMatchTheSchema(t *testing.T) {
	t.Parallel()
	testkit.RequireRowsMatch(t, testkit.Postgres(t), store.Rows())
}

// The database says the same as the state machine: what a state needs, and
// what it must not have.
func TestChecksRefuseImpossibleRows(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	const insert = `INSERT INTO jobs.jobs (id, job_type, status, execution_mode, max_attempts, timeout_seconds, created_by, next_run_at)
		VALUES (gen_random_uuid(), 'analyze', 'queued', 'async', 3, 60, 'alice', now()) RETURNING id`
	for change, constraint := range map[string]string{
		"status = 'sleeping'": "jobs_status_check",
		"status = 'running', next_run_at = NULL, attempt_count = 1":                                        "lease_while_running",
		"lease_owner = 'w', lease_token = gen_random_uuid(), lease_expires_at = now(), started_at = now()": "lease_while_running",
		"status = 'succeeded', next_run_at = NULL":                                                         "finished_once",
		"finished_at = now()":                    "finished_once",
		"next_run_at = NULL":                     "next_run_while_waiting",
		"status = 'failed', finished_at = now()": "next_run_while_waiting",
		"attempt_count = 4":                      "attempts_within_limit",
		"attempt_count = -1":                     "attempts_within_limit",
		"result = '{}'":                          "result_of_success",
		"priority = 'urgent'":                    "jobs_priority_check",
		"tags = '{}'":                            "jobs_tags_check",
		"progress = 101":                         "jobs_progress_check",
		"max_attempts = 11":                      "jobs_max_attempts_check",
		"status = 'running', next_run_at = NULL, lease_owner = 'w', lease_token = gen_random_uuid(), lease_expires_at = now(), started_at = now()": "attempt_while_running",
	} {
		var id string
		require.NoError(t, db.Pool.QueryRow(t.Context(), insert).Scan(&id))
		_, err := db.Pool.Exec(t.Context(), `UPDATE jobs.jobs SET `+change+` WHERE id = $1`, id)
		require.ErrorContains(t, err, constraint, change)
	}
}
