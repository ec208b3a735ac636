package worker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

func (h *harness) workTo(cfg worker.Config, l *worker.Limit, handler worker.Handler) (stop func()) {
	h.t.Helper()
	w, err := worker.New(cfg, h.deps(), map[string]worker.Handler{contract.JobAnalyze: handler})
	require.NoError(h.t, err)
	w.LimitTo(l)
	return testkit.Start(h.t, w)
}

func TestALimitIsForAllWorkersThatShareIt(t *testing.T) {
	t.Parallel()
	h := start(t)
	for _, id := range ids(8) {
		h.send(id)
	}
	l := worker.NewLimit(3)
	cfg := config()
	cfg.Concurrency = 3
	stop := h.workTo(cfg, l, succeed)
	cfg.Name = "w2"
	stopOther := h.workTo(cfg, l, succeed)
	testkit.Receive(t, l.Done())
	stop()
	stopOther()
	require.Equal(t, 3, l.Processed())
	require.True(t, l.Idle())
	// The broker may still be about to read the last acknowledgement.
	testkit.Eventually(t, func() bool { return h.messages() <= 5 }, "what was run was not acknowledged")
	require.Equal(t, 5, h.messages(), "the others are left for later")
	require.Len(t, h.jobs.results, 3)
}

func TestALimitTakesNoMoreOfAPackThanItMay(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.send(ids(5)...)
	l := worker.NewLimit(2)
	stop := h.workTo(config(), l, succeed)
	testkit.Receive(t, l.Done())
	stop()
	require.Len(t, h.jobs.results, 2)
	require.Equal(t, 1, h.messages(), "its other jobs come again")
}

func TestRefusedJobsDoNotCountTowardsALimit(t *testing.T) {
	t.Parallel()
	h := start(t, func(j *jobsService) {
		j.claim = func(req contract.ClaimRequest) (contract.ClaimReply, error) {
			reply := contract.ClaimReply{LeaseSeconds: 2}
			for _, c := range req.Claims {
				if c.JobID == "job-0" {
					reply.Refused = append(reply.Refused, c.JobID)
					continue
				}
				reply.Granted = append(reply.Granted, grant(c))
			}
			return reply, nil
		}
	})
	l := worker.NewLimit(1)
	ran := make(chan string, 5)
	cfg := config()
	cfg.Concurrency = 1
	stop := h.workTo(cfg, l, func(_ context.Context, job worker.Job) (worker.Result, error) {
		ran <- job.ID
		return worker.Result{}, nil
	})
	h.send("job-0")
	h.send("job-1")
	testkit.Receive(t, l.Done())
	stop()
	require.Equal(t, "job-1", testkit.Receive(t, ran))
	require.Empty(t, ran)
}

func TestJobsGivenBackDoNotCountTowardsALimit(t *testing.T) {
	t.Parallel()
	h := start(t)
	l := worker.NewLimit(5)
	cfg := config()
	cfg.Grace = 0
	began := make(chan string, 5)
	stop := h.workTo(cfg, l, func(ctx context.Context, job worker.Job) (worker.Result, error) {
		began <- job.ID
		if job.ID == "quick" {
			return worker.Result{}, nil
		}
		<-ctx.Done()
		return worker.Result{}, ctx.Err()
	})
	h.send("quick")
	require.Equal(t, "quick", h.result().JobID)
	h.send("slow")
	for testkit.Receive(t, began) != "slow" {
	}
	stop()
	require.Equal(t, contract.OutcomeReleased, h.result().Outcome)
	require.Equal(t, 1, l.Processed())
	require.True(t, l.Idle())
}
