package store_test

import (
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/jobs/internal/store"
)

// Rows of the first layout, in every state, are carried over, and back.
func TestMigrationsKeepTheRows(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	run := func(files ...string) {
		t.Helper()
		for _, name := range files {
			text, err := os.ReadFile("../../../../migrations/sql/jobs/" + name)
			require.NoError(t, err)
			_, err = db.Pool.Exec(t.Context(), string(text))
			require.NoError(t, err, name)
		}
	}
	run("0010_outputs.tx.down.sql", "0008_faults.tx.down.sql", "0006_put_off.tx.down.sql", "0005_lists.tx.down.sql", "0004_webhooks.tx.down.sql", "0003_types_and_queues.tx.down.sql", "0002_narrow_rows.tx.down.sql")
	ids := map[contract.Status]uuid.UUID{}
	for status, more := range map[contract.Status]string{
		contract.StatusQueued:    `next_run_at = now(), dispatched_at = now()`,
		contract.StatusRunning:   `next_run_at = NULL, attempt_count = 1, lease_owner = 'w', lease_token = gen_random_uuid(), lease_expires_at = now(), started_at = now()`,
		contract.StatusRetryWait: `attempt_count = 1`,
		contract.StatusSucceeded: `next_run_at = NULL, attempt_count = 1, started_at = now(), finished_at = now(), result = '7'`,
		contract.StatusFailed:    `next_run_at = NULL, attempt_count = 3, started_at = now(), finished_at = now(), error_text = 'no'`,
		contract.StatusCancelled: `next_run_at = NULL, finished_at = now()`,
	} {
		id := uuid.New()
		_, err := db.Pool.Exec(t.Context(), `INSERT INTO jobs.jobs (id, job_type, status, execution_mode, max_attempts, timeout_seconds, payload, created_by, next_run_at, idempotency_key, request_hash)
			VALUES ($1, 'analyze', 'queued', 'async', 3, 60, '{"n":1}', 'alice', now(), 'k', '\x00')`, id)
		require.NoError(t, err)
		_, err = db.Pool.Exec(t.Context(), `UPDATE jobs.jobs SET status = '`+string(status)+`', `+more+` WHERE id = $1`, id)
		require.NoError(t, err, status)
		ids[status] = id
	}
	run("0002_narrow_rows.tx.up.sql", "0003_types_and_queues.tx.up.sql", "0004_webhooks.tx.up.sql", "0005_lists.tx.up.sql", "0006_put_off.tx.up.sql", "0008_faults.tx.up.sql", "0010_outputs.tx.up.sql")
	for status, id := range ids {
		job, err := st.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, status, job.Status)
		require.JSONEq(t, `{"n":1}`, string(job.Payload))
		require.Equal(t, "k", *job.IdempotencyKey)
		require.Equal(t, contract.PriorityNormal, job.Priority)
	}
	var watched, sent []uuid.UUID
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT job_ids FROM jobs.claims`).Scan(&watched))
	require.Equal(t, []uuid.UUID{ids[contract.StatusRunning]}, watched)
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT job_ids FROM jobs.dispatches`).Scan(&sent))
	require.Equal(t, []uuid.UUID{ids[contract.StatusQueued]}, sent)

	run("0010_outputs.tx.down.sql", "0008_faults.tx.down.sql", "0006_put_off.tx.down.sql", "0005_lists.tx.down.sql", "0004_webhooks.tx.down.sql", "0003_types_and_queues.tx.down.sql", "0002_narrow_rows.tx.down.sql",
		"0002_narrow_rows.tx.up.sql", "0003_types_and_queues.tx.up.sql", "0004_webhooks.tx.up.sql", "0005_lists.tx.up.sql", "0006_put_off.tx.up.sql", "0008_faults.tx.up.sql", "0010_outputs.tx.up.sql")
	testkit.RequireRowsMatch(t, db, store.Rows())
	for status, id := range ids {
		job, err := st.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, status, job.Status)
	}
}

// Outputs in parts are whole behind the older layout.
func TestMigrationsPutOutputsTogether(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	id := uuid.New()
	for _, statement := range []string{
		`INSERT INTO jobs.jobs (id, job_type, status, execution_mode, max_attempts, timeout_seconds, created_by, finished_at, result_bytes) VALUES ($1, 'analyze', 'succeeded', 'async', 3, 60, 'alice', now(), 6)`,
		`INSERT INTO jobs.job_artifacts (job_id, artifact_type, artifact_payload, payload_bytes) VALUES ($1, 'a', '1', NULL), ($1, 'b', NULL, 4)`,
		`INSERT INTO jobs.output_parts (job_id, output, part, lease_token, kept, body) VALUES
			($1, 0, 1, '00000000-0000-0000-0000-000000000001', true, '56"'), ($1, 0, 0, '00000000-0000-0000-0000-000000000001', true, '"34'),
			($1, 2, 0, '00000000-0000-0000-0000-000000000001', true, '"ab"'), ($1, 2, 0, '00000000-0000-0000-0000-000000000002', false, '"no"')`,
	} {
		_, err := db.Pool.Exec(t.Context(), statement, id)
		require.NoError(t, err)
	}
	text, err := os.ReadFile("../../../../migrations/sql/jobs/0010_outputs.tx.down.sql")
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), string(text))
	require.NoError(t, err)
	var result string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT result FROM jobs.jobs`).Scan(&result))
	require.Equal(t, `"3456"`, result)
	var payloads []string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT array_agg(artifact_payload ORDER BY id) FROM jobs.job_artifacts`).Scan(&payloads))
	require.Equal(t, []string{"1", `"ab"`}, payloads)
}
