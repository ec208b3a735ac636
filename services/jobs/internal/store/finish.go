package store

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/services/jobs/internal/job"
)

// Finished is the reported end of a run.
type Finished struct {
	Lease
	contract.RunResult
}

// Verdict says what became of a report.
type Verdict struct {
	Accepted bool
	Status   contract.Status
}

// Finish records the ends of runs in one transaction and returns a verdict for
// each, in order. A report under a lease that is no longer current changes
// nothing; one that is repeated is accepted again. deferFor is how long a job may be
// put off because something it needs is unavailable.
func (s *Store) Finish(ctx context.Context, results []Finished, types map[string]contract.JobType, deferFor time.Duration) ([]Verdict, outbox.Entry, error) {
	var verdicts []Verdict
	start := time.Now()
	entry, err := s.change(ctx, func(tx *pg.Tx, note func(...changed)) (outbox.Entry, error) {
		var succeeded, others []Finished
		for _, r := range results {
			if r.Outcome == contract.OutcomeSucceeded {
				succeeded = append(succeeded, r)
			} else {
				others = append(others, r)
			}
		}
		done, err := s.succeed(ctx, tx, succeeded)
		if err != nil {
			return outbox.Entry{}, err
		}
		ended, err := s.fail(ctx, tx, others, types, deferFor)
		if err != nil {
			return outbox.Entry{}, err
		}
		all := slices.Concat(done, ended)
		if verdicts, err = judge(ctx, tx, results, all); err != nil {
			return outbox.Entry{}, err
		}
		note(all...)
		return s.tell(ctx, tx, all, types)
	})
	if err == nil {
		s.measures.batch(opFinish, len(results), start)
	}
	return verdicts, entry, err
}

const succeedJobs = `
	WITH done AS (
		UPDATE jobs.jobs AS j SET
			status = $6, version = j.version + 1, updated_at = t.now, finished_at = t.now, result = f.result, result_bytes = f.result_bytes, error_text = NULL,
			lease_owner = NULL, lease_token = NULL, lease_expires_at = NULL
		FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $8::int[]) AS f (id, token, worker, result, runtime, result_bytes),
			(SELECT clock_timestamp() AS now) AS t
		WHERE j.id = ANY(ARRAY[f.id]) AND j.lease_token = f.token AND j.status = ANY($7)
		RETURNING ` + changedColumns + `, f.worker, f.token, f.runtime, j.started_at, t.now
	), attempts AS (
		INSERT INTO jobs.job_attempts (job_id, version, attempt_number, status, worker, runtime_ms, started_at, finished_at, lease_token)
		SELECT id, version, attempt_count, 'succeeded', worker, runtime, started_at, now, token FROM done
	)
	SELECT id, job_type, status, version, attempt_count, max_attempts, priority, created_by, request_id, trace_parent, next_run_at, hooked, worker, token, extract(epoch FROM now - started_at)::float8 FROM done`

func (s *Store) succeed(ctx context.Context, tx *pg.Tx, results []Finished) ([]changed, error) {
	if len(results) == 0 {
		return nil, nil
	}
	t, err := job.Of(job.Succeed)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(results, func(a, b Finished) int { return bytes.Compare(a.Lease.JobID[:], b.Lease.JobID[:]) })
	n := len(results)
	ids, tokens, workers := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]string, n)
	values, runtimes, sizes := make([]*string, n), make([]int64, n), make([]*int32, n)
	for i, r := range results {
		ids[i], tokens[i], workers[i], values[i], runtimes[i] = r.Lease.JobID, r.Token, r.Worker, nullable(string(r.Result)), r.RuntimeMS
		sizes[i] = sizeOf(r.ResultBytes)
	}
	rows, err := tx.Query(ctx, succeedJobs, ids, tokens, workers, values, runtimes, string(t.To), sources(t), sizes)
	if err != nil {
		return nil, fmt.Errorf("record successes: %w", err)
	}
	defer rows.Close()
	done := make([]changed, 0, n)
	for rows.Next() {
		var worker string
		var token uuid.UUID
		var ran float64
		c, err := scanChanged(rows, &worker, &token, &ran)
		if err != nil {
			return nil, err
		}
		c.Event, c.Worker, c.Actor, c.token = job.Succeed, worker, worker, &token
		c.ranBefore, c.ran = true, ran
		done = append(done, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("record successes: %w", err)
	}
	traces := make(map[uuid.UUID]string, n)
	for _, r := range results {
		traces[r.Lease.JobID] = r.TraceParent
	}
	for i := range done {
		done[i].runTrace = traces[done[i].ID]
	}
	return done, addOutputs(ctx, tx, results, done)
}

