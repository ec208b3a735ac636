package pace_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/pace"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for name, c := range map[string]struct {
		ms   []int
		q    float64
		want int
	}{
		"of none":                {nil, .5, 0},
		"of one":                 {[]int{7}, .99, 7},
		"the median of two":      {[]int{9, 3}, .5, 3},
		"the median of three":    {[]int{9, 3, 5}, .5, 5},
		"p99 of a hundred":       {hundred, .99, 99},
		"the highest":            {hundred, 1, 100},
		"the lowest":             {hundred, 0, 1},
		"a share above the most": {hundred, 1.5, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l pace.Latencies
			for _, ms := range c.ms {
				l.Add(time.Duration(ms) * time.Millisecond)
			}
			require.Equal(t, len(c.ms), l.Count())
			require.Equal(t, time.Duration(c.want)*time.Millisecond, l.Quantile(c.q))
		})
	}
}

func TestTimedCountsWhatWasBegunInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		result, err := pace.Timed(t.Context(), 3, 10*time.Second, func(ctx context.Context, _, _ int) (int, error) {
			return 5, pace.Pause(ctx, 4*time.Second)
		})
		require.NoError(t, err)
		require.Equal(t, pace.Result{N: 3 * 3 * 5, Took: 12 * time.Second}, result, "the turns at 0, 4 and 8 seconds")
		require.InDelta(t, 3.75, result.PerSecond(), 1e-9)
	})
}

func TestTimedTellsGoroutinesAndTurnsApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sum atomic.Int64
		_, err := pace.Timed(t.Context(), 2, 3*time.Second, func(ctx context.Context, goroutine, turn int) (int, error) {
			sum.Add(int64(100*goroutine + turn))
			return 1, pace.Pause(ctx, time.Second)
		})
		require.NoError(t, err)
		require.Equal(t, int64(0+1+2+100+101+102), sum.Load())
	})
}

func TestTimedEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	_, err := pace.Timed(t.Context(), 2, time.Hour, func(ctx context.Context, goroutine, _ int) (int, error) {
		if goroutine == 0 {
			return 0, broken
		}
		<-ctx.Done()
		return 0, nil
	})
	require.ErrorIs(t, err, broken)
}

func TestEachRunsEveryOne(t *testing.T) {
	t.Parallel()
	var times [100]atomic.Int64
	require.NoError(t, pace.Each(t.Context(), 7, len(times), func(_ context.Context, i int) error {
		times[i].Add(1)
		return nil
	}))
	for i := range times {
		require.Equal(t, int64(1), times[i].Load(), i)
	}
}

func TestEachEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	ran := 0
	err := pace.Each(t.Context(), 1, 100, func(_ context.Context, i int) error {
		ran++
		if i == 2 {
			return broken
		}
		return nil
	})
	require.ErrorIs(t, err, broken)
	require.Equal(t, 3, ran)
}

func TestNoTimeMeansNoRate(t *testing.T) {
	t.Parallel()
	require.Zero(t, pace.Result{N: 3}.PerSecond())
}

func TestGate(t *testing.T) {
	t.Parallel()
	gate := pace.NewGate(3)
	require.True(t, gate.Enter(t.Context(), 2))
	require.Equal(t, 2, gate.Outstanding())

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	gate.Enter(t.Context(), 1)
	require.False(t, gate.Enter(ended, 1), "it is full")

	gate.Leave(2)
	require.Equal(t, 1, gate.Outstanding())
	gate.Leave(50)
	require.Zero(t, gate.Outstanding(), "leaving twice does no harm")
}

func TestGateLetsInWhenSomebodyLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := pace.NewGate(1)
		gate.Enter(t.Context(), 1)
		entered := false
		go func() { entered = gate.Enter(t.Context(), 1) }()
		synctest.Wait()
		require.False(t, entered)
		gate.Leave(1)
		synctest.Wait()
		require.True(t, entered)
	})
}

func TestUntil(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		err := pace.Until(t.Context(), "the third time", time.Second, time.Minute, func(context.Context) (bool, error) {
			asked++
			return asked == 3, nil
		})
		require.NoError(t, err)
		require.Equal(t, 3, asked)

		err = pace.Until(t.Context(), "pigs fly", time.Second, time.Minute, func(context.Context) (bool, error) { return false, nil })
		require.EqualError(t, err, "waited 1m0s until pigs fly")

		broken := errors.New("broken")
		err = pace.Until(t.Context(), "it works", time.Second, time.Minute, func(context.Context) (bool, error) { return false, broken })
		require.ErrorIs(t, err, broken)

		stopped, cancel := context.WithCancelCause(t.Context())
		cancel(broken)
		err = pace.Until(stopped, "it works", time.Second, time.Minute, func(context.Context) (bool, error) { return false, nil })
		require.ErrorIs(t, err, broken)
	})
}
