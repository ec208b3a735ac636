package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
)

type jobRow struct {
	bun.BaseModel  `bun:"table:jobs.jobs,alias:j"`
	ID             uuid.UUID `bun:",pk"`
	CreatedAt      time.Time
	MaxAttempts    int
	TimeoutSeconds int
	Version        int
	AttemptCount   int
	SnoozeCount    int
	Status         string
	NextRunAt      *time.Time
	DispatchedAt   *time.Time
	LeaseOwner     *string
	LeaseToken     *uuid.UUID
	LeaseExpiresAt *time.Time
	StartedAt      *time.Time
	UpdatedAt      time.Time
	FinishedAt     *time.Time
	Progress       *float64
	ProgressText   *string
	Result         *string
	ErrorText      *string
	ErrorKind      *string
	ErrorCode      *string
	JobType        string
	ExecutionMode  string
	Priority       string
	CreatedBy      string
	RequestID      *string
	TraceParent    *string
	Tags           []string `bun:",array"`
	DueAt          *time.Time
	Setback        *string
	Hooked         *bool
	DeferCount     *int
	DeferredSince  *time.Time
	PutBackToken   *uuid.UUID
	ResultBytes    *int
}

type inputRow struct {
	bun.BaseModel  `bun:"table:jobs.job_inputs,alias:i"`
	JobID          uuid.UUID `bun:",pk"`
	Payload        string
	IdempotencyKey *string
	RequestHash    []byte
	Webhook        *string
}

type dispatchRow struct {
	bun.BaseModel `bun:"table:jobs.dispatches,alias:d"`
	ID            uuid.UUID `bun:",pk"`
	Queue         string
	Priority      string
	DispatchedAt  time.Time
	JobIDs        []uuid.UUID `bun:"job_ids,array"`
}

type claimRow struct {
	bun.BaseModel `bun:"table:jobs.claims,alias:c"`
	ID            uuid.UUID `bun:",pk"`
	LookAt        time.Time
	JobIDs        []uuid.UUID `bun:"job_ids,array"`
}

type queueRow struct {
	bun.BaseModel `bun:"table:jobs.queues,alias:q"`
	Name          string `bun:",pk"`
	Paused        bool
	ChangedAt     time.Time
	ChangedBy     string
}

type partRow struct {
	bun.BaseModel `bun:"table:jobs.command_parts,alias:p"`
	CommandID     uuid.UUID `bun:",pk"`
	Part          int       `bun:",pk"`
	Parts         int
	Body          []byte
	CreatedAt     time.Time
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
	LeaseToken    *uuid.UUID
}

type artifactRow struct {
	bun.BaseModel   `bun:"table:jobs.job_artifacts,alias:f"`
	ID              int64 `bun:",pk,autoincrement"`
	JobID           uuid.UUID
	ArtifactType    string
	ArtifactRef     *string
	ArtifactPayload *string
	PayloadBytes    *int
	CreatedAt       time.Time
}

type outputPartRow struct {
	bun.BaseModel `bun:"table:jobs.output_parts,alias:p"`
	JobID         uuid.UUID `bun:",pk"`
	Output        int       `bun:",pk"`
	Part          int       `bun:",pk"`
	LeaseToken    uuid.UUID `bun:",pk"`
	Kept          bool
	Body          []byte
	CreatedAt     time.Time
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
	return []any{
		(*jobTypeRow)(nil), (*jobRow)(nil), (*inputRow)(nil), (*attemptRow)(nil), (*artifactRow)(nil), (*workerRow)(nil), (*outboxRow)(nil),
		(*dispatchRow)(nil), (*claimRow)(nil), (*queueRow)(nil), (*partRow)(nil), (*outputPartRow)(nil),
	}
}

