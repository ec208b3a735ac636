package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

type jobRow struct {
	bun.BaseModel  `bun:"table:jobs.jobs,alias:j"`
	ID             uuid.UUID `bun:",pk"`
	JobType        string
	Status         string
	ExecutionMode  string
	Version        int
	AttemptCount   int
	MaxAttempts    int
	TimeoutSeconds int
	Payload        string
	Result         *string
	ErrorText      *string
	IdempotencyKey *string
	RequestHash    []byte
	CreatedBy      string
	RequestID      *string
	TraceParent    *string
	NextRunAt      *time.Time
	DispatchedAt   *time.Time
	LeaseOwner     *string
	LeaseToken     *uuid.UUID
	LeaseExpiresAt *time.Time
	StartedAt      *time.Time
	CreatedAt      time.Time
	UpdatedAt      time.Time
	FinishedAt     *time.Time
}

type attemptRow struct {
	bun.BaseModel `bun:"table:jobs.job_attempts,alias:a"`
	JobID         uuid.UUID `bun:",pk"`
	Version       int       `bun:",pk"`
	AttemptNumber int
	Status        string
	Worker        string
	ErrorText     *string
	RuntimeMS     *int64 `bun:"runtime_ms"`
	StartedAt     time.Time
	FinishedAt    time.Time
}

type artifactRow struct {
	bun.BaseModel   `bun:"table:jobs.job_artifacts,alias:f"`
	ID              int64 `bun:",pk,autoincrement"`
	JobID           uuid.UUID
	ArtifactType    string
	ArtifactRef     *string
	ArtifactPayload *string
	CreatedAt       time.Time
}

type workerRow struct {
	bun.BaseModel `bun:"table:jobs.workers,alias:w"`
	Name          string   `bun:",pk"`
	Queue         string   `bun:",pk"`
	JobTypes      []string `bun:",array"`
	InFlight      int
	StartedAt     time.Time
	HeartbeatAt   time.Time
}

type outboxRow struct {
	bun.BaseModel `bun:"table:jobs.outbox,alias:o"`
	ID            uuid.UUID `bun:",pk"`
	Body          []byte
	CreatedAt     time.Time
}

// Rows lists an empty row of every table, for the test that holds them against
// the migrated schema.
func Rows() []any {
	return []any{(*jobTypeRow)(nil), (*jobRow)(nil), (*attemptRow)(nil), (*artifactRow)(nil), (*workerRow)(nil), (*outboxRow)(nil)}
}

func (r jobRow) summary() contract.JobSummary {
	return contract.JobSummary{
		JobID: r.ID.String(), JobType: r.JobType, Status: contract.Status(r.Status), ExecutionMode: contract.ExecutionMode(r.ExecutionMode),
		AttemptCount: r.AttemptCount, MaxAttempts: r.MaxAttempts, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

func raw(s *string) json.RawMessage {
	if s == nil {
		return nil
	}
	return json.RawMessage(*s)
}

// Get is one job with its attempts and artifacts.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (contract.Job, error) {
	var r jobRow
	err := s.db.Bun.NewSelect().Model(&r).Where("j.id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return contract.Job{}, fault.NotFoundf("Job not found")
	}
	if err != nil {
		return contract.Job{}, fmt.Errorf("load job %s: %w", id, err)
	}
	var attempts []attemptRow
	if err := s.db.Bun.NewSelect().Model(&attempts).Where("a.job_id = ?", id).Order("a.version").Scan(ctx); err != nil {
		return contract.Job{}, fmt.Errorf("load the attempts of job %s: %w", id, err)
	}
	var artifacts []artifactRow
	if err := s.db.Bun.NewSelect().Model(&artifacts).Where("f.job_id = ?", id).Order("f.id").Scan(ctx); err != nil {
		return contract.Job{}, fmt.Errorf("load the artifacts of job %s: %w", id, err)
	}
	out := contract.Job{
		JobSummary: r.summary(), Payload: json.RawMessage(r.Payload), Result: raw(r.Result), ErrorText: r.ErrorText,
		IdempotencyKey: r.IdempotencyKey, NextRunAt: r.NextRunAt, LeaseOwner: r.LeaseOwner, LeaseExpiresAt: r.LeaseExpiresAt,
		CreatedBy: r.CreatedBy, FinishedAt: r.FinishedAt, Attempts: []contract.Attempt{}, Artifacts: []contract.CreatedArtifact{},
	}
	for _, a := range attempts {
		out.Attempts = append(out.Attempts, contract.Attempt{
			AttemptNumber: a.AttemptNumber, Status: a.Status, Worker: a.Worker, ErrorText: a.ErrorText, RuntimeMS: a.RuntimeMS,
			StartedAt: a.StartedAt.UTC(), FinishedAt: &a.FinishedAt,
		})
	}
	if r.Status == string(contract.StatusRunning) {
		// The attempt's own row is written when the attempt ends.
		out.Attempts = append(out.Attempts, contract.Attempt{
			AttemptNumber: r.AttemptCount, Status: r.Status, Worker: deref(r.LeaseOwner), StartedAt: r.StartedAt.UTC(),
		})
	}
	for _, a := range artifacts {
		out.Artifacts = append(out.Artifacts, contract.CreatedArtifact{
			ArtifactType: a.ArtifactType, ArtifactRef: a.ArtifactRef, ArtifactPayload: raw(a.ArtifactPayload), CreatedAt: a.CreatedAt.UTC(),
		})
	}
	return out, nil
}

// List is a page of jobs, newest first.
func (s *Store) List(ctx context.Context, req contract.ListJobsRequest) ([]contract.JobSummary, error) {
	var rows []jobRow
	q := s.db.Bun.NewSelect().Model(&rows).
		Column("id", "job_type", "status", "execution_mode", "attempt_count", "max_attempts", "created_at", "updated_at").
		Order("j.created_at DESC", "j.id DESC").Limit(int64(req.Limit)).Offset(int64(req.Offset))
	for column, value := range map[string]string{"status": req.Status, "job_type": req.JobType, "created_by": req.CreatedBy} {
		if value != "" {
			q = q.Where("j.? = ?", bun.Ident(column), value)
		}
	}
	if req.CreatedAfter != nil {
		q = q.Where("j.created_at > ?", *req.CreatedAfter)
	}
	if req.CreatedBefore != nil {
		q = q.Where("j.created_at < ?", *req.CreatedBefore)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	out := make([]contract.JobSummary, len(rows))
	for i, r := range rows {
		out[i] = r.summary()
	}
	return out, nil
}
