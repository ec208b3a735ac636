package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// jobsService stands for the jobs service: it grants and accepts everything
// unless a test says otherwise, and remembers what it was asked.
type jobsService struct {
	claim  func(contract.ClaimRequest) (contract.ClaimReply, error)
	beat   func(contract.HeartbeatRequest) (contract.HeartbeatReply, error)
	finish func(contract.FinishRequest) (contract.FinishReply, error)
	put    func(contract.PutRequest) (contract.PutReply, error)

	claims   chan contract.ClaimRequest
	beats    chan contract.HeartbeatRequest
	finishes chan contract.FinishRequest
	puts     chan contract.PutRequest
	// results are those of the finish requests that were answered.
	results chan contract.RunResult
}

func newJobs() *jobsService {
	const room = 10_000
	return &jobsService{
		claim: func(req contract.ClaimRequest) (contract.ClaimReply, error) { return grantAll(req), nil },
		beat: func(contract.HeartbeatRequest) (contract.HeartbeatReply, error) {
			return contract.HeartbeatReply{}, nil
		},
		finish: func(req contract.FinishRequest) (contract.FinishReply, error) { return acceptAll(req), nil },
		put:    func(contract.PutRequest) (contract.PutReply, error) { return contract.PutReply{Accepted: true}, nil },
		puts:   make(chan contract.PutRequest, room),
		claims: make(chan contract.ClaimRequest, room), beats: make(chan contract.HeartbeatRequest, room),
		finishes: make(chan contract.FinishRequest, room), results: make(chan contract.RunResult, room),
	}
}

func grant(c contract.LeaseRef) contract.Grant {
	return contract.Grant{
		JobID: c.JobID, JobType: contract.JobAnalyze, LeaseToken: c.LeaseToken, Attempt: 1, MaxAttempts: 3, TimeoutSeconds: 60,
		CreatedBy: "alice", RequestID: "req-1", Payload: json.RawMessage(`{"n":1}`),
	}
}

func grantAll(req contract.ClaimRequest) contract.ClaimReply {
	reply := contract.ClaimReply{LeaseSeconds: 2}
	for _, c := range req.Claims {
		reply.Granted = append(reply.Granted, grant(c))
	}
	return reply
}

func acceptAll(req contract.FinishRequest) contract.FinishReply {
	var reply contract.FinishReply
	for _, r := range req.Results {
		reply.Verdicts = append(reply.Verdicts, contract.FinishVerdict{JobID: r.JobID, Accepted: true, Status: contract.StatusSucceeded})
	}
	return reply
}

// serve answers on the subjects of the jobs service.
func (j *jobsService) serve(t *testing.T, server *embednats.Server) (stop func()) {
	t.Helper()
	rpc := bus.NewRPC(testkit.Connect(t, server), zerolog.Nop(), noop.NewTracerProvider(), "jobs")
	bus.Handle(rpc, contract.RPCJobsClaim, func(_ context.Context, req contract.ClaimRequest) (contract.ClaimReply, error) {
		j.claims <- req
		return j.claim(req)
	})
	bus.Handle(rpc, contract.RPCJobsHeartbeat, func(_ context.Context, req contract.HeartbeatRequest) (contract.HeartbeatReply, error) {
		j.beats <- req
		return j.beat(req)
	})
	bus.Handle(rpc, contract.RPCJobsPut, func(_ context.Context, req contract.PutRequest) (contract.PutReply, error) {
		j.puts <- req
		return j.put(req)
	})
	finish := func(_ context.Context, req contract.FinishRequest) (contract.FinishReply, error) {
		j.finishes <- req
		reply, err := j.finish(req)
		if err == nil {
			for _, r := range req.Results {
				j.results <- r
			}
		}
		return reply, err
	}
	bus.Handle(rpc, contract.RPCJobsFinish, finish)
	bus.Handle(rpc, contract.RPCJobsFinishLarge, finish)
	return testkit.Start(t, rpc)
}

