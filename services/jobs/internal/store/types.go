package store

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
)

type jobTypeRow struct {
	bun.BaseModel  `bun:"table:jobs.job_types,alias:t"`
	Name           string `bun:",pk"`
	Queue          string
	MaxAttempts    int
	TimeoutSeconds int
	ModeGated      bool
	RunsPerMessage int
	Enabled        bool
}

// JobTypes lists the job types that may be submitted, by name.
func (s *Store) JobTypes(ctx context.Context) ([]contract.JobType, error) {
	var rows []jobTypeRow
	if err := s.db.Bun.NewSelect().Model(&rows).Where("t.enabled").Order("t.name").Scan(ctx); err != nil {
		return nil, fmt.Errorf("list job types: %w", err)
	}
	out := make([]contract.JobType, len(rows))
	for i, r := range rows {
		out[i] = contract.JobType{
			Name: r.Name, Queue: r.Queue, MaxAttempts: r.MaxAttempts,
			TimeoutSeconds: r.TimeoutSeconds, ModeGated: r.ModeGated, RunsPerMessage: r.RunsPerMessage,
		}
	}
	return out, nil
}

// SetJobTypeEnabled switches a job type on or off.
func (s *Store) SetJobTypeEnabled(ctx context.Context, name string, enabled bool) error {
	_, err := s.db.Bun.NewUpdate().Model((*jobTypeRow)(nil)).Set("enabled = ?", enabled).
		Where("name = ?", name).Where("enabled <> ?", enabled).Exec(ctx)
	if err != nil {
		return fmt.Errorf("switch job type %s: %w", name, err)
	}
	return nil
}

// Worker registry.

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
