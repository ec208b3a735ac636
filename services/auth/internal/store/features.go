package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/pg"
)

// Feature is a switch.
type Feature struct {
	Name        string
	Enabled     bool
	MinRole     identity.Role
	Description string
	UpdatedAt   time.Time
	UpdatedBy   string
}

func (r featureRow) feature() (Feature, error) {
	role, err := identity.ParseRole(r.MinRole)
	if err != nil {
		return Feature{}, fmt.Errorf("feature %s: %w", r.Name, err)
	}
	return Feature{r.Name, r.Enabled, role, r.Description, r.UpdatedAt, r.UpdatedBy}, nil
}

// Features lists every feature by name.
func (s *Store) Features(ctx context.Context) ([]Feature, error) {
	var rows []featureRow
	if err := s.db.Bun.NewSelect().Model(&rows).Order("f.name").Scan(ctx); err != nil {
		return nil, fmt.Errorf("list features: %w", err)
	}
	out := make([]Feature, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = r.feature(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Feature finds one by its name.
func (s *Store) Feature(ctx context.Context, name string) (Feature, error) {
	var r featureRow
	err := s.db.Bun.NewSelect().Model(&r).Where("f.name = ?", name).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return Feature{}, ErrUnknown
	}
	if err != nil {
		return Feature{}, fmt.Errorf("look up feature %s: %w", name, err)
	}
	return r.feature()
}

// ChangeFeature locks a feature, lets edit change it, and writes it back. An
// unknown one is ErrUnknown.
func (s *Store) ChangeFeature(ctx context.Context, name, actor string, edit func(f *Feature), tell func(after Feature) (bus.Message, error)) (Feature, error) {
	var after Feature
	err := s.outbox.Change(ctx, func(tx *pg.Tx) (bus.Message, error) {
		f, err := scanFeature(tx.QueryRow(ctx, `SELECT name, enabled, min_role, description, updated_at, updated_by FROM auth.feature_flags WHERE name = $1 FOR UPDATE`, name))
		if err != nil {
			return bus.Message{}, err
		}
		edit(&f)
		after, err = scanFeature(tx.QueryRow(ctx, `
			UPDATE auth.feature_flags SET enabled = $2, min_role = $3, description = $4, updated_by = $5, updated_at = clock_timestamp()
			WHERE name = $1 RETURNING name, enabled, min_role, description, updated_at, updated_by`,
			name, f.Enabled, string(f.MinRole), f.Description, actor))
		if err != nil {
			return bus.Message{}, err
		}
		return tell(after)
	})
	if err != nil {
		return Feature{}, fmt.Errorf("change feature %s: %w", name, err)
	}
	return after, nil
}

func scanFeature(row pgx.Row) (Feature, error) {
	var r featureRow
	err := row.Scan(&r.Name, &r.Enabled, &r.MinRole, &r.Description, &r.UpdatedAt, &r.UpdatedBy)
	if errors.Is(err, pgx.ErrNoRows) {
		return Feature{}, ErrUnknown
	}
	if err != nil {
		return Feature{}, err
	}
	return r.feature()
}