// addOutputs writes the artifacts of jobs that have just succeeded, and keeps the
// parts that were put for them.
func addOutputs(ctx context.Context, tx *pg.Tx, results []Finished, done []changed) error {
	accepted := make(map[uuid.UUID]bool, len(done))
	for _, c := range done {
		accepted[c.ID] = true
	}
	batch := &pgx.Batch{}
	for _, r := range results {
		if !accepted[r.Lease.JobID] {
			continue
		}
		large := r.ResultBytes > 0
		for _, a := range r.Artifacts {
			batch.Queue(`INSERT INTO jobs.job_artifacts (job_id, artifact_type, artifact_ref, artifact_payload, payload_bytes) VALUES ($1, $2, $3, $4, $5)`,
				r.Lease.JobID, a.Type, nullable(a.Ref), nullable(string(a.Payload)), sizeOf(a.PayloadBytes))
			large = large || a.PayloadBytes > 0
		}
		if large {
			batch.Queue(keepParts, r.Lease.JobID, r.Token)
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("record outputs: %w", err)
	}
	return nil
}

// fail records runs that ended without success: failed ones and those given
// back.
func (s *Store) fail(ctx context.Context, tx *pg.Tx, results []Finished, types map[string]contract.JobType, deferFor time.Duration) ([]changed, error) {
	if len(results) == 0 {
		return nil, nil
	}
	ids := make([]uuid.UUID, len(results))
	for i, r := range results {
		ids[i] = r.Lease.JobID
	}
	locked, err := lock(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, r := range results {
		c, ok := locked[r.Lease.JobID]
		if !ok || c.LeaseToken == nil || *c.LeaseToken != r.Token {
			continue
		}
		delete(locked, r.Lease.JobID)
		changes = append(changes, changeOf(r, c, types[c.JobType], deferFor))
	}
	if len(changes) == 0 {
		return nil, nil
	}
	return apply(ctx, tx, changes)
}

// snoozedTooOften is the error text of a job that was put off for ever.
const snoozedTooOften = "the job was put off too often"

func changeOf(r Finished, c current, t contract.JobType, deferFor time.Duration) change {
	out := change{job: c, runTrace: r.TraceParent, worker: r.Worker, actor: r.Worker, runtime: &r.RuntimeMS, token: &r.Token}
	asked := min(time.Duration(max(0, r.RetryAfterMS))*time.Millisecond, contract.MaxDelay)
	switch {
	case r.Outcome == contract.OutcomeReleased:
		out.event = job.Release
	case r.Outcome == contract.OutcomeSnoozed && c.Snoozes >= contract.MaxSnoozes:
		out.event, out.errorText = job.Exhaust, snoozedTooOften
	case r.Outcome == contract.OutcomeSnoozed:
		// Not even a snooze of no time may turn into a busy loop.
		out.event, out.delay = job.Snooze, max(asked, minSnooze)
	case r.Unavailable && !r.Permanent:
		deferred(&out, r, c, asked, deferFor)
	default:
		out.errorText, out.errorKind, out.errorCode = r.ErrorText, r.ErrorKind, r.ErrorCode
		out.event = job.AfterFailure(c.Attempt, c.MaxAttempts, r.Permanent)
		if out.event == job.Retry {
			out.delay = t.Backoff(c.Attempt)
			if asked > 0 {
				out.delay = asked
			}
		}
	}
	return out
}

// deferred makes a change of a run that found something it needs unavailable. The
// wait differs a little from job to job: those that began to wait together must not
// come back together.
func deferred(out *change, r Finished, c current, asked, deferFor time.Duration) {
	waited := time.Duration(c.DeferredFor * float64(time.Second))
	out.errorText = r.ErrorText
	if out.event = job.AfterUnavailable(waited, deferFor); out.event == job.Exhaust {
		out.errorText = contract.Cut(fmt.Sprintf("something the job needs has been unavailable for %s, the job is not put off any longer: %s",
			waited.Round(time.Minute), r.ErrorText), contract.MaxErrorText)
		return
	}
	delay := job.DeferDelay(waited)
	out.delay = max(asked, delay-delay/4+rand.N(delay/2))
}

// minSnooze is the least time a job is put off for.
const minSnooze = 100 * time.Millisecond

// judge tells for each report whether it was the one that counted, now or when it
// was made before.
func judge(ctx context.Context, tx *pg.Tx, results []Finished, accepted []changed) ([]Verdict, error) {
	byLease := make(map[lease]changed, len(accepted))
	for _, c := range accepted {
		byLease[lease{c.ID, *c.token}] = c
	}
	verdicts := make([]Verdict, len(results))
	var others []Finished
	for i, r := range results {
		if c, ok := byLease[r.lease()]; ok {
			verdicts[i] = Verdict{Accepted: true, Status: contract.Status(c.Status)}
			continue
		}
		others = append(others, r)
	}
	if len(others) == 0 {
		return verdicts, nil
	}
	ids := make([]uuid.UUID, len(others))
	for i, r := range others {
		ids[i] = r.Lease.JobID
	}
	statuses, err := statusesOf(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	counted, err := reported(ctx, tx, others)
	if err != nil {
		return nil, err
	}
	for i, r := range results {
		if !verdicts[i].Accepted {
			succeeded, before := counted[r.lease()]
			verdicts[i] = Verdict{
				Accepted: before && succeeded == (r.Outcome == contract.OutcomeSucceeded), Status: statuses[r.Lease.JobID],
			}
		}
	}
	return verdicts, nil
}

// lease is what a run is reported under.
type lease struct{ job, token uuid.UUID }

func (r Finished) lease() lease { return lease{r.Lease.JobID, r.Token} }

// reported finds the leases under which a report has counted before, and whether
// that was one of success.
func reported(ctx context.Context, tx *pg.Tx, results []Finished) (map[lease]bool, error) {
	ids, tokens := make([]uuid.UUID, len(results)), make([]uuid.UUID, len(results))
	for i, r := range results {
		ids[i], tokens[i] = r.Lease.JobID, r.Token
	}
	rows, err := tx.Query(ctx, `SELECT job_id, lease_token, status = 'succeeded' FROM jobs.job_attempts WHERE job_id = ANY($1) AND lease_token = ANY($2)
		UNION ALL SELECT id, put_back_token, false FROM jobs.jobs WHERE id = ANY($1) AND put_back_token = ANY($2)`, ids, tokens)
	if err != nil {
		return nil, fmt.Errorf("look up earlier reports: %w", err)
	}
	defer rows.Close()
	out := map[lease]bool{}
	for rows.Next() {
		var l lease
		var succeeded bool
		if err := rows.Scan(&l.job, &l.token, &succeeded); err != nil {
			return nil, fmt.Errorf("look up earlier reports: %w", err)
		}
		out[l] = succeeded
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look up earlier reports: %w", err)
	}
	return out, nil
}

func statusesOf(ctx context.Context, tx *pg.Tx, ids []uuid.UUID) (map[uuid.UUID]contract.Status, error) {
	rows, err := tx.Query(ctx, `SELECT id, status FROM jobs.jobs WHERE id = ANY($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("look up refused jobs: %w", err)
	}
	defer rows.Close()
	out := make(map[uuid.UUID]contract.Status, len(ids))
	for rows.Next() {
		var id uuid.UUID
		var status string
		if err := rows.Scan(&id, &status); err != nil {
			return nil, fmt.Errorf("look up refused jobs: %w", err)
		}
		out[id] = contract.Status(status)
	}
	return out, rows.Err()
}

// tell writes the events of changed jobs, and run messages for those that are
// ready again at once, beside more that is to be told.
func (s *Store) tell(ctx context.Context, tx *pg.Tx, jobs []changed, types map[string]contract.JobType, more ...bus.Message) (outbox.Entry, error) {
	messages, err := jobEvents(jobs, s.now().UTC())
	if err != nil {
		return outbox.Entry{}, err
	}
	var ready []Dispatch
	for _, c := range jobs {
		if t, ok := types[c.JobType]; ok && c.ready {
			// It was started before: the run begins a trace of its own.
			ready = append(ready, Dispatch{JobID: c.ID, Type: t, Priority: c.Priority})
		}
	}
	runs, err := send(ctx, tx, ready)
	if err != nil {
		return outbox.Entry{}, err
	}
	return s.outbox.Append(ctx, tx.AtCommit(), slices.Concat(runs, messages, more))
}
