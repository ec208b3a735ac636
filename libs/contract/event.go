package contract

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An event message is a pack: a JSON array of one or more events that happened
// together and share their type. Under load many jobs change state in one
// transaction; their events travel in one message.

// MaxEventsPerMessage bounds a pack.
const MaxEventsPerMessage = 64

// MaxEventText is where texts in events are cut, in bytes, so that the largest
// pack fits a message. The job itself has the whole text.
const MaxEventText = 1 << 10

// Cut is s, cut to at most limit bytes between characters.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}

// Event is something that happened. It never changes once published; the same
// event may be published more than once, always with the same id.
type Event struct {
	// ID is unique for ever. A job event's id is "<job id>/<version>".
	ID string `json:"id"`
	// Type is the versioned type, for example nexus.job.succeeded.v1.
	Type   string    `json:"type"`
	Time   time.Time `json:"time"`
	Source string    `json:"source"`
	// Actor is the owner of the key that caused it, or the service that did.
	Actor     string `json:"actor"`
	RequestID string `json:"request_id,omitempty"`
	// TraceParent is the W3C trace context the event happened in.
	TraceParent string          `json:"traceparent,omitempty"`
	Data        json.RawMessage `json:"data"`
}

// Event areas.
const (
	AreaJob    = "job"
	AreaAuth   = "auth"
	AreaSubmit = "submit"
	// AreaJobType and AreaQueue are changes to how jobs are run.
	AreaJobType = "job_type"
	AreaQueue   = "queue"
)

// EventType is the versioned type of an event of an area: nexus.<area>.<what>.v1.
func EventType(area, what string) string {
	return "nexus." + area + "." + what + ".v1"
}

// Job events beyond those named after the state reached.
const (
	WhatStaleLease = "stale_lease_recovery"
	// WhatProgress tells how far a run has come. It is not a state change, at
	// most one a second comes for a job, and some may be missing.
	WhatProgress = "progress"
)

// ProgressEvents begins the subjects of progress events.
const ProgressEvents = "nexus.events." + AreaJob + "." + WhatProgress + "."

// Events of the areas job_type and queue, beside WhatCreated.
const (
	WhatChanged = "changed"
	WhatPaused  = "paused"
	WhatResumed = "resumed"
)

// JobTypeChange is the data of a job_type event: the type after the change.
type JobTypeChange struct {
	JobType JobType `json:"job_type"`
}

// QueueChange is the data of a queue event.
type QueueChange struct {
	Queue  string `json:"queue"`
	Paused bool   `json:"paused"`
}

// ProgressChange is the data of a progress event.
type ProgressChange struct {
	JobID   string  `json:"job_id"`
	JobType string  `json:"job_type"`
	Percent float64 `json:"percent"`
	Message string  `json:"message,omitempty"`
}

// JobEventID is the id of the event of a job's version-th state change.
func JobEventID(jobID string, version int) string {
	return jobID + "/" + strconv.Itoa(version)
}

// JobChange is the data of a job event: the job after a state change.
type JobChange struct {
	JobID       string `json:"job_id"`
	JobType     string `json:"job_type"`
	Status      Status `json:"status"`
	Attempt     int    `json:"attempt"`
	MaxAttempts int    `json:"max_attempts"`
	// Version counts the state changes of the job, from 1.
	Version   int        `json:"version"`
	CreatedBy string     `json:"created_by"`
	Worker    string     `json:"worker,omitempty"`
	ErrorText string     `json:"error_text,omitempty"`
	NextRunAt *time.Time `json:"next_run_at,omitempty"`
	// Webhook says that the job has a hook of its own; see JobWebhooksRequest.
	// Where it leads is not told: everybody may follow the events of jobs.
	Webhook bool `json:"webhook,omitempty"`
}

// Encode is the change as JSON. It says what Encode of this package would, at a
// fraction of the cost: there are three of them for every job.
func (c JobChange) Encode() json.RawMessage {
	dst := make([]byte, 0, 256+len(c.ErrorText))
	dst = appendText(append(dst, `{"job_id":`...), c.JobID)
	dst = appendText(append(dst, `,"job_type":`...), c.JobType)
	dst = appendText(append(dst, `,"status":`...), string(c.Status))
	dst = appendNumberField(dst, "attempt", c.Attempt)
	dst = appendNumberField(dst, "max_attempts", c.MaxAttempts)
	dst = appendNumberField(dst, "version", c.Version)
	dst = appendText(append(dst, `,"created_by":`...), c.CreatedBy)
	dst = appendTextField(dst, "worker", c.Worker)
	dst = appendTextField(dst, "error_text", c.ErrorText)
	if c.NextRunAt != nil {
		dst = appendTime(append(dst, `,"next_run_at":`...), *c.NextRunAt)
	}
	if c.Webhook {
		dst = append(dst, `,"webhook":true`...)
	}
	return append(dst, '}')
}