func (r jobRow) summary() contract.JobSummary {
	return contract.JobSummary{
		JobID: r.ID.String(), JobType: r.JobType, Status: contract.Status(r.Status), ExecutionMode: contract.ExecutionMode(r.ExecutionMode),
		AttemptCount: r.AttemptCount, MaxAttempts: r.MaxAttempts, Priority: r.Priority, Tags: r.Tags, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

func raw(s *string) json.RawMessage {
	if s == nil {
		return nil
	}
	return json.RawMessage(*s)
}

// Get is one job with its attempts and artifacts. What of its payload and its
// outputs does not fit a message is left out, and its size is in its place.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (contract.Job, error) {
	var r jobRow
	err := s.db.Bun.NewSelect().Model(&r).Where("j.id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return contract.Job{}, fault.NotFoundf("Job not found")
	}
	if err != nil {
		return contract.Job{}, fmt.Errorf("load job %s: %w", id, err)
	}
	input, err := s.input(ctx, id)
	if err != nil {
		return contract.Job{}, err
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
		JobSummary: r.summary(), Payload: raw(input.Payload), PayloadBytes: input.PayloadBytes, Result: raw(r.Result), ResultBytes: derefInt(r.ResultBytes), ErrorText: r.ErrorText, ErrorKind: r.ErrorKind, ErrorCode: r.ErrorCode, TimeoutSeconds: r.TimeoutSeconds,
		IdempotencyKey: input.IdempotencyKey, NextRunAt: r.NextRunAt, LeaseOwner: r.LeaseOwner, LeaseExpiresAt: r.LeaseExpiresAt, SnoozeCount: r.SnoozeCount, DeferCount: derefInt(r.DeferCount),
		CreatedBy: r.CreatedBy, FinishedAt: r.FinishedAt, Attempts: []contract.Attempt{}, Artifacts: []contract.CreatedArtifact{},
	}
	if !out.Status.Finished() {
		out.DeferredSince = r.DeferredSince
	}
	if r.Progress != nil {
		out.Progress = &contract.JobProgress{Percent: *r.Progress, Message: deref(r.ProgressText)}
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
			ArtifactType: a.ArtifactType, ArtifactRef: a.ArtifactRef, ArtifactPayload: raw(a.ArtifactPayload), PayloadBytes: derefInt(a.PayloadBytes), CreatedAt: a.CreatedAt.UTC(),
		})
	}
	leaveOut(&out)
	return out, nil
}

// input is what a job was submitted with. A payload larger than
// contract.MaxInlinePayload is left out, and PayloadBytes is its size.
type input struct {
	Payload        *string
	PayloadBytes   int
	IdempotencyKey *string
}

func (s *Store) input(ctx context.Context, id uuid.UUID) (input, error) {
	var in input
	err := s.db.Pool.QueryRow(ctx, `SELECT idempotency_key, octet_length(payload), CASE WHEN octet_length(payload) <= $2 THEN payload END
		FROM jobs.job_inputs WHERE job_id = $1`, id, contract.MaxInlinePayload).Scan(&in.IdempotencyKey, &in.PayloadBytes, &in.Payload)
	if err != nil {
		return in, fmt.Errorf("load the input of job %s: %w", id, err)
	}
	if in.Payload != nil {
		in.PayloadBytes = 0
	}
	return in, nil
}

// Payload is the part of a job's payload that begins at offset, and the size
// of the whole, in bytes.
func (s *Store) Payload(ctx context.Context, id uuid.UUID, offset int) (part []byte, size int, err error) {
	err = s.db.Pool.QueryRow(ctx, `SELECT octet_length(payload), substring(convert_to(payload, 'UTF8') FROM $2 + 1 FOR $3) FROM jobs.job_inputs WHERE job_id = $1`,
		id, offset, contract.MaxPayloadPart).Scan(&size, &part)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, 0, fault.NotFoundf("Job not found")
	}
	if err != nil {
		return nil, 0, fmt.Errorf("load the payload of job %s: %w", id, err)
	}
	return part, size, nil
}
