package limit_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway/internal/limit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock stands still until it is moved.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time       { return time.Unix(1000, c.nanos.Load()) }
func (c *clock) move(d time.Duration) { c.nanos.Add(int64(d)) }

func alone() (*limit.Limiter, *clock) {
	c := &clock{}
	return limit.New(nil, "alone", zerolog.Nop(), c.now), c
}

// spend takes n tokens at most and returns how many there were.
func spend(t testing.TB, l *limit.Limiter, bucket string, perMinute, n int) (got int) {
	for range n {
		if l.Allow(t.Context(), bucket, perMinute).Allowed {
			got++
		}
	}
	return got
}

func TestSizeAndRefill(t *testing.T) {
	t.Parallel()
	l, c := alone()
	require.Equal(t, limit.Verdict{Allowed: true}, l.Allow(t.Context(), "b", 0))
	require.Equal(t, limit.Verdict{Allowed: true}, l.Allow(t.Context(), "b", -1))
	require.Equal(t, limit.Verdict{Allowed: true, Limit: 60, Remaining: 59, Reset: time.Second}, l.Allow(t.Context(), "b", 60))
	require.Equal(t, 59, spend(t, l, "b", 60, 100))
	require.Equal(t, limit.Verdict{Limit: 60, Wait: time.Second, Reset: time.Minute}, l.Allow(t.Context(), "b", 60))
	require.True(t, l.Allow(t.Context(), "other", 60).Allowed)
	c.move(time.Second / 2)
	require.Equal(t, time.Second/2, l.Allow(t.Context(), "b", 60).Wait)
	c.move(time.Second / 2)
	require.True(t, l.Allow(t.Context(), "b", 60).Allowed)
	require.False(t, l.Allow(t.Context(), "b", 60).Allowed)
	c.move(time.Hour)
	require.Equal(t, 60, spend(t, l, "b", 60, 100))
	c.move(-time.Hour)
	require.False(t, l.Allow(t.Context(), "b", 60).Allowed, "a clock that goes back gives nothing")
}

func TestWhatIsWaitedForIsThere(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{1, 7, 90, 999, 100_000, contract.MaxRateLimit} {
		l, c := alone()
		require.Equal(t, perMinute, spend(t, l, "b", perMinute, perMinute+1))
		for range 100 {
			v := l.Allow(t.Context(), "b", perMinute)
			require.False(t, v.Allowed)
			c.move(v.Wait)
			require.True(t, l.Allow(t.Context(), "b", perMinute).Allowed, perMinute)
		}
	}
}

func TestStrangeBuckets(t *testing.T) {
	t.Parallel()
	l, _ := alone()
	require.Equal(t, contract.MaxRateLimit, l.Allow(t.Context(), "b", 1<<62).Limit)
	require.True(t, l.Allow(t.Context(), "", 1).Allowed)
	require.False(t, l.Allow(t.Context(), strings.Repeat("x", 1<<20), 1).Allowed, "shares with the empty name")
	require.True(t, l.Allow(t.Context(), "\xff\x00\n", 1).Allowed)
}

func TestChangedLimit(t *testing.T) {
	t.Parallel()
	l, _ := alone()
	require.Equal(t, 50, spend(t, l, "b", 100, 50))
	require.Equal(t, limit.Verdict{Allowed: true, Limit: 1000, Remaining: 499, Reset: 30060 * time.Millisecond}, l.Allow(t.Context(), "b", 1000))
	require.Equal(t, 4, spend(t, l, "b", 10, 10))
}

// gateways are limiters on one server that know each other.
type gateways struct {
	limiters []*limit.Limiter
	conns    []*nats.Conn
	stops    []func()
}

