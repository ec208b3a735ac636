package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/services/jobs/internal/store"
)

func TestPruneTakesOldFinishedJobsWhole(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	jobs := []store.NewJob{newJob(), newJob(), newJob()}
	_, _, err := st.Record(t.Context(), jobs, false)
	require.NoError(t, err)
	for _, j := range jobs[:2] {
		_, _, _, err := st.Cancel(t.Context(), j.ID, "alice")
		require.NoError(t, err)
	}
	_, err = db.Pool.Exec(t.Context(), `UPDATE jobs.jobs SET created_at = created_at - interval '3 hours', finished_at = finished_at - interval '2 hours' WHERE id <> $1`, jobs[1].ID)
	require.NoError(t, err)
	for _, j := range jobs[:2] {
		_, err = db.Pool.Exec(t.Context(), `INSERT INTO jobs.output_parts (job_id, output, part, lease_token, kept, body) VALUES ($1, 0, 0, gen_random_uuid(), true, '1')`, j.ID)
		require.NoError(t, err)
	}
	prune := func(status contract.Status) int {
		n, _, more, err := st.Prune(t.Context(), status, time.Hour, store.PlaceInTime{})
		require.NoError(t, err)
		require.False(t, more)
		return n
	}
	require.Zero(t, prune(contract.StatusSucceeded))
	require.Equal(t, 1, prune(contract.StatusCancelled))
	require.Zero(t, prune(contract.StatusCancelled))
	_, _, _, err = st.Prune(t.Context(), contract.StatusQueued, time.Hour, store.PlaceInTime{})
	require.Error(t, err, "jobs at work are never pruned")
	for table, want := range map[string]int{"jobs": 2, "job_inputs": 2, "output_parts": 1} {
		var n int
		require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.`+table).Scan(&n))
		require.Equal(t, want, n, table)
	}
}
