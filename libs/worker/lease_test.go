package worker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

// provision makes one consumer anew.
func provision(h *harness, c contract.Consumer) error {
	return bus.Provision(h.t.Context(), h.js, nil, []contract.Consumer{c})
}

// obedient runs until its context ends and tells why it did.
type obedient struct {
	began   chan string
	stopped chan error
}

func newObedient() *obedient {
	return &obedient{began: make(chan string, 100), stopped: make(chan error, 100)}
}

func (o *obedient) handle(ctx context.Context, job worker.Job) (worker.Result, error) {
	o.began <- job.ID
	<-ctx.Done()
	o.stopped <- context.Cause(ctx)
	return worker.Result{}, ctx.Err()
}

func TestHeartbeatsNameTheLeases(t *testing.T) {
	t.Parallel()
	h := start(t)
	o := newObedient()
	cfg := config()
	cfg.Lease = time.Second
	cfg.Grace = time.Millisecond
	w, err := worker.New(cfg, h.deps(), map[string]worker.Handler{"zeta": succeed, contract.JobAnalyze: o.handle, "beta": succeed})
	require.NoError(t, err)
	testkit.Start(t, w)
	idle := testkit.Receive(t, h.jobs.beats)
	require.Equal(t, contract.HeartbeatRequest{Worker: "w1", Queue: "plugins", JobTypes: []string{"analyze", "beta", "zeta"}}, idle,
		"a worker lives before it has work")
	h.send("job-1")
	h.send("job-2")
	testkit.Receive(t, o.began)
	testkit.Receive(t, o.began)
	var held []contract.LeaseRef
	for range 2 {
		held = append(held, testkit.Receive(t, h.jobs.claims).Claims...)
		if len(held) == 2 {
			break
		}
	}
	for {
		beat := testkit.Receive(t, h.jobs.beats)
		require.Len(t, beat.Leases, beat.InFlight)
		if beat.InFlight == 2 {
			require.ElementsMatch(t, held, beat.Leases)
			break
		}
	}
}

func TestCancelledRunsStop(t *testing.T) {
	t.Parallel()
	h := start(t)
	o := newObedient()
	h.work(config(), o.handle)
	h.send("job-1")
	h.send("job-2")
	testkit.Receive(t, o.began)
	testkit.Receive(t, o.began)
	cancel := func(id string) {
		subject, err := contract.CancelSubject(id)
		require.NoError(t, err)
		require.NoError(t, h.nc.Publish(subject, nil))
	}
	cancel("job-3")
	cancel("job-1")
	require.EqualError(t, testkit.Receive(t, o.stopped), "the job was cancelled")
	testkit.Eventually(t, func() bool { return testkit.Receive(t, h.jobs.beats).InFlight == 1 }, "it is held no longer")
	require.Empty(t, h.jobs.finishes, "nobody waits for the result")
	require.Empty(t, o.stopped, "the other one goes on")
	cancel("job-2")
	require.EqualError(t, testkit.Receive(t, o.stopped), "the job was cancelled")
	h.settled()
}

// A message may carry more jobs than there is room for: the rest waits for its
// turn, and can be cancelled there.
func TestJobsThatWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	h := start(t)
	o := newObedient()
	cfg := config()
	cfg.Concurrency, cfg.Grace, cfg.Lease = 1, 20*time.Millisecond, time.Second
	stop := h.work(cfg, o.handle)
	h.send("job-0", "job-1", "job-2")
	first := testkit.Receive(t, o.began)
	testkit.Eventually(t, func() bool { return testkit.Receive(t, h.jobs.beats).InFlight == 3 }, "the leases of those that wait are renewed")
	waiting := slices.DeleteFunc(ids(3), func(id string) bool { return id == first })
	subject, err := contract.CancelSubject(waiting[0])
	require.NoError(t, err)
	require.NoError(t, h.nc.Publish(subject, nil))
	testkit.Eventually(t, func() bool { return testkit.Receive(t, h.jobs.beats).InFlight == 2 }, "it is held no longer")
	stop()
	require.Equal(t, contract.OutcomeReleased, h.result().Outcome)
	require.Equal(t, contract.OutcomeReleased, h.result().Outcome)
	require.Empty(t, h.jobs.results)
	require.Empty(t, o.began, "only one was begun")
	h.settled()
}

func TestRunsWhoseLeaseIsLostStop(t *testing.T) {
	t.Parallel()
	var lost atomic.Pointer[string]
	h := start(t, func(j *jobsService) {
		j.beat = func(req contract.HeartbeatRequest) (contract.HeartbeatReply, error) {
			reply := contract.HeartbeatReply{Lost: []string{"a token of somebody else"}}
			if token := lost.Load(); token != nil {
				reply.Lost = append(reply.Lost, *token)
			}
			return reply, nil
		}
	})
	o := newObedient()
	cfg := config()
	cfg.Lease, cfg.Grace = time.Second, time.Millisecond
	h.work(cfg, o.handle)
	h.send("job-1")
	testkit.Receive(t, o.began)
	first := testkit.Receive(t, h.jobs.claims).Claims[0]
	h.send("job-2")
	testkit.Receive(t, o.began)
	lost.Store(&first.LeaseToken)
	require.EqualError(t, testkit.Receive(t, o.stopped), "the lease ran out and somebody else has the job")
	testkit.Eventually(t, func() bool { return testkit.Receive(t, h.jobs.beats).InFlight == 1 }, "it is held no longer")
	require.Empty(t, h.jobs.finishes, "the result would be refused")
	require.Empty(t, o.stopped, "the other one keeps its lease")
}

