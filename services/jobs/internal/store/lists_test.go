package store_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
)

// NEXUS_LISTS_ROWS fills the table with so many finished jobs and prints how
// long lists take; docs/lists.md is made of it.
func TestListsOverManyJobs(t *testing.T) {
	rows, err := strconv.Atoi(os.Getenv("NEXUS_LISTS_ROWS"))
	if err != nil {
		t.Skip("NEXUS_LISTS_ROWS is not set")
	}
	st, db := open(t)
	_, err = db.Pool.Exec(t.Context(), `INSERT INTO jobs.jobs (id, created_at, max_attempts, timeout_seconds, version, attempt_count, status, started_at, finished_at,
			job_type, execution_mode, created_by, tags)
		SELECT gen_random_uuid(), now() - ($1 - i) * interval '1 second', 3, 30, 3, 1, CASE WHEN i % 1000 = 0 THEN 'failed' ELSE 'succeeded' END, now(), now(),
			CASE WHEN i % 50000 = 7 THEN 'analyze' ELSE 'noop' END, 'async', CASE WHEN i % 50000 = 9 THEN 'rare' ELSE 'bench' END,
			CASE WHEN i % 20000 = 3 THEN '{nightly}'::text[] END
		FROM generate_series(1, $1::int) AS i`, rows)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `VACUUM ANALYZE jobs.jobs`)
	require.NoError(t, err)
	middle := time.Now().Add(-time.Duration(rows/2) * time.Second)
	for _, c := range []struct {
		name string
		req  contract.ListJobsRequest
	}{
		{"newest", contract.ListJobsRequest{}},
		{"offset 10000", contract.ListJobsRequest{Offset: 10_000}},
		{"failed", contract.ListJobsRequest{Status: "failed"}},
		{"queued (none)", contract.ListJobsRequest{Status: "queued"}},
		{"succeeded", contract.ListJobsRequest{Status: "succeeded"}},
		{"rare type", contract.ListJobsRequest{JobType: "analyze"}},
		{"rare owner", contract.ListJobsRequest{CreatedBy: "rare"}},
		{"rare owner, failed (none)", contract.ListJobsRequest{CreatedBy: "rare", Status: "failed"}},
		{"tag", contract.ListJobsRequest{Tag: "nightly"}},
		{"before the middle", contract.ListJobsRequest{CreatedBefore: &middle}},
		{"type and owner, before the middle", contract.ListJobsRequest{JobType: "noop", CreatedBy: "bench", CreatedBefore: &middle}},
	} {
		c.req.Limit = 100
		best, found := time.Hour, 0
		for range 3 {
			began := time.Now()
			jobs, _, err := st.List(t.Context(), c.req)
			require.NoError(t, err)
			best, found = min(best, time.Since(began)), len(jobs)
		}
		t.Logf("| %s | %d | %.1f ms |", c.name, found, float64(best.Microseconds())/1000)
	}
	began := time.Now()
	counts, err := st.Counts(t.Context())
	require.NoError(t, err)
	t.Logf("| counts | %+v | %.1f ms |", counts, float64(time.Since(began).Microseconds())/1000)
}
