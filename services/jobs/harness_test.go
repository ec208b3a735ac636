package jobs_test

import (
	"cmp"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/embed/embednats"
	"nexus.internal/libs/metrics"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/worker"
	"nexus.internal/migrations"
	"nexus.internal/services/jobs"
)

// harness is a jobs service on real servers of its own.
type harness struct {
	t      testing.TB
	server *embednats.Server
	nc     *nats.Conn
	js     jetstream.JetStream
	url    string
	db     *pg.DB
	inbox  chan contract.SubmitVerdict
	reply  string
	events chan contract.Event
	// sweeper is the name under which the newest service recovers jobs.
	sweeper string
	// metrics is what services measure; nil measures nothing.
	metrics *metrics.Provider
	// lease is that of the service; zero means testkit.Lease.
	lease time.Duration
}

func config() jobs.Config {
	return jobs.Config{PollSeconds: 0.1, BenchJobs: false, BenchWorkers: 1, DeferHours: 24, OutputBytes: 8 << 20}
}

// start starts a jobs service; stop drains it.
func start(t testing.TB) *harness {
	t.Helper()
	h := servers(t)
	h.service(config())
	return h
}

// servers is a harness without the service.
func servers(t testing.TB) *harness {
	t.Helper()
	h := &harness{t: t, server: testkit.NATSServer(t), url: testkit.PostgresURL(t), inbox: make(chan contract.SubmitVerdict, 10_000), events: make(chan contract.Event, 10_000)}
	h.nc = testkit.Connect(t, h.server)
	h.js = testkit.JetStream(t, h.nc)
	h.db = testkit.OpenPostgres(t, h.url, "")
	h.reply = nats.NewInbox()
	_, err := h.nc.Subscribe(h.reply, func(m *nats.Msg) {
		var r contract.SubmitReply
		if json.Unmarshal(m.Data, &r) == nil {
			for _, v := range r.Verdicts {
				h.inbox <- v
			}
		}
	})
	require.NoError(t, err)
	_, err = h.nc.Subscribe(contract.PatternJobEvents, func(m *nats.Msg) {
		events, err := contract.DecodeEvents(m.Data)
		if err == nil {
			for _, e := range events {
				h.events <- e
			}
		}
	})
	require.NoError(t, err)
	return h
}

func (h *harness) service(cfg jobs.Config) (stop func()) {
	h.t.Helper()
	return h.serviceOn(cfg, func(js jetstream.JetStream) jetstream.JetStream { return js })
}

// serviceOn starts a service on what on makes of its broker.
func (h *harness) serviceOn(cfg jobs.Config, on func(jetstream.JetStream) jetstream.JetStream) (stop func()) {
	h.t.Helper()
	nc := testkit.Connect(h.t, h.server)
	h.sweeper = "sweeper-" + uuid.NewString()[:8]
	s, err := jobs.New(cfg, jobs.Deps{
		NC: nc, JS: on(testkit.JetStream(h.t, nc)), DB: testkit.OpenPostgres(h.t, h.url, migrations.Role("jobs")),
		Log: zerolog.Nop(), Tracer: noop.NewTracerProvider(), Metrics: h.metrics.For("jobs"), Now: time.Now,
		Worker: worker.Settings{Name: h.sweeper, LeaseSeconds: int(cmp.Or(h.lease, testkit.Lease).Seconds()), GraceSeconds: 5},
	})
	require.NoError(h.t, err)
	return testkit.Start(h.t, s.Components()...)
}

func submission(jobType string) contract.Submission {
	return contract.Submission{
		Ref: uuid.NewString(), JobID: uuid.Must(uuid.NewV7()).String(), JobType: jobType, ExecutionMode: contract.ModeAsync,
		Payload: json.RawMessage(`{"n":1}`), MaxAttempts: 3, CreatedBy: "alice", RequestID: "req-1",
	}
}

