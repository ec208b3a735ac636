// Package migrations holds the database schema of every service as SQL and
// applies it. A schema belongs to one service; no file here touches two.
//
// A new version must be able to go back: the program before it has to start on the
// schema after it. So a change comes in two steps. One version expands: it adds what
// it needs beside what is there, such as columns that may be NULL or have a default,
// tables and indexes, and older programs go on without noticing. Its migration says
// so in a line of its own, "-- compatible back to 0005": a program that knows
// migration 0005 of this schema, or a later one, may run on it. What the older
// program needs, and the newer one does not, is contracted a version later, by a
// migration that names the expanding one as the oldest it is compatible with.
// A migration without that line is for programs that know it only.
//
// Queries of a running service do not belong here.
package migrations

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"
)

//go:embed sql
var files embed.FS

// Schemas lists the schemas in the order they are migrated.
func Schemas() []string { return []string{"auth", "jobs", "corpus", "plugins", "audit", "webhooks"} }

// Role is the database role that the service owning a schema acts as.
func Role(schema string) string { return "nexus_" + schema }

// grants is what a service may do with its tables. The audit service may only
// add to its trail.
func grants(schema string) string {
	if schema == "audit" {
		return "SELECT, INSERT"
	}
	return "SELECT, INSERT, UPDATE, DELETE"
}

// ErrVersion means that the database schema is not the one this program needs.
var ErrVersion = errors.New("the database schema does not fit this version of Nexus")

// ErrBehind is the ErrVersion that passes once somebody migrates.
var ErrBehind error = behind{}

type behind struct{}

func (behind) Error() string { return ErrVersion.Error() }
func (behind) Unwrap() error { return ErrVersion }

func migrator(db *bun.DB, schema string) (*migrate.Migrator, error) {
	dir, err := fs.Sub(files, "sql/"+schema)
	if err != nil {
		return nil, fmt.Errorf("open the migrations of %s: %w", schema, err)
	}
	found := migrate.NewMigrations()
	if err := found.Discover(dir); err != nil {
		return nil, fmt.Errorf("read the migrations of %s: %w", schema, err)
	}
	return migrate.NewMigrator(db, found,
		migrate.WithTableName(schema+".schema_migrations"),
		migrate.WithLocksTableName(schema+".schema_migration_locks"),
		migrate.WithMarkAppliedOnSuccess(true),
	), nil
}

// Up brings the schemas to the newest version and gives each service's role
// its rights. One that a newer program has migrated is left as it is where this
// program can run on it; otherwise it is ErrVersion and nothing is changed at all.
// Processes that migrate at once wait for each other.
func Up(ctx context.Context, db *bun.DB, schemas ...string) error {
	return locked(ctx, db, func(db *bun.DB) error {
		var old []string
		for _, schema := range schemas {
			s, err := stand(ctx, db, schema)
			if err != nil {
				return err
			}
			mine, err := s.upgradable()
			if err != nil {
				return err
			}
			if mine {
				old = append(old, schema)
			}
		}
		for _, schema := range old {
			if err := up(ctx, db, schema); err != nil {
				return err
			}
		}
		return nil
	})
}

// Down removes the schemas and everything in them, newest migration first. Of
// schemas that a newer program has migrated it is ErrVersion, and nothing is
// removed: this program does not know all that is in them.
func Down(ctx context.Context, db *bun.DB, schemas ...string) error {
	return locked(ctx, db, func(db *bun.DB) error {
		newer, err := Newer(ctx, db, schemas...)
		if err != nil {
			return err
		}
		if len(newer) > 0 {
			return fmt.Errorf("%w: schema %q has migration %s, which this program does not know; remove it with a newer Nexus",
				ErrVersion, newer[0].Schema, newer[0].Migration)
		}
		for i := len(schemas) - 1; i >= 0; i-- {
			if err := down(ctx, db, schemas[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func up(ctx context.Context, db *bun.DB, schema string) error {
	m, err := migrator(db, schema)
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS ?", bun.Ident(schema)); err != nil {
		return fmt.Errorf("create schema %s: %w", schema, err)
	}
	if err := m.Init(ctx); err != nil {
		return fmt.Errorf("prepare schema %s: %w", schema, err)
	}
	if _, err := m.Migrate(ctx); err != nil {
		return fmt.Errorf("migrate schema %s: %w", schema, err)
	}
	known, err := m.MigrationsWithStatus(ctx)
	if err != nil {
		return fmt.Errorf("read the version of schema %s: %w", schema, err)
	}
	if err := tellOlder(ctx, db, schema, known); err != nil {
		return err
	}
	return grant(ctx, db, schema)
}

func grant(ctx context.Context, db *bun.DB, schema string) error {
	role := bun.Ident(Role(schema))
	// Roles belong to the whole server: two databases may create one at once.
	_, err := db.ExecContext(ctx, `DO $$ BEGIN
		CREATE ROLE ? NOLOGIN;
	EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`, role)
	if err != nil {
		return fmt.Errorf("create role %s: %w", Role(schema), err)
	}
	for _, stmt := range []string{
		"GRANT USAGE ON SCHEMA ?1 TO ?0",
		"GRANT " + grants(schema) + " ON ALL TABLES IN SCHEMA ?1 TO ?0",
		"GRANT USAGE ON ALL SEQUENCES IN SCHEMA ?1 TO ?0",
		"REVOKE INSERT, UPDATE, DELETE ON ?1.schema_migrations, ?1.schema_migration_locks, ?1.schema_compatibility FROM ?0",
	} {
		if _, err := db.ExecContext(ctx, stmt, role, bun.Ident(schema)); err != nil {
			return fmt.Errorf("grant rights on schema %s: %w", schema, err)
		}
	}
	return nil
}

func down(ctx context.Context, db *bun.DB, schema string) error {
	m, err := migrator(db, schema)
	if err != nil {
		return err
	}
	for {
		group, err := m.Rollback(ctx)
		if err != nil {
			return fmt.Errorf("roll back schema %s: %w", schema, err)
		}
		if group.IsZero() {
			break
		}
	}
	// Without CASCADE: anything a migration forgot to remove is an error.
	for _, stmt := range []string{
		"DROP TABLE IF EXISTS ?0.schema_compatibility",
		"DROP TABLE ?0.schema_migrations, ?0.schema_migration_locks",
		"DROP SCHEMA ?0",
	} {
		if _, err := db.ExecContext(ctx, stmt, bun.Ident(schema)); err != nil {
			return fmt.Errorf("drop schema %s: %w", schema, err)
		}
	}
	return nil
}

// Version is the name of the newest applied migration of a schema, or empty.
func Version(ctx context.Context, db *bun.DB, schema string) (string, error) {
	m, err := migrator(db, schema)
	if err != nil {
		return "", err
	}
	applied, err := m.AppliedMigrations(ctx)
	if err != nil {
		return "", fmt.Errorf("read the version of schema %s: %w", schema, err)
	}
	newest := ""
	for _, a := range applied {
		newest = max(newest, a.Name)
	}
	return newest, nil
}

// Fingerprint changes whenever any migration does.
func Fingerprint() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, "sql", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", path, len(content))
		_, err = sum.Write(content)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the migrations: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}
