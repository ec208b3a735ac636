package testkit

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/run"
)

// patience is how long a test waits for something that should happen at once: long
// enough for two cores on which other tests look for data races.
const patience = time.Minute

// Start runs components as a process would and returns once all are ready.
// stop drains them; it is called at the end of the test at the latest.
func Start(t testing.TB, components ...run.Component) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- run.NewSupervisor(zerolog.Nop(), patience, components...).OnReady(func() { close(ready) }).Run(ctx)
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(t, Receive(t, done), "stop the components")
		})
	}
	t.Cleanup(stop)
	select {
	case <-ready:
	case err := <-done:
		done <- err
		require.NoError(t, err, "start the components")
	case <-time.After(patience):
		require.FailNow(t, "the components were not ready in time")
	}
	return stop
}

// Receive waits for a value, and fails the test when none comes.
func Receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came in time")
		panic("unreachable")
	}
}

// Eventually waits until condition holds, and fails the test when it never
// does. Prefer a signal where there is one.
func Eventually(t testing.TB, condition func() bool, what string, args ...any) {
	t.Helper()
	require.Eventuallyf(t, condition, patience, 10*time.Millisecond, what, args...)
}
