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
	Priority      string        `json:"priority" enum:"high,normal,low"`
	Tags          []string      `json:"tags,omitempty"`
	CreatedAt     time.Time     `json:"created_at"`
	UpdatedAt     time.Time     `json:"updated_at"`
}

// Job is a job with everything known about it.
type Job struct {
	JobSummary
	Payload json.RawMessage `json:"payload"`
	// PayloadBytes is set where the payload is too large for this message.
	PayloadBytes   int `json:"payload_bytes,omitempty"`
	TimeoutSeconds int `json:"timeout_seconds"`
	// Progress is how far the run has come, as its handler says.
	Progress    *JobProgress `json:"progress,omitempty"`
	SnoozeCount int          `json:"snooze_count"`
	// DeferCount is how often the job was put off because something it needs was
	// unavailable.
	DeferCount int `json:"defer_count"`
	// DeferredSince is since when that is so without a break, where it is; why is
	// in ErrorText, and when the job is tried again in NextRunAt.
	DeferredSince *time.Time      `json:"deferred_since"`
	Result        json.RawMessage `json:"result"`
	// ResultBytes is set where the result is too large for this message; ResultRef
	// is where a client reads one that is too large to be shown.
	ResultBytes int     `json:"result_bytes,omitempty"`
	ResultRef   string  `json:"result_ref,omitempty"`
	ErrorText   *string `json:"error_text"`
	// ErrorKind and ErrorCode say for programs what kind of failure ended the job,
	// where its handler knew.
	ErrorKind      *string           `json:"error_kind,omitempty"`
	ErrorCode      *string           `json:"error_code,omitempty"`
	IdempotencyKey *string           `json:"idempotency_key"`
	NextRunAt      *time.Time        `json:"next_run_at"`
	LeaseOwner     *string           `json:"lease_owner"`
	LeaseExpiresAt *time.Time        `json:"lease_expires_at"`
	CreatedBy      string            `json:"created_by"`
	FinishedAt     *time.Time        `json:"finished_at"`
	Attempts       []Attempt         `json:"attempts"`
	Artifacts      []CreatedArtifact `json:"artifacts"`
}

// JobProgress is how far a run has come.
type JobProgress struct {
	// Percent is 0 to 100.
	Percent float64 `json:"percent"`
	Message string  `json:"message,omitempty"`
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
	// PayloadBytes is set where the payload is too large for this message;
	// PayloadRef is where a client reads one that is too large to be shown.
	PayloadBytes int       `json:"artifact_bytes,omitempty"`
	PayloadRef   string    `json:"artifact_payload_ref,omitempty"`
	CreatedAt    time.Time `json:"created_at"`
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
	Priority      string     `json:"priority,omitempty"`
	Tag           string     `json:"tag,omitempty"`
	Limit         int        `json:"limit"`
	Offset        int        `json:"offset"`
	// Cursor continues after the last job of an earlier page; it excludes
	// Offset.
	Cursor string `json:"cursor,omitempty"`
}

// ListJobsReply is one page of jobs.
type ListJobsReply struct {
	Jobs   []JobSummary `json:"jobs"`
	Limit  int          `json:"limit"`
	Offset int          `json:"offset"`
	// NextCursor asks for the page after this one; empty on the last.
	NextCursor string `json:"next_cursor,omitempty"`
}

// JobCounts is how many jobs there are in each state.
type JobCounts struct {
	Queued    int64 `json:"queued"`
	Running   int64 `json:"running"`
	RetryWait int64 `json:"retry_wait"`
	Failed    int64 `json:"failed"`
	Cancelled int64 `json:"cancelled"`
	// Succeeded is counted where Exact says so, and an estimate by the statistics
	// of the database otherwise; the others are always counted.
	Succeeded int64 `json:"succeeded"`
	Exact     bool  `json:"exact"`
}

// RetryJobsRequest selects failed or cancelled jobs to be queued again.
type RetryJobsRequest struct {
	// Status is failed or cancelled.
	Status        string     `json:"status"`
	JobType       string     `json:"job_type,omitempty"`
	CreatedBy     string     `json:"created_by,omitempty"`
	CreatedAfter  *time.Time `json:"created_after,omitempty"`
	CreatedBefore *time.Time `json:"created_before,omitempty"`
	Tag           string     `json:"tag,omitempty"`
	Limit         int        `json:"limit"`
	// PerSecond spreads the first runs over time.
	PerSecond int    `json:"per_second"`
	Actor     string `json:"actor"`
	RequestID string `json:"request_id,omitempty"`
}

// RetryJobsReply says what was queued again.
type RetryJobsReply struct {
	JobIDs []string `json:"job_ids"`
	// More is set while jobs that match may be left.
	More bool `json:"more"`
	// LastRunAt is when the last of them is due.
	LastRunAt *time.Time `json:"last_run_at,omitempty"`
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
	// BackoffSeconds are the waits after the first failed attempt, the second,
	// and so on; the last one counts for all that follow.
	BackoffSeconds []int `json:"backoff_seconds,omitempty"`
	// MinRole is the least role that may submit; empty means operator.
	MinRole string `json:"min_role,omitempty"`
	// PayloadSchema is a JSON Schema that payloads must follow; empty allows any
	// object.
	PayloadSchema json.RawMessage `json:"payload_schema,omitempty"`
	// Enabled types may be submitted.
	Enabled bool `json:"enabled"`
}

// Backoff is how long a job waits after its attempt-th attempt failed.
func (t JobType) Backoff(attempt int) time.Duration {
	if len(t.BackoffSeconds) == 0 {
		return 0
	}
	return time.Duration(t.BackoffSeconds[min(max(attempt, 1), len(t.BackoffSeconds))-1]) * time.Second
}

// JobTypesReply lists the job types.
type JobTypesReply struct {
	JobTypes []JobType `json:"job_types"`
}

// SetJobTypeRequest makes or changes a job type.
type SetJobTypeRequest struct {
	JobType JobType `json:"job_type"`
	// Create refuses a name that is taken, and otherwise one that is not.
	Create    bool   `json:"create,omitempty"`
	Actor     string `json:"actor"`
	RequestID string `json:"request_id,omitempty"`
}

// Worker is a worker process as its heartbeats describe it.
type Worker struct {
	Name        string    `json:"name"`
	Queue       string    `json:"queue"`
	JobTypes    []string  `json:"job_types"`
	InFlight    int       `json:"in_flight"`
	StartedAt   time.Time `json:"started_at"`
	HeartbeatAt time.Time `json:"heartbeat_at"`
	// Status is live, or gone when the last heartbeat is older than a lease.
	Status string `json:"status" enum:"live,gone"`
}

// WorkersReply lists the workers.
type WorkersReply struct {
	Workers []Worker `json:"workers"`
}

// Queue is a queue with what is in it.
type Queue struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
	// Waiting is the number of jobs that wait for a worker or for their time,
	// by lane.
	Waiting LaneCounts `json:"waiting"`
	Running int64      `json:"running"`
	// JobTypes are the types that go through it.
	JobTypes []string `json:"job_types"`
}

// LaneCounts is a number for each lane.
type LaneCounts struct {
	High   int64 `json:"high"`
	Normal int64 `json:"normal"`
	Low    int64 `json:"low"`
}

// QueuesReply lists the queues.
type QueuesReply struct {
	Queues []Queue `json:"queues"`
}

// PauseQueueRequest stops, or lets go on, the start of a queue's jobs.
type PauseQueueRequest struct {
	Queue     string `json:"queue"`
	Paused    bool   `json:"paused"`
	Actor     string `json:"actor"`
	RequestID string `json:"request_id,omitempty"`
}
