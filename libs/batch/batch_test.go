package batch_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nexus.internal/libs/batch"
	"nexus.internal/libs/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is a running batcher whose flushes the test lets go one by one.
type harness struct {
	*batch.Batcher[int]
	// flushing receives each group as its flush begins; the flush ends when the
	// test takes a turn.
	flushing chan []int
	turns    chan struct{}
	stop     context.CancelFunc
	stopped  chan struct{}
}

func start(t *testing.T, opts batch.Options[int]) *harness {
	t.Helper()
	h := &harness{flushing: make(chan []int), turns: make(chan struct{}), stopped: make(chan struct{})}
	opts.Flush = func(_ context.Context, items []int) {
		h.flushing <- items
		<-h.turns
	}
	h.Batcher = batch.New(opts)
	var ctx context.Context
	ctx, h.stop = context.WithCancel(t.Context())
	t.Cleanup(h.stop)
	go func() {
		h.Run(ctx)
		close(h.stopped)
	}()
	return h
}

func (h *harness) add(t *testing.T, items ...int) {
	t.Helper()
	for _, item := range items {
		require.NoError(t, h.Add(t.Context(), item))
	}
}

func TestNextGroupGathersWhileOneIsFlushed(t *testing.T) {
	t.Parallel()
	h := start(t, batch.Options[int]{Max: 100})
	h.add(t, 1)
	require.Equal(t, []int{1}, testkit.Receive(t, h.flushing), "an idle batcher does not wait for more")
	h.add(t, 2, 3, 4)
	h.turns <- struct{}{}
	require.Equal(t, []int{2, 3, 4}, testkit.Receive(t, h.flushing))
	h.turns <- struct{}{}
	h.add(t, 5)
	require.Equal(t, []int{5}, testkit.Receive(t, h.flushing))
	h.stop()
	h.turns <- struct{}{}
	testkit.Receive(t, h.stopped)
}

func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	weigh := func(n int) int { return n }
	for name, tc := range map[string]struct {
		opts  batch.Options[int]
		items []int
		want  [][]int
	}{
		"by number":                    {batch.Options[int]{Max: 2}, []int{1, 2, 3, 4}, [][]int{{1, 2}, {3, 4}}},
		"max of zero is one":           {batch.Options[int]{}, []int{1, 2}, [][]int{{1}, {2}}},
		"by weight":                    {batch.Options[int]{Max: 9, MaxWeight: 10, Weigh: weigh}, []int{4, 6, 1, 9, 2}, [][]int{{4, 6}, {1, 9}, {2}}},
		"exactly the weight fits":      {batch.Options[int]{Max: 9, MaxWeight: 10, Weigh: weigh}, []int{5, 5, 5, 5}, [][]int{{5, 5}, {5, 5}}},
		"too heavy goes alone":         {batch.Options[int]{Max: 9, MaxWeight: 10, Weigh: weigh}, []int{1, 50, 2, 3}, [][]int{{1}, {50}, {2, 3}}},
		"too heavy ones in a row":      {batch.Options[int]{Max: 9, MaxWeight: 10, Weigh: weigh}, []int{50, 60, 70}, [][]int{{50}, {60}, {70}}},
		"by weight and number":         {batch.Options[int]{Max: 2, MaxWeight: 10, Weigh: weigh}, []int{1, 1, 9, 9}, [][]int{{1, 1}, {9}, {9}}},
		"without a bound, no weighing": {batch.Options[int]{Max: 9}, []int{7, 8, 9}, [][]int{{7, 8, 9}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, tc.opts)
			h.add(t, 0)
			require.Equal(t, []int{0}, testkit.Receive(t, h.flushing))
			// They wait behind the flush that is under way.
			h.add(t, tc.items...)
			for _, want := range tc.want {
				h.turns <- struct{}{}
				require.Equal(t, want, testkit.Receive(t, h.flushing))
			}
			h.stop()
			h.turns <- struct{}{}
			testkit.Receive(t, h.stopped)
		})
	}
}

