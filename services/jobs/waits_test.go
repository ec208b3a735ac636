package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

// The first two waits of a job that fails, by the clock on the wall and not by
// what is written down: 2 s and 10 s between the end of an attempt and the
// beginning of the next.
func TestGuaranteeRetryWaitsForReal(t *testing.T) {
	t.Parallel()
	h := start(t)
	gaps := make(chan time.Duration, 2)
	// No two attempts of a job are at work at once, so nothing guards it.
	var failed time.Time
	h.work("w1", func(_ context.Context, job worker.Job) (worker.Result, error) {
		if job.Attempt > 1 {
			gaps <- time.Since(failed)
		}
		failed = time.Now()
		if job.Attempt < 3 {
			return worker.Result{}, errors.New("the corpus is away")
		}
		return worker.Result{}, nil
	})
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	for i, want := range []time.Duration{2 * time.Second, 10 * time.Second} {
		gap := testkit.Receive(t, gaps)
		// The clock of the database counts the wait, so the least may differ by a hair.
		require.GreaterOrEqual(t, gap, want-10*time.Millisecond, "after attempt %d", i+1)
		require.Less(t, gap, want+5*time.Second, "after attempt %d", i+1)
	}
	require.Equal(t, 3, h.reaches(sub.JobID, contract.StatusSucceeded).AttemptCount)
}

// A job that is put off has lost nothing: not an attempt, and not its place in
// the count of those that fail.
func TestGuaranteeSnoozeBurnsNoAttempt(t *testing.T) {
	t.Parallel()
	h := start(t)
	type run struct{ attempt, most int }
	runs := make(chan run, 10)
	var n int
	h.work("w1", func(_ context.Context, job worker.Job) (worker.Result, error) {
		runs <- run{job.Attempt, job.MaxAttempts}
		switch n++; n {
		case 3:
			return worker.Result{}, worker.RetryAfter(time.Millisecond, errors.New("no"))
		case 6:
			return worker.Result{}, nil
		default:
			return worker.Result{}, worker.Snooze(50 * time.Millisecond)
		}
	})
	sub := submission(contract.JobAnalyze)
	sub.MaxAttempts = 2
	h.submit(sub)
	for i, attempt := range []int{1, 1, 1, 2, 2, 2} {
		require.Equal(t, run{attempt, 2}, testkit.Receive(t, runs), "run %d", i+1)
	}
	job := h.reaches(sub.JobID, contract.StatusSucceeded)
	require.Equal(t, 2, job.AttemptCount)
	require.Equal(t, 4, job.SnoozeCount)
	require.Len(t, job.Attempts, 2, "a snooze is no attempt")
	require.Equal(t, []string{"failed", "succeeded"}, []string{job.Attempts[0].Status, job.Attempts[1].Status})
	require.Empty(t, runs)
}

// While all lanes hold jobs they share the slots 6:3:1, and the low one is
// served all the time, not once the others are empty.
func TestGuaranteeLanesShareAndNoneStarves(t *testing.T) {
	t.Parallel()
	h := start(t)
	const each, looked = 80, 100
	lanes := map[string]string{}
	for _, lane := range []string{contract.PriorityLow, contract.PriorityNormal, contract.PriorityHigh} {
		for range each {
			sub := submission(contract.JobAnalyze)
			sub.Priority = lane
			lanes[sub.JobID] = lane
			h.submit(sub)
		}
	}
	stream, err := h.js.Stream(t.Context(), contract.StreamRuns)
	require.NoError(t, err)
	testkit.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 3*each
	}, "the run messages did not arrive")

	began, turns := make(chan string, 3*each), make(chan struct{})
	h.work("w1", func(ctx context.Context, job worker.Job) (worker.Result, error) {
		began <- lanes[job.ID]
		select {
		case <-turns:
		case <-ctx.Done():
		}
		return worker.Result{}, ctx.Err()
	})
	counts, sinceLow, longest := map[string]int{}, 0, 0
	for range looked {
		lane := testkit.Receive(t, began)
		counts[lane]++
		sinceLow++
		if lane == contract.PriorityLow {
			sinceLow = 0
		}
		longest = max(longest, sinceLow)
		turns <- struct{}{}
	}
	require.Less(t, counts[contract.PriorityHigh], each, "all lanes held jobs all the time")
	require.InDelta(t, 60, counts[contract.PriorityHigh], 8)
	require.InDelta(t, 30, counts[contract.PriorityNormal], 6)
	require.InDelta(t, 10, counts[contract.PriorityLow], 4)
	require.LessOrEqual(t, longest, 25, "the low lane had to wait")
	close(turns)
	for id := range lanes {
		h.reaches(id, contract.StatusSucceeded)
	}
}
