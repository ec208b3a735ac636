package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/pg"
)

// maxLive is how many jobs at work are looked up one by one. Where there are
// more, the newest jobs are gone through instead: some of them are soon found.
const maxLive = 20_000

const (
	// fewTagged is how many jobs of a tag are read at once. The index of tags knows
	// no order, so all of them are.
	fewTagged = 12_000
	// Where more have the tag, so many of the newest jobs that match all else are
	// gone through first. A tag that one job in 100 has fills a page before.
	leastRecent  = 10_000
	recentPerJob = 110
	mostRecent   = 150_000
)

// filter collects the conditions of a list with their values.
type filter struct {
	conditions []string
	args       []any
}

// add adds a condition; $? stands for the value.
func (f *filter) add(condition string, value any) {
	f.conditions = append(f.conditions, f.bind(condition, value))
}

func (f *filter) bind(condition string, value any) string {
	f.args = append(f.args, value)
	return strings.ReplaceAll(condition, "$?", fmt.Sprintf("$%d", len(f.args)))
}

func (f *filter) where() string { return where(f.conditions) }

func where(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

const (
	summaryColumns = `id, job_type, status, execution_mode, attempt_count, max_attempts, priority, tags, created_at, updated_at`
	newestFirst    = ` ORDER BY created_at DESC, id DESC`
)

// page is the statement that reads limit jobs behind the first offset ones.
// What an offset passes over is only counted: where an index has all that the
// conditions ask for, none of those rows is read.
func (f *filter) page(limit, offset int) string {
	if offset == 0 {
		return fmt.Sprintf(`SELECT `+summaryColumns+` FROM jobs.jobs`+f.where()+newestFirst+` LIMIT %d`, limit)
	}
	return fmt.Sprintf(`WITH page AS MATERIALIZED (SELECT id FROM jobs.jobs`+f.where()+newestFirst+` LIMIT %d OFFSET %d)
		SELECT `+summaryColumns+` FROM jobs.jobs WHERE id = ANY(ARRAY(SELECT id FROM page))`+newestFirst, limit, offset)
}

// pageOfRecent is the same among the newest that match all but the tag.
func (f *filter) pageOfRecent(tag string, limit, offset int) string {
	among := min(max(leastRecent, recentPerJob*(limit+offset)), mostRecent)
	return fmt.Sprintf(`SELECT `+summaryColumns+` FROM (SELECT `+summaryColumns+` FROM jobs.jobs`+f.where()+newestFirst+` LIMIT %d) AS recent WHERE `+tag+
		newestFirst+` LIMIT %d OFFSET %d`, among, limit, offset)
}

// pageOfAll is the same by way of all jobs that match. OFFSET 0 keeps the order
// out of it: to save the sort, the planner would go through all jobs for some
// of a tag that was given up long ago.
func (f *filter) pageOfAll(tag string, limit, offset int) string {
	return fmt.Sprintf(`SELECT `+summaryColumns+` FROM (SELECT `+summaryColumns+` FROM jobs.jobs`+where(append(f.conditions, tag))+` OFFSET 0) AS matching`+
		newestFirst+` LIMIT %d OFFSET %d`, limit, offset)
}

// conditionsOf are the conditions of a list, without those of status and tag.
func conditionsOf(req contract.ListJobsRequest) (*filter, error) {
	f := &filter{}
	for _, c := range []struct{ condition, value string }{
		{"job_type = $?", req.JobType}, {"created_by = $?", req.CreatedBy}, {"priority = $?", req.Priority},
	} {
		if c.value != "" {
			f.add(c.condition, c.value)
		}
	}
	if req.CreatedAfter != nil {
		f.add("created_at > $?", *req.CreatedAfter)
	}
	if req.CreatedBefore != nil {
		f.add("created_at < $?", *req.CreatedBefore)
	}
	if req.Cursor != "" {
		at, id, err := parseCursor(req.Cursor)
		if err != nil {
			return nil, err
		}
		f.add("created_at <= $?", at)
		f.add(fmt.Sprintf("(created_at, id) < ($%d, $?)", len(f.args)), id)
	}
	return f, nil
}

// List is a page of jobs, newest first, with the cursor of the next page.
func (s *Store) List(ctx context.Context, req contract.ListJobsRequest) ([]contract.JobSummary, string, error) {
	f, err := conditionsOf(req)
	if err != nil {
		return nil, "", err
	}
	if err := s.filterStatus(ctx, f, contract.Status(req.Status)); err != nil {
		return nil, "", err
	}
	statements, err := s.pages(ctx, f, req)
	if err != nil {
		return nil, "", err
	}
	var out []contract.JobSummary
	for _, statement := range statements {
		if out, err = s.summaries(ctx, statement, f.args); err != nil {
			return nil, "", err
		}
		if len(out) > req.Limit {
			break
		}
	}
	if len(out) <= req.Limit {
		return out, "", nil
	}
	out = out[:req.Limit]
	last := out[len(out)-1]
	return out, cursorOf(last.CreatedAt, last.JobID), nil
}

// pages are the statements that find a page with one job more, which says whether
// there is a next one. Where one of them does not fill it, the next is the one
// that counts.
func (s *Store) pages(ctx context.Context, f *filter, req contract.ListJobsRequest) ([]string, error) {
	limit := req.Limit + 1
	if req.Tag == "" {
		return []string{f.page(limit, req.Offset)}, nil
	}
	n, err := s.taggedAbout(ctx, req.Tag)
	if err != nil {
		return nil, err
	}
	tag := f.bind("tags @> ARRAY[$?::text]", req.Tag)
	all := f.pageOfAll(tag, limit, req.Offset)
	if n <= fewTagged {
		return []string{all}, nil
	}
	return []string{f.pageOfRecent(tag, limit, req.Offset), all}, nil
}

// taggedAbout is how many jobs have a tag by the statistics of the database.
func (s *Store) taggedAbout(ctx context.Context, tag string) (float64, error) {
	var explained []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	err := s.db.Pool.QueryRow(ctx, `EXPLAIN (FORMAT JSON) SELECT FROM jobs.jobs WHERE tags @> ARRAY[$1::text]`, tag).Scan(&explained)
	if err != nil {
		return 0, fmt.Errorf("estimate the jobs of a tag: %w", err)
	}
	rows := 0.0
	for _, e := range explained {
		rows = e.Plan.Rows
	}
	return rows, nil
}

// summaries runs a statement that was planned for its values: the way to the
// jobs of a type that nearly all have is not the way to those of a rare one, nor
// can a plan for any lane use the index of those that are seldom used.
func (s *Store) summaries(ctx context.Context, statement string, args []any) ([]contract.JobSummary, error) {
	rows, err := s.db.Pool.Query(ctx, statement, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanSummary)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return out, nil
}

// filterStatus picks the way to the jobs of a state: those that were set back
// have an index, and those at work are known by the groups they are in.
func (s *Store) filterStatus(ctx context.Context, f *filter, status contract.Status) error {
	switch status {
	case "":
		return nil
	case contract.StatusRetryWait, contract.StatusFailed, contract.StatusCancelled:
		f.add("setback = $?", string(status))
		return nil
	case contract.StatusQueued, contract.StatusRunning:
		var many bool
		if err := s.db.Pool.QueryRow(ctx, `SELECT coalesce(sum(cardinality(job_ids)), 0) > $1 FROM (
				SELECT job_ids FROM jobs.dispatches UNION ALL SELECT job_ids FROM jobs.claims) AS g`, maxLive).Scan(&many); err != nil {
			return fmt.Errorf("count the jobs at work: %w", err)
		}
		if !many {
			f.conditions = append(f.conditions, `id = ANY(ARRAY(`+liveIDs+`))`)
		}
	default:
	}
	f.add("status = $?", string(status))
	return nil
}

// liveIDs are the jobs that may be queued or running.
const liveIDs = `SELECT unnest(job_ids) FROM jobs.dispatches UNION SELECT unnest(job_ids) FROM jobs.claims
	UNION SELECT id FROM jobs.jobs WHERE due_at IS NOT NULL`

func scanSummary(row pgx.CollectableRow) (contract.JobSummary, error) {
	var j contract.JobSummary
	err := row.Scan(&j.JobID, &j.JobType, &j.Status, &j.ExecutionMode, &j.AttemptCount, &j.MaxAttempts, &j.Priority, &j.Tags, &j.CreatedAt, &j.UpdatedAt)
	j.CreatedAt, j.UpdatedAt = j.CreatedAt.UTC(), j.UpdatedAt.UTC()
	return j, err
}

// countStatement counts up to 10,000 jobs to know how many succeeded. Where there are
// more in all, the statistics of the database tell. The number is part of the text:
// a plan for any number would sort all jobs.
const countStatement = `WITH live AS (
	SELECT status FROM jobs.jobs WHERE id = ANY(ARRAY(` + liveIDs + `)) AND status IN ('queued', 'running')
), set_back AS MATERIALIZED (
	SELECT (SELECT count(*) FROM jobs.jobs WHERE setback = 'retry_wait') AS retry_wait,
		(SELECT count(*) FROM jobs.jobs WHERE setback = 'failed') AS failed, (SELECT count(*) FROM jobs.jobs WHERE setback = 'cancelled') AS cancelled
), counted AS MATERIALIZED (
	SELECT count(*) AS n FROM (SELECT FROM jobs.jobs` + newestFirst + ` LIMIT 10001) AS newest
), total AS (
	SELECT n <= 10000 AS exact, CASE WHEN n <= 10000 THEN n ELSE greatest(n, (SELECT reltuples FROM pg_class WHERE oid = 'jobs.jobs'::regclass)::bigint) END AS n FROM counted
), at_work AS MATERIALIZED (
	SELECT count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE status = 'running') AS running FROM live
)
SELECT queued, running, retry_wait, failed, cancelled, greatest(0, n - queued - running - retry_wait - failed - cancelled), exact
FROM at_work, set_back, total`

// Counts is how many jobs there are in each state. Those that succeeded are the
// rest of all: no index tells them from the others.
//
// The newest are counted first, which retention leaves alone: it would take long to
// find the first of a table whose oldest rows were just deleted. The transaction is
// one that goes by indexes, also while the table is taken for small.
func (s *Store) Counts(ctx context.Context) (contract.JobCounts, error) {
	var c contract.JobCounts
	err := pg.InPgxTx(ctx, s.db, func(tx *pg.Tx) error {
		return tx.QueryRow(ctx, countStatement).Scan(&c.Queued, &c.Running, &c.RetryWait, &c.Failed, &c.Cancelled, &c.Succeeded, &c.Exact)
	})
	if err != nil {
		return c, fmt.Errorf("count jobs: %w", err)
	}
	return c, nil
}

// A cursor is the place of a job in the order of lists.
func cursorOf(at time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(at.UTC().Format(time.RFC3339Nano) + "/" + id))
}

func parseCursor(cursor string) (time.Time, uuid.UUID, error) {
	bad := func() (time.Time, uuid.UUID, error) {
		return time.Time{}, uuid.UUID{}, fault.Unprocessablef("cursor is not one that a list gave out")
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return bad()
	}
	when, name, found := strings.Cut(string(text), "/")
	at, err := time.Parse(time.RFC3339Nano, when)
	if err != nil || !found {
		return bad()
	}
	id, err := uuid.Parse(name)
	if err != nil {
		return bad()
	}
	return at, id, nil
}
