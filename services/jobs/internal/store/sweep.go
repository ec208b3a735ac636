package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
	"nexus.internal/services/jobs/internal/job"
)

// SweepBatch is the most jobs one dispatch handles; a call that handled fewer
// left none behind.
const SweepBatch = 200

// sweepGroups is the most rows of claims or dispatches one sweep looks at.
const sweepGroups = 4

// leaseExpired is the error text of an attempt whose worker went silent.
const leaseExpired = "the worker went silent and its lease ran out"

// RecoverExpired ends the runs whose lease ran out: another attempt where one
// is left, failed otherwise. Each is audited under sweeper's name. It returns
// how many it recovered, and whether there may be more.
func (s *Store) RecoverExpired(ctx context.Context, sweeper string, types map[string]contract.JobType) (n int, more bool, entry outbox.Entry, err error) {
	entry, err = s.change(ctx, func(tx *pg.Tx, note func(...changed)) (outbox.Entry, error) {
		n = 0
		ids, groups, err := takeClaims(ctx, tx)
		if err != nil || groups == 0 {
			return outbox.Entry{}, err
		}
		more = groups == sweepGroups
		expired, err := lockExpired(ctx, tx, ids)
		if err != nil {
			return outbox.Entry{}, err
		}
		if n = len(expired); n == 0 {
			return outbox.Entry{}, watchAgain(ctx, tx, ids)
		}
		changes := make([]change, n)
		for i, c := range expired {
			changes[i] = change{job: c, event: job.AfterFailure(c.Attempt, c.MaxAttempts, false), errorText: leaseExpired, worker: deref(c.LeaseOwner), actor: sweeper}
			if changes[i].event == job.Retry {
				changes[i].delay = types[c.JobType].Backoff(c.Attempt)
			}
		}
		after, err := apply(ctx, tx, changes)
		if err != nil {
			return outbox.Entry{}, err
		}
		for i := range after {
			after[i].Recovered = true
		}
		note(after...)
		if err := watchAgain(ctx, tx, ids); err != nil {
			return outbox.Entry{}, err
		}
		recoveries, err := staleLeaseEvents(after, sweeper, s.now().UTC())
		if err != nil {
			return outbox.Entry{}, err
		}
		return s.tell(ctx, tx, after, types, recoveries...)
	})
	return n, more, entry, err
}

// takeClaims takes the groups of claims that are due to be looked at, and
// returns their jobs.
func takeClaims(ctx context.Context, tx *pg.Tx) (ids []uuid.UUID, groups int, err error) {
	rows, err := tx.Query(ctx, `DELETE FROM jobs.claims WHERE id = ANY(ARRAY(
			SELECT id FROM jobs.claims WHERE look_at < clock_timestamp() ORDER BY look_at LIMIT $1 FOR UPDATE SKIP LOCKED))
		RETURNING job_ids`, sweepGroups)
	return collectGroups(rows, err)
}

