package migrations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"
)

// mark is the line of a migration that says which programs may go on running on
// the schema it leaves behind.
var mark = regexp.MustCompile(`(?m)^-- compatible back to (\d{4})$`)

// CompatibleBackTo is the oldest migration of which a program must know to run on
// a schema that has the given one, read from its text. It is empty where only
// programs that know the migration itself may.
func CompatibleBackTo(text []byte) string {
	if m := mark.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// standing is how a schema and this program stand to each other.
type standing struct {
	schema string
	// known is the newest migration of this program, newest the newest applied.
	known, newest string
	// lacking are migrations the schema does not have, unknown those this program
	// does not know, both in order.
	lacking, unknown []string
	// oldest is what the unknown ones say of older programs, where they do.
	oldest map[string]string
}

// stand compares a schema with this program. It is nil where there is no schema.
func stand(ctx context.Context, db *bun.DB, schema string) (*standing, error) {
	m, err := migrator(db, schema)
	if err != nil {
		return nil, err
	}
	exists, err := hasTable(ctx, db, schema, "schema_migrations")
	if err != nil || !exists {
		return nil, err
	}
	known, err := m.MigrationsWithStatus(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the version of schema %s: %w", schema, err)
	}
	missing, err := m.MissingMigrations(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the version of schema %s: %w", schema, err)
	}
	s := &standing{schema: schema}
	for _, k := range known {
		s.known = max(s.known, k.Name)
		if k.IsApplied() {
			s.newest = max(s.newest, k.Name)
		} else {
			s.lacking = append(s.lacking, k.Name)
		}
	}
	for _, u := range missing {
		s.newest = max(s.newest, u.Name)
		s.unknown = append(s.unknown, u.Name)
	}
	slices.Sort(s.lacking)
	slices.Sort(s.unknown)
	if len(s.unknown) > 0 {
		s.oldest, err = marks(ctx, db, schema)
	}
	return s, err
}

// refused is ErrVersion, saying what to do, where migrations this program does not
// know leave nothing it could run on.
func (s *standing) refused() error {
	for _, name := range s.unknown {
		oldest, ok := s.oldest[name]
		switch {
		case !ok:
			return fmt.Errorf("%w: schema %q has migration %s, which this program does not know; run a newer Nexus", ErrVersion, s.schema, name)
		case oldest > s.known:
			return fmt.Errorf("%w: schema %q has migration %s, which is for programs that know migration %s at least; this one knows %s; run a newer Nexus",
				ErrVersion, s.schema, name, oldest, s.known)
		}
	}
	return nil
}

// lacks is ErrBehind where the schema lacks a migration of this program.
func (s *standing) lacks(advice string) error {
	if len(s.lacking) == 0 {
		return nil
	}
	return fmt.Errorf("%w: schema %q lacks migration %s; %s", ErrBehind, s.schema, s.lacking[0], advice)
}

// upgradable reports whether this program may migrate the schema: one that a newer
// program has migrated it leaves alone.
func (s *standing) upgradable() (bool, error) {
	switch {
	case s == nil || len(s.unknown) == 0:
		return true, nil
	case s.refused() != nil:
		return false, s.refused()
	default:
		return false, s.lacks("run `nexus migrate up` of the newer Nexus that migrated it last")
	}
}

// Check returns ErrVersion, saying what to do, unless this program can run on the
// schema: one that has all its migrations, and no others than such as say that
// they are compatible with it.
func Check(ctx context.Context, db *bun.DB, schema string) error {
	s, err := stand(ctx, db, schema)
	if err != nil {
		return err
	}
	if s == nil {
		return fmt.Errorf("%w: schema %q is missing; run `nexus migrate up`", ErrBehind, schema)
	}
	if err := s.lacks("run `nexus migrate up`"); err != nil {
		return err
	}
	return s.refused()
}

// Ahead is a schema that a newer program has migrated.
type Ahead struct {
	Schema string
	// Migration is the newest it has, Known the newest this program knows.
	Migration, Known string
}

// Newer lists those of the schemas that have migrations this program does not know.
func Newer(ctx context.Context, db *bun.DB, schemas ...string) ([]Ahead, error) {
	var out []Ahead
	for _, schema := range schemas {
		s, err := stand(ctx, db, schema)
		if err != nil {
			return nil, err
		}
		if s != nil && len(s.unknown) > 0 {
			out = append(out, Ahead{Schema: schema, Migration: s.newest, Known: s.known})
		}
	}
	return out, nil
}

// tellOlder writes down what the migrations say of older programs. A migration
// without such a row is compatible with none, so a process that dies before this
// leaves a schema that older programs refuse until somebody migrates again.
func tellOlder(ctx context.Context, db *bun.DB, schema string, all migrate.MigrationSlice) error {
	if _, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS ?.schema_compatibility (
		migration text PRIMARY KEY, oldest text NOT NULL)`, bun.Ident(schema)); err != nil {
		return fmt.Errorf("prepare schema %s: %w", schema, err)
	}
	for _, m := range all {
		text, err := fs.ReadFile(files, "sql/"+schema+"/"+m.Name+"_"+m.Comment+".tx.up.sql")
		if err != nil {
			return fmt.Errorf("read migration %s of %s: %w", m.Name, schema, err)
		}
		oldest := CompatibleBackTo(text)
		if oldest == "" {
			continue
		}
		if _, err := db.ExecContext(ctx, `INSERT INTO ?.schema_compatibility (migration, oldest) VALUES (?, ?)
			ON CONFLICT (migration) DO UPDATE SET oldest = EXCLUDED.oldest`, bun.Ident(schema), m.Name, oldest); err != nil {
			return fmt.Errorf("write down what migration %s of %s is compatible with: %w", m.Name, schema, err)
		}
	}
	return nil
}

// marks is what the migrations of a schema say of older programs.
func marks(ctx context.Context, db *bun.DB, schema string) (_ map[string]string, err error) {
	out := map[string]string{}
	exists, err := hasTable(ctx, db, schema, "schema_compatibility")
	if err != nil || !exists {
		return out, err
	}
	rows, err := db.QueryContext(ctx, `SELECT migration, oldest FROM ?.schema_compatibility`, bun.Ident(schema))
	if err != nil {
		return nil, fmt.Errorf("read what schema %s is compatible with: %w", schema, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var migration, oldest string
		if err := rows.Scan(&migration, &oldest); err != nil {
			return nil, fmt.Errorf("read what schema %s is compatible with: %w", schema, err)
		}
		out[migration] = oldest
	}
	return out, rows.Err()
}

func hasTable(ctx context.Context, db *bun.DB, schema, table string) (exists bool, err error) {
	if err := db.QueryRowContext(ctx, "SELECT to_regclass(?) IS NOT NULL", schema+"."+table).Scan(&exists); err != nil {
		return false, fmt.Errorf("look for schema %s: %w", schema, err)
	}
	return exists, nil
}
