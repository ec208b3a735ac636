package floor_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/floor"
	"nexus.internal/libs/testkit"
)

const moment = 300 * time.Millisecond

func TestPostgres(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pool, err := pgxpool.New(ctx, testkit.EmptyDatabase(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	rows := func() (n int64) {
		require.NoError(t, pool.QueryRow(ctx, `SELECT count(*) FROM bench_floor.jobs`).Scan(&n))
		return n
	}
	f, err := floor.NewPostgres(ctx, pool, []string{`{"a":1}`, `{"a":2}`})
	require.NoError(t, err)
	single, latencies, err := f.Insert(ctx, 2, moment)
	require.NoError(t, err)
	require.Equal(t, single.N, rows(), "what counts is what is there")
	require.Equal(t, int(single.N), latencies.Count())
	batch, err := f.InsertBatch(ctx, 2, moment)
	require.NoError(t, err)
	require.Equal(t, single.N+batch.N, rows())
	require.Zero(t, batch.N%floor.BatchRows)

	_, err = floor.NewPostgres(ctx, pool, nil)
	require.NoError(t, err, "what an earlier run has left is in nobody's way")
	require.Zero(t, rows())
	require.NoError(t, f.Close(ctx))
	_, err = f.InsertBatch(ctx, 1, moment)
	require.ErrorContains(t, err, "insert a batch")
	_, _, err = f.Insert(ctx, 1, moment)
	require.ErrorContains(t, err, "insert a row")
}

func TestJetStream(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	js := testkit.JetStream(t, testkit.NATS(t))
	f, err := floor.NewJetStream(ctx, js, [][]byte{[]byte("a"), []byte("b")})
	require.NoError(t, err)
	synchronous, err := f.Publish(ctx, 2, moment)
	require.NoError(t, err)
	asynchronous, err := f.PublishAsync(ctx, moment)
	require.NoError(t, err)
	stream, err := js.Stream(ctx, "BENCH_FLOOR")
	require.NoError(t, err)
	require.Equal(t, uint64(synchronous.N+asynchronous.N), stream.CachedInfo().State.Msgs, "what counts is what is there")

	again, err := floor.NewJetStream(ctx, js, [][]byte{[]byte("a")})
	require.NoError(t, err, "what an earlier run has left is in nobody's way")
	require.NoError(t, again.Close(ctx))
	require.Error(t, again.Close(ctx))
	_, err = f.Publish(ctx, 1, moment)
	require.ErrorContains(t, err, "publish")
	_, err = f.PublishAsync(ctx, moment)
	require.ErrorContains(t, err, "publish")
}
