package testkit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/embed/embedpg"
	"nexus.internal/libs/pg"
	"nexus.internal/migrations"
)

// EnvURL names the variable with the URL of the server that a test run shares;
// without it each test program starts a server of its own.
const EnvURL = "NEXUS_TEST_DATABASE_URL"

// startWithin bounds the start of a server and the making of a database.
const startWithin = time.Minute

// server is the URL of the Postgres server of this test program.
var server = sync.OnceValues(startServer)

// template is the name of the migrated database that others are copied from.
var template = sync.OnceValues(makeTemplate)

// Options are settings that suit tests: not durable, many connections.
func Options(dataDir string) embedpg.Options {
	return embedpg.Options{BinDir: os.Getenv("NEXUS_PG_BIN"), DataDir: dataDir, MaxConnections: 600, Log: zerolog.Nop()}
}

func startServer() (string, error) {
	if u := os.Getenv(EnvURL); u != "" {
		return u, nil
	}
	base := filepath.Join(os.TempDir(), "nexus-testkit-"+strconv.Itoa(os.Getuid()))
	removeStale(base)
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	// The server ends with this process; its folder is removed by the next one.
	s, err := embedpg.Start(ctx, Options(filepath.Join(base, strconv.Itoa(os.Getpid()))))
	if err != nil {
		return "", err
	}
	return s.URL(), nil
}

// removeStale deletes the folders of test programs that are gone.
func removeStale(base string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(filepath.Join(base, e.Name()))
		}
	}
}

func onServer(ctx context.Context, database string, fn func(conn *pgx.Conn) error) error {
	base, err := server()
	if err != nil {
		return err
	}
	u, err := withDatabase(base, database)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, u)
	if err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	return errors.Join(fn(conn), conn.Close(context.WithoutCancel(ctx)))
}

func withDatabase(base, database string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("parse the URL of the test server: %w", err)
	}
	u.Path = "/" + database
	return u.String(), nil
}

// makeTemplate creates the migrated database unless another test program has.
func makeTemplate() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	mark, err := migrations.Fingerprint()
	if err != nil {
		return "", err
	}
	name := "nexus_template_" + mark
	err = onServer(ctx, "postgres", func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
			return fmt.Errorf("wait for the template: %w", err)
		}
		var exists bool
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil || exists {
			return err
		}
		draft := name + "_draft"
		for _, stmt := range []string{"DROP DATABASE IF EXISTS " + draft, "CREATE DATABASE " + draft} {
			if _, err := conn.Exec(ctx, stmt); err != nil {
				return fmt.Errorf("make the template: %w", err)
			}
		}
		if err := migrate(ctx, draft); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+name)
		return err
	})
	return name, err
}

func migrate(ctx context.Context, database string) error {
	base, err := server()
	if err != nil {
		return err
	}
	u, err := withDatabase(base, database)
	if err != nil {
		return err
	}
	pool, err := poolConfig()
	if err != nil {
		return err
	}
	db, err := pg.Open(ctx, pg.Options{Config: pool, URL: u})
	if err != nil {
		return err
	}
	defer db.Close()
	return migrations.Up(ctx, db.Bun, migrations.Schemas()...)
}

// EnvPool names the variable with the number of connections that each pool of a test
// has, instead of what suits it. With 1, whoever asks for a second connection while it
// holds one waits for ever.
const EnvPool = "NEXUS_TEST_DB_POOL"

// PoolConfig is what pools of tests are opened with.
func PoolConfig(t testing.TB) pg.Config {
	t.Helper()
	c, err := poolConfig()
	require.NoError(t, err, "read %s", EnvPool)
	return c
}

func poolConfig() (pg.Config, error) {
	c := pg.Config{PoolSize: 4, MaxOverflow: 8, RecycleSeconds: 3600, PrePing: true}
	if text := os.Getenv(EnvPool); text != "" {
		size, err := strconv.Atoi(text)
		if err != nil {
			return c, fmt.Errorf("%s is %q: want a number", EnvPool, text)
		}
		c.PoolSize, c.MaxOverflow = size, 0
	}
	return c, c.Validate()
}

// DropLeftovers drops the databases of tests that were killed.
func DropLeftovers(ctx context.Context, serverURL string) error {
	conn, err := pgx.Connect(ctx, serverURL)
	if err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `SELECT datname FROM pg_database WHERE datname LIKE 'test\_%'`)
	if err != nil {
		return fmt.Errorf("list left databases: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list left databases: %w", err)
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
			return fmt.Errorf("drop a left database: %w", err)
		}
	}
	return nil
}

// EmptyDatabase makes a database without any schema and returns its URL. It is
// dropped when the test ends.
func EmptyDatabase(t testing.TB) string { return makeDatabase(t, "template1") }

// PostgresURL makes a migrated database and returns its URL. It is dropped when
// the test ends.
func PostgresURL(t testing.TB) string {
	t.Helper()
	name, err := template()
	require.NoError(t, err, "make the template database")
	return makeDatabase(t, name)
}

func makeDatabase(t testing.TB, from string) string {
	t.Helper()
	var b [6]byte
	_, err := rand.Read(b[:])
	require.NoError(t, err)
	name := "test_" + hex.EncodeToString(b[:])
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	require.NoError(t, onServer(ctx, "postgres", func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+from+" STRATEGY file_copy")
		return err
	}), "make a database")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startWithin)
		defer cancel()
		require.NoError(t, onServer(ctx, "postgres", func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
			return err
		}), "drop a database")
	})
	base, err := server()
	require.NoError(t, err)
	u, err := withDatabase(base, name)
	require.NoError(t, err)
	return u
}

// Postgres makes a migrated database and opens it as its superuser. Both go
// when the test ends.
func Postgres(t testing.TB) *pg.DB {
	t.Helper()
	return OpenPostgres(t, PostgresURL(t), "")
}

// OpenPostgres opens a database, as a role where one is given, and closes it
// when the test ends.
func OpenPostgres(t testing.TB, databaseURL, role string) *pg.DB {
	t.Helper()
	db, err := pg.Open(t.Context(), pg.Options{Config: PoolConfig(t), URL: databaseURL, Role: role})
	require.NoError(t, err, "open the database")
	t.Cleanup(db.Close)
	return db
}
