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
)

// maxLive is how many jobs at work are looked up one by one. Where there are
// more, the newest jobs are gone through instead: some of them are soon found.
const maxLive = 20_000

// filter collects the conditions of a list with their values.
type filter struct {
	conditions []string
	args       []any
}

// add adds a condition; $? stands for the value.
func (f *filter) add(condition string, value any) {
	f.args = append(f.args, value)
	f.conditions = append(f.conditions, strings.ReplaceAll(condition, "$?", fmt.Sprintf("$%d", len(f.args))))
}

func (f *filter) where() string {
	if len(f.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.conditions, " AND ")
}

// List is a page of jobs, newest first, with the cursor of the next page.
func (s *Store) List(ctx context.Context, req contract.ListJobsRequest) ([]contract.JobSummary, string, error) {
	var f filter
	for _, c := range []struct{ condition, value string }{
		{"job_type = $?", req.JobType}, {"created_by = $?", req.CreatedBy}, {"priority = $?", req.Priority}, {"tags @> ARRAY[$?::text]", req.Tag},
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
			return nil, "", err
		}
		f.add("created_at <= $?", at)
		f.add(fmt.Sprintf("(created_at, id) < ($%d, $?)", len(f.args)), id)
	}
	if err := s.filterStatus(ctx, &f, contract.Status(req.Status)); err != nil {
		return nil, "", err
	}
	page := fmt.Sprintf(" ORDER BY created_at DESC, id DESC LIMIT %d OFFSET %d", req.Limit+1, req.Offset)
	rows, err := s.db.Pool.Query(ctx, `SELECT id, job_type, status, execution_mode, attempt_count, max_attempts, priority, tags, created_at, updated_at
		FROM jobs.jobs`+f.where()+page, f.args...)
	if err != nil {
		return nil, "", fmt.Errorf("list jobs: %w", err)
	}
	out, err := pgx.CollectRows(rows, scanSummary)
	if err != nil {
		return nil, "", fmt.Errorf("list jobs: %w", err)
	}
	if len(out) <= req.Limit {
		return out, "", nil
	}
	out = out[:req.Limit]
	last := out[len(out)-1]
	return out, cursorOf(last.CreatedAt, last.JobID), nil
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
