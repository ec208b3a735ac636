package events_test

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"nexus.internal/bench/internal/events"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
)

func publish(t *testing.T, nc *nats.Conn, status contract.Status, jobs int) {
	t.Helper()
	pack := make([]contract.Event, jobs)
	for i := range pack {
		id := fmt.Sprint("job-", i)
		data, err := json.Marshal(contract.JobChange{JobID: id, JobType: contract.JobNoop, Status: status})
		require.NoError(t, err)
		pack[i] = contract.Event{ID: contract.JobEventID(id, 1), Type: contract.EventType(contract.AreaJob, string(status)), Time: time.Now(), Source: "jobs", Data: data}
	}
	body, err := contract.EncodeEvents(pack)
	require.NoError(t, err)
	subject, err := contract.EventSubject(contract.AreaJob, string(status), contract.JobNoop)
	require.NoError(t, err)
	require.NoError(t, nc.Publish(subject, body))
}

func TestCountCountsJobsOfOneStatus(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	counts := make(chan int, 10)
	stop, err := events.Count(nc, contract.StatusSucceeded, func(n int) { counts <- n })
	require.NoError(t, err)
	publish(t, nc, contract.StatusRunning, 3)
	publish(t, nc, contract.StatusSucceeded, 64)
	require.NoError(t, nc.Publish("nexus.events.job.succeeded.noop", []byte("not a pack")))
	publish(t, nc, contract.StatusSucceeded, 1)
	require.Equal(t, 64, <-counts)
	require.Equal(t, 1, <-counts)
	require.NoError(t, stop())
	require.Error(t, stop(), "it is over")
}

func TestFollowTellsWhichJobChanged(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	changes := make(chan events.Change, 2)
	var dropped atomic.Int64
	stop, err := events.Follow(nc, changes, &dropped)
	require.NoError(t, err)
	before := time.Now()
	publish(t, nc, contract.StatusRunning, 1)
	publish(t, nc, contract.StatusSucceeded, 1)
	for _, want := range []contract.Status{contract.StatusRunning, contract.StatusSucceeded} {
		got := <-changes
		require.Equal(t, "job-0", got.JobID)
		require.Equal(t, want, got.Status)
		require.False(t, got.Seen.Before(before))
	}
	require.Zero(t, dropped.Load())

	publish(t, nc, contract.StatusSucceeded, 5)
	require.NoError(t, nc.Publish("nexus.events.job.succeeded.noop", []byte("not a pack")))
	testkit.Eventually(t, func() bool { return dropped.Load() == 4 }, "two fit, three of five and the broken one do not")
	require.NoError(t, stop())
}

func TestAClosedConnectionIsAnError(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	nc.Close()
	_, err := events.Count(nc, contract.StatusSucceeded, func(int) {})
	require.Error(t, err)
}
