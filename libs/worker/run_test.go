package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/telemetry"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

func TestJobRuns(t *testing.T) {
	t.Parallel()
	h := start(t)
	seen := make(chan worker.Job, 1)
	h.work(config(), func(_ context.Context, job worker.Job) (worker.Result, error) {
		seen <- job
		return worker.Result{
			Value:     map[string]int{"answer": 42},
			Artifacts: []contract.Artifact{{Type: "report", Ref: "s3://x", Payload: json.RawMessage(`{"pages":3}`)}},
		}, nil
	})
	begun := time.Now().Add(-time.Second)
	h.send("job-1")
	require.EqualExportedValues(t, worker.Job{
		ID: "job-1", Type: contract.JobAnalyze, Attempt: 1, MaxAttempts: 3, Payload: json.RawMessage(`{"n":1}`), CreatedBy: "alice", RequestID: "req-1",
	}, testkit.Receive(t, seen))
	got := h.result()
	claim := testkit.Receive(t, h.jobs.claims)
	require.Equal(t, "w1", claim.Worker)
	require.Len(t, claim.Claims, 1)
	require.Equal(t, "job-1", claim.Claims[0].JobID)
	require.Equal(t, "w1", testkit.Receive(t, h.jobs.finishes).Worker)
	require.Equal(t, claim.Claims[0].LeaseToken, got.LeaseToken)
	require.Equal(t, contract.OutcomeSucceeded, got.Outcome)
	require.JSONEq(t, `{"answer":42}`, string(got.Result))
	require.Equal(t, []contract.Artifact{{Type: "report", Ref: "s3://x", Payload: json.RawMessage(`{"pages":3}`)}}, got.Artifacts)
	require.Empty(t, got.ErrorText)
	require.WithinRange(t, got.StartedAt, begun, time.Now())
	require.GreaterOrEqual(t, got.RuntimeMS, int64(0))
	h.settled()
}

func TestHowRunsEnd(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return strings.Repeat("x", n) }
	failing := func(err error) worker.Handler {
		return func(context.Context, worker.Job) (worker.Result, error) {
			return worker.Result{Value: "not kept", Artifacts: []contract.Artifact{{Type: "not kept"}}}, err
		}
	}
	returning := func(r worker.Result) worker.Handler {
		return func(context.Context, worker.Job) (worker.Result, error) { return r, nil }
	}
	artifacts := func(a ...contract.Artifact) worker.Handler { return returning(worker.Result{Artifacts: a}) }
	payload := func(n int) json.RawMessage { return json.RawMessage(`"` + text(n-2) + `"`) }
	failed := func(says string) contract.RunResult {
		return contract.RunResult{Outcome: contract.OutcomeFailed, ErrorText: says}
	}
	permanent := func(says string) contract.RunResult {
		r := failed(says)
		r.Permanent = true
		return r
	}
	retried := func(says string, ms int64) contract.RunResult {
		r := failed(says)
		r.RetryAfterMS = ms
		return r
	}
	for name, tc := range map[string]struct {
		handler worker.Handler
		want    contract.RunResult
	}{
		"nothing to say":       {succeed, contract.RunResult{Outcome: contract.OutcomeSucceeded}},
		"typed nothing":        {returning(worker.Result{Value: (*int)(nil)}), contract.RunResult{Outcome: contract.OutcomeSucceeded, Result: json.RawMessage("null")}},
		"largest result":       {returning(worker.Result{Value: text(contract.MaxInlineResult - 2)}), contract.RunResult{Outcome: contract.OutcomeSucceeded, Result: payload(contract.MaxInlineResult)}},
		"not JSON":             {returning(worker.Result{Value: make(chan int)}), permanent("the result is not JSON: json: unsupported type: chan int")},
		"broken JSON":          {returning(worker.Result{Value: json.RawMessage("{")}), permanent("the result is not JSON: json: error calling MarshalJSON for type json.RawMessage: unexpected end of JSON input")},
		"artifact, no type":    {artifacts(contract.Artifact{Type: "a"}, contract.Artifact{Ref: "r"}), permanent("an artifact needs a type of 1 to 64 bytes")},
		"plain failure":        {failing(fmt.Errorf("open the corpus: %w", io.EOF)), failed("open the corpus: EOF")},
		"permanent failure":    {failing(fmt.Errorf("outer: %w", worker.Permanent(errors.New("no such document")))), permanent("outer: no such document")},
		"later":                {failing(fmt.Errorf("outer: %w", worker.RetryAfter(1500*time.Millisecond, io.EOF))), retried("outer: EOF", 1500)},
		"at once":              {failing(worker.RetryAfter(0, io.EOF)), retried("EOF", 1)},
		"in the past":          {failing(worker.RetryAfter(-time.Hour, io.EOF)), retried("EOF", 1)},
		"panic":                {func(context.Context, worker.Job) (worker.Result, error) { panic("boom") }, failed("the handler panicked: boom")},
		"panic with an error":  {func(context.Context, worker.Job) (worker.Result, error) { panic(io.EOF) }, failed("the handler panicked: EOF")},
		"NUL in the error":     {failing(errors.New("a\x00b")), failed("a\uFFFDb")},
		"garbage in the error": {failing(errors.New("a\xff\xfeb")), failed("a\uFFFDb")},
		"error of no words":    {failing(errors.New("")), failed("")},
		"its own deadline":     {failing(fmt.Errorf("ask the corpus: %w", context.DeadlineExceeded)), failed("ask the corpus: context deadline exceeded")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			h.work(config(), tc.handler)
			h.send("job-1")
			got := h.result()
			require.Equal(t, "job-1", got.JobID)
			require.NotEmpty(t, got.LeaseToken)
			require.False(t, got.StartedAt.IsZero())
			got.JobID, got.LeaseToken, got.StartedAt, got.RuntimeMS = "", "", time.Time{}, 0
			require.Equal(t, tc.want, got)
			h.settled()
		})
	}
}

func TestLongErrorsAreCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.work(config(), func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{}, errors.New("x" + strings.Repeat("東", contract.MaxErrorText))
	})
	h.send("job-1")
	got := h.result().ErrorText
	require.LessOrEqual(t, len(got), contract.MaxErrorText)
	require.Greater(t, len(got), contract.MaxErrorText-utf8.UTFMax)
	require.True(t, utf8.ValidString(got))
	require.NotContains(t, got, "\uFFFD")
}

func TestPanicsEndNothingElse(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.work(config(), func(_ context.Context, job worker.Job) (worker.Result, error) {
		if job.ID == "job-0" {
			panic("boom")
		}
		return worker.Result{}, nil
	})
	for _, id := range ids(5) {
		h.send(id)
	}
	outcomes := map[string]contract.Outcome{}
	for range 5 {
		r := h.result()
		outcomes[r.JobID] = r.Outcome
	}
	require.Equal(t, map[string]contract.Outcome{
		"job-0": contract.OutcomeFailed, "job-1": contract.OutcomeSucceeded, "job-2": contract.OutcomeSucceeded,
		"job-3": contract.OutcomeSucceeded, "job-4": contract.OutcomeSucceeded,
	}, outcomes)
	h.logged("a handler panicked")
}

func TestGrantOfAnUnknownType(t *testing.T) {
	t.Parallel()
	h := start(t, func(j *jobsService) {
		j.claim = func(req contract.ClaimRequest) (contract.ClaimReply, error) {
			reply := grantAll(req)
			reply.Granted[0].JobType = "stranger"
			return reply, nil
		}
	})
	h.work(config(), succeed)
	h.send("job-1")
	got := h.result()
	require.Equal(t, contract.OutcomeFailed, got.Outcome)
	require.Equal(t, "this worker has no handler for stranger", got.ErrorText)
	require.False(t, got.Permanent, "another worker may have one")
}

// timeLimited grants runs of one second, the shortest there is.
func timeLimited(j *jobsService) {
	j.claim = func(req contract.ClaimRequest) (contract.ClaimReply, error) {
		reply := grantAll(req)
		for i := range reply.Granted {
			reply.Granted[i].TimeoutSeconds = 1
		}
		return reply, nil
	}
}

