package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

// maxLive is how many jobs at work are looked up one by one. Where there are
// more, the newest jobs are gone through instead: some of them are soon found.
const maxLive = 20_000

// recent is how many of the newest jobs are gone through for a tag before the
// index of tags is asked: it knows no order, so all jobs of the tag must be read.
const recent = 10_000

// filter collects the conditions of a list with their values.
type filter struct {
	conditions []string
	// place are those that say from where to where in the order of lists.
	place []string
	args  []any
}

// add adds a condition; $? stands for the value.
func (f *filter) add(condition string, value any) {
	f.conditions = append(f.conditions, f.bind(condition, value))
}

// within adds a condition of the place.
func (f *filter) within(condition string, value any) {
	f.place = append(f.place, f.bind(condition, value))
}

func (f *filter) bind(condition string, value any) string {
	f.args = append(f.args, value)
	return strings.ReplaceAll(condition, "$?", fmt.Sprintf("$%d", len(f.args)))
}

func (f *filter) where() string { return where(append(slices.Clone(f.place), f.conditions...)) }

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

// pageOfRecent is the same among the newest of the place.
func (f *filter) pageOfRecent(limit, offset int) string {
	return fmt.Sprintf(`SELECT `+summaryColumns+` FROM (SELECT * FROM jobs.jobs`+where(f.place)+newestFirst+` LIMIT %d) AS recent`+
		where(f.conditions)+newestFirst+` LIMIT %d OFFSET %d`, recent, limit, offset)
}

// pageOfAll is the same by way of all jobs that match. OFFSET 0 keeps the order
// out of it: to save the sort, the planner would go through all jobs for some
// of a tag that was given up long ago.
func (f *filter) pageOfAll(limit, offset int) string {
	return fmt.Sprintf(`SELECT `+summaryColumns+` FROM (SELECT `+summaryColumns+` FROM jobs.jobs`+f.where()+` OFFSET 0) AS matching`+
		newestFirst+` LIMIT %d OFFSET %d`, limit, offset)
}

// conditionsOf are the conditions of a list, without that of the status.
func conditionsOf(req contract.ListJobsRequest) (*filter, error) {
	f := &filter{}
	for _, c := range []struct{ condition, value string }{
		{"job_type = $?", req.JobType}, {"created_by = $?", req.CreatedBy}, {"priority = $?", req.Priority}, {"tags @> ARRAY[$?::text]", req.Tag},
	} {
		if c.value != "" {
			f.add(c.condition, c.value)
		}
	}
	if req.CreatedAfter != nil {
		f.within("created_at > $?", *req.CreatedAfter)
	}
	if req.CreatedBefore != nil {
		f.within("created_at < $?", *req.CreatedBefore)
	}
	if req.Cursor != "" {
		at, id, err := parseCursor(req.Cursor)
		if err != nil {
			return nil, err
		}
		f.within("created_at <= $?", at)
		f.within(fmt.Sprintf("(created_at, id) < ($%d, $?)", len(f.args)), id)
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
	// One more than asked for says whether there is a next page.
	statements := []string{f.page(req.Limit+1, req.Offset)}
	if req.Tag != "" {
		statements = []string{f.pageOfRecent(req.Limit+1, req.Offset), f.pageOfAll(req.Limit+1, req.Offset)}
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

// Counts is how many jobs there are in each state.
func (s *Store) Counts(ctx context.Context) (contract.JobCounts, error) {
	var c contract.JobCounts
	err := s.db.Pool.QueryRow(ctx, `WITH live AS (
			SELECT status FROM jobs.jobs WHERE id = ANY(ARRAY(`+liveIDs+`)) AND status IN ('queued', 'running')
		), set_back AS (
			SELECT setback, count(*) AS n FROM jobs.jobs WHERE setback IS NOT NULL GROUP BY setback
		), total AS (
			SELECT greatest(reltuples, 0)::bigint AS n FROM pg_class WHERE oid = 'jobs.jobs'::regclass
		)
		SELECT (SELECT count(*) FROM live WHERE status = 'queued'), (SELECT count(*) FROM live WHERE status = 'running'),
			coalesce((SELECT n FROM set_back WHERE setback = 'retry_wait'), 0), coalesce((SELECT n FROM set_back WHERE setback = 'failed'), 0),
			coalesce((SELECT n FROM set_back WHERE setback = 'cancelled'), 0),
			greatest(0, (SELECT n FROM total) - (SELECT count(*) FROM live) - coalesce((SELECT sum(n) FROM set_back), 0))::bigint`).
		Scan(&c.Queued, &c.Running, &c.RetryWait, &c.Failed, &c.Cancelled, &c.Succeeded)
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
