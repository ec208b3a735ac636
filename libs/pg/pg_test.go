package pg_test

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"nexus.internal/libs/config"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/telemetry"
	"nexus.internal/libs/testkit"
)

func defaults(t *testing.T) pg.Config {
	t.Helper()
	var c pg.Config
	require.NoError(t, config.Load(&c, nil))
	return c
}

func open(t *testing.T, opts pg.Options) *pg.DB {
	t.Helper()
	db, err := pg.Open(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

func TestConfig(t *testing.T) {
	t.Parallel()
	require.Equal(t, pg.Config{PoolSize: 5, MaxOverflow: 10, RecycleSeconds: 3600, PrePing: true}, defaults(t))
	for name, tc := range map[string]struct {
		change   func(*pg.Config)
		problems []string
	}{
		"smallest": {func(c *pg.Config) { c.PoolSize, c.MaxOverflow, c.RecycleSeconds = 1, 0, 1 }, nil},
		"largest":  {func(c *pg.Config) { c.PoolSize, c.MaxOverflow = 500, 500 }, nil},
		"too small": {func(c *pg.Config) { c.PoolSize, c.MaxOverflow, c.RecycleSeconds = 0, -1, 0 }, []string{
			"NEXUS_DB_POOL_SIZE is 0: want 1 to 500", "NEXUS_DB_MAX_OVERFLOW is -1: want 0 to 500", "NEXUS_DB_POOL_RECYCLE is 0: want at least 1 second",
		}},
		"too large": {func(c *pg.Config) { c.PoolSize, c.MaxOverflow = 501, 501 }, []string{
			"NEXUS_DB_POOL_SIZE is 501: want 1 to 500", "NEXUS_DB_MAX_OVERFLOW is 501: want 0 to 500",
		}},
	} {
		c := defaults(t)
		tc.change(&c)
		err := c.Validate()
		if tc.problems == nil {
			require.NoError(t, err, name)
		}
		for _, problem := range tc.problems {
			require.ErrorContains(t, err, problem, name)
		}
	}
}

func TestSettingsReachThePool(t *testing.T) {
	t.Parallel()
	c := pg.Config{PoolSize: 3, MaxOverflow: 4, RecycleSeconds: 60, PrePing: false}
	db := open(t, pg.Options{Config: c, URL: testkit.EmptyDatabase(t)})
	got := db.Pool.Config()
	require.EqualValues(t, 7, got.MaxConns)
	require.Equal(t, time.Minute, got.MaxConnLifetime)
	require.Less(t, got.MaxConnLifetimeJitter, got.MaxConnLifetime)
	require.NotNil(t, got.ShouldPing, "no ping before use")

	var held []interface{ Release() }
	for range 7 {
		conn, err := db.Pool.Acquire(t.Context())
		require.NoError(t, err)
		held = append(held, conn)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := db.Pool.Acquire(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded, "an eighth connection waits")
	for _, conn := range held {
		conn.Release()
	}
	require.NoError(t, db.Ping(t.Context()))
}

func TestSettingsAreShown(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := zerolog.New(&log)
	logger.Info().Object("pool", defaults(t)).Send()
	require.JSONEq(t, `{"level":"info","pool":{"size":5,"max_overflow":10,"recycle_seconds":3600,"pre_ping":true}}`, log.String())
}

func TestBothViewsActAsTheRole(t *testing.T) {
	t.Parallel()
	databaseURL := testkit.PostgresURL(t)
	for role, want := range map[string]string{"nexus_audit": "nexus_audit", "nexus_jobs": "nexus_jobs", "": loginOf(t, databaseURL)} {
		db := testkit.OpenPostgres(t, databaseURL, role)
		var direct, viaBun string
		require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT current_user").Scan(&direct))
		require.NoError(t, db.Bun.NewRaw("SELECT current_user").Scan(t.Context(), &viaBun))
		require.Equal(t, want, direct)
		require.Equal(t, want, viaBun)
	}
	_, err := pg.Open(t.Context(), pg.Options{Config: defaults(t), URL: databaseURL, Role: "nexus_nobody"})
	require.ErrorContains(t, err, "reach the database")
	require.ErrorContains(t, err, "nexus_nobody")
	require.True(t, pg.IsNotYet(err), "a migration may still make it")
}

func loginOf(t *testing.T, databaseURL string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	return u.User.Username()
}

func TestPasswordsStayOutOfErrors(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]string{
		"not a URL":         "postgres://nexus:s3cret@%zz/nexus",
		"bad port":          "postgres://nexus:s3cret@localhost:many/nexus",
		"bad option":        "postgres://nexus:s3cret@localhost/nexus?sslmode=perhaps",
		"bad pool option":   "postgres://nexus:s3cret@localhost/nexus?pool_max_conns=many",
		"bad words":         "host=localhost password=s3cret port=many",
		"unclosed word":     "host=localhost password='s3cret",
		"control character": "postgres://nexus:s3cret@localhost/nexus\x7f",
		"nobody there":      "postgres://nexus:s3cret@127.0.0.1:1/nexus?connect_timeout=2",
		"no such socket":    "postgres://nexus:s3cret@/nexus?host=/nowhere",
		"another scheme":    "mysql://nexus:s3cret@localhost/nexus",
		"no key file":       "postgres://nexus:s3cret@localhost/nexus?sslmode=verify-full&sslrootcert=/nowhere",
	} {
		_, err := pg.Open(t.Context(), pg.Options{Config: defaults(t), URL: bad})
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "s3cret", name)
	}
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := pg.Open(ctx, pg.Options{Config: defaults(t), URL: testkit.EmptyDatabase(t)})
	require.ErrorIs(t, err, context.Canceled)
}

func TestOtherEncodingsAreRefused(t *testing.T) {
	t.Parallel()
	base := testkit.EmptyDatabase(t)
	u, err := url.Parse(base)
	require.NoError(t, err)
	name := u.Path[1:] + "_ascii"
	admin := testkit.OpenPostgres(t, base, "")
	_, err = admin.Pool.Exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.Pool.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		require.NoError(t, err)
	})
	u.Path = "/" + name
	_, err = pg.Open(t.Context(), pg.Options{Config: defaults(t), URL: u.String()})
	require.EqualError(t, err, "the database has encoding SQL_ASCII; Nexus needs UTF8")
}

