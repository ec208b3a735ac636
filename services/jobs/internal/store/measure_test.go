package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/services/jobs/internal/store"
)

func TestLiveJobsAreCounted(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	ctx := t.Context()
	live, err := st.Live(ctx)
	require.NoError(t, err)
	require.Empty(t, live)

	jobs := make([]store.NewJob, 6)
	leases := make([]store.Lease, len(jobs))
	for i := range jobs {
		jobs[i] = newJob()
		leases[i] = store.Lease{JobID: jobs[i].ID, Token: uuid.New(), Worker: "host-1234-0a1b2c3d"}
	}
	jobs[5].DelaySeconds = 3600
	_, _, err = st.Record(ctx, jobs, false)
	require.NoError(t, err)
	// Two run, one of them then waits for another attempt, and one has ended.
	_, _, err = st.Claim(ctx, leases[:3], time.Minute)
	require.NoError(t, err)
	_, _, err = st.Finish(ctx, []store.Finished{
		{Lease: leases[0], RunResult: contract.RunResult{Outcome: contract.OutcomeSucceeded}},
		{Lease: leases[1], RunResult: contract.RunResult{Outcome: contract.OutcomeFailed, ErrorText: "no"}},
	}, map[string]contract.JobType{contract.JobNoop: noop()}, time.Hour)
	require.NoError(t, err)
	_, err = db.Pool.Exec(ctx, `UPDATE jobs.jobs SET next_run_at = clock_timestamp() - interval '90 seconds' WHERE id = $1`, jobs[4].ID)
	require.NoError(t, err)
	live, err = st.Live(ctx)
	require.NoError(t, err)
	require.Len(t, live, 1)
	require.InDelta(t, 90, live[0].Oldest.Seconds(), 30)
	live[0].Oldest = 0
	require.Equal(t, store.Live{JobType: contract.JobNoop, Queued: 3, Running: 1, RetryWait: 1}, live[0])
}

// Of very many jobs a sample is counted, which takes no longer than some.
func TestManyLiveJobsAreEstimated(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	ctx := t.Context()
	const n = 60_000
	_, err := db.Pool.Exec(ctx, `WITH new AS (
			INSERT INTO jobs.jobs (id, job_type, status, execution_mode, priority, max_attempts, timeout_seconds, created_by, next_run_at, dispatched_at, created_at, updated_at)
			SELECT gen_random_uuid(), CASE WHEN i % 3 = 0 THEN 'analyze' ELSE 'ingest_batch' END, 'queued', 'async', 'normal', 3, 60, 'ann', now(), now(), now(), now()
			FROM generate_series(1, $1::int) AS i RETURNING id)
		INSERT INTO jobs.dispatches (queue, priority, dispatched_at, job_ids) SELECT 'corpus', 'normal', now(), array_agg(id) FROM new`, n)
	require.NoError(t, err)
	_, err = db.Pool.Exec(ctx, `ANALYZE jobs.jobs`)
	require.NoError(t, err)
	// Jobs that have been claimed are in two groups, and are one job all the same.
	_, err = db.Pool.Exec(ctx, `INSERT INTO jobs.claims (look_at, job_ids) SELECT now(), job_ids FROM jobs.dispatches`)
	require.NoError(t, err)
	live, err := st.Live(ctx)
	require.NoError(t, err)
	counted := map[string]float64{}
	for _, l := range live {
		counted[l.JobType] = float64(l.Queued)
	}
	require.InEpsilon(t, n/3, counted["analyze"], 0.15)
	require.InEpsilon(t, n*2/3, counted["ingest_batch"], 0.15)
}
