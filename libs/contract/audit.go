package contract

import (
	"encoding/json"
	"time"
)

// AuditQuery selects audit entries, newest first.
type AuditQuery struct {
	Action    string     `json:"action,omitempty"`
	Actor     string     `json:"actor,omitempty"`
	RequestID string     `json:"request_id,omitempty"`
	EventID   string     `json:"event_id,omitempty"`
	After     *time.Time `json:"after,omitempty"`
	Before    *time.Time `json:"before,omitempty"`
	Limit     int        `json:"limit"`
	Offset    int        `json:"offset"`
	// OldestFirst turns the order round.
	OldestFirst bool `json:"oldest_first,omitempty"`
	// Cursor goes on where the page ended that gave it.
	Cursor string `json:"cursor,omitempty"`
}

// AuditEntry is one kept event.
type AuditEntry struct {
	ID         int64           `json:"id"`
	EventID    string          `json:"event_id"`
	Action     string          `json:"action"`
	Actor      string          `json:"actor"`
	RequestID  string          `json:"request_id"`
	Details    json.RawMessage `json:"details"`
	OccurredAt time.Time       `json:"occurred_at"`
}

// AuditReply is one page of audit entries.
type AuditReply struct {
	Entries []AuditEntry `json:"logs"`
	Limit   int          `json:"limit"`
	Offset  int          `json:"offset"`
	// NextCursor leads to the next page; empty on the last.
	NextCursor string `json:"next_cursor,omitempty"`
}