func TestItemsBeforeRunAreKept(t *testing.T) {
	t.Parallel()
	got := make(chan []int, 1)
	b := batch.New(batch.Options[int]{Max: 4, Flush: func(_ context.Context, items []int) { got <- items }})
	for n := range 4 {
		require.NoError(t, b.Add(t.Context(), n))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.Run(ctx)
	require.Equal(t, []int{0, 1, 2, 3}, testkit.Receive(t, got))
}

func TestStopFlushesWhatWaits(t *testing.T) {
	t.Parallel()
	h := start(t, batch.Options[int]{Max: 3, MaxWeight: 10, Weigh: func(n int) int { return n }})
	h.add(t, 1)
	testkit.Receive(t, h.flushing)
	h.add(t, 2, 3, 9, 4, 20, 5)
	h.stop()
	var got []int
	for _, want := range [][]int{{2, 3}, {9}, {4}, {20}, {5}} {
		h.turns <- struct{}{}
		group := testkit.Receive(t, h.flushing)
		require.Equal(t, want, group)
		got = append(got, group...)
	}
	h.turns <- struct{}{}
	testkit.Receive(t, h.stopped)
	require.Equal(t, []int{2, 3, 9, 4, 20, 5}, got)
	require.ErrorIs(t, h.Add(t.Context(), 6), batch.ErrStopped)
}

func TestFlushContextOutlivesTheStop(t *testing.T) {
	t.Parallel()
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
	inFlush, seen := make(chan struct{}), make(chan context.Context, 2)
	goOn := make(chan struct{})
	b := batch.New(batch.Options[int]{Max: 1, Flush: func(ctx context.Context, _ []int) {
		select {
		case inFlush <- struct{}{}:
			<-goOn
		default:
		}
		seen <- ctx
	}})
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	require.NoError(t, b.Add(t.Context(), 1))
	testkit.Receive(t, inFlush)
	require.NoError(t, b.Add(t.Context(), 2))
	cancel()
	close(goOn)
	testkit.Receive(t, done)
	for range 2 {
		flushCtx := testkit.Receive(t, seen)
		require.NoError(t, flushCtx.Err())
		require.Equal(t, "kept", flushCtx.Value(key{}))
	}
}

func TestWritersFlushBesideEachOther(t *testing.T) {
	t.Parallel()
	h := start(t, batch.Options[int]{Max: 1, Writers: 3})
	h.add(t, 1, 2, 3)
	seen := map[int]bool{}
	for range 3 {
		seen[testkit.Receive(t, h.flushing)[0]] = true
	}
	require.Equal(t, map[int]bool{1: true, 2: true, 3: true}, seen, "three flushes are under way at once")
	h.add(t, 4)
	h.stop()
	for range 3 {
		h.turns <- struct{}{}
	}
	require.Equal(t, []int{4}, testkit.Receive(t, h.flushing))
	h.turns <- struct{}{}
	testkit.Receive(t, h.stopped)
}

func TestAddWaitsForRoomAndGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	h := start(t, batch.Options[int]{Max: 1})
	h.add(t, 1)
	testkit.Receive(t, h.flushing)
	h.add(t, 2, 3)

	ctx, cancel := context.WithCancel(t.Context())
	full := make(chan error, 1)
	go func() { full <- h.Add(ctx, 4) }()
	cancel()
	require.ErrorIs(t, testkit.Receive(t, full), context.Canceled)

	waiting := make(chan error, 1)
	go func() { waiting <- h.Add(t.Context(), 5) }()
	h.turns <- struct{}{}
	require.Equal(t, []int{2}, testkit.Receive(t, h.flushing))
	require.NoError(t, testkit.Receive(t, waiting), "room was made")
	h.stop()
	for _, want := range []int{3, 5} {
		h.turns <- struct{}{}
		require.Equal(t, []int{want}, testkit.Receive(t, h.flushing))
	}
	h.turns <- struct{}{}
	testkit.Receive(t, h.stopped)
}

func TestAddThatWaitsAtTheStopIsRefusedOrFlushed(t *testing.T) {
	t.Parallel()
	h := start(t, batch.Options[int]{Max: 1})
	h.add(t, 1)
	testkit.Receive(t, h.flushing)
	h.add(t, 2, 3)
	waiting := make(chan error, 1)
	go func() { waiting <- h.Add(t.Context(), 4) }()
	h.stop()
	require.ErrorIs(t, testkit.Receive(t, waiting), batch.ErrStopped, "nobody makes room any more")
	for _, want := range []int{2, 3} {
		h.turns <- struct{}{}
		require.Equal(t, []int{want}, testkit.Receive(t, h.flushing))
	}
	h.turns <- struct{}{}
	testkit.Receive(t, h.stopped)
}

