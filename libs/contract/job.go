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

// Finished reports whether a job in this state never changes again by itself.
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
	// ModeShadow answers as ModeSync does, and has the work done once more beside
	// it, by a job of its own; see ShadowJobID.
	ModeShadow ExecutionMode = "shadow"
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
	// MaxPayload is the largest job payload there can be, in bytes; a gateway may
	// be set to take less.
	MaxPayload = 32 << 20
	// MaxInlinePayload is the largest payload that travels inside other
	// messages, in bytes. A larger one is fetched in parts, see PayloadRequest.
	MaxInlinePayload = 256 << 10
	// MaxPayloadPart is how much of a payload one PayloadReply holds, in bytes.
	MaxPayloadPart = 512 << 10
	// MaxInlineResult is the largest result, and as much as the payloads of the
	// artifacts together, that travels inside a report, in bytes. What is larger is
	// put in parts before, see PutRequest.
	MaxInlineResult = 256 << 10
	// MaxArtifactRef is the longest reference of an artifact, in bytes.
	MaxArtifactRef = 2 << 10
	// MaxErrorText is where error texts are cut, in bytes.
	MaxErrorText = 4 << 10
	// MaxIdempotencyKey is the longest idempotency key, in bytes.
	MaxIdempotencyKey = 200
	// MaxSubmissions bounds the jobs of one command.
	MaxSubmissions = 64
	// MaxBatchJobs bounds the jobs of one atomic command.
	MaxBatchJobs = 1000
	// MaxDelay is how far ahead a first run, a retry or a snooze may be set.
	MaxDelay = 366 * 24 * time.Hour
	// MaxTimeoutSeconds is the longest a run may be allowed to take.
	MaxTimeoutSeconds = 86_400
	// MaxTags bounds the tags of a job, MaxTag the length of one in bytes.
	MaxTags = 16
	MaxTag  = 64
	// MaxSnoozes bounds how often one job may be put off.
	MaxSnoozes = 1000
	// MaxRunsPerMessage bounds the jobs of one run message.
	MaxRunsPerMessage = 32
	// MaxBatch bounds the jobs of one claim, heartbeat or finish request.
	MaxBatch = 500
	// MaxMessage is what a message body may weigh at most, in bytes: the
	// broker's 1 MiB less room for headers.
	MaxMessage = 1000 << 10
)

// TypeAccepted is the type of messages that hold a Job whose command the broker has
// and nobody has recorded.
const TypeAccepted = "nexus.job.accepted.v1"

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
	// RequestHash stands for all that the client sent. Two submissions under one
	// idempotency key are the same request when it is the same.
	RequestHash string `json:"request_hash,omitempty"`
	MaxAttempts int    `json:"max_attempts"`
	// Priority is the lane; empty means normal.
	Priority string `json:"priority,omitempty"`
	// RunAt and DelaySeconds put the first run off; at most one is set. A time
	// that has passed means at once.
	RunAt        *time.Time `json:"run_at,omitempty"`
	DelaySeconds float64    `json:"delay_seconds,omitempty"`
	// TimeoutSeconds overrides that of the job type; zero does not.
	TimeoutSeconds int      `json:"timeout_seconds,omitempty"`
	Tags           []string `json:"tags,omitempty"`
	// Webhook is where the events of the job are posted; nil for nowhere.
	Webhook *JobWebhook `json:"webhook,omitempty"`
	// CreatedBy is the owner of the verified key or token.
	CreatedBy   string `json:"created_by"`
	RequestID   string `json:"request_id,omitempty"`
	TraceParent string `json:"traceparent,omitempty"`
}

// SubmitCommand asks the recorder to record jobs. Its submissions are
// independent of each other: one refused does not touch the rest.
type SubmitCommand struct {
	Submissions []Submission `json:"submissions"`
	// Atomic commands are recorded whole or not at all.
	Atomic bool `json:"atomic,omitempty"`
}

