package run_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/run"
	"nexus.internal/libs/testkit"
)

func TestNothingIsStartedAfterTheContextHasEnded(t *testing.T) {
	t.Parallel()
	running := make(chan struct{})
	stuck := run.Func("stuck", func(ctx context.Context, _ func()) error {
		close(running)
		<-ctx.Done()
		return nil
	})
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	_, done := begin(ctx, run.NewSupervisor(zerolog.Nop(), long, stuck, d.part("next")))
	testkit.Receive(t, running)
	cancel()
	require.NoError(t, testkit.Receive(t, done))
	require.Empty(t, d.read())
}

func TestFailureDuringAnotherOnesStart(t *testing.T) {
	t.Parallel()
	failing := run.Func("failing", func(_ context.Context, ready func()) error { ready(); return io.EOF })
	stuck := run.Func("stuck", func(ctx context.Context, _ func()) error { <-ctx.Done(); return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	begun := time.Now()
	err := run.NewSupervisor(zerolog.Nop(), long, failing, stuck).Run(ctx)
	t.Log(time.Since(begun))
	require.ErrorIs(t, err, io.EOF)
}

func TestEveryFailureIsTold(t *testing.T) {
	t.Parallel()
	failing := func(name string, err error) run.Component {
		return run.Func(name, func(_ context.Context, ready func()) error { ready(); return err })
	}
	err := run.NewSupervisor(zerolog.Nop(), long, failing("a", io.EOF), failing("b", io.ErrClosedPipe)).Run(t.Context())
	require.ErrorIs(t, err, io.EOF)
	require.ErrorIs(t, err, io.ErrClosedPipe)
}