func TestRunsHaveALimit(t *testing.T) {
	t.Parallel()
	const limit = "the run took longer than its limit of 1s"
	for name, tc := range map[string]struct {
		err       func(ctx context.Context) error
		says      string
		permanent bool
	}{
		"says that its context ended": {func(ctx context.Context) error { return fmt.Errorf("read: %w", ctx.Err()) }, limit, false},
		"says why":                    {func(context.Context) error { return errors.New("page 3 is slow") }, "page 3 is slow", false},
		"says it is permanent":        {func(ctx context.Context) error { return worker.Permanent(fmt.Errorf("too large: %w", ctx.Err())) }, "too large: context deadline exceeded", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, timeLimited)
			h.work(config(), func(ctx context.Context, _ worker.Job) (worker.Result, error) {
				<-ctx.Done()
				return worker.Result{}, tc.err(ctx)
			})
			h.send("job-1")
			got := h.result()
			require.Equal(t, contract.OutcomeFailed, got.Outcome)
			require.Equal(t, tc.says, got.ErrorText)
			require.Equal(t, tc.permanent, got.Permanent)
			require.GreaterOrEqual(t, got.RuntimeMS, int64(1000))
		})
	}
}

// Takes the limit of one second and the five that a handler has to end.
func TestHandlersThatDoNotStopAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	h := start(t, timeLimited)
	release, gone := make(chan struct{}), make(chan struct{})
	cfg := config()
	cfg.Concurrency = 1
	h.work(cfg, func(_ context.Context, job worker.Job) (worker.Result, error) {
		if job.ID == "deaf" {
			defer close(gone)
			<-release
		}
		return worker.Result{}, nil
	})
	h.send("deaf")
	got := h.result()
	require.Equal(t, contract.OutcomeFailed, got.Outcome)
	require.Equal(t, "the handler did not stop when told to: the run took longer than its limit of 1s", got.ErrorText)
	h.send("next")
	require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome, "its slot is free again")
	close(release)
	testkit.Receive(t, gone)
}

func TestRunsContinueTheTraceOfTheJob(t *testing.T) {
	t.Parallel()
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	h := start(t, func(j *jobsService) {
		j.claim = func(req contract.ClaimRequest) (contract.ClaimReply, error) {
			reply := grantAll(req)
			reply.Granted[0].TraceParent = "00-" + traceID + "-00f067aa0ba902b7-01"
			return reply, nil
		}
	})
	exporter := tracetest.NewInMemoryExporter()
	deps := h.deps()
	deps.Tracer = telemetry.NewProvider("plugins", "v1", sdktrace.NewSimpleSpanProcessor(exporter))
	seen := make(chan string, 1)
	w, err := worker.New(config(), deps, map[string]worker.Handler{contract.JobAnalyze: func(ctx context.Context, _ worker.Job) (worker.Result, error) {
		seen <- telemetry.TraceID(ctx)
		return worker.Result{}, errors.New("no")
	}})
	require.NoError(t, err)
	testkit.Start(t, w)
	h.send("job-1")
	require.Equal(t, traceID, testkit.Receive(t, seen))
	got := h.result()
	require.Contains(t, got.TraceParent, traceID)
	spans := exporter.GetSpans()
	require.Len(t, spans, 1)
	require.Equal(t, "run analyze", spans[0].Name)
	require.Equal(t, "00f067aa0ba902b7", spans[0].Parent.SpanID().String())
	require.Contains(t, got.TraceParent, spans[0].SpanContext.SpanID().String())
	require.Equal(t, "no", spans[0].Status.Description)
}

func TestLargeResultsTravelApart(t *testing.T) {
	t.Parallel()
	const n = 6
	h := start(t)
	all, together := make(chan struct{}, n), make(chan struct{})
	cfg := config()
	cfg.Concurrency = n
	h.work(cfg, func(context.Context, worker.Job) (worker.Result, error) {
		all <- struct{}{}
		<-together
		big := json.RawMessage(`"` + strings.Repeat("x", 200<<10) + `"`)
		return worker.Result{Value: big, Artifacts: []contract.Artifact{{Type: "copy", Payload: big}}}, nil
	})
	for _, id := range ids(n) {
		h.send(id)
	}
	for range n {
		testkit.Receive(t, all)
	}
	close(together)
	for range n {
		r := h.result()
		require.Equal(t, contract.OutcomeSucceeded, r.Outcome)
		require.Len(t, r.Result, 200<<10+2)
	}
	h.settled()
}
