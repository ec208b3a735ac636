// Package store is all the SQL of the auth service. A change that somebody asked
// for is written together with the outbox row that tells the world.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"nexus.internal/libs/identity"
	"nexus.internal/libs/outbox"
	"nexus.internal/libs/pg"
)

// Store reads and writes the auth schema.
type Store struct {
	db     *pg.DB
	outbox *outbox.Outbox
}

// New makes a store.
func New(db *pg.DB, box *outbox.Outbox) *Store { return &Store{db, box} }

type keyRow struct {
	bun.BaseModel      `bun:"table:auth.api_keys,alias:k"`
	ID                 uuid.UUID `bun:",pk"`
	Owner              string
	KeyHash            string
	Role               string
	RawModeEnabled     bool
	Enabled            bool
	CreatedAt          time.Time `bun:",nullzero,default:clock_timestamp()"`
	UpdatedAt          time.Time `bun:",nullzero,default:clock_timestamp()"`
	LastUsedAt         *time.Time
	RateLimitPerMinute *int
	ExpiresAt          *time.Time
	CreatedBy          string
}

type featureRow struct {
	bun.BaseModel `bun:"table:auth.feature_flags,alias:f"`
	Name          string `bun:",pk"`
	Enabled       bool
	MinRole       string
	Description   string
	UpdatedAt     time.Time
	UpdatedBy     string
}

type outboxRow struct {
	bun.BaseModel `bun:"table:auth.outbox,alias:o"`
	ID            uuid.UUID `bun:",pk"`
	Body          []byte
	CreatedAt     time.Time
}

// Rows lists an empty row of every table, for the test that holds them against
// the migrated schema.
func Rows() []any { return []any{(*keyRow)(nil), (*featureRow)(nil), (*outboxRow)(nil)} }

// Key is an API key without its secret.
type Key struct {
	ID                 uuid.UUID
	Owner              string
	KeyHash            string
	Role               identity.Role
	RawModeEnabled     bool
	Enabled            bool
	RateLimitPerMinute *int
	ExpiresAt          *time.Time
	CreatedBy          string
	CreatedAt          time.Time
	UpdatedAt          time.Time
	LastUsedAt         *time.Time
}

// Good reports whether the key may be used at a time.
func (k Key) Good(at time.Time) bool {
	return k.Enabled && (k.ExpiresAt == nil || at.Before(*k.ExpiresAt))
}

func (r keyRow) key() (Key, error) {
	role, err := identity.ParseKeyRole(r.Role)
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", r.ID, err)
	}
	return Key{
		ID: r.ID, Owner: r.Owner, KeyHash: r.KeyHash, Role: role, RawModeEnabled: r.RawModeEnabled, Enabled: r.Enabled,
		RateLimitPerMinute: r.RateLimitPerMinute, ExpiresAt: r.ExpiresAt, CreatedBy: r.CreatedBy,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, LastUsedAt: r.LastUsedAt,
	}, nil
}

// ErrUnknown means that there is no such key or feature.
var ErrUnknown = errors.New("unknown")

// FindByHash finds a key, good or not.
func (s *Store) FindByHash(ctx context.Context, hash string) (Key, error) {
	return s.find(ctx, "key_hash", hash)
}

// FindByOwner finds the key of an owner, good or not.
func (s *Store) FindByOwner(ctx context.Context, owner string) (Key, error) {
	return s.find(ctx, "owner", owner)
}

// FindByID finds a key, good or not.
func (s *Store) FindByID(ctx context.Context, id uuid.UUID) (Key, error) {
	return s.find(ctx, "id", id)
}

func (s *Store) find(ctx context.Context, column string, value any) (Key, error) {
	var r keyRow
	err := s.db.Bun.NewSelect().Model(&r).Where("k.? = ?", bun.Ident(column), value).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Key{}, ErrUnknown
	}
	if err != nil {
		return Key{}, fmt.Errorf("look up a key: %w", err)
	}
	return r.key()
}

// Touch moves last_used_at of keys to now.
func (s *Store) Touch(ctx context.Context, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := s.db.Pool.Exec(ctx, `UPDATE auth.api_keys SET last_used_at = clock_timestamp() WHERE id = ANY($1)`, ids); err != nil {
		return fmt.Errorf("note the use of keys: %w", err)
	}
	return nil
}

// Ping asks the database for a sign of life.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }
