package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/worker"
)

// ask is a handler that needs a service nobody has started.
func ask(h *harness) worker.Handler {
	return func(ctx context.Context, _ worker.Job) (worker.Result, error) {
		_, err := bus.Call[struct{}](ctx, h.nc, "nexus.rpc.corpus.text", struct{}{})
		return worker.Result{}, fmt.Errorf("read a document: %w", err)
	}
}

// silent is a handler that needs a service which does not answer in the time it
// gives it.
func silent(h *harness) worker.Handler {
	return func(ctx context.Context, _ worker.Job) (worker.Result, error) {
		sub, err := h.nc.SubscribeSync("nexus.rpc.corpus.text")
		if err != nil {
			return worker.Result{}, err
		}
		defer func() { _ = sub.Unsubscribe() }()
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		_, err = bus.Call[struct{}](ctx, h.nc, "nexus.rpc.corpus.text", struct{}{})
		return worker.Result{}, err
	}
}

func fails(err error) func(*harness) worker.Handler {
	return func(*harness) worker.Handler {
		return func(context.Context, worker.Job) (worker.Result, error) { return worker.Result{Value: 1}, err }
	}
}

// What is unavailable is told from what has failed, and what the job then shows says
// nothing of how it was asked for.
func TestWhatIsUnavailableIsTold(t *testing.T) {
	t.Parallel()
	databaseAway, bug := errors.New("connection refused"), errors.New("a bug")
	corpusAway := fault.Wrap(fault.Unavailable, databaseAway, "The corpus is away.")
	const silence = "A service that is needed for this does not answer now."
	for name, tc := range map[string]struct {
		handler func(*harness) worker.Handler
		want    contract.RunResult
	}{
		"nobody is there":      {ask, contract.RunResult{Unavailable: true, ErrorKind: "unavailable", ErrorCode: "unavailable", ErrorText: silence}},
		"nobody answers":       {silent, contract.RunResult{Unavailable: true, ErrorKind: "unavailable", ErrorCode: "unavailable", ErrorText: silence}},
		"the database is away": {fails(fmt.Errorf("save: %w", databaseAway)), contract.RunResult{Unavailable: true, ErrorKind: "unavailable", ErrorCode: "unavailable", ErrorText: "The database is away."}},
		"with another error":   {fails(errors.Join(bug, corpusAway)), contract.RunResult{Unavailable: true, ErrorKind: "unavailable", ErrorCode: "unavailable", ErrorText: "The corpus is away."}},
		"for a time it knows":  {fails(worker.RetryAfter(time.Minute, corpusAway)), contract.RunResult{Unavailable: true, ErrorKind: "unavailable", ErrorCode: "unavailable", ErrorText: "The corpus is away.", RetryAfterMS: 60_000}},
		"for good":             {fails(worker.Permanent(corpusAway)), contract.RunResult{Permanent: true, ErrorKind: "unavailable", ErrorCode: "unavailable", ErrorText: "The corpus is away.: connection refused"}},
		"a bug":                {fails(bug), contract.RunResult{ErrorText: "a bug"}},
		"it is refused":        {fails(fault.NotFoundf("Document not found")), contract.RunResult{ErrorText: "Document not found", ErrorKind: "not_found", ErrorCode: "not_found"}},
		"there are too many":   {fails(fault.New(fault.RateLimited, "", "Too many.")), contract.RunResult{ErrorText: "Too many.", ErrorKind: "rate_limited", ErrorCode: "rate_limited"}},
		"the handler has a bug": {func(*harness) worker.Handler {
			return func(context.Context, worker.Job) (worker.Result, error) { panic("no") }
		}, contract.RunResult{ErrorText: "the handler panicked: no"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			deps := h.deps()
			deps.Fault = func(err error) error {
				if errors.Is(err, databaseAway) {
					return fault.Wrap(fault.Unavailable, err, "The database is away.")
				}
				return err
			}
			h.workOn(config(), deps, tc.handler(h))
			h.send("job-1")
			got := h.result()
			tc.want.JobID, tc.want.Outcome = "job-1", contract.OutcomeFailed
			got.LeaseToken, got.StartedAt, got.RuntimeMS, got.TraceParent = "", time.Time{}, 0, ""
			require.Equal(t, tc.want, got)
			if got.Unavailable {
				h.logged(`"unavailable":true`)
			}
		})
	}
}

// A run that took all its time has failed, whatever it waited for at its end.
func TestTheEndOfARunsTimeIsNoOutage(t *testing.T) {
	t.Parallel()
	h := start(t, timeLimited)
	sub, err := h.nc.SubscribeSync("nexus.rpc.corpus.text")
	require.NoError(t, err)
	defer func() { _ = sub.Unsubscribe() }()
	deps := h.deps()
	deps.Fault = func(err error) error { return fault.Wrap(fault.Unavailable, err, "The database is away.") }
	h.workOn(config(), deps, ask(h))
	h.send("job-1")
	got := h.result()
	require.Equal(t, []any{false, "the run took longer than its limit of 1s"}, []any{got.Unavailable, got.ErrorText})
}

// The payload of a job is fetched from the jobs service, which may be away by then.
func TestPayloadsThatCannotBeFetchedNow(t *testing.T) {
	t.Parallel()
	h := start(t, func(j *jobsService) {
		j.claim = func(req contract.ClaimRequest) (contract.ClaimReply, error) {
			reply := grantAll(req)
			for i := range reply.Granted {
				reply.Granted[i].Payload, reply.Granted[i].PayloadBytes = nil, 1<<20
			}
			return reply, nil
		}
	})
	h.work(config(), succeed)
	h.send("job-1")
	require.True(t, h.result().Unavailable)
}
