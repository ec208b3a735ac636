package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/services/jobs/internal/job"
)

// current is a job's row, locked until the transaction ends.
type current struct {
	ID          uuid.UUID
	Status      string
	JobType     string
	Attempt     int
	MaxAttempts int
	LeaseToken  *uuid.UUID
	LeaseOwner  *string
	StartedAt   *time.Time
	TraceParent *string
}

const currentColumns = `id, status, job_type, attempt_count, max_attempts, lease_token, lease_owner, started_at, trace_parent`

// lock reads jobs for a change, in the order of their ids so that two
// transactions never wait for each other.
func lock(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (map[uuid.UUID]current, error) {
	rows, err := tx.Query(ctx, `SELECT `+currentColumns+` FROM jobs.jobs WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids)
	if err != nil {
		return nil, fmt.Errorf("lock jobs: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[current])
	if err != nil {
		return nil, fmt.Errorf("lock jobs: %w", err)
	}
	byID := make(map[uuid.UUID]current, len(found))
	for _, c := range found {
		byID[c.ID] = c
	}
	return byID, nil
}

// change is an event that ends a run, or a wait, other than with success.
type change struct {
	job       current
	event     job.Event
	errorText string
	// delay is the wait before the next attempt.
	delay time.Duration
	// worker, actor and runtime describe the attempt that ended.
	worker  string
	actor   string
	runtime *int64
}

const changeJobs = `
	UPDATE jobs.jobs AS j SET
		status = c.status, version = j.version + 1, updated_at = t.now,
		attempt_count = j.attempt_count - c.refund,
		error_text = coalesce(c.error_text, j.error_text),
		next_run_at = CASE WHEN c.status = 'retry_wait' THEN t.now + make_interval(secs => c.delay) END,
		dispatched_at = CASE WHEN c.status = 'retry_wait' AND c.delay = 0 THEN t.now END,
		finished_at = CASE WHEN c.status IN ('failed', 'cancelled') THEN t.now END,
		lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL
	FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::int[]) AS c (id, source, status, error_text, delay, refund),
		(SELECT clock_timestamp() AS now) AS t
	WHERE j.id = c.id AND j.status = c.source
	RETURNING ` + changedColumns

// apply makes changes to locked jobs. The state of each comes from the
// transition table; an impossible one is an error.
func apply(ctx context.Context, tx pgx.Tx, changes []change) ([]changed, error) {
	n := len(changes)
	ids, from, to := make([]uuid.UUID, n), make([]string, n), make([]string, n)
	texts, delays, refunds := make([]*string, n), make([]float64, n), make([]int32, n)
	byID := make(map[uuid.UUID]change, n)
	for i, c := range changes {
		next, err := job.Apply(contract.Status(c.job.Status), c.event)
		if err != nil {
			return nil, fmt.Errorf("change job %s: %w", c.job.ID, err)
		}
		ids[i], from[i], to[i], texts[i], delays[i] = c.job.ID, c.job.Status, string(next), nullable(c.errorText), c.delay.Seconds()
		if c.event == job.Release {
			refunds[i] = 1
		}
		byID[c.job.ID] = c
	}
	rows, err := tx.Query(ctx, changeJobs, ids, from, to, texts, delays, refunds)
	if err != nil {
		return nil, fmt.Errorf("change jobs: %w", err)
	}
	defer rows.Close()
	out := make([]changed, 0, n)
	for rows.Next() {
		c, err := scanChanged(rows)
		if err != nil {
			return nil, err
		}
		why := byID[c.ID]
		c.Worker, c.Actor, c.ErrorText, c.ready = why.worker, why.actor, why.errorText, why.event == job.Release
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("change jobs: %w", err)
	}
	if len(out) != n {
		return nil, fmt.Errorf("changed %d of %d locked jobs", len(out), n)
	}
	return out, addAttempts(ctx, tx, changes, out)
}

// addAttempts records the attempts that the changes ended.
func addAttempts(ctx context.Context, tx pgx.Tx, changes []change, after []changed) error {
	versions := make(map[uuid.UUID]int, len(after))
	for _, c := range after {
		versions[c.ID] = c.Version
	}
	batch := &pgx.Batch{}
	for _, c := range changes {
		if c.job.Status != string(contract.StatusRunning) || c.event == job.Release {
			continue
		}
		status := "failed"
		if c.event == job.Cancel {
			status = "cancelled"
		}
		batch.Queue(`INSERT INTO jobs.job_attempts (job_id, version, attempt_number, status, worker, error_text, runtime_ms, started_at, finished_at)
			VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, (extract(epoch FROM clock_timestamp() - $8) * 1000)::bigint), $8, clock_timestamp())`,
			c.job.ID, versions[c.job.ID], c.job.Attempt, status, deref(c.job.LeaseOwner), nullable(c.errorText), c.runtime, c.job.StartedAt)
	}
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("record attempts: %w", err)
	}
	return nil
}
