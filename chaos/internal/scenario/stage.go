package scenario

import (
	"context"
	"math/rand/v2"
	"time"

	"nexus.internal/chaos/internal/cluster"
	"nexus.internal/chaos/internal/history"
	"nexus.internal/chaos/internal/observe"
	"nexus.internal/chaos/internal/proxy"
)

// stage is where a scenario plays.
type stage struct {
	cluster  *cluster.Cluster
	database *observe.Database
	proxies  map[string]*proxy.Proxy
	file     *history.File
	random   *rand.Rand
	// going ends when clients stop submitting, window after it began.
	going  context.Context
	window time.Duration
}

// note writes down what is broken or mended.
func (s *stage) note(what, target string) {
	s.file.Add(history.Record{Disturbance: &history.Disturbance{What: what, Target: target}})
}

// between is a random time between two.
func (s *stage) between(low, high time.Duration) time.Duration {
	return low + time.Duration(s.random.Int64N(int64(high-low)))
}

// pause waits while clients are at work, and reports whether they still are.
func (s *stage) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return s.going.Err() == nil
	case <-s.going.Done():
		return false
	}
}

// wait waits, whether clients are at work or not.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pick chooses one of several.
func pick[T any](s *stage, from []T) T { return from[s.random.IntN(len(from))] }
