package pg_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/metrics"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
)

// gauges are the values of gauges and totals without labels but that of the service.
func gauges(t testing.TB, p *metrics.Provider) map[string]float64 {
	t.Helper()
	return testkit.Scrape(t, p.Exposition)
}

func TestThePoolTellsOfItself(t *testing.T) {
	t.Parallel()
	db, err := pg.Open(t.Context(), pg.Options{URL: testkit.EmptyDatabase(t), Config: pg.Config{PoolSize: 1, MaxOverflow: 1, RecycleSeconds: 3600}})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	p, err := metrics.New(metrics.Options{})
	require.NoError(t, err)
	db.Measure(p.For("jobs"))
	require.NoError(t, p.Err())
	const of = `{service="jobs"}`
	one, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	two, err := db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	waiter := make(chan error, 1)
	go func() {
		three, err := db.Pool.Acquire(t.Context())
		if err == nil {
			three.Release()
		}
		waiter <- err
	}()
	testkit.Eventually(t, func() bool { return gauges(t, p)["nexus_db_pool_waiting"+of] == 1 }, "nobody is seen to wait")
	got := gauges(t, p)
	for name, want := range map[string]float64{"size": 1, "max": 2, "checked_out": 2, "idle": 0, "overflow": 1} {
		require.InDelta(t, want, got["nexus_db_pool_"+name+of], 0, name)
	}
	one.Release()
	require.NoError(t, testkit.Receive(t, waiter))
	two.Release()
	testkit.Eventually(t, func() bool {
		got := gauges(t, p)
		return got["nexus_db_pool_checked_out"+of] == 0 && got["nexus_db_pool_waiting"+of] == 0
	}, "the connections are not given back")
	got = gauges(t, p)
	require.Positive(t, got["nexus_db_pool_waits_total"+of])
	require.Positive(t, got["nexus_db_pool_wait_seconds_total"+of])
	snapshot := p.Snapshot()
	require.EqualValues(t, 1, *snapshot.PoolSize)
	require.EqualValues(t, 0, *snapshot.PoolCheckedOut)
}
