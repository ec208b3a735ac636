package store_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/services/jobs/internal/store"
)

// listed is a job as the filters see it.
type listed struct {
	id        string
	status    contract.Status
	jobType   string
	owner     string
	priority  string
	tags      []string
	createdAt time.Time
}

func pick[T any](rnd *rand.Rand, of ...T) T { return of[rnd.IntN(len(of))] }

func listTypes() []string {
	return []string{contract.JobAnalyze, contract.JobIngestBatch, contract.JobNoop}
}

func listOwners() []string { return []string{"ann", "bob", "ann.b"} }

func listTags() []string { return []string{"a", "b", "team:x", "a=1"} }

// someJobs makes jobs of every kind; several are made at the same moment.
func someJobs(rnd *rand.Rand, n int) []listed {
	start := time.Date(2026, 3, 1, 12, 0, 0, 123_456_000, time.UTC)
	jobs := make([]listed, n)
	for i := range jobs {
		jobs[i] = listed{
			id: uuid.NewString(), status: pick(rnd, contract.Statuses()...), jobType: pick(rnd, listTypes()...), owner: pick(rnd, listOwners()...),
			priority:  pick(rnd, contract.PriorityHigh, contract.PriorityNormal, contract.PriorityLow),
			createdAt: start.Add(time.Duration(rnd.IntN(n/3)) * 7 * time.Microsecond),
		}
		for _, tag := range listTags() {
			if rnd.IntN(3) == 0 {
				jobs[i].tags = append(jobs[i].tags, tag)
			}
		}
	}
	return jobs
}

// insertListed writes jobs as their life would have left them: the unfinished ones
// are in groups of dispatches and claims, or wait in Postgres for their time.
func insertListed(t *testing.T, db *pg.DB, rnd *rand.Rand, jobs []listed) {
	t.Helper()
	var sent, claimed []string
	for _, j := range jobs {
		more := map[contract.Status]string{
			contract.StatusQueued:    `next_run_at = now(), dispatched_at = now()`,
			contract.StatusRetryWait: `attempt_count = 1, next_run_at = now(), dispatched_at = NULL`,
			contract.StatusRunning: `next_run_at = NULL, attempt_count = 1, started_at = now(), lease_owner = 'w', lease_token = gen_random_uuid(),
				lease_expires_at = now() + interval '1 hour'`,
		}[j.status]
		switch {
		case j.status.Finished():
			more = `next_run_at = NULL, attempt_count = 1, finished_at = now()`
		case j.status == contract.StatusRunning:
			claimed = append(claimed, j.id)
		case rnd.IntN(2) == 0:
			more = strings.ReplaceAll(more, "dispatched_at = now()", "dispatched_at = NULL")
		case j.status == contract.StatusQueued:
			sent = append(sent, j.id)
		default:
			more, sent = strings.ReplaceAll(more, "dispatched_at = NULL", "dispatched_at = now()"), append(sent, j.id)
		}
		_, err := db.Pool.Exec(t.Context(), `INSERT INTO jobs.jobs (id, created_at, max_attempts, timeout_seconds, status, next_run_at, job_type, execution_mode, priority, created_by, tags)
			VALUES ($1, $2, 3, 30, 'queued', now(), $3, 'async', $4, $5, $6)`, j.id, j.createdAt, j.jobType, j.priority, j.owner, j.tags)
		require.NoError(t, err)
		_, err = db.Pool.Exec(t.Context(), `UPDATE jobs.jobs SET status = '`+string(j.status)+`', `+more+` WHERE id = $1`, j.id)
		require.NoError(t, err, j.status)
	}
	for group := range slices.Chunk(sent, 10) {
		_, err := db.Pool.Exec(t.Context(), `INSERT INTO jobs.dispatches (queue, priority, dispatched_at, job_ids) VALUES ('plugins', 'normal', now(), $1)`, group)
		require.NoError(t, err)
	}
	for group := range slices.Chunk(claimed, 10) {
		_, err := db.Pool.Exec(t.Context(), `INSERT INTO jobs.claims (look_at, job_ids) VALUES (now() + interval '1 hour', $1)`, group)
		require.NoError(t, err)
	}
}

