package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"

	"nexus.internal/libs/pg"
	"nexus.internal/services/audit/internal/trail"
)

// Store reads and extends the audit schema.
type Store struct{ db *pg.DB }

// New makes a store.
func New(db *pg.DB) *Store { return &Store{db} }

type logRow struct {
	bun.BaseModel `bun:"table:audit.audit_logs,alias:l"`
	ID            int64
	OccurredAt    time.Time
	RecordedAt    time.Time
	EventID       string `bun:",pk"`
	Action        string
	Actor         string
	Source        string
	RequestID     string
	TraceID       []byte
	Details       json.RawMessage `bun:"type:json,notnull"`
	Segment       *int64
	Position      *int
}

type segmentRow struct {
	bun.BaseModel `bun:"table:audit.segments,alias:s"`
	Number        int64 `bun:",pk"`
	RecordedAt    time.Time
	Entries       int
	Previous      []byte
	Hash          []byte
}

type deadRow struct {
	bun.BaseModel `bun:"table:audit.dead_letters,alias:d"`
	ID            int64 `bun:",pk"`
	ReceivedAt    time.Time
	Stream        string
	Sequence      int64
	RecordedAt    time.Time
	Subject       string
	Origin        string
	Reason        string
	Headers       json.RawMessage `bun:"type:jsonb,notnull"`
	Body          []byte          `bun:",notnull"`
	BodySize      int64
}

type markRow struct {
	bun.BaseModel `bun:"table:audit.dead_letter_marks,alias:m"`
	ID            int64 `bun:",pk"`
	LetterID      int64
	What          string
	MarkedAt      time.Time
	Actor         string
	RequestID     string
}

// Rows lists an empty row of every table, for the test that holds them against
// the migrated schema.
func Rows() []any { return []any{(*logRow)(nil), (*segmentRow)(nil), (*deadRow)(nil), (*markRow)(nil)} }

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// classify marks errors that the same values would meet again: the classes of
// SQLSTATE for data exceptions, broken constraints, and limits such as the depth
// of a JSON document.
func classify(err error) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || len(pgErr.Code) != 5 {
		return err
	}
	switch pgErr.Code[:2] {
	case "22", "23", "54":
		return fmt.Errorf("%w: %w", trail.ErrRefused, err)
	}
	return err
}
