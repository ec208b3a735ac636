package testkit_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/run"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
)

// spy stands for a test that may fail without failing the one it looks at.
type spy struct {
	testing.TB
	mu       sync.Mutex
	said     []string
	cleanups []func()
}

func (s *spy) Errorf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, fmt.Sprintf(format, args...))
}

func (s *spy) FailNow()           { runtime.Goexit() }
func (s *spy) Helper()            {}
func (s *spy) Cleanup(f func())   { s.cleanups = append(s.cleanups, f) }
func (s *spy) complaints() string { return strings.Join(s.said, "\n") }

// watch runs a test body on a spy, and then what it left for the end.
func watch(t *testing.T, body func(tb testing.TB)) *spy {
	t.Helper()
	s := &spy{TB: t}
	inGoroutine := func(f func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		testkit.Receive(t, done)
	}
	inGoroutine(func() { body(s) })
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		inGoroutine(s.cleanups[i])
	}
	return s
}

func databaseExists(t *testing.T, databaseURL, name string) bool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	var exists bool
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists))
	return exists
}

func TestDatabasesAreTheTestsOwn(t *testing.T) {
	t.Parallel()
	one, two := testkit.Postgres(t), testkit.Postgres(t)
	for _, schema := range migrations.Schemas() {
		require.NoError(t, migrations.Check(t.Context(), one.Bun, schema))
	}
	const add = `INSERT INTO auth.api_keys (id, owner, key_hash, role) VALUES (gen_random_uuid(), 'alice', repeat('a', 64), 'viewer')`
	for _, db := range []*pg.DB{one, two} {
		_, err := db.Pool.Exec(t.Context(), add)
		require.NoError(t, err, "the other one's rows are not here")
	}
	require.Empty(t, schemas(t, testkit.OpenPostgres(t, testkit.EmptyDatabase(t), "")))
}

func TestDatabasesGoWithTheTest(t *testing.T) {
	t.Parallel()
	admin := testkit.EmptyDatabase(t)
	var name string
	s := watch(t, func(tb testing.TB) {
		db := testkit.Postgres(tb)
		require.NoError(tb, db.Pool.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name))
		require.True(tb, databaseExists(t, admin, name))
	})
	require.Empty(t, s.complaints())
	require.False(t, databaseExists(t, admin, name))
}

func TestOpenPostgresFailsTheTest(t *testing.T) {
	t.Parallel()
	s := watch(t, func(tb testing.TB) { testkit.OpenPostgres(tb, "postgres://%zz", "") })
	require.Contains(t, s.complaints(), "open the database")
}

func TestNATSHasEveryStream(t *testing.T) {
	t.Parallel()
	server := testkit.NATSServer(t)
	nc := testkit.Connect(t, server)
	require.NotSame(t, nc, testkit.Connect(t, server))
	js := testkit.JetStream(t, nc)
	for _, s := range contract.Streams() {
		_, err := js.Stream(t.Context(), s.Name)
		require.NoError(t, err, s.Name)
	}
	for _, c := range contract.Consumers(testkit.Lease) {
		cons, err := js.Consumer(t.Context(), c.Stream, c.Durable)
		require.NoError(t, err, c.Durable)
		require.Equal(t, c.AckWait, cons.CachedInfo().Config.AckWait)
	}
}

func TestConnectFailsTheTestWithoutAServer(t *testing.T) {
	t.Parallel()
	s := watch(t, func(tb testing.TB) {
		server := testkit.NATSServer(tb)
		server.Stop()
		testkit.Connect(tb, server)
	})
	require.Contains(t, s.complaints(), "connect to NATS")
}

// serving is ready at once and returns err when told to stop.
func serving(stopped chan<- string, name string, err error) run.Component {
	return run.Func(name, func(ctx context.Context, ready func()) error {
		ready()
		<-ctx.Done()
		stopped <- name
		return err
	})
}

func TestStartStopsAtTheEndOfTheTest(t *testing.T) {
	t.Parallel()
	stopped := make(chan string, 2)
	s := watch(t, func(tb testing.TB) {
		testkit.Start(tb, serving(stopped, "a", nil), serving(stopped, "b", nil))
		require.Empty(t, stopped)
	})
	require.Empty(t, s.complaints())
	require.Equal(t, "b", <-stopped)
	require.Equal(t, "a", <-stopped)
}

func TestStopOfStartIsDoneOnce(t *testing.T) {
	t.Parallel()
	stopped := make(chan string, 2)
	s := watch(t, func(tb testing.TB) {
		stop := testkit.Start(tb, serving(stopped, "a", nil))
		stop()
		require.Equal(t, "a", <-stopped, "it has stopped when stop returns")
		stop()
	})
	require.Empty(t, s.complaints())
	require.Empty(t, stopped)
}

func TestStartFailsTheTest(t *testing.T) {
	t.Parallel()
	errBroken := errors.New("no such port")
	s := watch(t, func(tb testing.TB) {
		testkit.Start(tb, run.Func("door", func(context.Context, func()) error { return errBroken }))
		require.Fail(t, "it goes on")
	})
	require.Contains(t, s.complaints(), "start the components")
	require.Contains(t, s.complaints(), "door: no such port")

	s = watch(t, func(tb testing.TB) { testkit.Start(tb, serving(make(chan string, 1), "store", errBroken)) })
	require.Contains(t, s.complaints(), "stop the components")
	require.Contains(t, s.complaints(), "stop store: no such port")
}

func TestPoolsAreAsSmallAsAsked(t *testing.T) {
	t.Setenv(testkit.EnvPool, "")
	databaseURL := testkit.EmptyDatabase(t)
	require.Greater(t, testkit.OpenPostgres(t, databaseURL, "").Pool.Config().MaxConns, int32(1))
	t.Setenv(testkit.EnvPool, "1")
	db := testkit.OpenPostgres(t, databaseURL, "")
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, db.Ping(ctx), context.DeadlineExceeded, "a second connection")
	for _, wrong := range []string{"one", "0", "501"} {
		t.Setenv(testkit.EnvPool, wrong)
		s := watch(t, func(tb testing.TB) { testkit.PoolConfig(tb) })
		require.NotEmpty(t, s.complaints(), wrong)
	}
}

func TestReceiveAndEventually(t *testing.T) {
	t.Parallel()
	ch := make(chan int, 1)
	ch <- 7
	require.Equal(t, 7, testkit.Receive(t, ch))
	tries := 0
	testkit.Eventually(t, func() bool { tries++; return tries == 3 }, "three tries")
	require.Equal(t, 3, tries)
}
