package run_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nexus.internal/libs/run"
	"nexus.internal/libs/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long is a grace period that no test reaches.
const long = time.Minute

// diary is what happened, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(line string) {
	d.mu.Lock()
	d.lines = append(d.lines, line)
	d.mu.Unlock()
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.lines...)
}

// part serves until it is told to stop, and writes down both.
func (d *diary) part(name string) run.Component {
	return run.Func(name, func(ctx context.Context, ready func()) error {
		d.write("start " + name)
		ready()
		<-ctx.Done()
		d.write("stop " + name)
		return nil
	})
}

// begin runs a supervisor; the first channel is closed when all are ready, the
// second receives what Run returned.
func begin(ctx context.Context, s *run.Supervisor) (ready chan struct{}, done chan error) {
	ready, done = make(chan struct{}), make(chan error, 1)
	go func() { done <- s.OnReady(func() { close(ready) }).Run(ctx) }()
	return ready, done
}

func TestFuncIsAComponent(t *testing.T) {
	t.Parallel()
	c := run.Func("clock", func(_ context.Context, ready func()) error {
		ready()
		return io.EOF
	})
	require.Equal(t, "clock", c.Name())
	called := false
	require.ErrorIs(t, c.Run(t.Context(), func() { called = true }), io.EOF)
	require.True(t, called)
}

func TestStartsInOrderAndStopsInReverse(t *testing.T) {
	t.Parallel()
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	s := run.NewSupervisor(zerolog.Nop(), long, d.part("a"), d.part("b"), d.part("c")).OnStop(func() { d.write("stopping") })
	ready, done := begin(ctx, s)
	testkit.Receive(t, ready)
	require.Equal(t, []string{"start a", "start b", "start c"}, d.read())
	cancel()
	require.NoError(t, testkit.Receive(t, done))
	require.Equal(t, []string{"start a", "start b", "start c", "stopping", "stop c", "stop b", "stop a"}, d.read())
}

func TestEachStartsOnlyWhenTheOneBeforeIsReady(t *testing.T) {
	t.Parallel()
	var d diary
	running, serve := make(chan struct{}), make(chan struct{})
	slow := run.Func("slow", func(ctx context.Context, ready func()) error {
		close(running)
		<-serve
		d.write("slow is ready")
		ready()
		ready() // a second call does nothing
		<-ctx.Done()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := begin(ctx, run.NewSupervisor(zerolog.Nop(), long, slow, d.part("next")))
	testkit.Receive(t, running)
	require.Empty(t, d.read())
	close(serve)
	testkit.Receive(t, ready)
	require.Equal(t, []string{"slow is ready", "start next"}, d.read())
	cancel()
	require.NoError(t, testkit.Receive(t, done))
}

func TestEachStopsOnlyWhenTheOneBehindHasReturned(t *testing.T) {
	t.Parallel()
	var d diary
	draining, drained := make(chan struct{}), make(chan struct{})
	slow := run.Func("slow", func(ctx context.Context, ready func()) error {
		ready()
		<-ctx.Done()
		close(draining)
		<-drained
		d.write("slow has drained")
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := begin(ctx, run.NewSupervisor(zerolog.Nop(), long, d.part("first"), slow))
	testkit.Receive(t, ready)
	cancel()
	testkit.Receive(t, draining)
	require.Equal(t, []string{"start first"}, d.read(), "the end of the context reaches one after the other")
	close(drained)
	require.NoError(t, testkit.Receive(t, done))
	require.Equal(t, []string{"start first", "slow has drained", "stop first"}, d.read())
}

func TestComponentsSeeTheValuesOfTheContextAndNotItsDeadline(t *testing.T) {
	t.Parallel()
	type key struct{}
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "kept"), long)
	seen := make(chan context.Context, 1)
	part := run.Func("part", func(ctx context.Context, ready func()) error {
		seen <- ctx
		ready()
		<-ctx.Done()
		return nil
	})
	_, done := begin(ctx, run.NewSupervisor(zerolog.Nop(), long, part))
	own := testkit.Receive(t, seen)
	require.Equal(t, "kept", own.Value(key{}))
	_, bounded := own.Deadline()
	require.False(t, bounded)
	cancel()
	require.NoError(t, testkit.Receive(t, done))
}

func TestOneThatCannotStartStopsTheOnesBeforeIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		says string
	}{
		"with an error": {io.ErrUnexpectedEOF, "door: unexpected EOF"},
		"without one":   {nil, "door stopped by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d diary
			door := run.Func("door", func(context.Context, func()) error { return tc.err })
			ready, done := begin(t.Context(), run.NewSupervisor(zerolog.Nop(), long, d.part("a"), door, d.part("never")).
				OnStop(func() { d.write("stopping") }))
			err := testkit.Receive(t, done)
			require.EqualError(t, err, tc.says)
			if tc.err != nil {
				require.ErrorIs(t, err, tc.err)
			}
			require.Equal(t, []string{"start a", "stopping", "stop a"}, d.read())
			select {
			case <-ready:
				require.Fail(t, "it was never ready")
			default:
			}
		})
	}
}

