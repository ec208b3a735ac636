package job_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/services/jobs/internal/job"
)

// Every state against every event, written out: a change of the table must be
// a change here.
func TestEveryStateAgainstEveryEvent(t *testing.T) {
	t.Parallel()
	const no = contract.Status("")
	want := map[contract.Status]map[job.Event]contract.Status{
		contract.StatusQueued:    {job.Claim: contract.StatusRunning, job.Cancel: contract.StatusCancelled},
		contract.StatusRetryWait: {job.Claim: contract.StatusRunning, job.Cancel: contract.StatusCancelled},
		contract.StatusRunning: {
			job.Succeed: contract.StatusSucceeded, job.Retry: contract.StatusRetryWait, job.Exhaust: contract.StatusFailed,
			job.Release: contract.StatusRetryWait, job.Snooze: contract.StatusRetryWait, job.Defer: contract.StatusRetryWait, job.Cancel: contract.StatusCancelled,
		},
		contract.StatusSucceeded: {},
		contract.StatusFailed:    {job.Requeue: contract.StatusQueued},
		contract.StatusCancelled: {job.Requeue: contract.StatusQueued},
	}
	require.Len(t, want, len(contract.Statuses()))
	for _, from := range contract.Statuses() {
		for _, event := range job.Events() {
			got, err := job.Apply(from, event)
			if to := want[from][event]; to != no {
				require.NoError(t, err, "%s in %s", event, from)
				require.Equal(t, to, got, "%s in %s", event, from)
				continue
			}
			require.ErrorIs(t, err, job.ErrTransition, "%s in %s", event, from)
		}
	}
	_, err := job.Apply(contract.StatusQueued, "explode")
	require.ErrorIs(t, err, job.ErrTransition)
	_, err = job.Apply(contract.StatusAccepted, job.Claim)
	require.ErrorIs(t, err, job.ErrTransition)
}

// Only somebody who asks for it takes a job out of a finished state, and never
// out of success.
func TestFinishedStatesAreLeftByNothing(t *testing.T) {
	t.Parallel()
	for _, tr := range job.Transitions() {
		for _, from := range tr.From {
			require.NotEqual(t, contract.StatusSucceeded, from, "%s leaves success", tr.Event)
			if tr.Event == job.Requeue {
				continue
			}
			require.False(t, from.Finished(), "%s leaves %s", tr.Event, from)
		}
	}
}

func TestGuaranteeBackoffSchedule(t *testing.T) {
	t.Parallel()
	jobType := contract.JobType{BackoffSeconds: []int{2, 10, 30}}
	require.Zero(t, contract.JobType{}.Backoff(1))
	for attempt, want := range map[int]time.Duration{1: 2 * time.Second, 2: 10 * time.Second, 3: 30 * time.Second, 4: 30 * time.Second, 9: 30 * time.Second} {
		require.Equal(t, want, jobType.Backoff(attempt), "attempt %d", attempt)
	}
}

func TestAfterFailure(t *testing.T) {
	t.Parallel()
	require.Equal(t, job.Retry, job.AfterFailure(1, 3, false))
	require.Equal(t, job.Retry, job.AfterFailure(2, 3, false))
	require.Equal(t, job.Exhaust, job.AfterFailure(3, 3, false))
	require.Equal(t, job.Exhaust, job.AfterFailure(1, 3, true))
}

// What is unavailable is waited for ever more patiently, and not for ever.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	var waits []time.Duration
	var waited time.Duration
	for job.AfterUnavailable(waited, time.Hour) == job.Defer {
		wait := job.DeferDelay(waited)
		waits = append(waits, wait)
		waited += wait
	}
	require.Equal(t, []time.Duration{
		2 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, 64 * time.Second, 128 * time.Second, 256 * time.Second,
	}, waits[:9])
	require.Equal(t, 5*time.Minute, waits[len(waits)-1])
	require.Equal(t, job.Exhaust, job.AfterUnavailable(time.Hour, time.Hour))
	require.Equal(t, job.Exhaust, job.AfterUnavailable(2*time.Hour, time.Hour))
}

// States are written by the store alone, and there only with what the table
// says.
func TestOnlyTheStoreWritesStates(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"../record", "../lifecycle", "../schedule", "../catalog", "../.."} {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			text, err := os.ReadFile(dir + "/" + e.Name())
			require.NoError(t, err)
			require.NotContains(t, string(text), "UPDATE jobs.", e.Name())
		}
	}
}