func TestHeartbeatsThatFailStopNothing(t *testing.T) {
	t.Parallel()
	h := start(t, func(j *jobsService) {
		j.beat = func(contract.HeartbeatRequest) (contract.HeartbeatReply, error) {
			return contract.HeartbeatReply{}, fault.Unavailablef("Postgres is away.")
		}
	})
	p := newProbe()
	cfg := config()
	cfg.Lease = time.Second
	h.work(cfg, p.handle)
	h.send("job-1")
	testkit.Receive(t, p.began)
	for range 3 {
		testkit.Receive(t, h.jobs.beats)
	}
	p.turns <- struct{}{}
	require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome)
	h.logged("could not renew leases")
}

func TestResultsAreReportedAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	tries := 0
	h := start(t, func(j *jobsService) {
		j.finish = func(req contract.FinishRequest) (contract.FinishReply, error) {
			mu.Lock()
			defer mu.Unlock()
			if tries++; tries < 3 {
				return contract.FinishReply{}, fault.Unavailablef("Postgres is away.")
			}
			return acceptAll(req), nil
		}
	})
	var runs atomic.Int32
	h.work(config(), func(context.Context, worker.Job) (worker.Result, error) {
		return worker.Result{Value: runs.Add(1)}, nil
	})
	h.send("job-1")
	require.JSONEq(t, "1", string(h.result().Result))
	first := testkit.Receive(t, h.jobs.finishes)
	for range 2 {
		require.Equal(t, first, testkit.Receive(t, h.jobs.finishes))
	}
	h.settled()
	require.EqualValues(t, 1, runs.Load())
}

func TestResultsWaitForAServiceThatIsAway(t *testing.T) {
	t.Parallel()
	h := alone(t)
	stop := h.jobs.serve(t, h.server)
	p := newProbe()
	h.work(config(), p.handle)
	h.send("job-1")
	testkit.Receive(t, p.began)
	stop()
	p.turns <- struct{}{}
	h.logged("could not report results; trying again until the jobs service answers")
	h.jobs.serve(t, h.server)
	require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome)
	h.settled()
	p.requireEachOnce(t, []string{"job-1"})
}

func TestRefusedResultsAreLetGo(t *testing.T) {
	t.Parallel()
	for name, verdicts := range map[string][]contract.FinishVerdict{
		"refused":    {{JobID: "job-1", Accepted: false, Status: contract.StatusCancelled}},
		"no verdict": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, func(j *jobsService) {
				j.finish = func(contract.FinishRequest) (contract.FinishReply, error) {
					return contract.FinishReply{Verdicts: verdicts}, nil
				}
			})
			cfg := config()
			cfg.Concurrency = 1
			h.work(cfg, succeed)
			h.send("job-1")
			h.result()
			h.settled()
			h.send("job-2")
			require.Equal(t, "job-2", h.result().JobID, "its slot is free again")
			if verdicts != nil {
				h.logged("a result was refused: the job is no longer this worker's")
			}
		})
	}
}

func TestStopLetsRunningHandlersFinish(t *testing.T) {
	t.Parallel()
	h := start(t)
	p := newProbe()
	cfg := config()
	cfg.Concurrency = 2
	w, err := worker.New(cfg, h.deps(), map[string]worker.Handler{contract.JobAnalyze: p.handle})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- w.Run(ctx, func() {}) }()
	h.send("job-1")
	h.send("job-2")
	testkit.Receive(t, p.began)
	testkit.Receive(t, p.began)
	stop()
	h.send("later")
	p.turns <- struct{}{}
	require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome)
	require.Empty(t, stopped)
	p.turns <- struct{}{}
	require.Equal(t, contract.OutcomeSucceeded, h.result().Outcome)
	require.NoError(t, testkit.Receive(t, stopped))
	p.requireEachOnce(t, []string{"job-1", "job-2"})
	testkit.Eventually(t, func() bool { return h.messages() == 1 }, "what was not begun is for the next worker")
}

func TestStopGivesBackWhatTakesLonger(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end  func(ctx context.Context) (worker.Result, error)
		want contract.Outcome
	}{
		"stops when told to":    {func(ctx context.Context) (worker.Result, error) { return worker.Result{}, ctx.Err() }, contract.OutcomeReleased},
		"fails when told to":    {func(context.Context) (worker.Result, error) { return worker.Result{}, errors.New("interrupted") }, contract.OutcomeReleased},
		"succeeds all the same": {func(context.Context) (worker.Result, error) { return worker.Result{Value: 1}, nil }, contract.OutcomeSucceeded},
		"panics when told to":   {func(context.Context) (worker.Result, error) { panic("interrupted") }, contract.OutcomeReleased},
		"fails for good meanwhile": {func(context.Context) (worker.Result, error) {
			return worker.Result{}, worker.Permanent(errors.New("bad"))
		}, contract.OutcomeReleased},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			cfg := config()
			cfg.Grace = 20 * time.Millisecond
			began, cause := make(chan struct{}), make(chan error, 1)
			stop := h.work(cfg, func(ctx context.Context, _ worker.Job) (worker.Result, error) {
				close(began)
				<-ctx.Done()
				cause <- context.Cause(ctx)
				return tc.end(ctx)
			})
			h.send("job-1")
			testkit.Receive(t, began)
			stop()
			require.EqualError(t, testkit.Receive(t, cause), "the worker is shutting down")
			got := h.result()
			require.Equal(t, tc.want, got.Outcome)
			require.Empty(t, got.ErrorText)
			h.settled()
		})
	}
}

func TestIdleWorkersStopAtOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	cfg := config()
	cfg.Grace = time.Hour
	begun := time.Now()
	h.work(cfg, succeed)()
	require.Less(t, time.Since(begun), 10*time.Second)
}
