package worker_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

// reports returns the next progress that a heartbeat carried.
func (h *harness) reports() []contract.Progress {
	h.t.Helper()
	for {
		if beat := testkit.Receive(h.t, h.jobs.beats); len(beat.Progress) > 0 {
			return beat.Progress
		}
	}
}

func TestProgressIsSentSoonAndTheNewestOnly(t *testing.T) {
	t.Parallel()
	h := start(t)
	cfg := config()
	cfg.Lease = time.Minute
	say := make(chan float64)
	h.work(cfg, func(_ context.Context, job worker.Job) (worker.Result, error) {
		for percent := range say {
			job.Progress(percent, fmt.Sprintf("at %v", percent))
		}
		return worker.Result{}, nil
	})
	h.send("job-1")
	token := testkit.Receive(t, h.jobs.claims).Claims[0].LeaseToken
	say <- 1
	require.Equal(t, []contract.Progress{{JobID: "job-1", LeaseToken: token, Percent: 1, Message: "at 1"}}, h.reports(), "long before the lease asks for a heartbeat")
	first := time.Now()
	for percent := range 50 {
		say <- float64(percent)
	}
	require.Equal(t, "at 49", h.reports()[0].Message)
	require.Greater(t, time.Since(first), 700*time.Millisecond, "once a second is enough")
	close(say)
	require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome)
}

func TestProgressIsMadeFitToSend(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		percent, want float64
		message, sent string
	}{
		"not a number":     {math.NaN(), 0, "a", "a"},
		"too much":         {math.Inf(1), 100, "", ""},
		"too little":       {-1, 0, "", ""},
		"long":             {50, 50, strings.Repeat("é", 150), strings.Repeat("é", 100)},
		"cut inside":       {50, 50, "x" + strings.Repeat("é", 150), "x" + strings.Repeat("é", 99)},
		"not for Postgres": {50, 50, "a\x00b\xff", "a\uFFFDb\uFFFD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			done := make(chan struct{})
			h.work(config(), func(_ context.Context, job worker.Job) (worker.Result, error) {
				job.Progress(tc.percent, tc.message)
				<-done
				return worker.Result{}, nil
			})
			h.send("job-1")
			got := h.reports()[0]
			require.InDelta(t, tc.want, got.Percent, 0)
			require.Equal(t, tc.sent, got.Message)
			close(done)
			h.settled()
		})
	}
	worker.Job{}.Progress(1, "a handler called by its own test")
}

func TestProgressIsKeptUntilItArrives(t *testing.T) {
	t.Parallel()
	refuse := make(chan bool, 1)
	refuse <- true
	h := start(t, func(j *jobsService) {
		j.beat = func(req contract.HeartbeatRequest) (contract.HeartbeatReply, error) {
			if len(req.Progress) > 0 {
				select {
				case <-refuse:
					return contract.HeartbeatReply{}, fault.Unavailablef("away")
				default:
				}
			}
			return contract.HeartbeatReply{}, nil
		}
	})
	done := make(chan struct{})
	h.work(config(), func(_ context.Context, job worker.Job) (worker.Result, error) {
		job.Progress(40, "once")
		<-done
		return worker.Result{}, nil
	})
	h.send("job-1")
	first := h.reports()
	require.Equal(t, first, h.reports())
	close(done)
	h.settled()
}

func TestSnoozedRunsCostNoAttempt(t *testing.T) {
	t.Parallel()
	h := start(t)
	answers := make(chan error, 3)
	answers <- worker.Snooze(90 * time.Second)
	answers <- fmt.Errorf("not yet: %w", worker.Snooze(-time.Second))
	h.work(config(), func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{Value: "none", Artifacts: []contract.Artifact{{Type: "t"}}}, <-answers
	})
	for _, ms := range []int64{90_000, 1} {
		h.send("job-1")
		got := h.result()
		require.Equal(t, contract.OutcomeSnoozed, got.Outcome)
		require.Equal(t, ms, got.RetryAfterMS)
		require.Empty(t, got.ErrorText)
		require.Empty(t, got.Artifacts)
	}
	h.settled()
}
