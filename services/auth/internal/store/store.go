// Package store is all the SQL of the auth service.
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
	"nexus.internal/libs/pg"
)

// Store reads and writes the auth schema.
type Store struct{ db *pg.DB }

// New makes a store.
func New(db *pg.DB) *Store { return &Store{db} }

type keyRow struct {
	bun.BaseModel  `bun:"table:auth.api_keys,alias:k"`
	ID             uuid.UUID `bun:",pk"`
	Owner          string
	KeyHash        string
	Role           string
	RawModeEnabled bool
	Enabled        bool
	CreatedAt      time.Time `bun:",nullzero,default:clock_timestamp()"`
	UpdatedAt      time.Time `bun:",nullzero,default:clock_timestamp()"`
	LastUsedAt     *time.Time
}

// Rows lists an empty row of every table, for the test that holds them against
// the migrated schema.
func Rows() []any { return []any{(*keyRow)(nil)} }

// Key is an API key without its secret.
type Key struct {
	ID             uuid.UUID
	Owner          string
	Role           identity.Role
	RawModeEnabled bool
	Enabled        bool
}

// ErrUnknown means that no key has the hash.
var ErrUnknown = errors.New("no such key")

// FindByHash finds a key, enabled or not.
func (s *Store) FindByHash(ctx context.Context, hash string) (Key, error) {
	return s.find(ctx, "key_hash", hash)
}

// FindByOwner finds the key of an owner, enabled or not.
func (s *Store) FindByOwner(ctx context.Context, owner string) (Key, error) {
	return s.find(ctx, "owner", owner)
}

func (s *Store) find(ctx context.Context, column, value string) (Key, error) {
	var r keyRow
	err := s.db.Bun.NewSelect().Model(&r).Where("k.? = ?", bun.Ident(column), value).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Key{}, ErrUnknown
	}
	if err != nil {
		return Key{}, fmt.Errorf("look up a key: %w", err)
	}
	role, err := identity.ParseRole(r.Role)
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", r.ID, err)
	}
	return Key{ID: r.ID, Owner: r.Owner, Role: role, RawModeEnabled: r.RawModeEnabled, Enabled: r.Enabled}, nil
}

// Bootstrap is a key that is seeded at start.
type Bootstrap struct {
	Owner          string
	Role           identity.Role
	RawModeEnabled bool
	KeyHash        string
}

// Seed creates a bootstrap key. Where its owner has one already, it takes the
// given hash and role; with reEnable it is also enabled again and its RAW flag
// restored.
func (s *Store) Seed(ctx context.Context, b Bootstrap, reEnable bool) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make a key id: %w", err)
	}
	r := keyRow{ID: id, Owner: b.Owner, KeyHash: b.KeyHash, Role: string(b.Role), RawModeEnabled: b.RawModeEnabled, Enabled: true}
	q := s.db.Bun.NewInsert().Model(&r).On("CONFLICT (owner) DO UPDATE").
		Set("key_hash = excluded.key_hash").Set("role = excluded.role").Set("updated_at = clock_timestamp()")
	if reEnable {
		q = q.Set("enabled = true").Set("raw_mode_enabled = excluded.raw_mode_enabled")
	}
	if _, err := q.Exec(ctx); err != nil {
		return fmt.Errorf("seed the key of %s: %w", b.Owner, err)
	}
	return nil
}

// SetEnabled enables or disables a key.
func (s *Store) SetEnabled(ctx context.Context, owner string, enabled bool) error {
	_, err := s.db.Bun.NewUpdate().Model((*keyRow)(nil)).Set("enabled = ?", enabled).Set("updated_at = clock_timestamp()").Where("owner = ?", owner).Exec(ctx)
	if err != nil {
		return fmt.Errorf("switch the key of %s: %w", owner, err)
	}
	return nil
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
