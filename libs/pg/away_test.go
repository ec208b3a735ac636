package pg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/fault"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
)

func TestIsAway(t *testing.T) {
	t.Parallel()
	for code, away := range map[string]bool{
		"57P01": true, "57P02": true, "57P03": true, "08006": true, "53300": true, "25P03": true, "23505": false, "22P05": false, "42601": false, "25P02": false,
		"53100": true, "53200": true, "58030": true, "25006": true, "42P01": false, "40P01": false,
	} {
		require.Equal(t, away, pg.IsAway(fmt.Errorf("do something: %w", &pgconn.PgError{Code: code})), code)
	}
	require.True(t, pg.IsAway(fmt.Errorf("read: %w", io.ErrUnexpectedEOF)))
	require.True(t, pg.IsAway(context.DeadlineExceeded))
	require.False(t, pg.IsAway(errors.New("a bug")))
	require.False(t, pg.IsAway(nil))
	url := testkit.PostgresURL(t)
	db := testkit.OpenPostgres(t, url, "")
	_, err := db.Pool.Exec(t.Context(), `SELECT pg_terminate_backend(pg_backend_pid())`)
	require.True(t, pg.IsAway(err), err)
	_, err = db.Pool.Exec(t.Context(), `SELECT nonsense`)
	require.False(t, pg.IsAway(err), err)
}

func TestFault(t *testing.T) {
	t.Parallel()
	require.NoError(t, pg.Fault(nil))
	bug := errors.New("a bug")
	require.Equal(t, bug, pg.Fault(bug))
	away := fmt.Errorf("read a page: %w", &pgconn.PgError{Code: "53100", Message: "no space left on device"})
	require.Equal(t, fault.Unavailable, fault.KindOf(pg.Fault(away)))
	require.ErrorIs(t, pg.Fault(away), away)
	require.Equal(t, "The database does not answer now.", fault.Public(pg.Fault(away)).Detail)

	// A database that takes no connections any more, and one that nobody listens for.
	url := testkit.PostgresURL(t)
	db := testkit.OpenPostgres(t, url, "")
	admin := testkit.Postgres(t)
	_, err := admin.Pool.Exec(t.Context(), `ALTER DATABASE `+db.Pool.Config().ConnConfig.Database+` ALLOW_CONNECTIONS false`)
	require.NoError(t, err)
	_, err = admin.Pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, db.Pool.Config().ConnConfig.Database)
	require.NoError(t, err)
	testkit.Eventually(t, func() bool {
		_, err = db.Pool.Exec(t.Context(), `SELECT 1`)
		var connect *pgconn.ConnectError
		return errors.As(err, &connect)
	}, "the server still lets somebody in")
	require.Equal(t, fault.Unavailable, fault.KindOf(pg.Fault(err)), err)
	_, err = pg.Open(t.Context(), pg.Options{Config: pg.Config{PoolSize: 1, MaxOverflow: 1, RecycleSeconds: 60}, URL: "postgres://nobody@127.0.0.1:1/none"})
	require.Equal(t, fault.Unavailable, fault.KindOf(pg.Fault(err)), err)
}

func TestIsNotYet(t *testing.T) {
	t.Parallel()
	for code, notYet := range map[string]bool{"57P03": true, "3D000": true, "22023": true, "28P01": false, "28000": false, "42501": false} {
		require.Equal(t, notYet, pg.IsNotYet(fmt.Errorf("connect: %w", &pgconn.PgError{Code: code})), code)
	}
	there, err := url.Parse(testkit.EmptyDatabase(t))
	require.NoError(t, err)
	elsewhere, stranger := *there, *there
	elsewhere.Path += "_not_yet"
	stranger.User = url.User("nobody_at_all")
	_, err = pg.Open(t.Context(), pg.Options{Config: defaults(t), URL: elsewhere.String()})
	require.True(t, pg.IsNotYet(err), "%v", err)
	_, err = pg.Open(t.Context(), pg.Options{Config: defaults(t), URL: stranger.String()})
	require.Error(t, err)
	require.False(t, pg.IsNotYet(err), "%v", err)
}

// Packets that are dropped without a word do not hold a try up for minutes.
func TestATryToConnectHasAnEnd(t *testing.T) {
	t.Parallel()
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	begun := time.Now()
	_, err = pg.Open(t.Context(), pg.Options{Config: defaults(t), URL: "postgres://u:swordfish@" + silent.Addr().String() + "/x?sslmode=disable"})
	require.True(t, pg.IsNotYet(err), "%v", err)
	require.Less(t, time.Since(begun), 15*time.Second)
	require.NotContains(t, err.Error(), "swordfish")
}

// A client that was frozen in the middle of a transaction does not keep its locks.
func TestIdleTransactionsAreCutOff(t *testing.T) {
	t.Parallel()
	db := testkit.OpenPostgres(t, testkit.PostgresURL(t), "")
	var limit string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SHOW idle_in_transaction_session_timeout`).Scan(&limit))
	require.Equal(t, "10s", limit)
}
