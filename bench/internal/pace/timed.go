package pace

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Result is what a timed phase did.
type Result struct {
	// N counts the operations that were done.
	N int64
	// Took runs from the start of the first to the end of the last.
	Took time.Duration
}

// PerSecond is the rate of the phase; 0 when it took no time.
func (r Result) PerSecond() float64 {
	if r.Took <= 0 {
		return 0
	}
	return float64(r.N) / r.Took.Seconds()
}

// Timed repeats op in goroutines for a time. op is told which goroutine runs it
// and how often that one has run it before, and returns how many operations it
// did. Those begun in time are finished, and counted. The first error ends the
// phase.
func Timed(ctx context.Context, goroutines int, length time.Duration, op func(ctx context.Context, goroutine, turn int) (int, error)) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var n atomic.Int64
	var running sync.WaitGroup
	start := time.Now()
	end := start.Add(length)
	for g := range goroutines {
		running.Go(func() {
			for turn := 0; ctx.Err() == nil && time.Now().Before(end); turn++ {
				done, err := op(ctx, g, turn)
				n.Add(int64(done))
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	running.Wait()
	return Result{N: n.Load(), Took: time.Since(start)}, context.Cause(ctx)
}

// Each runs op for every i below n, in goroutines, and returns the first error,
// which ends the rest.
func Each(ctx context.Context, goroutines, n int, op func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var running sync.WaitGroup
	for range goroutines {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := op(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// Pause waits, or returns early with the cause when ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Until asks done again and again, with a pause of every in between, until it
// says yes. It gives up after limit; what names what was waited for.
func Until(ctx context.Context, what string, every, limit time.Duration, done func(ctx context.Context) (bool, error)) error {
	end := time.Now().Add(limit)
	for {
		ok, err := done(ctx)
		if err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		if ok {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %s until %s", limit, what)
		}
		if err := Pause(ctx, every); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
	}
}
