package jobsdb_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/jobsdb"
	"nexus.internal/libs/testkit"
)

func TestTally(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tally       jobsdb.Tally
		confirmed   int64
		lost, twice int64
	}{
		"all is well":                 {jobsdb.Tally{Jobs: 5, Succeeded: 5, Attempts: 5}, 5, 0, 0},
		"more than were confirmed":    {jobsdb.Tally{Jobs: 6, Succeeded: 6, Attempts: 6}, 5, 0, 0},
		"one did not end":             {jobsdb.Tally{Jobs: 5, Succeeded: 4, Attempts: 4}, 5, 1, 0},
		"one is not recorded":         {jobsdb.Tally{Jobs: 4, Succeeded: 4, Attempts: 4}, 5, 1, 0},
		"one ran twice":               {jobsdb.Tally{Jobs: 5, Succeeded: 5, Attempts: 6}, 5, 0, 1},
		"an attempt is not there yet": {jobsdb.Tally{Jobs: 5, Succeeded: 5, Attempts: 4}, 5, 0, 0},
	} {
		require.Equal(t, c.lost, c.tally.Lost(c.confirmed), name)
		require.Equal(t, c.twice, c.tally.Twice(), name)
	}
}

// The tables belong to the jobs service; what is read and cleared here must
// follow them.
func TestItKnowsTheTables(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := jobsdb.Open(ctx, testkit.PostgresURL(t), 2)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	_, err = db.Pool.Exec(ctx, `INSERT INTO jobs.jobs (id, job_type, status, execution_mode, max_attempts, timeout_seconds, created_by, next_run_at, finished_at)
		SELECT gen_random_uuid(), 'noop', s, 'async', 3, 30, 'bench', CASE s WHEN 'queued' THEN now() END, CASE s WHEN 'succeeded' THEN now() END
		FROM unnest('{queued,succeeded,succeeded}'::text[]) AS s`)
	require.NoError(t, err)
	_, err = db.Pool.Exec(ctx, `INSERT INTO jobs.outbox (id, body) VALUES (gen_random_uuid(), '')`)
	require.NoError(t, err)

	before, err := db.LogPosition(ctx)
	require.NoError(t, err)
	tally, err := db.Tally(ctx)
	require.NoError(t, err)
	require.Equal(t, jobsdb.Tally{Jobs: 3, Succeeded: 2}, tally)
	succeeded, err := db.Succeeded(ctx)
	require.NoError(t, err)
	require.Equal(t, int64(2), succeeded)
	unpublished, err := db.Unpublished(ctx)
	require.NoError(t, err)
	require.Equal(t, int64(1), unpublished)

	require.NoError(t, db.Settle(ctx))
	require.NoError(t, db.Clear(ctx))
	tally, err = db.Tally(ctx)
	require.NoError(t, err)
	require.Zero(t, tally)
	unpublished, err = db.Unpublished(ctx)
	require.NoError(t, err)
	require.Zero(t, unpublished)
	after, err := db.LogPosition(ctx)
	require.NoError(t, err)
	require.Greater(t, after, before)

	version, err := db.Version(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, version)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://h:notaport", "postgres://nobody@127.0.0.1:1/none?connect_timeout=1"} {
		_, err := jobsdb.Open(t.Context(), url, 1)
		require.Error(t, err)
	}
}