// StaleLease is the data of a stale_lease_recovery event.
type StaleLease struct {
	JobID              string `json:"job_id"`
	OriginalLeaseOwner string `json:"original_lease_owner"`
	RecoveringWorker   string `json:"recovering_worker"`
	NewStatus          Status `json:"new_status"`
}

// Auth events.
const (
	WhatAuthSuccess = "success"
	WhatAuthFailure = "failure"
	WhatAuthDenied  = "denied"
)

// AuthDecision is the data of an auth event. It never holds a key or a token.
type AuthDecision struct {
	// KeyHashPrefix is the first 12 hexadecimal digits of the key's SHA-256.
	KeyHashPrefix string `json:"key_hash_prefix,omitempty"`
	Role          string `json:"role,omitempty"`
	RequiredRole  string `json:"required_role,omitempty"`
	// Endpoint is the route pattern, never the raw URL.
	Endpoint string `json:"endpoint,omitempty"`
	Address  string `json:"address,omitempty"`
	Detail   string `json:"detail,omitempty"`
	// Count is how many decisions of the same kind this one stands for, and
	// Since when the first of them was; both are left out for one.
	Count int        `json:"count,omitempty"`
	Since *time.Time `json:"since,omitempty"`
}

// EncodeEvents writes a pack. The data of each event must be compact JSON; it is
// not looked at.
func EncodeEvents(events []Event) ([]byte, error) {
	if len(events) == 0 || len(events) > MaxEventsPerMessage {
		return nil, fmt.Errorf("a pack holds 1 to %d events, not %d", MaxEventsPerMessage, len(events))
	}
	size := 2
	for _, e := range events {
		size += 320 + len(e.Data)
	}
	dst := append(make([]byte, 0, size), '[')
	for i, e := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.append(dst)
	}
	return append(dst, ']'), nil
}

// append writes the event as JSON. Its data is taken as it is.
func (e Event) append(dst []byte) []byte {
	dst = appendText(append(dst, `{"id":`...), e.ID)
	dst = appendText(append(dst, `,"type":`...), e.Type)
	dst = appendTime(append(dst, `,"time":`...), e.Time)
	dst = appendText(append(dst, `,"source":`...), e.Source)
	dst = appendText(append(dst, `,"actor":`...), e.Actor)
	dst = appendTextField(dst, "request_id", e.RequestID)
	dst = appendTextField(dst, "traceparent", e.TraceParent)
	dst = append(dst, `,"data":`...)
	if len(e.Data) == 0 {
		return append(dst, "null}"...)
	}
	return append(append(dst, e.Data...), '}')
}

// DecodeEvents reads a pack. It refuses what is not a pack of complete events:
// whatever reaches the subject without being one is not ours.
func DecodeEvents(data []byte) ([]Event, error) {
	var events []Event
	if err := Decode(data, &events); err != nil {
		return nil, fmt.Errorf("decode events: %w", err)
	}
	if len(events) == 0 || len(events) > MaxEventsPerMessage {
		return nil, fmt.Errorf("a pack holds 1 to %d events, not %d", MaxEventsPerMessage, len(events))
	}
	for i, e := range events {
		if e.ID == "" || e.Type == "" || e.Time.IsZero() || e.Source == "" {
			return nil, fmt.Errorf("event %d of the pack lacks an id, a type, a time or a source", i)
		}
	}
	return events, nil
}

// WhatRejected is the event of a message at the NATS door that was refused.
const WhatRejected = "rejected"

// Rejection is the data of a rejected event: the publisher has only the
// broker's receipt and learns here that no job came of it.
type Rejection struct {
	Owner   string `json:"owner"`
	JobType string `json:"job_type"`
	// Sequence is the message's number in the receipt.
	Sequence uint64 `json:"sequence"`
	Code     string `json:"code"`
	Detail   string `json:"detail"`
	// JobID is the job that came to nothing, where it had an id already.
	JobID string `json:"job_id,omitempty"`
	// RetryAfterSeconds is when the message may be published again, where waiting
	// helps.
	RetryAfterSeconds int `json:"retry_after_seconds,omitempty"`
}
