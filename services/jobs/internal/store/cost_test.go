package store_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/jobs/internal/store"
)

// silent takes messages and sends them nowhere.
type silent struct{}

func (silent) Publish(context.Context, ...bus.Message) error { return nil }

func open(t testing.TB) (*store.Store, *pg.DB) {
	t.Helper()
	db := testkit.Postgres(t)
	return store.New(db, outbox.New(db, "jobs", silent{}, zerolog.Nop()), time.Now), db
}

func noop() contract.JobType {
	return contract.JobType{Name: contract.JobNoop, Queue: contract.QueueBench, MaxAttempts: 3, TimeoutSeconds: 30, RunsPerMessage: 32, Enabled: true, BackoffSeconds: []int{2, 10, 30}}
}

func newJob() store.NewJob {
	id := uuid.Must(uuid.NewV7())
	return store.NewJob{ID: id, Type: noop(), Submission: contract.Submission{
		JobID: id.String(), JobType: contract.JobNoop, ExecutionMode: contract.ModeAsync, MaxAttempts: 3, CreatedBy: "bench",
		RequestID: uuid.NewString(), TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Payload: json.RawMessage(`{"text":"` + strings.Repeat("x", 500) + `"}`),
	}}
}

// On its way from queued to succeeded a job moves no index entry, and the log
// of it stays small.
func TestWayToSuccessWritesLittle(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	ctx := t.Context()
	types := map[string]contract.JobType{contract.JobNoop: noop()}
	var before, after string
	require.NoError(t, db.Pool.QueryRow(ctx, `SELECT pg_current_wal_lsn()::text`).Scan(&before))
	const batches, size = 20, 250
	for range batches {
		jobs := make([]store.NewJob, size)
		leases := make([]store.Lease, size)
		results := make([]store.Finished, size)
		for i := range jobs {
			jobs[i] = newJob()
			leases[i] = store.Lease{JobID: jobs[i].ID, Token: uuid.New(), Worker: "host-1234-0a1b2c3d"}
			results[i] = store.Finished{Lease: leases[i], RunResult: contract.RunResult{Outcome: contract.OutcomeSucceeded, RuntimeMS: 1}}
		}
		_, _, err := st.Record(ctx, jobs, false)
		require.NoError(t, err)
		granted, _, err := st.Claim(ctx, leases, time.Minute)
		require.NoError(t, err)
		require.Len(t, granted, size)
		_, _, err = st.Finish(ctx, results, types, time.Hour)
		require.NoError(t, err)
	}
	require.NoError(t, db.Pool.QueryRow(ctx, `SELECT pg_current_wal_lsn()::text`).Scan(&after))
	var written, outboxBytes int64
	require.NoError(t, db.Pool.QueryRow(ctx, `SELECT pg_wal_lsn_diff($1, $2)::bigint, (SELECT sum(pg_column_size(body))::bigint FROM jobs.outbox)`, after, before).Scan(&written, &outboxBytes))
	// Other tests write to the same server at the same time, so this is for
	// people to read.
	t.Logf("%d bytes of log per job, %d of them outbox bodies", written/(batches*size), outboxBytes/(batches*size))
	var updates, hot int64
	testkit.Eventually(t, func() bool {
		return db.Pool.QueryRow(ctx, `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relid = 'jobs.jobs'::regclass`).Scan(&updates, &hot) == nil &&
			updates == 2*batches*size
	}, "the statistics did not arrive")
	// An index entry that moves would leave next to none. A few move to another
	// page because a snapshot of somebody else keeps old versions from going.
	require.Greater(t, hot, updates*60/100, "the changes are not heap-only")
}
