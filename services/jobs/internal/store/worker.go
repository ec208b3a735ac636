package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/contract"
)

// SawWorker records a sign of life of a worker.
func (s *Store) SawWorker(ctx context.Context, h contract.HeartbeatRequest) error {
	_, err := s.db.Pool.Exec(ctx, `
		INSERT INTO jobs.workers (name, queue, job_types, in_flight) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name, queue) DO UPDATE SET job_types = excluded.job_types, in_flight = excluded.in_flight, heartbeat_at = clock_timestamp()`,
		h.Worker, h.Queue, h.JobTypes, h.InFlight)
	if err != nil {
		return fmt.Errorf("record the heartbeat of worker %s: %w", h.Worker, err)
	}
	return nil
}

// Workers lists the workers by name. One whose last heartbeat is older than
// goneAfter is gone.
func (s *Store) Workers(ctx context.Context, goneAfter time.Duration) ([]contract.Worker, error) {
	rows, err := s.db.Pool.Query(ctx, `SELECT name, queue, job_types, in_flight, started_at, heartbeat_at,
			CASE WHEN heartbeat_at < clock_timestamp() - make_interval(secs => $1) THEN 'gone' ELSE 'live' END
		FROM jobs.workers ORDER BY name, queue`, goneAfter.Seconds())
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[contract.Worker])
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	return out, nil
}

// PruneWorkers forgets workers that were last seen longer ago than after.
func (s *Store) PruneWorkers(ctx context.Context, after time.Duration) error {
	if _, err := s.db.Pool.Exec(ctx, `DELETE FROM jobs.workers WHERE heartbeat_at < clock_timestamp() - make_interval(secs => $1)`, after.Seconds()); err != nil {
		return fmt.Errorf("forget old workers: %w", err)
	}
	return nil
}

// ProgressOf is how far the run under a lease has come.
type ProgressOf struct {
	JobID   uuid.UUID
	Token   uuid.UUID
	Percent float64
	Message string
}

// SetProgress records how far runs have come, and returns the jobs whose lease
// still is the one named, with their types. It is not a change of state.
func (s *Store) SetProgress(ctx context.Context, progress []ProgressOf) (map[uuid.UUID]string, error) {
	n := len(progress)
	ids, tokens, percents, texts := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]float64, n), make([]*string, n)
	for i, p := range progress {
		ids[i], tokens[i], percents[i], texts[i] = p.JobID, p.Token, p.Percent, nullable(p.Message)
	}
	rows, err := s.db.Pool.Query(ctx, `UPDATE jobs.jobs AS j SET progress = p.percent, progress_text = p.message
		FROM unnest($1::uuid[], $2::uuid[], $3::float8[], $4::text[]) AS p (id, token, percent, message)
		WHERE j.id = ANY(ARRAY[p.id]) AND j.lease_token = p.token RETURNING j.id, j.job_type`, ids, tokens, percents, texts)
	if err != nil {
		return nil, fmt.Errorf("record progress: %w", err)
	}
	defer rows.Close()
	out := make(map[uuid.UUID]string, n)
	for rows.Next() {
		var id uuid.UUID
		var jobType string
		if err := rows.Scan(&id, &jobType); err != nil {
			return nil, fmt.Errorf("record progress: %w", err)
		}
		out[id] = jobType
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("record progress: %w", err)
	}
	return out, nil
}
