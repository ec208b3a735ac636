package contract

import "time"

// AreaDeadLetter is the area of what admins do with dead letters.
const AreaDeadLetter = "dead_letter"

// What can be done with a dead letter.
const (
	WhatReplayed  = "replayed"
	WhatDiscarded = "discarded"
)

// DeadLetterQuery selects dead letters, newest first. After is inclusive, Before
// is not. Discarded ones are left out unless All is set.
type DeadLetterQuery struct {
	Service string     `json:"service,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	Origin  string     `json:"origin,omitempty"`
	After   *time.Time `json:"after,omitempty"`
	Before  *time.Time `json:"before,omitempty"`
	All     bool       `json:"all,omitempty"`
	Cursor  string     `json:"cursor,omitempty"`
	Limit   int        `json:"limit"`
}

// DeadLetterSummary is a message that could not be handled, without its body.
type DeadLetterSummary struct {
	ID         int64     `json:"id"`
	ReceivedAt time.Time `json:"received_at"`
	// Service set it aside, for a Reason of its own.
	Service string `json:"service"`
	Reason  string `json:"reason"`
	// Subject is where the message was first published; empty where nobody
	// knows.
	Subject string `json:"subject"`
	// BodySize is that of the whole body, in bytes.
	BodySize int64 `json:"body_size"`
	// KeptSize is how many bytes of it are kept.
	KeptSize  int64 `json:"kept_size"`
	Replays   int   `json:"replays"`
	Discarded bool  `json:"discarded"`
}

// DeadLettersReply is one page of dead letters.
type DeadLettersReply struct {
	DeadLetters []DeadLetterSummary `json:"dead_letters"`
	Limit       int                 `json:"limit"`
	// NextCursor begins the next page; empty on the last one.
	NextCursor string `json:"next_cursor,omitempty"`
}

// DeadLetterRequest names a dead letter.
type DeadLetterRequest struct {
	ID int64 `json:"id"`
}

// DeadLetter is a message that could not be handled.
type DeadLetter struct {
	DeadLetterSummary
	Headers map[string][]string `json:"headers"`
	// Body is what is kept of the body, up to MaxDeadLetterShown bytes: as it is
	// where Encoding is "text", in base64 where it is "base64".
	Body     string `json:"body"`
	Encoding string `json:"encoding"`
	// Shown is how many bytes of the body Body holds.
	Shown int              `json:"shown"`
	Marks []DeadLetterMark `json:"marks"`
}

// MaxDeadLetterShown bounds the body of a DeadLetter, in bytes before encoding.
const MaxDeadLetterShown = 128 << 10

// DeadLetterMark says what was done with a dead letter, when and by whom.
type DeadLetterMark struct {
	What  string    `json:"what"`
	At    time.Time `json:"at"`
	Actor string    `json:"actor"`
	// RequestID is that of the request that did it.
	RequestID string `json:"request_id"`
}

// MarkDeadLetterRequest has a dead letter replayed or discarded. Force allows it
// a second time.
type MarkDeadLetterRequest struct {
	Asker
	ID    int64 `json:"id"`
	Force bool  `json:"force,omitempty"`
}

// DeadLetterChange is the data of an event of AreaDeadLetter.
type DeadLetterChange struct {
	DeadLetterID int64  `json:"dead_letter_id"`
	Subject      string `json:"subject"`
	Address      string `json:"address,omitempty"`
	// MessageID is the id under which it was published again.
	MessageID string `json:"message_id,omitempty"`
}