func TestPing(t *testing.T) {
	t.Parallel()
	db := testkit.OpenPostgres(t, testkit.EmptyDatabase(t), "")
	require.NoError(t, db.Ping(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, db.Ping(ctx), context.Canceled)
	db.Close()
	require.ErrorContains(t, db.Ping(t.Context()), "ping the database")
}

func TestStatementsOfATraceAreTraced(t *testing.T) {
	t.Parallel()
	exporter := tracetest.NewInMemoryExporter()
	tracer := telemetry.NewProvider("jobs", "v1", sdktrace.NewSimpleSpanProcessor(exporter))
	db := open(t, pg.Options{Config: defaults(t), URL: testkit.EmptyDatabase(t), Tracer: tracer})
	ctx, request := tracer.Tracer("test").Start(t.Context(), "request")
	_, err := db.Pool.Exec(ctx, "SELECT 'directly'")
	require.NoError(t, err)
	_, err = db.Bun.NewRaw("SELECT 'through bun'").Exec(ctx)
	require.NoError(t, err)
	request.End()
	statements := map[string]bool{}
	for _, span := range exporter.GetSpans() {
		if span.Name != "request" {
			require.Equal(t, request.SpanContext().TraceID(), span.SpanContext.TraceID())
		}
		for _, a := range span.Attributes {
			switch a.Key {
			case "db.query.text":
				statements[a.Value.AsString()] = true
			case "server.address", "server.port", "user.name", "db.namespace":
				require.Fail(t, "a span says where the database is", "%s", a.Key)
			}
		}
	}
	require.Contains(t, statements, "SELECT 'directly'")
	require.Contains(t, statements, "SELECT 'through bun'")
}

// things is a database with one small table.
func things(t *testing.T) *pg.DB {
	t.Helper()
	db := testkit.OpenPostgres(t, testkit.EmptyDatabase(t), "")
	_, err := db.Pool.Exec(t.Context(), `CREATE TABLE things (id int PRIMARY KEY, n smallint NOT NULL DEFAULT 0, note text, doc jsonb); INSERT INTO things (id) VALUES (1), (2)`)
	require.NoError(t, err)
	return db
}

func total(t *testing.T, db *pg.DB) int {
	t.Helper()
	var n int
	require.NoError(t, db.Pool.QueryRow(t.Context(), "SELECT sum(n) FROM things").Scan(&n))
	return n
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	db := things(t)
	errRefused := errors.New("refused")
	for name, in := range map[string]func(then error) error{
		"bun": func(then error) error {
			return pg.InTx(t.Context(), db, func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.ExecContext(ctx, "UPDATE things SET n = n + 1 WHERE id = 1")
				require.NoError(t, err)
				return then
			})
		},
		"pgx": func(then error) error {
			return pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error {
				_, err := tx.Exec(t.Context(), "UPDATE things SET n = n + 1 WHERE id = 1")
				require.NoError(t, err)
				return then
			})
		},
	} {
		before := total(t, db)
		require.ErrorIs(t, in(errRefused), errRefused, name)
		require.Equal(t, before, total(t, db), "%s: nothing is left of it", name)
		require.NoError(t, in(nil), name)
		require.Equal(t, before+1, total(t, db), name)
	}
}

