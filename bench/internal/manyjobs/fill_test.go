package manyjobs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/jobsdb"
	"nexus.internal/bench/internal/manyjobs"
	"nexus.internal/libs/testkit"
)

// The tables belong to the jobs service; what is written here must follow them.
func TestFillMakesJobsOfEveryKind(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := jobsdb.Open(ctx, testkit.PostgresURL(t), 2)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	const n = 20_000
	now := time.Now()
	require.NoError(t, manyjobs.Write(ctx, db, n, now))

	count := func(query string) (found int) {
		t.Helper()
		require.NoError(t, db.Pool.QueryRow(ctx, query).Scan(&found), query)
		return found
	}
	require.Equal(t, n, count(`SELECT count(*) FROM jobs.jobs`))
	require.Equal(t, n, count(`SELECT count(*) FROM jobs.job_inputs JOIN jobs.jobs ON id = job_id`))
	require.Equal(t, 6, count(`SELECT count(DISTINCT status) FROM jobs.jobs`))
	require.Equal(t, 3, count(`SELECT count(DISTINCT priority) FROM jobs.jobs`))
	require.Greater(t, count(`SELECT count(*) FROM jobs.jobs WHERE tags IS NOT NULL`), n/10)
	require.Equal(t, n/100, count(`SELECT count(*) FROM jobs.jobs WHERE finished_at IS NULL`))
	require.Equal(t, count(`SELECT count(*) FROM jobs.jobs WHERE status = 'running'`), count(`SELECT sum(cardinality(job_ids)) FROM jobs.claims`))
	require.Equal(t, count(`SELECT count(*) FROM jobs.jobs WHERE dispatched_at IS NOT NULL`), count(`SELECT sum(cardinality(job_ids)) FROM jobs.dispatches`))
	var newest time.Time
	require.NoError(t, db.Pool.QueryRow(ctx, `SELECT max(created_at) FROM jobs.jobs`).Scan(&newest))
	require.WithinRange(t, newest, now.Add(-manyjobs.Span/n-time.Second), now)
}