// harness is a worker's surroundings.
type harness struct {
	t      *testing.T
	server *embednats.Server
	nc     *nats.Conn
	js     jetstream.JetStream
	jobs   *jobsService
	log    *logbook
}

// start makes the surroundings with a jobs service.
func start(t *testing.T, change ...func(*jobsService)) *harness {
	t.Helper()
	h := alone(t)
	for _, c := range change {
		c(h.jobs)
	}
	h.jobs.serve(t, h.server)
	return h
}

// alone makes the surroundings with the jobs service away.
func alone(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, server: testkit.NATSServer(t), jobs: newJobs(), log: &logbook{}}
	h.nc = testkit.Connect(t, h.server)
	h.js = testkit.JetStream(t, h.nc)
	return h
}

func config() worker.Config {
	return worker.Config{Name: "w1", Queue: contract.QueuePlugins, Concurrency: 4, Lease: testkit.Lease, Grace: 10 * time.Second}
}

func (h *harness) deps() worker.Deps {
	nc := testkit.Connect(h.t, h.server)
	return worker.Deps{NC: nc, JS: testkit.JetStream(h.t, nc), Log: zerolog.New(h.log), Tracer: noop.NewTracerProvider()}
}

// work starts a worker for analyze jobs; stop drains it.
func (h *harness) work(cfg worker.Config, handler worker.Handler) (stop func()) {
	h.t.Helper()
	return h.workOn(cfg, h.deps(), handler)
}

func (h *harness) workOn(cfg worker.Config, deps worker.Deps, handler worker.Handler) (stop func()) {
	h.t.Helper()
	w, err := worker.New(cfg, deps, map[string]worker.Handler{contract.JobAnalyze: handler})
	require.NoError(h.t, err)
	return testkit.Start(h.t, w)
}

func succeed(context.Context, worker.Job) (worker.Result, error) { return worker.Result{}, nil }

// send publishes a run message for jobs and returns their ids.
func (h *harness) send(ids ...string) []string {
	h.t.Helper()
	h.sendIn(contract.PriorityNormal, ids...)
	return ids
}

// sendIn publishes a run message for jobs in a lane.
func (h *harness) sendIn(priority string, ids ...string) {
	h.t.Helper()
	body, err := json.Marshal(contract.RunMessage{JobIDs: ids})
	require.NoError(h.t, err)
	h.sendRawIn(priority, body)
}

func (h *harness) sendRaw(body []byte) {
	h.t.Helper()
	h.sendRawIn(contract.PriorityNormal, body)
}

func (h *harness) sendRawIn(priority string, body []byte) {
	h.t.Helper()
	subject, err := contract.RunSubject(contract.QueuePlugins, priority, contract.JobAnalyze, uuid.NewString())
	require.NoError(h.t, err)
	_, err = h.js.Publish(h.t.Context(), subject, body)
	require.NoError(h.t, err)
}

// messages is how many run messages are not settled.
func (h *harness) messages() int {
	h.t.Helper()
	s, err := h.js.Stream(h.t.Context(), contract.StreamRuns)
	require.NoError(h.t, err)
	return int(s.CachedInfo().State.Msgs)
}

func (h *harness) settled() {
	h.t.Helper()
	testkit.Eventually(h.t, func() bool { return h.messages() == 0 }, "a run message was not settled")
}

// result waits for the next result that was reported.
func (h *harness) result() contract.RunResult {
	h.t.Helper()
	return testkit.Receive(h.t, h.jobs.results)
}

func (h *harness) logged(text string) {
	h.t.Helper()
	testkit.Eventually(h.t, func() bool { return h.log.contains(text) }, "nothing was logged of: %s", text)
}

func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("job-%d", i)
	}
	return out
}

// logbook collects what the worker logs.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) contains(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text.Bytes(), []byte(s))
}
