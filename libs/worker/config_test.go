package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	settings "nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/worker"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	require.NoError(t, err)
	form := regexp.MustCompile(fmt.Sprintf(`^%s-%d-[0-9a-f]{8}$`, regexp.QuoteMeta(host), os.Getpid()))
	seen := map[string]bool{}
	for range 50 {
		name, err := worker.NewIdentity()
		require.NoError(t, err)
		require.Regexp(t, form, name)
		require.False(t, seen[name], "nobody else has it")
		seen[name] = true
	}
}

func TestConfigProblemsAreAllTold(t *testing.T) {
	t.Parallel()
	handlers := map[string]worker.Handler{contract.JobAnalyze: succeed}
	deps := worker.Deps{Tracer: noop.NewTracerProvider()}
	for name, tc := range map[string]struct {
		change   func(*worker.Config)
		handlers map[string]worker.Handler
		problems []string
	}{
		"no name":         {func(c *worker.Config) { c.Name = "" }, handlers, []string{"a worker needs a name"}},
		"strange queue":   {func(c *worker.Config) { c.Queue = "plugins.>" }, handlers, []string{`queue "plugins.>" is not a valid name`}},
		"no queue":        {func(c *worker.Config) { c.Queue = "" }, handlers, []string{`queue "" is not a valid name`}},
		"no concurrency":  {func(c *worker.Config) { c.Concurrency = 0 }, handlers, []string{"concurrency is 0: want at least 1"}},
		"lease too short": {func(c *worker.Config) { c.Lease = 999 * time.Millisecond }, handlers, []string{"lease is 999ms: want at least 1s"}},
		"no handler":      {func(*worker.Config) {}, nil, []string{"a worker needs a handler"}},
		"everything": {func(c *worker.Config) { *c = worker.Config{Concurrency: -1} }, nil, []string{
			"a worker needs a name", `queue "" is not a valid name`, "concurrency is -1: want at least 1", "lease is 0s: want at least 1s", "a worker needs a handler",
		}},
	} {
		cfg := config()
		tc.change(&cfg)
		w, err := worker.New(cfg, deps, tc.handlers)
		require.Nil(t, w, name)
		for _, problem := range tc.problems {
			require.ErrorContains(t, err, problem, name)
		}
	}
	w, err := worker.New(config(), deps, handlers)
	require.NoError(t, err)
	require.Equal(t, "worker plugins", w.Name())
}

func TestSettings(t *testing.T) {
	t.Parallel()
	var s worker.Settings
	require.NoError(t, settings.Load(&s, map[string]string{"NEXUS_WORKER_NAME": "w7"}))
	require.Equal(t, worker.Settings{Name: "w7", LeaseSeconds: 30, GraceSeconds: 20}, s)
	require.Equal(t, 30*time.Second, s.Lease())
	require.Equal(t, worker.Config{Name: "w7", Queue: "corpus", Concurrency: 3, Lease: 30 * time.Second, Grace: 20 * time.Second}, s.Config("corpus", 3))

	for _, good := range []worker.Settings{{LeaseSeconds: 1, GraceSeconds: 0}, {LeaseSeconds: 3600, GraceSeconds: 3600}} {
		require.NoError(t, good.Validate())
	}
	err := worker.Settings{LeaseSeconds: 0, GraceSeconds: -1}.Validate()
	require.ErrorContains(t, err, "NEXUS_WORKER_LEASE_SECONDS is 0: want 1 to 3600")
	require.ErrorContains(t, err, "NEXUS_WORKER_GRACE_SECONDS is -1: want 0 to 3600")
	err = worker.Settings{LeaseSeconds: 3601, GraceSeconds: 3601}.Validate()
	require.ErrorContains(t, err, "NEXUS_WORKER_LEASE_SECONDS is 3601")
	require.ErrorContains(t, err, "NEXUS_WORKER_GRACE_SECONDS is 3601")
}

func TestRunNeedsAConnection(t *testing.T) {
	t.Parallel()
	h := alone(t)
	never := func() { require.Fail(t, "it was never ready") }
	deps := h.deps()
	deps.JS = h.js
	deps.NC.Close()
	w, err := worker.New(config(), deps, map[string]worker.Handler{contract.JobAnalyze: succeed})
	require.NoError(t, err)
	require.ErrorContains(t, w.Run(t.Context(), never), "listen for cancellations")
}

func TestMarkedErrors(t *testing.T) {
	t.Parallel()
	permanent := worker.Permanent(fmt.Errorf("read: %w", io.EOF))
	require.EqualError(t, permanent, "read: EOF")
	require.ErrorIs(t, permanent, io.EOF)
	require.True(t, worker.IsPermanent(permanent))
	require.True(t, worker.IsPermanent(fmt.Errorf("outer: %w", permanent)))
	require.True(t, worker.IsPermanent(errors.Join(io.EOF, permanent)))
	later := worker.RetryAfter(time.Second, permanent)
	require.EqualError(t, later, "read: EOF")
	require.ErrorIs(t, later, io.EOF)
	require.True(t, worker.IsPermanent(later))
	for _, other := range []error{nil, io.EOF, context.Canceled, worker.RetryAfter(time.Second, io.EOF)} {
		require.False(t, worker.IsPermanent(other), "%v", other)
	}
}