// send publishes a command and returns without waiting for the verdicts.
func (h *harness) send(subs ...contract.Submission) {
	h.t.Helper()
	body, err := json.Marshal(contract.SubmitCommand{Submissions: subs})
	require.NoError(h.t, err)
	h.sendRaw(body)
}

func (h *harness) sendRaw(body []byte) {
	h.t.Helper()
	msg := nats.NewMsg(contract.SubjectSubmitJobs)
	msg.Data = body
	msg.Header.Set(contract.HeaderReplyTo, h.reply)
	_, err := h.js.PublishMsg(h.t.Context(), msg)
	require.NoError(h.t, err)
}

// submit records one job and returns the verdict.
func (h *harness) submit(sub contract.Submission) contract.SubmitVerdict {
	h.t.Helper()
	h.send(sub)
	v := testkit.Receive(h.t, h.inbox)
	require.Equal(h.t, sub.Ref, v.Ref)
	return v
}

func (h *harness) get(id string) contract.Job {
	h.t.Helper()
	job, err := bus.Call[contract.Job](h.t.Context(), h.nc, contract.RPCJobsGet, contract.JobRequest{JobID: id})
	require.NoError(h.t, err)
	return job
}

// reaches waits until a job is in a state.
func (h *harness) reaches(id string, want contract.Status) contract.Job {
	h.t.Helper()
	var job contract.Job
	testkit.Eventually(h.t, func() bool { job = h.get(id); return job.Status == want }, "job %s never became %s", id, want)
	return job
}

// work starts a worker for analyze jobs; stop drains it.
func (h *harness) work(name string, handler worker.Handler) (stop func()) {
	h.t.Helper()
	return h.workWith(worker.Config{Name: name, Queue: contract.QueuePlugins, Concurrency: 4, Lease: testkit.Lease, Grace: 5 * time.Second}, handler)
}

func (h *harness) workWith(cfg worker.Config, handler worker.Handler) (stop func()) {
	h.t.Helper()
	nc := testkit.Connect(h.t, h.server)
	w, err := worker.New(cfg, worker.Deps{NC: nc, JS: testkit.JetStream(h.t, nc), Log: zerolog.Nop(), Tracer: noop.NewTracerProvider()},
		map[string]worker.Handler{contract.JobAnalyze: handler})
	require.NoError(h.t, err)
	return testkit.Start(h.t, w)
}

func done(context.Context, worker.Job) (worker.Result, error) {
	return worker.Result{Value: map[string]int{"answer": 42}}, nil
}

// claim takes jobs the way a worker does.
func (h *harness) claim(name string, refs ...contract.LeaseRef) contract.ClaimReply {
	h.t.Helper()
	reply, err := bus.Call[contract.ClaimReply](h.t.Context(), h.nc, contract.RPCJobsClaim, contract.ClaimRequest{Worker: name, Claims: refs})
	require.NoError(h.t, err)
	return reply
}

func (h *harness) finish(name string, results ...contract.RunResult) contract.FinishReply {
	h.t.Helper()
	reply, err := bus.Call[contract.FinishReply](h.t.Context(), h.nc, contract.RPCJobsFinish, contract.FinishRequest{Worker: name, Results: results})
	require.NoError(h.t, err)
	return reply
}

func ref(jobID string) contract.LeaseRef {
	return contract.LeaseRef{JobID: jobID, LeaseToken: uuid.NewString()}
}

// eventually collects the events of a job until one of the given kind came.
func (h *harness) eventsUntil(jobID, what string) []string {
	h.t.Helper()
	var seen []string
	for {
		e := testkit.Receive(h.t, h.events)
		var c contract.JobChange
		require.NoError(h.t, json.Unmarshal(e.Data, &c))
		if c.JobID != jobID {
			continue
		}
		kind := e.Type
		seen = append(seen, kind)
		if kind == contract.EventType(contract.AreaJob, what) {
			return seen
		}
	}
}
