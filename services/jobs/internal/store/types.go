package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
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
	PayloadSchema  *string
	BackoffSeconds []int `bun:",array"`
	MinRole        string
	UpdatedAt      time.Time
	UpdatedBy      string
}

func (r jobTypeRow) jobType() contract.JobType {
	return contract.JobType{
		Name: r.Name, Queue: r.Queue, MaxAttempts: r.MaxAttempts, TimeoutSeconds: r.TimeoutSeconds, ModeGated: r.ModeGated,
		RunsPerMessage: r.RunsPerMessage, Enabled: r.Enabled, PayloadSchema: raw(r.PayloadSchema), BackoffSeconds: r.BackoffSeconds, MinRole: r.MinRole,
	}
}

// JobTypes lists the job types by name, those that are switched off too: jobs of
// theirs may still be at work.
func (s *Store) JobTypes(ctx context.Context) ([]contract.JobType, error) {
	var rows []jobTypeRow
	if err := s.db.Bun.NewSelect().Model(&rows).Order("t.name").Scan(ctx); err != nil {
		return nil, fmt.Errorf("list job types: %w", err)
	}
	out := make([]contract.JobType, len(rows))
	for i, r := range rows {
		out[i] = r.jobType()
	}
	return out, nil
}

const (
	createType = `INSERT INTO jobs.job_types (name, queue, max_attempts, timeout_seconds, mode_gated, runs_per_message, enabled,
			payload_schema, backoff_seconds, min_role, updated_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (name) DO NOTHING`
	changeType = `UPDATE jobs.job_types SET queue = $2, max_attempts = $3, timeout_seconds = $4, mode_gated = $5, runs_per_message = $6, enabled = $7,
			payload_schema = $8, backoff_seconds = $9, min_role = $10, updated_by = $11, updated_at = clock_timestamp()
		WHERE name = $1`
)

// SetJobType makes or changes a job type.
func (s *Store) SetJobType(ctx context.Context, req contract.SetJobTypeRequest) (outbox.Entry, error) {
	t := req.JobType
	return s.inTx(ctx, func(tx *pg.Tx) (outbox.Entry, error) {
		statement, what := changeType, contract.WhatChanged
		if req.Create {
			statement, what = createType, contract.WhatCreated
		}
		done, err := tx.Exec(ctx, statement, t.Name, t.Queue, t.MaxAttempts, t.TimeoutSeconds, t.ModeGated, t.RunsPerMessage, t.Enabled,
			nullable(string(t.PayloadSchema)), t.BackoffSeconds, t.MinRole, req.Actor)
		if err != nil {
			return outbox.Entry{}, fmt.Errorf("write job type %s: %w", t.Name, err)
		}
		if done.RowsAffected() == 0 {
			if req.Create {
				return outbox.Entry{}, fault.Conflictf("Job type '%s' exists", t.Name)
			}
			return outbox.Entry{}, fault.NotFoundf("Job type not found")
		}
		return s.adminEvent(ctx, tx, contract.AreaJobType, what, t.Name, req.Actor, req.RequestID, contract.JobTypeChange{JobType: t})
	})
}

// adminEvent writes the event of a change that somebody made to the settings of
// the service.
func (s *Store) adminEvent(ctx context.Context, tx *pg.Tx, area, what, word, actor, requestID string, change any) (outbox.Entry, error) {
	data, err := json.Marshal(change)
	if err != nil {
		return outbox.Entry{}, fmt.Errorf("encode the change of %s %s: %w", area, word, err)
	}
	m, err := bus.EventMessage(area, what, word, contract.Event{
		ID: uuid.NewString(), Type: contract.EventType(area, what), Time: s.now().UTC(), Source: source, Actor: actor, RequestID: requestID, Data: data,
	})
	if err != nil {
		return outbox.Entry{}, err
	}
	return s.outbox.Append(ctx, tx.AtCommit(), []bus.Message{m})
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
