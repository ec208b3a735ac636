package pg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
)

func TestIsAway(t *testing.T) {
	t.Parallel()
	for code, away := range map[string]bool{
		"57P01": true, "57P02": true, "57P03": true, "08006": true, "53300": true, "25P03": true, "23505": false, "22P05": false, "42601": false, "25P02": false,
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

// A client that was frozen in the middle of a transaction does not keep its locks.
func TestIdleTransactionsAreCutOff(t *testing.T) {
	t.Parallel()
	db := testkit.OpenPostgres(t, testkit.PostgresURL(t), "")
	var limit string
	require.NoError(t, db.Pool.QueryRow(t.Context(), `SHOW idle_in_transaction_session_timeout`).Scan(&limit))
	require.Equal(t, "10s", limit)
}
