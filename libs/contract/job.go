package contract

import (
	"encoding/json"
	"time"
)

// Status is the state of a job as clients see it.
type Status string

// The states of a job. StatusAccepted is an answer only: the broker has the
// command and the record is not confirmed yet.
const (
	StatusAccepted  Status = "accepted"
	StatusQueued    Status = "queued"
	StatusRunning   Status = "running"
	StatusRetryWait Status = "retry_wait"
	StatusSucceeded Status = "succeeded"
	StatusFailed    Status = "failed"
	StatusCancelled Status = "cancelled"
)

// Statuses lists the states a recorded job can be in.
func Statuses() []Status {
	return []Status{StatusQueued, StatusRunning, StatusRetryWait, StatusSucceeded, StatusFailed, StatusCancelled}
}

// Finished reports whether a job in this state never changes again.
func (s Status) Finished() bool {
	return s == StatusSucceeded || s == StatusFailed || s == StatusCancelled
}

// ExecutionMode says how a submitter wants the answer.
type ExecutionMode string

// Execution modes.
const (
	// ModeAsync answers once the job is recorded.
	ModeAsync ExecutionMode = "async"
	// ModeSync answers once the job is finished, or when the wait ends.
	ModeSync ExecutionMode = "sync"
)

// Built-in job types.
const (
	JobIngestBatch    = "ingest_batch"
	JobAnalyze        = "analyze"
	JobIntegrityAudit = "integrity_audit"
	JobNoop           = "noop"
)

// Limits of a submission.
const (
	MaxAttemptsLimit   = 10
	DefaultMaxAttempts = 3
	// MaxPayload is the largest job payload, in bytes. A command carries
	// several submissions and must stay below the broker's 1 MiB message limit.
	MaxPayload = 256 << 10
	// MaxResult is the largest result, or artifact payload, in bytes.
	MaxResult = 256 << 10
	// MaxArtifactRef is the longest reference of an artifact, in bytes.
	MaxArtifactRef = 2 << 10
	// MaxErrorText is where error texts are cut, in bytes.
	MaxErrorText = 4 << 10
	// MaxIdempotencyKey is the longest idempotency key, in bytes.
	MaxIdempotencyKey = 200
	// MaxSubmissions bounds the jobs of one command.
	MaxSubmissions = 64
	// MaxRunsPerMessage bounds the jobs of one run message.
	MaxRunsPerMessage = 32
	// MaxBatch bounds the jobs of one claim, heartbeat or finish request.
	MaxBatch = 500
	// MaxMessage is what a message body may weigh at most, in bytes: the
	// broker's 1 MiB less room for headers.
	MaxMessage = 1000 << 10
)

// TypeSubmitCommand is the type of SubmitCommand messages.
const TypeSubmitCommand = "nexus.cmd.jobs.submit.v1"

// Submission is one job to be recorded, as an admitted and verified request.
type Submission struct {
	// Ref is the gateway's own mark; the verdict carries it back. Two requests
	// of one idempotency key have one job id and different refs.
	Ref string `json:"ref,omitempty"`
	// JobID is made by the gateway; with an idempotency key it is derived from
	// actor, type and key, so a repeat carries the same id.
	JobID          string          `json:"job_id"`
	JobType        string          `json:"job_type"`
	ExecutionMode  ExecutionMode   `json:"execution_mode"`
	Payload        json.RawMessage `json:"payload"`
	IdempotencyKey string          `json:"idempotency_key,omitempty"`
	MaxAttempts    int             `json:"max_attempts"`
	// CreatedBy is the owner of the verified key or token.
	CreatedBy   string `json:"created_by"`
	RequestID   string `json:"request_id,omitempty"`
	TraceParent string `json:"traceparent,omitempty"`
}

// SubmitCommand asks the recorder to record jobs. Its submissions are
// independent of each other: one refused does not touch the rest.
type SubmitCommand struct {
	Submissions []Submission `json:"submissions"`
}

