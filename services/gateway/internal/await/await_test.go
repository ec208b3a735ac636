package await_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway/internal/await"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, w *await.Watcher) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- w.Run(ctx, func() { close(ready) }) }()
	<-ready
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
}

// The event of a job's end that comes while the connection is lost is not missed.
func TestJobsAreAskedForWhenTheConnectionIsBack(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	const waiters = 100
	var asked atomic.Int64
	w := await.New(nc, func(_ context.Context, jobID string) (await.End, error) {
		asked.Add(1)
		switch jobID {
		case "away":
			return await.End{}, errors.New("the jobs service is away")
		case "running":
			return await.End{Status: contract.StatusRunning}, nil
		}
		return await.End{Status: contract.StatusSucceeded}, nil
	}, zerolog.Nop())
	start(t, w)
	watch := func(id string) <-chan await.End {
		finished, stop, err := w.Watch(id)
		require.NoError(t, err)
		t.Cleanup(stop)
		return finished
	}
	away, running := watch("away"), watch("running")
	var done []<-chan await.End
	for i := range waiters {
		done = append(done, watch(fmt.Sprint("job-", i)))
	}
	require.Zero(t, asked.Load(), "nobody asks while events come")
	require.NoError(t, nc.ForceReconnect())
	for _, finished := range done {
		require.Equal(t, await.End{Status: contract.StatusSucceeded}, testkit.Receive(t, finished))
	}
	testkit.Eventually(t, func() bool { return asked.Load() == waiters+2 }, "every job is asked for")
	for _, finished := range []<-chan await.End{away, running} {
		select {
		case end := <-finished:
			t.Fatalf("a job that has not ended was told as %s", end.Status)
		default:
		}
	}
}

func TestManyWaitForOneJob(t *testing.T) {
	t.Parallel()
	nc := testkit.NATS(t)
	w := await.New(nc, nil, zerolog.Nop())
	var done []<-chan await.End
	for range 200 {
		finished, stop, err := w.Watch("job")
		require.NoError(t, err)
		t.Cleanup(stop)
		done = append(done, finished)
	}
	data := contract.JobChange{JobID: "job", JobType: "noop", Status: contract.StatusFailed, Version: 3, ErrorText: "why"}.Encode()
	pack, err := contract.EncodeEvents([]contract.Event{{ID: "job/3", Type: contract.EventType(contract.AreaJob, string(contract.StatusFailed)), Time: time.Now(), Source: "nexus.jobs", Data: data}})
	require.NoError(t, err)
	subject, err := contract.EventSubject(contract.AreaJob, string(contract.StatusFailed), "noop")
	require.NoError(t, err)
	require.NoError(t, nc.Publish(subject, pack))
	for _, finished := range done {
		require.Equal(t, await.End{Status: contract.StatusFailed, ErrorText: "why"}, testkit.Receive(t, finished))
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok := await.Wait(ctx, make(chan await.End))
	require.False(t, ok)
}
