package jobs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

// What a job needs is away: the job waits for it, says so, and has lost nothing when
// it is back. Only after hours of that it has failed.
func TestGuaranteeWhatIsUnavailableBurnsNoAttempt(t *testing.T) {
	t.Parallel()
	h := start(t)
	away := make(chan bool, 10)
	h.work("w1", func(context.Context, worker.Job) (worker.Result, error) {
		if <-away {
			return worker.Result{}, fmt.Errorf("read document 7: %w", fault.Wrap(fault.Unavailable, fmt.Errorf("nats: no responders"), "The corpus is away."))
		}
		return worker.Result{Value: 42}, nil
	})
	sub := submission(contract.JobAnalyze)
	sub.MaxAttempts = 1
	h.submit(sub)
	away <- true
	first := h.reaches(sub.JobID, contract.StatusRetryWait)
	require.Zero(t, first.AttemptCount)
	require.Empty(t, first.Attempts)
	require.Equal(t, 1, first.DeferCount)
	require.Zero(t, first.SnoozeCount)
	require.Equal(t, "The corpus is away.", *first.ErrorText)
	require.WithinDuration(t, first.UpdatedAt, *first.DeferredSince, time.Millisecond)
	require.InDelta(t, 2, first.NextRunAt.Sub(first.UpdatedAt).Seconds(), 0.51)

	// As if it had lasted for a minute by now: the next wait is as long again.
	_, err := h.db.Pool.Exec(t.Context(), `UPDATE jobs.jobs SET deferred_since = deferred_since - interval '1 minute' WHERE id = $1`, sub.JobID)
	require.NoError(t, err)
	away <- true
	var second contract.Job
	testkit.Eventually(t, func() bool { second = h.get(sub.JobID); return second.DeferCount == 2 }, "it was not put off again")
	require.InDelta(t, 62, second.NextRunAt.Sub(second.UpdatedAt).Seconds(), 20)
	require.True(t, second.DeferredSince.Before(*first.DeferredSince), "it has been away all the time")
	require.Empty(t, second.Attempts)

	// The corpus is back.
	away <- false
	_, err = h.db.Pool.Exec(t.Context(), `UPDATE jobs.jobs SET next_run_at = now() WHERE id = $1`, sub.JobID)
	require.NoError(t, err)
	job := h.reaches(sub.JobID, contract.StatusSucceeded)
	require.Equal(t, []any{1, 2, 1}, []any{job.AttemptCount, job.DeferCount, len(job.Attempts)})
	require.Nil(t, job.DeferredSince)
	require.Nil(t, job.ErrorText)
}

func TestWhatIsUnavailableForHoursFailsTheJob(t *testing.T) {
	t.Parallel()
	h := servers(t)
	cfg := config()
	cfg.DeferHours = 3
	h.service(cfg)
	h.work("w1", func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{}, fault.Unavailablef("The corpus is away.")
	})
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	h.reaches(sub.JobID, contract.StatusRetryWait)
	_, err := h.db.Pool.Exec(t.Context(), `UPDATE jobs.jobs SET deferred_since = now() - interval '3 hours' WHERE id = $1`, sub.JobID)
	require.NoError(t, err)
	job := h.reaches(sub.JobID, contract.StatusFailed)
	require.Equal(t, "something the job needs has been unavailable for 3h0m0s, the job is not put off any longer: The corpus is away.", *job.ErrorText)
	require.Equal(t, 1, job.DeferCount)
	require.Nil(t, job.DeferredSince)
	require.Len(t, job.Attempts, 1)
}

// Being put off ends with whatever else comes of a run, so that an outage of today is
// not added to one of last week.
func TestAnOutageIsNotAddedToAnother(t *testing.T) {
	t.Parallel()
	h := start(t)
	sub := submission(contract.JobAnalyze)
	h.submit(sub)
	run := func(r contract.RunResult) contract.Job {
		t.Helper()
		_, err := h.db.Pool.Exec(t.Context(), `UPDATE jobs.jobs SET next_run_at = now() WHERE id = $1`, sub.JobID)
		require.NoError(t, err)
		mine := ref(sub.JobID)
		require.Len(t, h.claim("w", mine).Granted, 1)
		r.JobID, r.LeaseToken = mine.JobID, mine.LeaseToken
		require.True(t, h.finish("w", r).Verdicts[0].Accepted)
		return h.get(sub.JobID)
	}
	unavailable := contract.RunResult{Outcome: contract.OutcomeFailed, Unavailable: true, ErrorText: "away", RetryAfterMS: 3_600_000}
	job := run(unavailable)
	require.InDelta(t, time.Hour.Seconds(), job.NextRunAt.Sub(job.UpdatedAt).Seconds(), 1, "a handler may know better")
	since := job.DeferredSince
	require.NotNil(t, since)
	require.Equal(t, since, run(contract.RunResult{Outcome: contract.OutcomeReleased}).DeferredSince, "nobody looked whether it is back")
	require.Nil(t, run(contract.RunResult{Outcome: contract.OutcomeSnoozed, RetryAfterMS: 3_600_000}).DeferredSince)
	require.NotNil(t, run(unavailable).DeferredSince)
	require.Nil(t, run(contract.RunResult{Outcome: contract.OutcomeFailed, ErrorText: "no", RetryAfterMS: 3_600_000}).DeferredSince)
	unavailable.Permanent = true
	job = run(unavailable)
	require.Equal(t, []any{contract.StatusFailed, 2, 2}, []any{job.Status, job.AttemptCount, job.DeferCount}, "what is permanent is not waited for")
}

// The jobs service itself is away for longer than a lease. What runs meanwhile is
// reported once it is back, and nobody takes its worker for silent.
func TestGuaranteeAnOutageOfTheJobsServiceBurnsNoAttempt(t *testing.T) {
	t.Parallel()
	h := servers(t)
	stop := h.service(config())
	began, end := make(chan struct{}, 2), make(chan struct{})
	h.work("w1", func(context.Context, worker.Job) (worker.Result, error) {
		began <- struct{}{}
		<-end
		return worker.Result{Value: 42}, nil
	})
	ends, runs := submission(contract.JobAnalyze), submission(contract.JobAnalyze)
	h.submit(ends)
	h.submit(runs)
	testkit.Receive(t, began)
	testkit.Receive(t, began)
	stop()
	testkit.Eventually(t, func() bool {
		var n int
		return h.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM jobs.jobs WHERE lease_expires_at < clock_timestamp()`).Scan(&n) == nil && n == 2
	}, "the leases did not run out")
	end <- struct{}{}
	h.service(config())
	job := h.reaches(ends.JobID, contract.StatusSucceeded)
	require.Equal(t, 1, job.AttemptCount)
	require.Equal(t, []string{"succeeded"}, []string{job.Attempts[0].Status})
	testkit.Eventually(t, func() bool { return h.get(runs.JobID).LeaseExpiresAt.After(time.Now()) }, "the other lease was not renewed")
	end <- struct{}{}
	job = h.reaches(runs.JobID, contract.StatusSucceeded)
	require.Equal(t, 1, job.AttemptCount)
	require.Len(t, job.Attempts, 1)
}
