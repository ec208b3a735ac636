// Package store is all the SQL of the webhooks service. A change of a
// subscription is written together with the outbox row that tells the world and
// with the revision that those who remember subscriptions look at.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
)

// Store reads and writes the webhooks schema.
type Store struct {
	db     *pg.DB
	outbox *outbox.Outbox
}

// New makes a store.
func New(db *pg.DB, box *outbox.Outbox) *Store { return &Store{db, box} }

type subscriptionRow struct {
	bun.BaseModel  `bun:"table:webhooks.subscriptions,alias:s"`
	ID             uuid.UUID `bun:",pk"`
	Owner          string
	URL            string
	Events         []string `bun:",array"`
	JobType        *string
	Description    string
	AllOwners      bool
	Enabled        bool
	DisabledReason string
	Secret         string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

type revisionRow struct {
	bun.BaseModel `bun:"table:webhooks.revision,alias:r"`
	One           bool `bun:",pk"`
	Number        int64
}

type ownerRow struct {
	bun.BaseModel `bun:"table:webhooks.owners,alias:o"`
	Owner         string `bun:",pk"`
	Secret        string
	UpdatedAt     time.Time
}

type deliveryRow struct {
	bun.BaseModel  `bun:"table:webhooks.deliveries,alias:d"`
	ID             uuid.UUID `bun:",pk"`
	SubscriptionID *uuid.UUID
	Owner          string
	EventID        string
	Event          string
	URL            *string
	Host           string
	Body           string
	Status         string
	Attempts       int
	NextAt         *time.Time
	Claim          *uuid.UUID
	LastAt         *time.Time
	ResponseStatus *int
	Error          string
	CreatedAt      time.Time
	FinishedAt     *time.Time
}

type outboxRow struct {
	bun.BaseModel `bun:"table:webhooks.outbox,alias:o"`
	ID            uuid.UUID `bun:",pk"`
	Body          []byte
	CreatedAt     time.Time
}

// Rows lists an empty row of every table, for the test that holds them against
// the migrated schema.
func Rows() []any {
	return []any{(*subscriptionRow)(nil), (*revisionRow)(nil), (*ownerRow)(nil), (*deliveryRow)(nil), (*outboxRow)(nil)}
}

// Errors of changes that cannot be made.
var (
	// ErrUnknown means that there is no such subscription or delivery.
	ErrUnknown = errors.New("unknown")
	// ErrTooMany means that the owner has as many subscriptions as there may be.
	ErrTooMany = errors.New("too many subscriptions")
)

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// change runs fn as the outbox does. Changes wait for each other at the revision.
func (s *Store) change(ctx context.Context, fn func(tx *pg.Tx) (bus.Message, error)) error {
	return s.outbox.Change(ctx, func(tx *pg.Tx) (bus.Message, error) {
		if _, err := tx.Exec(ctx, `UPDATE webhooks.revision SET number = number + 1`); err != nil {
			return bus.Message{}, fmt.Errorf("count the change: %w", err)
		}
		return fn(tx)
	})
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