// matching is what a list must hold, newest first.
func matching(jobs []listed, req contract.ListJobsRequest) []string {
	var found []listed
	for _, j := range jobs {
		if (req.Status == "" || string(j.status) == req.Status) && (req.JobType == "" || j.jobType == req.JobType) &&
			(req.CreatedBy == "" || j.owner == req.CreatedBy) && (req.Priority == "" || j.priority == req.Priority) &&
			(req.Tag == "" || slices.Contains(j.tags, req.Tag)) &&
			(req.CreatedAfter == nil || j.createdAt.After(*req.CreatedAfter)) && (req.CreatedBefore == nil || j.createdAt.Before(*req.CreatedBefore)) {
			found = append(found, j)
		}
	}
	slices.SortFunc(found, func(a, b listed) int { return cmp.Or(b.createdAt.Compare(a.createdAt), cmp.Compare(b.id, a.id)) })
	ids := []string{}
	for _, j := range found {
		ids = append(ids, j.id)
	}
	return ids
}

// filters are the fields of a request; each is set or not in every combination.
func filters(rnd *rand.Rand, jobs []listed) []func(*contract.ListJobsRequest) {
	// Bounds are moments at which jobs were made: such a job is outside.
	moment := func(from, to int) *time.Time {
		at := jobs[from+rnd.IntN(to-from)].createdAt
		return &at
	}
	byAge := slices.SortedFunc(slices.Values(jobs), func(a, b listed) int { return a.createdAt.Compare(b.createdAt) })
	copy(jobs, byAge)
	return []func(*contract.ListJobsRequest){
		func(r *contract.ListJobsRequest) { r.Status = string(pick(rnd, contract.Statuses()...)) },
		func(r *contract.ListJobsRequest) { r.JobType = pick(rnd, listTypes()...) },
		func(r *contract.ListJobsRequest) { r.CreatedBy = pick(rnd, listOwners()...) },
		func(r *contract.ListJobsRequest) {
			r.Priority = pick(rnd, contract.PriorityHigh, contract.PriorityNormal, contract.PriorityLow)
		},
		func(r *contract.ListJobsRequest) { r.Tag = pick(rnd, listTags()...) },
		func(r *contract.ListJobsRequest) { r.CreatedAfter = moment(0, len(jobs)/4) },
		func(r *contract.ListJobsRequest) { r.CreatedBefore = moment(3*len(jobs)/4, len(jobs)) },
	}
}

// byCursor and byOffset read a list to its end, page by page.
func byCursor(t *testing.T, st *store.Store, req contract.ListJobsRequest, limit int) []string {
	t.Helper()
	ids := []string{}
	for req.Limit = limit; ; {
		page, next, err := st.List(t.Context(), req)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		ids = append(ids, idsOf(page)...)
		if req.Cursor = next; next == "" {
			return ids
		}
		require.Len(t, page, limit, "only the last page is short")
	}
}

func byOffset(t *testing.T, st *store.Store, req contract.ListJobsRequest, limit int) []string {
	t.Helper()
	ids := []string{}
	for req.Limit = limit; ; req.Offset += limit {
		page, _, err := st.List(t.Context(), req)
		require.NoError(t, err)
		ids = append(ids, idsOf(page)...)
		if len(page) < limit {
			return ids
		}
	}
}

func idsOf(page []contract.JobSummary) (ids []string) {
	for _, j := range page {
		ids = append(ids, j.JobID)
	}
	return ids
}

// Every combination of filters finds what a filter written in Go finds, by
// cursor and by offset, in the same order. The jobs at work and those of a tag are
// looked up in one of two ways, by how many there are; both are gone through.
func TestListsByEveryCombinationOfFilters(t *testing.T) {
	t.Parallel()
	const seed = 7
	rnd := rand.New(rand.NewPCG(seed, seed))
	st, db := open(t)
	jobs := someJobs(rnd, 240)
	insertListed(t, db, rnd, jobs)
	set := filters(rnd, jobs)
	for _, crowded := range []bool{false, true} {
		if crowded {
			_, err := db.Pool.Exec(t.Context(), `INSERT INTO jobs.dispatches (queue, priority, dispatched_at, job_ids)
				SELECT 'bench', 'normal', now(), array_agg(gen_random_uuid()) FROM generate_series(1, 20001)`)
			require.NoError(t, err)
			_, err = db.Pool.Exec(t.Context(), `UPDATE pg_class SET reltuples = 1e8, relpages = 1 WHERE oid = 'jobs.jobs'::regclass`)
			require.NoError(t, err)
		}
		empty := 0
		for subset := range 1 << len(set) {
			// Statuses differ most in how they are found.
			for range 1 + 3*(subset&1) {
				var req contract.ListJobsRequest
				for i, filter := range set {
					if subset&(1<<i) != 0 {
						filter(&req)
					}
				}
				want := matching(jobs, req)
				if len(want) == 0 {
					empty++
				}
				what := fmt.Sprintf("crowded: %v, filters: %+v, after: %v, before: %v", crowded, req, req.CreatedAfter, req.CreatedBefore)
				all := req
				all.Limit = 1000
				page, next, err := st.List(t.Context(), all)
				require.NoError(t, err, what)
				require.Equal(t, want, append([]string{}, idsOf(page)...), what)
				require.Empty(t, next, what)
				require.Equal(t, want, byCursor(t, st, req, 1+rnd.IntN(9)), "by cursor; %s", what)
				require.Equal(t, want, byOffset(t, st, req, 5+rnd.IntN(20)), "by offset; %s", what)
			}
		}
		require.Less(t, empty, 200, "too many lists are empty to say much")
	}
	for _, status := range contract.Statuses() {
		require.NotEmpty(t, matching(jobs, contract.ListJobsRequest{Status: string(status)}), status)
	}
}

