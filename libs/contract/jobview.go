package contract

import (
	"encoding/json"
	"time"
)

// JobSummary is a job as lists show it.
type JobSummary struct {
	JobID         string        `json:"job_id"`
	JobType       string        `json:"job_type"`
	Status        Status        `json:"status" enum:"accepted,queued,running,retry_wait,succeeded,failed,cancelled"`
	ExecutionMode ExecutionMode `json:"execution_mode"`
	AttemptCount  int           `json:"attempt_count"`
	MaxAttempts   int           `json:"max_attempts"`
	CreatedAt     time.Time     `json:"created_at"`
	UpdatedAt     time.Time     `json:"updated_at"`
}

// Job is a job with everything known about it.
type Job struct {
	JobSummary
	Payload        json.RawMessage   `json:"payload"`
	Result         json.RawMessage   `json:"result"`
	ErrorText      *string           `json:"error_text"`
	IdempotencyKey *string           `json:"idempotency_key"`
	NextRunAt      *time.Time        `json:"next_run_at"`
	LeaseOwner     *string           `json:"lease_owner"`
	LeaseExpiresAt *time.Time        `json:"lease_expires_at"`
	CreatedBy      string            `json:"created_by"`
	FinishedAt     *time.Time        `json:"finished_at"`
	Attempts       []Attempt         `json:"attempts"`
	Artifacts      []CreatedArtifact `json:"artifacts"`
}

// Attempt is one run of a job.
type Attempt struct {
	AttemptNumber int        `json:"attempt_number"`
	Status        string     `json:"status" enum:"running,succeeded,failed,cancelled"`
	Worker        string     `json:"worker"`
	ErrorText     *string    `json:"error_text"`
	RuntimeMS     *int64     `json:"runtime_ms"`
	StartedAt     time.Time  `json:"started_at"`
	FinishedAt    *time.Time `json:"finished_at"`
}

// CreatedArtifact is an artifact with the time it was recorded.
type CreatedArtifact struct {
	ArtifactType    string          `json:"artifact_type"`
	ArtifactRef     *string         `json:"artifact_ref"`
	ArtifactPayload json.RawMessage `json:"artifact_payload"`
	CreatedAt       time.Time       `json:"created_at"`
}

// JobRequest names one job.
type JobRequest struct {
	JobID string `json:"job_id"`
	// Actor and RequestID say who asks; changes are recorded under them.
	Actor     string `json:"actor,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

// ListJobsRequest selects jobs, newest first. Empty fields select everything.
type ListJobsRequest struct {
	Status        string     `json:"status,omitempty"`
	JobType       string     `json:"job_type,omitempty"`
	CreatedBy     string     `json:"created_by,omitempty"`
	CreatedAfter  *time.Time `json:"created_after,omitempty"`
	CreatedBefore *time.Time `json:"created_before,omitempty"`
	Limit         int        `json:"limit"`
	Offset        int        `json:"offset"`
}

// ListJobsReply is one page of jobs.
type ListJobsReply struct {
	Jobs   []JobSummary `json:"jobs"`
	Limit  int          `json:"limit"`
	Offset int          `json:"offset"`
}

// JobType is a kind of job the platform knows.
type JobType struct {
	Name  string `json:"name"`
	Queue string `json:"queue"`
	// MaxAttempts is the default of submissions that name none.
	MaxAttempts int `json:"max_attempts"`
	// TimeoutSeconds ends a run that takes longer.
	TimeoutSeconds int `json:"timeout_seconds"`
	// ModeGated types carry a `mode` in their payload that the submitter must
	// be allowed to use.
	ModeGated bool `json:"mode_gated"`
	// RunsPerMessage is how many jobs may travel in one run message; above 1
	// only for types whose runs are short.
	RunsPerMessage int `json:"runs_per_message"`
}

// JobTypesReply lists the job types.
type JobTypesReply struct {
	JobTypes []JobType `json:"job_types"`
}
