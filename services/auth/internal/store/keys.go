package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/pg"
)

// Errors of changes that cannot be made.
var (
	// ErrTaken means that the owner, or the secret, has a key already.
	ErrTaken = errors.New("taken")
	// ErrLastAdmin means that nobody would be left to make changes.
	ErrLastAdmin = errors.New("the last admin key")
)

// Tell makes the message of a changed key.
type Tell func(after Key) (bus.Message, error)

const keyColumns = `id, owner, key_hash, role, raw_mode_enabled, enabled, created_at, updated_at, last_used_at, rate_limit_per_minute, expires_at, created_by`

func scanKey(row pgx.Row) (Key, error) {
	var r keyRow
	err := row.Scan(&r.ID, &r.Owner, &r.KeyHash, &r.Role, &r.RawModeEnabled, &r.Enabled, &r.CreatedAt, &r.UpdatedAt, &r.LastUsedAt, &r.RateLimitPerMinute, &r.ExpiresAt, &r.CreatedBy)
	if errors.Is(err, pgx.ErrNoRows) {
		return Key{}, ErrUnknown
	}
	if err != nil {
		return Key{}, err
	}
	return r.key()
}

// Create adds a key.
func (s *Store) Create(ctx context.Context, k Key, tell Tell) (Key, error) {
	var after Key
	err := s.outbox.Change(ctx, func(tx *pg.Tx) (bus.Message, error) {
		var err error
		after, err = scanKey(tx.QueryRow(ctx, `
			INSERT INTO auth.api_keys (id, owner, key_hash, role, raw_mode_enabled, enabled, rate_limit_per_minute, expires_at, created_by)
			VALUES ($1, $2, $3, $4, $5, true, $6, $7, $8) RETURNING `+keyColumns,
			k.ID, k.Owner, k.KeyHash, string(k.Role), k.RawModeEnabled, k.RateLimitPerMinute, k.ExpiresAt, k.CreatedBy))
		if err != nil {
			return bus.Message{}, err
		}
		return tell(after)
	})
	if pg.IsUniqueViolation(err) {
		return Key{}, ErrTaken
	}
	if err != nil {
		return Key{}, fmt.Errorf("create the key of %s: %w", k.Owner, err)
	}
	return after, nil
}

// Change locks a key, lets edit change it, and writes it back. edit may refuse
// with an error of its own.
func (s *Store) Change(ctx context.Context, id uuid.UUID, edit func(k *Key) error, tell Tell) (Key, error) {
	var after Key
	err := s.outbox.Change(ctx, func(tx *pg.Tx) (bus.Message, error) {
		k, err := scanKey(tx.QueryRow(ctx, `SELECT `+keyColumns+` FROM auth.api_keys WHERE id = $1 FOR UPDATE`, id))
		if err != nil {
			return bus.Message{}, err
		}
		before := k
		if err := edit(&k); err != nil {
			return bus.Message{}, err
		}
		if err := keepAnAdmin(ctx, tx, before, k); err != nil {
			return bus.Message{}, err
		}
		after, err = scanKey(tx.QueryRow(ctx, `
			UPDATE auth.api_keys SET key_hash = $2, role = $3, raw_mode_enabled = $4, enabled = $5, rate_limit_per_minute = $6, expires_at = $7,
				updated_at = clock_timestamp()
			WHERE id = $1 RETURNING `+keyColumns,
			k.ID, k.KeyHash, string(k.Role), k.RawModeEnabled, k.Enabled, k.RateLimitPerMinute, k.ExpiresAt))
		if err != nil {
			return bus.Message{}, err
		}
		return tell(after)
	})
	if err != nil {
		return Key{}, fmt.Errorf("change key %s: %w", id, err)
	}
	return after, nil
}

func admin(k Key) bool {
	return k.Enabled && k.Role == identity.Admin && k.ExpiresAt == nil
}

// keepAnAdmin refuses the change that would leave no admin key that lasts. All
// such keys are locked in one order, so that two changes cannot pass each other.
func keepAnAdmin(ctx context.Context, tx *pg.Tx, before, after Key) error {
	if !admin(before) || admin(after) {
		return nil
	}
	rows, err := tx.Query(ctx, `SELECT id FROM auth.api_keys WHERE role = 'admin' AND enabled AND expires_at IS NULL ORDER BY id FOR UPDATE`)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return err
	}
	if len(ids) <= 1 {
		return ErrLastAdmin
	}
	return nil
}

// List is a page of keys, newest first.
func (s *Store) List(ctx context.Context, limit, offset int) ([]Key, error) {
	var rows []keyRow
	err := s.db.Bun.NewSelect().Model(&rows).Order("k.created_at DESC", "k.id DESC").Limit(int64(limit)).Offset(int64(offset)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	out := make([]Key, len(rows))
	for i, r := range rows {
		if out[i], err = r.key(); err != nil {
			return nil, err
		}
	}
	return out, nil
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
	r := keyRow{
		ID: id, Owner: b.Owner, KeyHash: b.KeyHash, Role: string(b.Role), RawModeEnabled: b.RawModeEnabled, Enabled: true, CreatedBy: "bootstrap",
	}
	q := s.db.Bun.NewInsert().Model(&r).On("CONFLICT (owner) DO UPDATE").
		Set("key_hash = excluded.key_hash").Set("role = excluded.role").Set("updated_at = clock_timestamp()")
	if reEnable {
		q = q.Set("enabled = true").Set("raw_mode_enabled = excluded.raw_mode_enabled").Set("expires_at = NULL")
	}
	if _, err := q.Exec(ctx); err != nil {
		return fmt.Errorf("seed the key of %s: %w", b.Owner, err)
	}
	return nil
}