// Every item that was taken is flushed exactly once, in groups that keep to
// the bounds, whatever runs beside what.
func TestNothingIsLostUnderLoad(t *testing.T) {
	t.Parallel()
	const producers, each, most, heaviest, writers = 50, 400, 32, 200, 4
	weigh := func(n int) int { return n % 64 }
	var mu sync.Mutex
	seen := make([]int, producers*each)
	var largest, weightiest int
	var underWay, together atomic.Int64
	b := batch.New(batch.Options[int]{
		Max: most, MaxWeight: heaviest, Weigh: weigh, Writers: writers,
		Flush: func(_ context.Context, items []int) {
			now := underWay.Add(1)
			defer underWay.Add(-1)
			mu.Lock()
			defer mu.Unlock()
			together.Store(max(together.Load(), now))
			weight := 0
			for _, n := range items {
				seen[n]++
				weight += weigh(n)
			}
			largest, weightiest = max(largest, len(items)), max(weightiest, weight)
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	var wg sync.WaitGroup
	errs := make(chan error, producers)
	for p := range producers {
		wg.Go(func() {
			for k := range each {
				if err := b.Add(t.Context(), p*each+k); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	cancel()
	testkit.Receive(t, done)
	require.Empty(t, errs)
	for n, times := range seen {
		require.Equal(t, 1, times, "item %d", n)
	}
	require.LessOrEqual(t, largest, most)
	require.LessOrEqual(t, weightiest, heaviest)
	require.LessOrEqual(t, together.Load(), int64(writers))
}

func TestOrderIsKeptByOneWriter(t *testing.T) {
	t.Parallel()
	var got []int
	b := batch.New(batch.Options[int]{Max: 7, Flush: func(_ context.Context, items []int) { got = append(got, items...) }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	want := make([]int, 500)
	for n := range want {
		want[n] = n
		require.NoError(t, b.Add(t.Context(), n))
	}
	cancel()
	testkit.Receive(t, done)
	require.Equal(t, want, got)
}

func TestBusyWriterRestsUntilAGroupIsFull(t *testing.T) {
	t.Parallel()
	h := start(t, batch.Options[int]{Max: 4, Rest: time.Hour})
	h.add(t, 1)
	require.Equal(t, []int{1}, <-h.flushing)
	h.add(t, 2, 3)
	h.turns <- struct{}{}
	require.Equal(t, []int{2, 3}, <-h.flushing, "after a lone item nobody rests")
	h.turns <- struct{}{}
	// It rests no longer than the flush took, so an hour is not waited for.
	h.add(t, 4)
	require.Equal(t, []int{4}, <-h.flushing)
	h.turns <- struct{}{}
}

func TestItemsLingerUntilAGroupIsFull(t *testing.T) {
	t.Parallel()
	h := start(t, batch.Options[int]{Max: 3, Linger: time.Hour})
	h.add(t, 1, 2, 3)
	require.Equal(t, []int{1, 2, 3}, <-h.flushing)
	h.turns <- struct{}{}
}

func TestNothingLingersBeyondTheEnd(t *testing.T) {
	t.Parallel()
	h := start(t, batch.Options[int]{Max: 3, Linger: time.Hour})
	h.add(t, 1)
	h.stop()
	require.Equal(t, []int{1}, <-h.flushing)
	h.turns <- struct{}{}
	<-h.stopped
}

// A panic costs the items it is about, and neither the batcher nor the process.
func TestAPanicCostsItsItem(t *testing.T) {
	t.Parallel()
	for _, repeatable := range []bool{false, true} {
		flushed, spoiled := make(chan int, 10), make(chan int, 10)
		begin := make(chan struct{})
		b := batch.New(batch.Options[int]{
			Max: 10, Repeatable: repeatable,
			Flush: func(_ context.Context, items []int) {
				<-begin
				for _, item := range items {
					if item == 3 {
						panic("three")
					}
				}
				for _, item := range items {
					flushed <- item
				}
			},
			Spoiled: func(_ context.Context, item int, err error) {
				require.EqualError(t, err, "panic: three")
				spoiled <- item
			},
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.Run(ctx); close(done) }()
		require.NoError(t, b.Add(ctx, 1))
		// The rest gathers behind the first.
		for _, item := range []int{2, 3, 4} {
			require.NoError(t, b.Add(ctx, item))
		}
		close(begin)
		var good, bad []int
		collect := func(until func() bool) {
			for !until() {
				select {
				case item := <-flushed:
					good = append(good, item)
				case item := <-spoiled:
					bad = append(bad, item)
				case <-time.After(20 * time.Second):
					require.FailNow(t, "nothing came in time")
				}
			}
		}
		collect(func() bool { return slices.Contains(bad, 3) })
		require.NoError(t, b.Add(ctx, 5))
		collect(func() bool { return len(good)+len(bad) == 5 })
		require.Contains(t, good, 5, "it goes on")
		if repeatable {
			require.ElementsMatch(t, []int{1, 2, 4, 5}, good)
		} else {
			require.Contains(t, bad, 3)
		}
		stop()
		testkit.Receive(t, done)
	}
}