func TestDeadlocksAreRunAgain(t *testing.T) {
	t.Parallel()
	db := things(t)
	lock := func(tx *pg.Tx, patience string, first, second int, between func()) error {
		if _, err := tx.Exec(t.Context(), "SET LOCAL deadlock_timeout = '"+patience+"'"); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), "UPDATE things SET n = n + 1 WHERE id = $1", first); err != nil {
			return err
		}
		between()
		_, err := tx.Exec(t.Context(), "UPDATE things SET n = n + 1 WHERE id = $1", second)
		return err
	}
	// The patient one never looks for a deadlock, so the other one loses it.
	patientHas, otherHas, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error {
			return lock(tx, "1h", 1, 2, func() {
				close(patientHas)
				<-otherHas
			})
		})
	}()
	runs := 0
	require.NoError(t, pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error {
		if runs++; runs > 1 {
			require.NoError(t, testkit.Receive(t, done))
		}
		return lock(tx, "10ms", 2, 1, func() {
			if runs == 1 {
				close(otherHas)
				<-patientHas
			}
		})
	}))
	require.Equal(t, 2, runs)
	require.Equal(t, 4, total(t, db), "each was applied once")
}

func TestHowOftenTransactionsAreRun(t *testing.T) {
	t.Parallel()
	db := things(t)
	raise := func(code string) func(*pg.Tx) error {
		return func(tx *pg.Tx) error {
			_, err := tx.Exec(t.Context(), "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '"+code+"'; END $$")
			return err
		}
	}
	for name, tc := range map[string]struct {
		fn   func(*pg.Tx) error
		runs int
		code string
	}{
		"serialization conflict": {raise("40001"), 4, "40001"},
		"deadlock":               {raise("40P01"), 4, "40P01"},
		"unique violation":       {raise("23505"), 1, "23505"},
		"bad data":               {raise("22003"), 1, "22003"},
		"statement given up":     {raise("57014"), 1, "57014"},
	} {
		runs := 0
		err := pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error { runs++; return tc.fn(tx) })
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr, name)
		require.Equal(t, tc.code, pgErr.Code, name)
		require.Equal(t, tc.runs, runs, name)
	}
	runs := 0
	require.NoError(t, pg.InPgxTx(t.Context(), db, func(tx *pg.Tx) error {
		if runs++; runs < 4 {
			return raise("40001")(tx)
		}
		return nil
	}), "the last run may still succeed")
	require.Equal(t, 4, runs)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, pg.InPgxTx(ctx, db, func(*pg.Tx) error { runs++; return nil }), context.Canceled)
	require.Equal(t, 4, runs, "it was never begun")
}

func TestErrorsToldApart(t *testing.T) {
	t.Parallel()
	db := things(t)
	for name, tc := range map[string]struct {
		statement   string
		args        []any
		unique, bad bool
	}{
		"second row of a key":  {"INSERT INTO things (id) VALUES ($1)", []any{1}, true, false},
		"NUL in a text":        {"INSERT INTO things (id, note) VALUES (3, $1)", []any{"a\x00b"}, false, true},
		"invalid UTF-8":        {"INSERT INTO things (id, note) VALUES (3, $1)", []any{"\xff"}, false, true},
		"NUL in a document":    {"INSERT INTO things (id, doc) VALUES (3, $1)", []any{`{"a":"\u0000"}`}, false, true},
		"not a document":       {"INSERT INTO things (id, doc) VALUES (3, $1::text::jsonb)", []any{"{"}, false, true},
		"number out of range":  {"UPDATE things SET n = n + 40000", nil, false, true},
		"division by zero":     {"SELECT 1/(n-n) FROM things", nil, false, true},
		"NULL where none goes": {"UPDATE things SET n = NULL", nil, false, false},
		"no such table":        {"SELECT * FROM nothings", nil, false, false},
		"no statement":         {"SELEKT", nil, false, false},
	} {
		_, direct := db.Pool.Exec(t.Context(), tc.statement, tc.args...)
		require.Error(t, direct, name)
		require.Equal(t, tc.unique, pg.IsUniqueViolation(direct), "%s: %v", name, direct)
		require.Equal(t, tc.bad, pg.IsBadData(direct), "%s: %v", name, direct)
	}
	_, viaBun := db.Bun.NewRaw("INSERT INTO things (id) VALUES (1)").Exec(t.Context())
	require.True(t, pg.IsUniqueViolation(viaBun), "%v", viaBun)
	_, viaBun = db.Bun.NewRaw("UPDATE things SET n = n + 40000").Exec(t.Context())
	require.True(t, pg.IsBadData(viaBun), "%v", viaBun)
	for _, other := range []error{nil, errors.New("23505"), context.Canceled, &pgconn.PgError{}, &pgconn.PgError{Code: "22"}} {
		require.False(t, pg.IsUniqueViolation(other), "%v", other)
		require.False(t, pg.IsBadData(other), "%v", other)
	}
}
