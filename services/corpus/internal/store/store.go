package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"nexus.internal/libs/pg"
	"nexus.internal/services/corpus/internal/atom"
)

// ErrNotFound means that there is no such document or ingest.
var ErrNotFound = errors.New("not found")

// Store reads and writes the schema corpus. It may be used from several
// goroutines.
type Store struct {
	db *pg.DB
}

// New makes a store over a database that holds the schema.
func New(db *pg.DB) *Store {
	return &Store{db: db}
}

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// wrap says what was being done, and turns the absence of a row into ErrNotFound.
func wrap(err error, what string, id uuid.UUID) error {
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return fmt.Errorf("%s %s: %w", what, id, err)
}

// levelNumber is how a level is stored: its place among the levels, from 1.
func levelNumber(level atom.Level) int16 {
	for i, l := range atom.Levels() {
		if l == level {
			return int16(i + 1)
		}
	}
	return 0 // refused by a CHECK constraint
}