func collectGroups(rows pgx.Rows, err error) (ids []uuid.UUID, groups int, _ error) {
	if err != nil {
		return nil, 0, fmt.Errorf("find jobs to look after: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[]uuid.UUID])
	if err != nil {
		return nil, 0, fmt.Errorf("find jobs to look after: %w", err)
	}
	for _, group := range found {
		ids = append(ids, group...)
	}
	return ids, len(found), nil
}

func lockExpired(ctx context.Context, tx *pg.Tx, ids []uuid.UUID) ([]current, error) {
	rows, err := tx.Query(ctx, `SELECT `+currentColumns+` FROM jobs.jobs
		WHERE id = ANY($1) AND status = 'running' AND lease_expires_at < clock_timestamp() ORDER BY id FOR UPDATE SKIP LOCKED`, ids)
	if err != nil {
		return nil, fmt.Errorf("find expired leases: %w", err)
	}
	expired, err := pgx.CollectRows(rows, pgx.RowToStructByPos[current])
	if err != nil {
		return nil, fmt.Errorf("find expired leases: %w", err)
	}
	return expired, nil
}

// watchAgain keeps an eye on the jobs whose leases were renewed, and on those
// somebody else holds. One that ran out since a moment ago is looked at next
// time, and not at once: whoever holds it needs a moment.
func watchAgain(ctx context.Context, tx *pg.Tx, ids []uuid.UUID) error {
	_, err := tx.Exec(ctx, `INSERT INTO jobs.claims (look_at, job_ids)
		SELECT greatest(min(lease_expires_at), clock_timestamp() + interval '200 milliseconds'), array_agg(id) FROM jobs.jobs WHERE id = ANY($1) AND status = 'running' HAVING count(*) > 0`, ids)
	if err != nil {
		return fmt.Errorf("look after renewed leases: %w", err)
	}
	return nil
}

func staleLeaseEvents(jobs []changed, sweeper string, now time.Time) ([]bus.Message, error) {
	out := make([]bus.Message, 0, len(jobs))
	for _, c := range jobs {
		data, err := json.Marshal(contract.StaleLease{
			JobID: c.ID.String(), OriginalLeaseOwner: c.Worker, RecoveringWorker: sweeper, NewStatus: contract.Status(c.Status),
		})
		if err != nil {
			return nil, fmt.Errorf("encode the recovery of job %s: %w", c.ID, err)
		}
		m, err := bus.EventMessage(contract.AreaJob, contract.WhatStaleLease, c.JobType, contract.Event{
			ID:   contract.JobEventID(c.ID.String(), c.Version) + "/" + contract.WhatStaleLease,
			Type: contract.EventType(contract.AreaJob, contract.WhatStaleLease), Time: now, Source: source, Actor: sweeper,
			RequestID: deref(c.RequestID), TraceParent: deref(c.TraceParent), Data: data,
		})
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// DispatchDue sends run messages for jobs whose wait in Postgres is over. It
// returns how many it sent; less than a full batch means none is left.
func (s *Store) DispatchDue(ctx context.Context, types map[string]contract.JobType) (int, outbox.Entry, error) {
	var n int
	entry, err := s.inTx(ctx, func(tx *pg.Tx) (outbox.Entry, error) {
		rows, err := tx.Query(ctx, `WITH due AS (SELECT id FROM jobs.jobs AS j
				WHERE due_at <= clock_timestamp() AND NOT (`+inPausedQueue+`) ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
			UPDATE jobs.jobs AS j SET dispatched_at = clock_timestamp() FROM due WHERE j.id = due.id
			RETURNING j.id, j.job_type, j.priority, CASE WHEN j.version = 1 THEN j.trace_parent END`, SweepBatch)
		found, err := collectDue(rows, err)
		if err != nil {
			return outbox.Entry{}, err
		}
		n = len(found)
		return s.sendAgain(ctx, tx, found, types)
	})
	return n, entry, err
}

// DispatchLost sends new run messages for the jobs of one lane whose last one
// was written before the given time and is known to be gone. It returns how
// many it sent, and whether there may be more.
func (s *Store) DispatchLost(ctx context.Context, types map[string]contract.JobType, queue, lane string, before time.Time) (n int, more bool, entry outbox.Entry, err error) {
	entry, err = s.inTx(ctx, func(tx *pg.Tx) (outbox.Entry, error) {
		n = 0
		rows, err := tx.Query(ctx, `DELETE FROM jobs.dispatches WHERE id = ANY(ARRAY(
				SELECT id FROM jobs.dispatches WHERE queue = $1 AND priority = $2 AND dispatched_at < $3
				ORDER BY dispatched_at LIMIT $4 FOR UPDATE SKIP LOCKED))
			RETURNING job_ids`, queue, lane, before, sweepGroups)
		ids, groups, err := collectGroups(rows, err)
		if err != nil || groups == 0 {
			return outbox.Entry{}, err
		}
		more = groups == sweepGroups
		rows, err = tx.Query(ctx, `WITH lost AS (SELECT id FROM jobs.jobs
				WHERE id = ANY($1) AND status IN ('queued', 'retry_wait') AND dispatched_at < $2 ORDER BY id FOR UPDATE)
			UPDATE jobs.jobs AS j SET dispatched_at = clock_timestamp() FROM lost WHERE j.id = lost.id
			RETURNING j.id, j.job_type, j.priority, CASE WHEN j.version = 1 THEN j.trace_parent END`, ids, before)
		found, err := collectDue(rows, err)
		if err != nil {
			return outbox.Entry{}, err
		}
		n = len(found)
		return s.sendAgain(ctx, tx, found, types)
	})
	if err == nil {
		s.measures.redispatched.Add(n, queue)
	}
	return n, more, entry, err
}

// due is a job that is to be sent to its queue.
type due struct {
	ID       uuid.UUID
	JobType  string
	Priority string
	// TraceParent is nil for a job that was started before: the run begins a trace
	// of its own.
	TraceParent *string
}

func collectDue(rows pgx.Rows, err error) ([]due, error) {
	if err != nil {
		return nil, fmt.Errorf("find jobs to dispatch: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[due])
	if err != nil {
		return nil, fmt.Errorf("find jobs to dispatch: %w", err)
	}
	return found, nil
}

func (s *Store) sendAgain(ctx context.Context, tx *pg.Tx, found []due, types map[string]contract.JobType) (outbox.Entry, error) {
	ready := make([]Dispatch, 0, len(found))
	for _, d := range found {
		if t, ok := types[d.JobType]; ok {
			ready = append(ready, Dispatch{JobID: d.ID, Type: t, Priority: d.Priority, TraceParent: deref(d.TraceParent)})
		}
	}
	messages, err := send(ctx, tx, ready)
	if err != nil {
		return outbox.Entry{}, err
	}
	return s.outbox.Append(ctx, tx.AtCommit(), messages)
}

// send makes the run messages of jobs that were just marked as dispatched, one
// for each, and notes them as sent.
func send(ctx context.Context, tx *pg.Tx, ready []Dispatch) ([]bus.Message, error) {
	if len(ready) == 0 {
		return nil, nil
	}
	ids, queues, lanes := make([]uuid.UUID, len(ready)), make([]string, len(ready)), make([]string, len(ready))
	for i, d := range ready {
		ids[i], queues[i], lanes[i] = d.JobID, d.Type.Queue, d.Priority
	}
	_, err := tx.Exec(ctx, `INSERT INTO jobs.dispatches (queue, priority, dispatched_at, job_ids)
		SELECT d.queue, d.priority, clock_timestamp(), array_agg(d.id)
		FROM unnest($1::uuid[], $2::text[], $3::text[]) AS d (id, queue, priority) GROUP BY d.queue, d.priority`, ids, queues, lanes)
	if err != nil {
		return nil, fmt.Errorf("note sent runs: %w", err)
	}
	return runMessages(ready, 1)
}

// Due tells how long it is until the next job that waits in Postgres is due.
// ok is false when none waits.
func (s *Store) Due(ctx context.Context) (in time.Duration, ok bool, err error) {
	var seconds *float64
	err = s.db.Pool.QueryRow(ctx, `SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8 FROM jobs.jobs AS j
		WHERE due_at IS NOT NULL AND NOT (`+inPausedQueue+`)`).Scan(&seconds)
	if err != nil {
		return 0, false, fmt.Errorf("look up the next due job: %w", err)
	}
	if seconds == nil {
		return 0, false, nil
	}
	return max(0, time.Duration(*seconds*float64(time.Second))), true, nil
}

// Now is the clock of the database, by which leases and waits go.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	if err := s.db.Pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return now, fmt.Errorf("read the clock of the database: %w", err)
	}
	return now, nil
}