// SubmitVerdict answers one submission.
type SubmitVerdict struct {
	Ref    string `json:"ref,omitempty"`
	JobID  string `json:"job_id"`
	Status Status `json:"status,omitempty"`
	// Existing is set when the job had been recorded before, by the same
	// request repeated.
	Existing bool `json:"existing,omitempty"`
	// Code and Detail say why the submission was refused; empty when it was not.
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// Codes of refused submissions.
const (
	CodeConflict       = "conflict"
	CodeUnknownJobType = "unknown_job_type"
	CodeInvalid        = "validation_error"
)

// SubmitReply answers a part of one or more commands of one gateway.
type SubmitReply struct {
	Verdicts []SubmitVerdict `json:"verdicts"`
}

// TypeRun is the type of RunMessage messages.
const TypeRun = "nexus.run.v1"

// RunMessage tells workers of one queue that jobs are ready. It carries ids
// only: what to run is learnt from the claim, which may be refused.
type RunMessage struct {
	JobIDs []string `json:"job_ids"`
}

// LeaseRef names a job and the lease under which somebody holds it.
type LeaseRef struct {
	JobID string `json:"job_id"`
	// LeaseToken is chosen by the worker, a new one for each claim, so that a
	// claim repeated after a lost answer is granted again instead of refused.
	LeaseToken string `json:"lease_token"`
}

// ClaimRequest asks for the right to run jobs.
type ClaimRequest struct {
	Worker string     `json:"worker"`
	Claims []LeaseRef `json:"claims"`
}

// ClaimReply answers a ClaimRequest. A claim that is in neither list did not
// fit the reply and may be asked again at once.
type ClaimReply struct {
	Granted []Grant  `json:"granted,omitempty"`
	Refused []string `json:"refused,omitempty"`
	// LeaseSeconds is how long each granted lease lasts without a heartbeat.
	LeaseSeconds int `json:"lease_seconds"`
}

// Grant is the right to run one attempt of one job.
type Grant struct {
	JobID          string          `json:"job_id"`
	JobType        string          `json:"job_type"`
	LeaseToken     string          `json:"lease_token"`
	Attempt        int             `json:"attempt"`
	MaxAttempts    int             `json:"max_attempts"`
	TimeoutSeconds int             `json:"timeout_seconds"`
	CreatedBy      string          `json:"created_by"`
	RequestID      string          `json:"request_id,omitempty"`
	TraceParent    string          `json:"traceparent,omitempty"`
	Payload        json.RawMessage `json:"payload"`
}

// HeartbeatRequest renews leases and says that a worker lives.
type HeartbeatRequest struct {
	Worker   string     `json:"worker"`
	Queue    string     `json:"queue"`
	JobTypes []string   `json:"job_types"`
	InFlight int        `json:"in_flight"`
	Leases   []LeaseRef `json:"leases"`
	// Progress is what runs have said since the last heartbeat, the newest of
	// each.
	Progress []Progress `json:"progress,omitempty"`
}

// Progress is how far a run has come, as its handler says.
type Progress struct {
	JobID      string `json:"job_id"`
	LeaseToken string `json:"lease_token"`
	// Percent is 0 to 100.
	Percent float64 `json:"percent"`
	// Message is for people, at most MaxProgressMessage bytes.
	Message string `json:"message,omitempty"`
}

// MaxProgressMessage is where progress messages are cut, in bytes.
const MaxProgressMessage = 200

// HeartbeatReply names the leases that are gone: their runs must stop.
type HeartbeatReply struct {
	// Lost are lease tokens.
	Lost []string `json:"lost,omitempty"`
}

// Outcome is how a run ended.
type Outcome string

// Outcomes of a run.
const (
	OutcomeSucceeded Outcome = "succeeded"
	OutcomeFailed    Outcome = "failed"
	// OutcomeReleased gives the job back unfinished, at no cost: the worker is
	// shutting down.
	OutcomeReleased Outcome = "released"
	// OutcomeSnoozed puts the job off for RetryAfterMS at no cost to its
	// attempts: the handler cannot do it yet.
	OutcomeSnoozed Outcome = "snoozed"
)

// FinishRequest reports ended runs.
type FinishRequest struct {
	Worker  string      `json:"worker"`
	Results []RunResult `json:"results"`
}

// RunResult is the end of one run.
type RunResult struct {
	JobID      string          `json:"job_id"`
	LeaseToken string          `json:"lease_token"`
	Outcome    Outcome         `json:"outcome"`
	Result     json.RawMessage `json:"result,omitempty"`
	Artifacts  []Artifact      `json:"artifacts,omitempty"`
	ErrorText  string          `json:"error_text,omitempty"`
	// Permanent says that another attempt cannot succeed.
	Permanent bool `json:"permanent,omitempty"`
	// RetryAfterMS overrides the back-off schedule, in milliseconds.
	RetryAfterMS int64     `json:"retry_after_ms,omitempty"`
	StartedAt    time.Time `json:"started_at"`
	RuntimeMS    int64     `json:"runtime_ms"`
	TraceParent  string    `json:"traceparent,omitempty"`
}

// FinishReply answers a FinishRequest, one verdict for each result, in order.
type FinishReply struct {
	Verdicts []FinishVerdict `json:"verdicts"`
}

// FinishVerdict says what became of one reported result.
type FinishVerdict struct {
	JobID string `json:"job_id"`
	// Accepted is false when the lease was no longer the reporter's: nothing
	// was written.
	Accepted bool   `json:"accepted"`
	Status   Status `json:"status"`
}

// Artifact is something a job leaves behind besides its result.
type Artifact struct {
	Type    string          `json:"artifact_type"`
	Ref     string          `json:"artifact_ref,omitempty"`
	Payload json.RawMessage `json:"artifact_payload,omitempty"`
}
