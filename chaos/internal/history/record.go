package history

import (
	"time"

	"nexus.internal/libs/contract"
)

// Record is one thing that happened; exactly one of its parts is set.
type Record struct {
	At          time.Time    `json:"at"`
	Run         *Run         `json:"run,omitempty"`
	Disturbance *Disturbance `json:"disturbance,omitempty"`
	Submit      *Submit      `json:"submit,omitempty"`
	Receipt     *Receipt     `json:"receipt,omitempty"`
	Rejection   *Rejection   `json:"rejection,omitempty"`
	GaveUp      *GaveUp      `json:"gave_up,omitempty"`
	Cancel      *Answer      `json:"cancel,omitempty"`
	Read        *Answer      `json:"read,omitempty"`
	// Event is an event as a reader of the stream saw it, Audit one as the audit
	// trail has it at the end.
	Event *Event `json:"event,omitempty"`
	Audit *Event `json:"audit,omitempty"`
	// Job and Attempt are rows at the end.
	Job     *Job     `json:"job,omitempty"`
	Attempt *Attempt `json:"attempt,omitempty"`
	Settled *Settled `json:"settled,omitempty"`
}

// Run says what was done, and what may be asked of it.
type Run struct {
	Scenario string `json:"scenario"`
	Seed     uint64 `json:"seed"`
	// BrokerLost says that the broker lost messages it had acknowledged: what
	// only the broker had may be gone, what Postgres has may not.
	BrokerLost bool `json:"broker_lost,omitempty"`
	// Orderly says that nothing crashed: no attempt may be lost.
	Orderly bool `json:"orderly,omitempty"`
}

// Disturbance is something that was broken, or mended, on purpose.
type Disturbance struct {
	What   string `json:"what"`
	Target string `json:"target"`
	// Held are the jobs that a frozen worker could not let go of.
	Held []string `json:"held,omitempty"`
}

// Submit is one try to submit a job over REST, with its answer.
type Submit struct {
	Key     string `json:"key"`
	JobType string `json:"job_type"`
	Answer
}

// Answer is what a client was told.
type Answer struct {
	// Status is the HTTP status; 0 means that no answer came.
	Status     int             `json:"status"`
	JobID      string          `json:"job_id,omitempty"`
	JobStatus  contract.Status `json:"job_status,omitempty"`
	Code       string          `json:"code,omitempty"`
	RetryAfter string          `json:"retry_after,omitempty"`
	Error      string          `json:"error,omitempty"`
}

// Receipt is the broker's word that it has a message of the NATS door.
type Receipt struct {
	Key      string `json:"key"`
	JobType  string `json:"job_type"`
	Sequence uint64 `json:"sequence"`
}

// Rejection is the event that a message of the NATS door was refused.
type Rejection struct {
	Key    string `json:"key"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// GaveUp is a client that was never told that its job is recorded, or cancelled.
type GaveUp struct {
	Key   string `json:"key"`
	JobID string `json:"job_id,omitempty"`
	Doing string `json:"doing"`
}

// Event is a job event.
type Event struct {
	ID        string          `json:"id"`
	JobID     string          `json:"job_id"`
	Status    contract.Status `json:"status,omitempty"`
	Version   int             `json:"version,omitempty"`
	Attempt   int             `json:"attempt,omitempty"`
	Worker    string          `json:"worker,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
	// Recovery is set for the recovery of a lease instead of a state change.
	Recovery *contract.StaleLease `json:"recovery,omitempty"`
}

// Job is a recorded job.
type Job struct {
	ID           string          `json:"id"`
	Key          string          `json:"key"`
	JobType      string          `json:"job_type"`
	Status       contract.Status `json:"status"`
	Version      int             `json:"version"`
	AttemptCount int             `json:"attempt_count"`
	MaxAttempts  int             `json:"max_attempts"`
}

// Attempt is a recorded attempt that has ended.
type Attempt struct {
	JobID     string `json:"job_id"`
	Version   int    `json:"version"`
	Number    int    `json:"number"`
	Status    string `json:"status"`
	Worker    string `json:"worker"`
	ErrorText string `json:"error_text,omitempty"`
}

// Settled says how the run came to rest.
type Settled struct {
	Seconds float64 `json:"seconds"`
	// Promised jobs that are not recorded, unfinished jobs, unsent outbox rows and events that the audit trail lacks
	// are left when it did not.
	Unrecorded int `json:"unrecorded"`
	Unfinished int `json:"unfinished"`
	Unsent     int `json:"unsent"`
	Unaudited  int `json:"unaudited"`
}

// LeaseExpired is the error text of a run that was taken from a silent worker.
const LeaseExpired = "the worker went silent and its lease ran out"