func start(t testing.TB, n int) (*gateways, *embednats.Server) {
	s := testkit.NATSServer(t)
	g := &gateways{}
	for i := range n {
		nc := testkit.Connect(t, s)
		l := limit.New(nc, id(i), zerolog.Nop(), time.Now)
		g.limiters, g.conns = append(g.limiters, l), append(g.conns, nc)
		g.stops = append(g.stops, testkit.Start(t, l))
	}
	for _, l := range g.limiters {
		testkit.Eventually(t, func() bool { return l.Peers() == n-1 }, "all know each other")
	}
	return g, s
}

func id(i int) string { return fmt.Sprint("gw-", i) }

// keptBy finds a bucket that one of n gateways keeps.
func keptBy(keeper, n int) string {
	for i := 0; ; i++ {
		name := fmt.Sprint("bucket-", i)
		best := 0
		for k := range n {
			if limit.Score(name, id(k)) > limit.Score(name, id(best)) {
				best = k
			}
		}
		if best == keeper {
			return name
		}
	}
}

// hammer asks all limiters at once until d is over and returns what was let
// through, and the longest that one request took.
func hammer(t testing.TB, limiters []*limit.Limiter, bucket string, perMinute int, d time.Duration) (int, time.Duration) {
	var admitted, longest atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var all sync.WaitGroup
	for _, l := range limiters {
		for range 4 {
			all.Go(func() {
				pace := time.NewTicker(time.Millisecond)
				defer pace.Stop()
				for ctx.Err() == nil {
					begun := time.Now()
					if l.Allow(t.Context(), bucket, perMinute).Allowed {
						admitted.Add(1)
					}
					for took := int64(time.Since(begun)); ; {
						if was := longest.Load(); took <= was || longest.CompareAndSwap(was, took) {
							break
						}
					}
					<-pace.C
				}
			})
		}
	}
	all.Wait()
	return int(admitted.Load()), time.Duration(longest.Load())
}

func TestLimitHoldsAcrossGateways(t *testing.T) {
	t.Parallel()
	const perMinute = 600
	for name, pick := range map[string]func(g *gateways) []*limit.Limiter{
		"all":            func(g *gateways) []*limit.Limiter { return g.limiters },
		"one non-keeper": func(g *gateways) []*limit.Limiter { return g.limiters[1:2] },
		"keeper":         func(g *gateways) []*limit.Limiter { return g.limiters[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _ := start(t, 3)
			begun := time.Now()
			got, _ := hammer(t, pick(g), keptBy(0, 3), perMinute, 2*time.Second)
			want := perMinute + perMinute*time.Since(begun).Minutes()
			require.InEpsilon(t, want, got, 0.1)
		})
	}
}

func TestKeeperGoesInTheMiddle(t *testing.T) {
	t.Parallel()
	const perMinute = 1200
	for name, end := range map[string]func(g *gateways){
		"with a goodbye": func(g *gateways) { g.stops[0]() },
		"silently":       func(g *gateways) { g.conns[0].Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _ := start(t, 3)
			bucket := keptBy(0, 3)
			begun := time.Now()
			before := spend(t, g.limiters[1], bucket, perMinute, perMinute/4)
			require.Equal(t, perMinute/4, before)
			end(g)
			got, longest := hammer(t, g.limiters[1:], bucket, perMinute, 3*time.Second)
			refill := perMinute * time.Since(begun).Minutes()
			t.Log(before+got, longest)
			require.LessOrEqual(t, float64(before+got), 2*(perMinute+refill), "each survivor has its own")
			require.Greater(t, before+got, perMinute*9/10, "it never closes")
			require.Less(t, longest, 2*time.Second)
		})
	}
}