// TypeSubmitPart is the type of SubmitPart messages.
const TypeSubmitPart = "nexus.cmd.jobs.part.v1"

const (
	// MaxCommandParts bounds the parts of a command.
	MaxCommandParts = 128
	// MaxCommandPart is how much of a command one part holds, in bytes.
	MaxCommandPart = 600 << 10
)

// SubmitPart is a part of a SubmitCommand that is larger than a message. The
// recorder acts once it has all of them.
type SubmitPart struct {
	CommandID string `json:"command_id"`
	// Part counts from 0 to Parts-1.
	Part  int    `json:"part"`
	Parts int    `json:"parts"`
	Body  []byte `json:"body"`
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
	// CodeNotRecorded marks the submissions of an atomic command that were in
	// order themselves; another one was refused.
	CodeNotRecorded = "not_recorded"
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
	JobID          string `json:"job_id"`
	JobType        string `json:"job_type"`
	LeaseToken     string `json:"lease_token"`
	Attempt        int    `json:"attempt"`
	MaxAttempts    int    `json:"max_attempts"`
	TimeoutSeconds int    `json:"timeout_seconds"`
	// ExecutionMode is how the submitter wanted the answer.
	ExecutionMode ExecutionMode `json:"execution_mode,omitempty"`
	CreatedBy     string        `json:"created_by"`
	RequestID     string        `json:"request_id,omitempty"`
	TraceParent   string        `json:"traceparent,omitempty"`
	// Repeated says that the job was started before: the run is no part of the trace
	// of its submit, and linked to it.
	Repeated bool `json:"repeated,omitempty"`
	// Payload is null where PayloadBytes is set.
	Payload json.RawMessage `json:"payload"`
	// PayloadBytes is the size of a payload too large for a grant; it is fetched
	// with PayloadRequest.
	PayloadBytes int `json:"payload_bytes,omitempty"`
}

// PayloadRequest asks for a part of a job's payload.
type PayloadRequest struct {
	JobID  string `json:"job_id"`
	Offset int    `json:"offset"`
}

// PayloadReply is the part of a payload that begins at the offset asked for, at
// most MaxPayloadPart bytes.
type PayloadReply struct {
	Part []byte `json:"part"`
	// Size is that of the whole payload, in bytes.
	Size int `json:"size"`
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
	// ResultBytes is the size of a result that was put in parts; Result is left out.
	ResultBytes int        `json:"result_bytes,omitempty"`
	Artifacts   []Artifact `json:"artifacts,omitempty"`
	ErrorText   string     `json:"error_text,omitempty"`
	// ErrorKind (a fault.Kind) and ErrorCode say what kind of failure it was, where
	// the handler knows; both or neither.
	ErrorKind string `json:"error_kind,omitempty"`
	ErrorCode string `json:"error_code,omitempty"`
	// Permanent says that another attempt cannot succeed.
	Permanent bool `json:"permanent,omitempty"`
	// Unavailable says of a failed run that something it needs was unavailable:
	// the job is put off for ever longer, at no cost to its attempts, and fails
	// only when that has lasted for hours.
	Unavailable bool `json:"unavailable,omitempty"`
	// RetryAfterMS overrides the back-off schedule, in milliseconds; of a job that
	// is put off because something is unavailable it is the least wait.
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
	// was written. A report that counted is accepted again when it is repeated.
	Accepted bool `json:"accepted"`
	// Status is that of the job now.
	Status Status `json:"status"`
}

// Artifact is something a job leaves behind besides its result.
type Artifact struct {
	Type    string          `json:"artifact_type"`
	Ref     string          `json:"artifact_ref,omitempty"`
	Payload json.RawMessage `json:"artifact_payload,omitempty"`
	// PayloadBytes is the size of a payload that was put in parts; Payload is left
	// out.
	PayloadBytes int `json:"artifact_bytes,omitempty"`
}
