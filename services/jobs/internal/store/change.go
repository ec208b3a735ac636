package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/services/jobs/internal/job"
)

// current is a job's row, locked until the transaction ends.
type current struct {
	ID          uuid.UUID
	Status      string
	JobType     string
	Attempt     int
	MaxAttempts int
	Snoozes     int
	// DeferredFor is for how many seconds something the job needs has been
	// unavailable without a break.
	DeferredFor float64
	LeaseToken  *uuid.UUID
	LeaseOwner  *string
	StartedAt   *time.Time
}

const currentColumns = `id, status, job_type, attempt_count, max_attempts, snooze_count,
	greatest(coalesce(extract(epoch FROM clock_timestamp() - deferred_since), 0), 0)::float8, lease_token, lease_owner, started_at`

// lock reads jobs for a change, in the order of their ids so that two
// transactions never wait for each other.
func lock(ctx context.Context, tx *pg.Tx, ids []uuid.UUID) (map[uuid.UUID]current, error) {
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

// change is an event that ends a run, a wait, or a failure, other than with
// success.
type change struct {
	job       current
	event     job.Event
	errorText string
	// errorKind and errorCode are those of the failure, where they are known.
	errorKind, errorCode string
	// delay is the wait before the next attempt; zero sends a run message at once.
	delay time.Duration
	// worker, actor and runtime describe the attempt that ended.
	worker  string
	actor   string
	runtime *int64
	// runTrace is the trace of that attempt.
	runTrace string
	// token is the lease under which a worker reported it, where one did.
	token *uuid.UUID
}

const changeJobs = `
	UPDATE jobs.jobs AS j SET
		status = c.status, version = j.version + 1, updated_at = t.now,
		attempt_count = CASE WHEN c.status = 'queued' THEN 0 ELSE j.attempt_count - c.refund END,
		snooze_count = j.snooze_count + c.snooze,
		defer_count = CASE WHEN c.deferred = 1 THEN coalesce(j.defer_count, 0) + 1 ELSE j.defer_count END,
		deferred_since = CASE WHEN c.deferred = 1 THEN coalesce(j.deferred_since, t.now) WHEN c.refund = 1 AND c.snooze = 0 THEN j.deferred_since END,
		put_back_token = CASE WHEN c.refund = 1 THEN j.lease_token ELSE j.put_back_token END,
		error_text = CASE WHEN c.status <> 'queued' THEN coalesce(c.error_text, j.error_text) END,
		error_kind = CASE WHEN c.status = 'failed' THEN c.error_kind END,
		error_code = CASE WHEN c.status = 'failed' THEN c.error_code END,
		next_run_at = CASE WHEN c.status IN ('queued', 'retry_wait') THEN t.now + make_interval(secs => c.delay) END,
		dispatched_at = CASE WHEN c.status IN ('queued', 'retry_wait') AND c.delay = 0 THEN t.now END,
		finished_at = CASE WHEN c.status IN ('failed', 'cancelled') THEN t.now END,
		lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL
	FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::int[], $7::int[], $8::int[], $9::text[], $10::text[])
			AS c (id, source, status, error_text, delay, refund, snooze, deferred, error_kind, error_code),
		(SELECT clock_timestamp() AS now) AS t
	WHERE j.id = ANY(ARRAY[c.id]) AND j.status = c.source
	RETURNING ` + changedColumns + `, coalesce(extract(epoch FROM t.now - j.started_at), 0)::float8`

// apply makes changes to locked jobs. The state of each comes from the
// transition table; an impossible one is an error.
func apply(ctx context.Context, tx *pg.Tx, changes []change) ([]changed, error) {
	n := len(changes)
	ids, from, to := make([]uuid.UUID, n), make([]string, n), make([]string, n)
	texts, delays, refunds, snoozes, deferred := make([]*string, n), make([]float64, n), make([]int32, n), make([]int32, n), make([]int32, n)
	kinds, codes := make([]*string, n), make([]*string, n)
	byID := make(map[uuid.UUID]change, n)
	for i, c := range changes {
		next, err := job.Apply(contract.Status(c.job.Status), c.event)
		if err != nil {
			return nil, fmt.Errorf("change job %s: %w", c.job.ID, err)
		}
		ids[i], from[i], to[i], texts[i], delays[i] = c.job.ID, c.job.Status, string(next), nullable(c.errorText), c.delay.Seconds()
		kinds[i], codes[i] = nullable(c.errorKind), nullable(c.errorCode)
		if costsNothing(c.event) {
			refunds[i] = 1
		}
		if c.event == job.Snooze {
			snoozes[i] = 1
		}
		if c.event == job.Defer {
			deferred[i] = 1
		}
		byID[c.job.ID] = c
	}
	rows, err := tx.Query(ctx, changeJobs, ids, from, to, texts, delays, refunds, snoozes, deferred, kinds, codes)
	if err != nil {
		return nil, fmt.Errorf("change jobs: %w", err)
	}
	defer rows.Close()
	out := make([]changed, 0, n)
	for rows.Next() {
		var ran float64
		c, err := scanChanged(rows, &ran)
		if err != nil {
			return nil, err
		}
		why := byID[c.ID]
		c.Event, c.Worker, c.Actor, c.token, c.runTrace = why.event, why.worker, why.actor, why.token, why.runTrace
		c.ErrorText, c.ErrorKind, c.ErrorCode = why.errorText, why.errorKind, why.errorCode
		c.ranBefore, c.ran = why.job.Status == string(contract.StatusRunning), ran
		c.ready = why.delay == 0 && !contract.Status(c.Status).Finished()
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

// costsNothing reports whether an event gives the attempt back.
func costsNothing(e job.Event) bool { return e == job.Release || e == job.Snooze || e == job.Defer }

// addAttempts records the attempts that the changes ended.
func addAttempts(ctx context.Context, tx *pg.Tx, changes []change, after []changed) error {
	versions := make(map[uuid.UUID]int, len(after))
	for _, c := range after {
		versions[c.ID] = c.Version
	}
	var (
		ids               []uuid.UUID
		numbers           []int32
		statuses, workers []string
		texts             []*string
		runtimes          []*int64
		starts            []time.Time
		attemptVersions   []int32
		tokens            []*uuid.UUID
	)
	for _, c := range changes {
		if c.job.Status != string(contract.StatusRunning) || costsNothing(c.event) {
			continue
		}
		status := "failed"
		if c.event == job.Cancel {
			status = "cancelled"
		}
		ids, attemptVersions, numbers = append(ids, c.job.ID), append(attemptVersions, int32(versions[c.job.ID])), append(numbers, int32(c.job.Attempt))
		statuses, workers, texts = append(statuses, status), append(workers, deref(c.job.LeaseOwner)), append(texts, nullable(c.errorText))
		runtimes, starts, tokens = append(runtimes, c.runtime), append(starts, *c.job.StartedAt), append(tokens, c.token)
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO jobs.job_attempts (job_id, version, attempt_number, status, worker, error_text, runtime_ms, started_at, finished_at, lease_token)
		SELECT a.id, a.version, a.number, a.status, a.worker, a.error_text,
			coalesce(a.runtime, (extract(epoch FROM t.now - a.started_at) * 1000)::bigint), a.started_at, t.now, a.token
		FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::timestamptz[], $9::uuid[])
			AS a (id, version, number, status, worker, error_text, runtime, started_at, token), (SELECT clock_timestamp() AS now) AS t`,
		ids, attemptVersions, numbers, statuses, workers, texts, runtimes, starts, tokens)
	if err != nil {
		return fmt.Errorf("record attempts: %w", err)
	}
	return nil
}