func TestFrozenKeeper(t *testing.T) {
	t.Parallel()
	g, s := start(t, 1)
	frozen := testkit.Connect(t, s)
	_, err := frozen.SubscribeSync(contract.RPCTake(id(1)))
	require.NoError(t, err)
	data, err := contract.Encode(contract.PeerBeat{ID: id(1), Hello: true})
	require.NoError(t, err)
	require.NoError(t, frozen.Publish(contract.SubjectPeers, data))
	testkit.Eventually(t, func() bool { return g.limiters[0].Peers() == 1 }, "the frozen one is known")
	bucket := keptBy(1, 2)
	asked := time.Now()
	require.True(t, g.limiters[0].Allow(t.Context(), bucket, 6000).Allowed)
	require.Greater(t, time.Since(asked), 40*time.Millisecond, "it was asked")
	require.Less(t, time.Since(asked), time.Second)
	begun := time.Now()
	require.Equal(t, 1000, spend(t, g.limiters[0], bucket, 6000, 1000))
	require.Less(t, time.Since(begun), 200*time.Millisecond)
}

func TestHostileRequests(t *testing.T) {
	t.Parallel()
	g, s := start(t, 1)
	nc := testkit.Connect(t, s)
	for _, body := range []string{
		``, `null`, `[]`, `{`, `{"bucket":"b"}`, `{"bucket":"b","per_minute":60}`,
		`{"bucket":"b","per_minute":60,"want":0}`, `{"bucket":"b","per_minute":60,"want":-1}`,
		`{"bucket":"b","per_minute":60,"want":1001}`, `{"bucket":"b","per_minute":60,"want":1e30}`,
		`{"bucket":"b","per_minute":0,"want":1}`, `{"bucket":"b","per_minute":-60,"want":1}`,
		`{"bucket":"b","per_minute":1000001,"want":1}`, `{"bucket":"","per_minute":60,"want":1}`,
		`{"bucket":"` + strings.Repeat("x", 257) + `","per_minute":60,"want":1}`,
	} {
		msg, err := nc.Request(contract.RPCTake(id(0)), []byte(body), 5*time.Second)
		require.NoError(t, err, body)
		require.JSONEq(t, `{"granted":0,"left":0,"wait_ms":0}`, string(msg.Data), body)
	}
	require.NoError(t, nc.Publish(contract.RPCTake(id(0)), []byte(`{"bucket":"b","per_minute":60,"want":60}`)))
	for _, beat := range []string{``, `null`, `{}`, `{"id":"*"}`, `{"id":"a b"}`, `{"id":">"}`, `{"id":"gw-0","bye":true}`, `{"id":"stranger","bye":true}`} {
		require.NoError(t, nc.Publish(contract.SubjectPeers, []byte(beat)))
	}
	msg, err := nc.Request(contract.RPCTake(id(0)), []byte(`{"bucket":"b","per_minute":60,"want":61}`), 5*time.Second)
	require.NoError(t, err)
	require.JSONEq(t, `{"granted":60,"left":0,"wait_ms":0}`, string(msg.Data), "nothing was taken before")
	require.False(t, g.limiters[0].Allow(t.Context(), "b", 60).Allowed)
}

func BenchmarkAllowKeeper(b *testing.B) {
	l := limit.New(nil, "alone", zerolog.Nop(), time.Now)
	for b.Loop() {
		l.Allow(b.Context(), "b", 60_000)
	}
}

// BenchmarkAllowRemote goes on to the next bucket where one is empty, so that
// nearly every request is let through and pays for its part of the chunks.
func BenchmarkAllowRemote(b *testing.B) {
	for _, perMinute := range []int{600, 6000, 60_000} {
		b.Run(fmt.Sprint(perMinute), func(b *testing.B) {
			g, _ := start(b, 2)
			bucket := keptBy(0, 2)
			var spent int
			for b.Loop() {
				if !g.limiters[1].Allow(b.Context(), bucket, perMinute).Allowed {
					b.StopTimer()
					spent++
					bucket = nextKept(spent)
					b.StartTimer()
				}
			}
		})
	}
}

// nextKept is another bucket that the first of two gateways keeps.
func nextKept(n int) string {
	for i := 0; ; i++ {
		name := fmt.Sprint("next-", n, "-", i)
		if limit.Score(name, id(0)) > limit.Score(name, id(1)) {
			return name
		}
	}
}
