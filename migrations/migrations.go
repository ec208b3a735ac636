// Package migrations holds the database schema of every service as SQL and
// applies it. A schema belongs to one service; no file here touches two.
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

// lockKey is the advisory lock under which one process at a time migrates.
const lockKey = 0x6e65787573 // "nexus"

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
// its rights. Processes that migrate at once wait for each other.
func Up(ctx context.Context, db *bun.DB, schemas ...string) error {
	return locked(ctx, db, func() error {
		for _, schema := range schemas {
			if err := up(ctx, db, schema); err != nil {
				return err
			}
		}
		return nil
	})
}

// Down removes the schemas and everything in them, newest migration first.
func Down(ctx context.Context, db *bun.DB, schemas ...string) error {
	return locked(ctx, db, func() error {
		for i := len(schemas) - 1; i >= 0; i-- {
			if err := down(ctx, db, schemas[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// locked holds the migration lock on a connection of its own: the lock goes
// when the connection does, so a crash cannot leave it behind.
func locked(ctx context.Context, db *bun.DB, fn func() error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to migrate: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock(?)", lockKey); err != nil {
		return fmt.Errorf("wait for the migration lock: %w", err)
	}
	defer func() {
		_, unlockErr := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(?)", lockKey)
		err = errors.Join(err, unlockErr)
	}()
	return fn()
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
		"REVOKE INSERT, UPDATE, DELETE ON ?1.schema_migrations, ?1.schema_migration_locks FROM ?0",
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
		"DROP TABLE ?0.schema_migrations, ?0.schema_migration_locks",
		"DROP SCHEMA ?0",
	} {
		if _, err := db.ExecContext(ctx, stmt, bun.Ident(schema)); err != nil {
			return fmt.Errorf("drop schema %s: %w", schema, err)
		}
	}
	return nil
}

// Check returns ErrVersion, saying what to do, unless the schema has exactly
// the migrations this program knows.
func Check(ctx context.Context, db *bun.DB, schema string) error {
	m, err := migrator(db, schema)
	if err != nil {
		return err
	}
	var exists bool
	if err := db.QueryRowContext(ctx, "SELECT to_regclass(?) IS NOT NULL", schema+".schema_migrations").Scan(&exists); err != nil {
		return fmt.Errorf("look for schema %s: %w", schema, err)
	}
	if !exists {
		return fmt.Errorf("%w: schema %q is missing; run `nexus migrate up`", ErrBehind, schema)
	}
	known, err := m.MigrationsWithStatus(ctx)
	if err != nil {
		return fmt.Errorf("read the version of schema %s: %w", schema, err)
	}
	for _, k := range known {
		if !k.IsApplied() {
			return fmt.Errorf("%w: schema %q lacks migration %s; run `nexus migrate up`", ErrBehind, schema, k.Name)
		}
	}
	unknown, err := m.MissingMigrations(ctx)
	if err != nil {
		return fmt.Errorf("read the version of schema %s: %w", schema, err)
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w: schema %q has migration %s, which this program does not know; run a newer Nexus", ErrVersion, schema, unknown[0].Name)
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