func TestOneThatEndsByItselfStopsAll(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		says string
	}{
		"with an error": {io.ErrUnexpectedEOF, "engine: unexpected EOF"},
		"without one":   {nil, "engine stopped by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d diary
			breakNow := make(chan struct{})
			engine := run.Func("engine", func(_ context.Context, ready func()) error {
				ready()
				<-breakNow
				return tc.err
			})
			ready, done := begin(t.Context(), run.NewSupervisor(zerolog.Nop(), long, d.part("a"), engine, d.part("c")))
			testkit.Receive(t, ready)
			close(breakNow)
			require.EqualError(t, testkit.Receive(t, done), tc.says, "told once")
			require.Equal(t, []string{"start a", "start c", "stop c", "stop a"}, d.read())
		})
	}
}

func TestErrorsWhileStoppingAreAllTold(t *testing.T) {
	t.Parallel()
	fails := func(name string, err error) run.Component {
		return run.Func(name, func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			return err
		})
	}
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	errA, errC := errors.New("disk full"), errors.New("socket gone")
	ready, done := begin(ctx, run.NewSupervisor(zerolog.Nop(), long, fails("a", errA), d.part("b"), fails("c", errC)))
	testkit.Receive(t, ready)
	cancel()
	err := testkit.Receive(t, done)
	require.ErrorIs(t, err, errA)
	require.ErrorIs(t, err, errC)
	require.EqualError(t, err, "stop c: socket gone\nstop a: disk full")
	require.Equal(t, []string{"start b", "stop b"}, d.read(), "one that fails holds up nobody")
}

func TestFailureAndTroubleWhileStoppingAreBothTold(t *testing.T) {
	t.Parallel()
	errStop := errors.New("disk full")
	store := run.Func("store", func(ctx context.Context, ready func()) error {
		ready()
		<-ctx.Done()
		return errStop
	})
	engine := run.Func("engine", func(_ context.Context, ready func()) error {
		ready()
		return io.ErrUnexpectedEOF
	})
	var d diary
	_, done := begin(t.Context(), run.NewSupervisor(zerolog.Nop(), long, store, engine, d.part("c")))
	err := testkit.Receive(t, done)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorIs(t, err, errStop)
}

func TestOneThatIsNeverReadyEndsWithTheContext(t *testing.T) {
	t.Parallel()
	var d diary
	running := make(chan struct{})
	stuck := run.Func("stuck", func(ctx context.Context, _ func()) error {
		close(running)
		<-ctx.Done()
		d.write("stop stuck")
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := begin(ctx, run.NewSupervisor(zerolog.Nop(), long, d.part("a"), stuck).OnStop(func() { d.write("stopping") }))
	testkit.Receive(t, running)
	cancel()
	require.NoError(t, testkit.Receive(t, done))
	require.Equal(t, []string{"start a", "stopping", "stop stuck", "stop a"}, d.read())
	select {
	case <-ready:
		require.Fail(t, "it was never ready")
	default:
	}
}

func TestGraceIsBounded(t *testing.T) {
	t.Parallel()
	var d diary
	release := make(chan struct{})
	gone := make(chan struct{})
	stubborn := run.Func("stubborn", func(_ context.Context, ready func()) error {
		defer close(gone)
		ready()
		<-release
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := begin(ctx, run.NewSupervisor(zerolog.Nop(), 20*time.Millisecond, d.part("a"), stubborn))
	testkit.Receive(t, ready)
	cancel()
	err := testkit.Receive(t, done)
	require.ErrorIs(t, err, run.ErrDrain)
	require.EqualError(t, err, "stubborn: did not stop within the grace period (20ms)")
	require.Equal(t, []string{"start a", "stop a"}, d.read(), "the others are stopped all the same")
	close(release)
	testkit.Receive(t, gone)
}

func TestNothingToRunWaitsForTheEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := begin(ctx, run.NewSupervisor(zerolog.Nop(), long))
	testkit.Receive(t, ready)
	cancel()
	require.NoError(t, testkit.Receive(t, done))
}

func TestContextThatHasEndedIsNeverReady(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ready, done := begin(ctx, run.NewSupervisor(zerolog.Nop(), long))
	require.NoError(t, testkit.Receive(t, done))
	select {
	case <-ready:
		require.Fail(t, "the process was stopped before it was ready")
	default:
	}
}

func TestReadyAndStopAreLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := begin(ctx, run.NewSupervisor(zerolog.New(&log), long, d.part("a")))
	testkit.Receive(t, ready)
	cancel()
	require.NoError(t, testkit.Receive(t, done))
	require.Contains(t, log.String(), `"component":"a","message":"component ready"`)
	require.Contains(t, log.String(), `"component":"a","message":"component stopped"`)
}
