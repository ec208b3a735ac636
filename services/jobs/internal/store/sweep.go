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
	"nexus.internal/services/jobs/internal/job"
)

// SweepBatch is the most jobs one sweep or dispatch handles; a call that
// handled fewer left none behind.
const SweepBatch = 200

// leaseExpired is the error text of an attempt whose worker went silent.
const leaseExpired = "the worker went silent and its lease ran out"

// RecoverExpired ends the runs whose lease ran out: another attempt where one
// is left, failed otherwise. Each is audited under sweeper's name. It returns
// how many it recovered; less than a full batch means none is left.
func (s *Store) RecoverExpired(ctx context.Context, sweeper string) (int, outbox.Entry, error) {
	var n int
	entry, err := s.inTx(ctx, func(tx pgx.Tx) (outbox.Entry, error) {
		rows, err := tx.Query(ctx, `SELECT `+currentColumns+` FROM jobs.jobs
			WHERE status = 'running' AND lease_expires_at < clock_timestamp() ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED`, SweepBatch)
		if err != nil {
			return outbox.Entry{}, fmt.Errorf("find expired leases: %w", err)
		}
		expired, err := pgx.CollectRows(rows, pgx.RowToStructByPos[current])
		if err != nil {
			return outbox.Entry{}, fmt.Errorf("find expired leases: %w", err)
		}
		if n = len(expired); n == 0 {
			return outbox.Entry{}, nil
		}
		changes := make([]change, n)
		for i, c := range expired {
			changes[i] = change{job: c, event: job.AfterFailure(c.Attempt, c.MaxAttempts, false), errorText: leaseExpired, worker: deref(c.LeaseOwner), actor: sweeper}
			if changes[i].event == job.Retry {
				changes[i].delay = job.Backoff(c.Attempt)
			}
		}
		after, err := apply(ctx, tx, changes)
		if err != nil {
			return outbox.Entry{}, err
		}
		messages, err := jobEvents(after, s.now().UTC())
		if err != nil {
			return outbox.Entry{}, err
		}
		recoveries, err := staleLeaseEvents(after, sweeper, s.now().UTC())
		if err != nil {
			return outbox.Entry{}, err
		}
		return s.outbox.Append(ctx, tx, append(messages, recoveries...))
	})
	return n, entry, err
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
	return s.dispatch(ctx, types, `status IN ('queued', 'retry_wait') AND dispatched_at IS NULL AND next_run_at <= clock_timestamp() ORDER BY next_run_at`)
}

// DispatchLost sends new run messages for jobs of one queue whose last one was
// written before the given time and is known to be gone.
func (s *Store) DispatchLost(ctx context.Context, types map[string]contract.JobType, queue string, before time.Time) (int, outbox.Entry, error) {
	var names []string
	for _, t := range types {
		if t.Queue == queue {
			names = append(names, t.Name)
		}
	}
	return s.dispatch(ctx, types,
		`status IN ('queued', 'retry_wait') AND dispatched_at IS NOT NULL AND dispatched_at < $2 AND job_type = ANY($3) ORDER BY dispatched_at`,
		before, names)
}

// dispatch sends run messages for the jobs that match where, a condition from
// this file; $1 is taken by the limit.
func (s *Store) dispatch(ctx context.Context, types map[string]contract.JobType, where string, args ...any) (int, outbox.Entry, error) {
	var n int
	entry, err := s.inTx(ctx, func(tx pgx.Tx) (outbox.Entry, error) {
		rows, err := tx.Query(ctx, `WITH due AS (SELECT id FROM jobs.jobs WHERE `+where+` LIMIT $1 FOR UPDATE SKIP LOCKED)
			UPDATE jobs.jobs AS j SET dispatched_at = clock_timestamp() FROM due WHERE j.id = due.id
			RETURNING j.id, j.job_type, j.trace_parent`, append([]any{SweepBatch}, args...)...)
		if err != nil {
			return outbox.Entry{}, fmt.Errorf("find jobs to dispatch: %w", err)
		}
		type due struct {
			ID          uuid.UUID
			JobType     string
			TraceParent *string
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[due])
		if err != nil {
			return outbox.Entry{}, fmt.Errorf("find jobs to dispatch: %w", err)
		}
		n = len(found)
		var ready []Dispatch
		for _, d := range found {
			if t, ok := types[d.JobType]; ok {
				ready = append(ready, Dispatch{JobID: d.ID, Type: t, TraceParent: deref(d.TraceParent)})
			}
		}
		messages, err := runMessages(ready, 1)
		if err != nil {
			return outbox.Entry{}, err
		}
		return s.outbox.Append(ctx, tx, messages)
	})
	return n, entry, err
}

// Due tells how long it is until the next job that waits in Postgres is due.
// ok is false when none waits.
func (s *Store) Due(ctx context.Context) (in time.Duration, ok bool, err error) {
	var seconds *float64
	err = s.db.Pool.QueryRow(ctx, `SELECT extract(epoch FROM min(next_run_at) - clock_timestamp())::float8 FROM jobs.jobs
		WHERE status IN ('queued', 'retry_wait') AND dispatched_at IS NULL`).Scan(&seconds)
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
