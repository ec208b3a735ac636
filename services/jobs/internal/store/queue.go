package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
)

// Queues lists the queues of all job types, with what is in them.
func (s *Store) Queues(ctx context.Context) ([]contract.Queue, error) {
	rows, err := s.db.Pool.Query(ctx, `SELECT t.queue, coalesce(bool_or(q.paused), false), array_agg(t.name ORDER BY t.name)
		FROM jobs.job_types AS t LEFT JOIN jobs.queues AS q ON q.name = t.queue GROUP BY t.queue ORDER BY t.queue`)
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	queues, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (contract.Queue, error) {
		var q contract.Queue
		return q, row.Scan(&q.Name, &q.Paused, &q.JobTypes)
	})
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	rows, err = s.db.Pool.Query(ctx, `SELECT t.queue, j.status, j.priority, count(*)
		FROM jobs.jobs AS j JOIN jobs.job_types AS t ON t.name = j.job_type
		WHERE j.id = ANY(ARRAY(`+liveIDs+`)) AND j.status IN ('queued', 'retry_wait', 'running') GROUP BY t.queue, j.status, j.priority`)
	if err != nil {
		return nil, fmt.Errorf("count the jobs of queues: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, status, priority string
		var n int64
		if err := rows.Scan(&name, &status, &priority, &n); err != nil {
			return nil, fmt.Errorf("count the jobs of queues: %w", err)
		}
		i := slices.IndexFunc(queues, func(q contract.Queue) bool { return q.Name == name })
		if i < 0 {
			continue
		}
		q := &queues[i]
		switch {
		case status == string(contract.StatusRunning):
			q.Running += n
		case priority == contract.PriorityHigh:
			q.Waiting.High += n
		case priority == contract.PriorityLow:
			q.Waiting.Low += n
		default:
			q.Waiting.Normal += n
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count the jobs of queues: %w", err)
	}
	return queues, nil
}

// PauseQueue sets whether the jobs of a queue may start. Asking for what is so
// already changes nothing.
func (s *Store) PauseQueue(ctx context.Context, req contract.PauseQueueRequest) (outbox.Entry, error) {
	entry, err := s.inTx(ctx, func(tx *pg.Tx) (outbox.Entry, error) {
		var known bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM jobs.job_types WHERE queue = $1)`, req.Queue).Scan(&known); err != nil {
			return outbox.Entry{}, err
		}
		if !known {
			return outbox.Entry{}, fault.NotFoundf("Queue not found")
		}
		done, err := tx.Exec(ctx, `INSERT INTO jobs.queues AS q (name, paused, changed_by) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET paused = excluded.paused, changed_by = excluded.changed_by, changed_at = clock_timestamp()
			WHERE q.paused <> excluded.paused`, req.Queue, req.Paused, req.Actor)
		if err != nil || done.RowsAffected() == 0 {
			return outbox.Entry{}, err
		}
		what := contract.WhatResumed
		if req.Paused {
			what = contract.WhatPaused
		}
		return s.adminEvent(ctx, tx, contract.AreaQueue, what, req.Queue, req.Actor, req.RequestID, contract.QueueChange{Queue: req.Queue, Paused: req.Paused})
	})
	if err != nil {
		return outbox.Entry{}, fmt.Errorf("pause or resume queue %s: %w", req.Queue, err)
	}
	return entry, nil
}