// A page goes on behind its last job, whatever came or went meanwhile.
func TestCursorsHoldWhileJobsComeAndGo(t *testing.T) {
	t.Parallel()
	const seed = 11
	rnd := rand.New(rand.NewPCG(seed, seed))
	st, db := open(t)
	jobs := someJobs(rnd, 60)
	insertListed(t, db, rnd, jobs)
	want := matching(jobs, contract.ListJobsRequest{})
	req := contract.ListJobsRequest{Limit: 20}
	first, next, err := st.List(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, want[:20], idsOf(first))
	// The last of the page goes, and newer ones come.
	_, err = db.Pool.Exec(t.Context(), `DELETE FROM jobs.jobs WHERE id = $1`, want[19])
	require.NoError(t, err)
	newer := someJobs(rnd, 6)
	for i := range newer {
		newer[i].createdAt = time.Date(2026, 4, 1, 0, 0, i, 0, time.UTC)
	}
	insertListed(t, db, rnd, newer)
	req.Cursor = next
	second, next, err := st.List(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, want[20:40], idsOf(second))
	req.Cursor = next
	third, next, err := st.List(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, want[40:], idsOf(third))
	require.Empty(t, next, "the last page is full and says so")
}

// A small number of jobs is counted, from the first on and without waiting for the
// database to gather statistics; a large one is told from those, and says so.
func TestCounts(t *testing.T) {
	t.Parallel()
	st, db := open(t)
	counts := func() contract.JobCounts {
		t.Helper()
		c, err := st.Counts(t.Context())
		require.NoError(t, err)
		return c
	}
	require.Equal(t, contract.JobCounts{Exact: true}, counts())
	rnd := rand.New(rand.NewPCG(1, 2))
	jobs := someJobs(rnd, 300)
	insertListed(t, db, rnd, jobs)
	want := contract.JobCounts{Exact: true}
	for _, j := range jobs {
		*map[contract.Status]*int64{
			contract.StatusQueued: &want.Queued, contract.StatusRunning: &want.Running, contract.StatusRetryWait: &want.RetryWait,
			contract.StatusFailed: &want.Failed, contract.StatusCancelled: &want.Cancelled, contract.StatusSucceeded: &want.Succeeded,
		}[j.status]++
	}
	require.Equal(t, want, counts())

	more := func(n int) {
		t.Helper()
		_, err := db.Pool.Exec(t.Context(), `INSERT INTO jobs.jobs (id, max_attempts, timeout_seconds, attempt_count, status, finished_at, job_type, execution_mode, created_by)
			SELECT gen_random_uuid(), 3, 30, 1, 'succeeded', now(), 'noop', 'async', 'ann' FROM generate_series(1, $1)`, n)
		require.NoError(t, err)
		want.Succeeded += int64(n)
	}
	more(9_700)
	require.Equal(t, want, counts(), "10,000 in all")
	more(1)
	want.Exact = false
	require.Equal(t, want, counts(), "no statistics are needed to know that there are so many at least")
	more(4_000)
	_, err := db.Pool.Exec(t.Context(), `ANALYZE jobs.jobs`)
	require.NoError(t, err)
	about := counts()
	require.InDelta(t, want.Succeeded, about.Succeeded, 200)
	about.Succeeded = want.Succeeded
	require.Equal(t, want, about)
}
