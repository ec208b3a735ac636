package webhooks_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/publicnet"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
	"nexus.internal/services/webhooks"
)

// harness is a webhooks service on real servers of its own; the services that it
// asks are played by the test.
type harness struct {
	t   testing.TB
	nc  *nats.Conn
	js  jetstream.JetStream
	url string
	// db is the database as its superuser sees it.
	db  *pg.DB
	log *buffer
	// resolver says where names lead; nil is that of the machine.
	resolver publicnet.Resolver

	mu sync.Mutex
	// hooks are what the jobs service knows, asked how often it was asked.
	hooks map[string]contract.JobWebhook
	asked int
	// roles are what the auth service knows.
	roles map[string]string
}

// buffer collects a log.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func settings(tb testing.TB, environ map[string]string) webhooks.Config {
	tb.Helper()
	var cfg webhooks.Config
	require.NoError(tb, config.Load(&cfg, environ))
	return cfg
}

// start starts a service that may post to this machine.
func start(tb testing.TB) *harness {
	tb.Helper()
	h := servers(tb)
	h.service(map[string]string{"NEXUS_WEBHOOKS_ALLOW_PRIVATE": "true"})
	return h
}

// servers is a harness without the service.
func servers(tb testing.TB) *harness {
	tb.Helper()
	h := &harness{t: tb, nc: testkit.NATS(tb), url: testkit.PostgresURL(tb), hooks: map[string]contract.JobWebhook{}, roles: map[string]string{}, log: &buffer{}}
	h.js = testkit.JetStream(tb, h.nc)
	h.db = testkit.OpenPostgres(tb, h.url, "")
	jobs := bus.NewRPC(h.nc, zerolog.Nop(), noop.NewTracerProvider(), "jobs")
	bus.Handle(jobs, contract.RPCJobsWebhooks, h.jobHooks)
	auth := bus.NewRPC(h.nc, zerolog.Nop(), noop.NewTracerProvider(), "auth")
	bus.Handle(auth, contract.RPCAuthOwner, h.owner)
	testkit.Start(tb, jobs, auth)
	return h
}

func (h *harness) jobHooks(_ context.Context, req contract.JobWebhooksRequest) (contract.JobWebhooksReply, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	out := contract.JobWebhooksReply{Webhooks: map[string]contract.JobWebhook{}}
	for _, id := range req.JobIDs {
		if hook, ok := h.hooks[id]; ok {
			out.Webhooks[id] = hook
		}
	}
	return out, nil
}

func (h *harness) owner(_ context.Context, req contract.OwnerRequest) (contract.VerifyReply, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !req.Quiet {
		return contract.VerifyReply{}, fault.Invalidf("loud", "This counts as a use of the key.")
	}
	role, ok := h.roles[req.Owner]
	if role == "unknowable" {
		return contract.VerifyReply{}, fault.Unavailablef("Nobody can tell.")
	}
	if !ok {
		return contract.VerifyReply{}, fault.New(fault.Unauthenticated, "unauthorized", "no")
	}
	return contract.VerifyReply{Owner: req.Owner, Role: role}, nil
}

func (h *harness) role(owner, role string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.roles[owner] = role
}

// service starts the service with the rights that it has in production.
func (h *harness) service(environ map[string]string) (stop func()) {
	h.t.Helper()
	tracer := noop.NewTracerProvider()
	db, err := pg.Open(h.t.Context(), pg.Options{
		Config: testkit.PoolConfig(h.t), URL: h.url, Role: migrations.Role("webhooks"), Tracer: tracer,
	})
	require.NoError(h.t, err)
	h.t.Cleanup(db.Close)
	svc, err := webhooks.New(settings(h.t, environ), webhooks.Deps{
		NC: h.nc, JS: h.js, DB: db, Log: zerolog.New(h.log), Tracer: tracer, Now: time.Now, ConsentEvery: 20 * time.Millisecond, Resolver: h.resolver,
	})
	require.NoError(h.t, err)
	return testkit.Start(h.t, svc.Components()...)
}

// post is what a receiver got.
type post struct {
	header http.Header
	path   string
	body   []byte
}

// event decodes the body.
func (p post) event(t testing.TB) contract.Event {
	t.Helper()
	var e contract.Event
	require.NoError(t, json.Unmarshal(p.body, &e))
	return e
}

// signedBy requires that the post was signed with a secret, in the eyes of a client
// library of Standard Webhooks.
func (p post) signedBy(t testing.TB, secret string) {
	t.Helper()
	w, err := standardwebhooks.NewWebhookRaw([]byte(secret))
	if strings.HasPrefix(secret, "whsec_") {
		w, err = standardwebhooks.NewWebhook(secret)
	}
	require.NoError(t, err)
	require.NoError(t, w.Verify(p.body, p.header))
}

// receiver is somebody outside who hears of events.
type receiver struct {
	url   string
	posts chan post
}

// receive starts a receiver whose answers answer gives; nil means 204.
func receive(tb testing.TB, answer http.HandlerFunc) *receiver {
	tb.Helper()
	r := &receiver{posts: make(chan post, 10_000)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.posts <- post{req.Header.Clone(), req.URL.RequestURI(), body}
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, req)
	}))
	tb.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// by is a request in the name of an owner.
func by(owner string) contract.WebhookAsker {
	return contract.WebhookAsker{Asker: contract.Asker{Actor: owner, RequestID: "r-1", Address: "192.0.2.7"}}
}

func admin(owner string) contract.WebhookAsker {
	a := by(owner)
	a.Admin = true
	return a
}

func call[Resp any](h *harness, subject string, req any) Resp {
	h.t.Helper()
	resp, err := bus.Call[Resp](h.t.Context(), h.nc, subject, req)
	require.NoError(h.t, err)
	return resp
}

func refused(h *harness, kind fault.Kind, subject string, req any) string {
	h.t.Helper()
	_, err := bus.Call[json.RawMessage](h.t.Context(), h.nc, subject, req)
	require.Error(h.t, err, "%s %+v", subject, req)
	require.Equal(h.t, kind, fault.KindOf(err), "%v", err)
	return err.Error()
}

func (h *harness) subscribe(req contract.CreateWebhookRequest) contract.WebhookWithSecret {
	h.t.Helper()
	return call[contract.WebhookWithSecret](h, contract.RPCWebhookCreate, req)
}

// job is an event of a job of an owner.
func job(owner string, status contract.Status, version int, id string) contract.Event {
	return jobOf(owner, status, version, id, contract.JobNoop, false)
}

func jobOf(owner string, status contract.Status, version int, id, jobType string, hooked bool) contract.Event {
	data, err := json.Marshal(contract.JobChange{
		JobID: id, JobType: jobType, Status: status, Version: version, MaxAttempts: 3, CreatedBy: owner, Webhook: hooked, ErrorText: "<&>",
	})
	if err != nil {
		panic(err)
	}
	return contract.Event{
		ID: contract.JobEventID(id, version), Type: contract.EventType(contract.AreaJob, string(status)), Time: time.Now().UTC(), Source: "nexus.jobs", Actor: owner, Data: data,
	}
}

// publish publishes a pack of events of one kind.
func (h *harness) publish(events ...contract.Event) {
	h.t.Helper()
	body, err := contract.EncodeEvents(events)
	require.NoError(h.t, err)
	var change contract.JobChange
	require.NoError(h.t, json.Unmarshal(events[0].Data, &change))
	subject, err := contract.EventSubject(contract.AreaJob, string(change.Status), change.JobType)
	require.NoError(h.t, err)
	h.raw(subject, body)
}

func (h *harness) raw(subject string, body []byte) {
	h.t.Helper()
	_, err := h.js.PublishMsg(h.t.Context(), &nats.Msg{Subject: subject, Data: body, Header: nats.Header{"Nats-Msg-Id": {uuid.NewString()}}})
	require.NoError(h.t, err)
}

// quiet waits until every event so far is settled.
func (h *harness) quiet() {
	h.t.Helper()
	testkit.Eventually(h.t, func() bool {
		cons, err := h.js.Consumer(h.t.Context(), contract.StreamEvents, contract.ConsumerWebhooks)
		if err != nil {
			return false
		}
		info := cons.CachedInfo()
		return info.NumPending == 0 && info.NumAckPending == 0
	}, "events are not settled")
}

func (h *harness) count(where string, args ...any) int {
	h.t.Helper()
	var n int
	require.NoError(h.t, h.db.Pool.QueryRow(h.t.Context(), "SELECT count(*) FROM webhooks.deliveries WHERE "+where, args...).Scan(&n))
	return n
}

// eventually waits for so many deliveries.
func (h *harness) eventually(n int, where string, args ...any) {
	h.t.Helper()
	testkit.Eventually(h.t, func() bool { return h.count(where, args...) == n }, "there are %s", where)
}

// due makes every waiting delivery due now.
func (h *harness) due() {
	h.t.Helper()
	_, err := h.db.Pool.Exec(h.t.Context(), `UPDATE webhooks.deliveries SET next_at = clock_timestamp() WHERE status = 'pending' AND claim IS NULL`)
	require.NoError(h.t, err)
}

func (h *harness) deliveries(id, status string) []contract.WebhookDelivery {
	h.t.Helper()
	return call[contract.DeliveriesReply](h, contract.RPCWebhookDeliveries, contract.DeliveriesRequest{WebhookAsker: admin("root"), WebhookID: id, Status: status, Limit: 1000}).Deliveries
}

func id() string { return uuid.Must(uuid.NewV7()).String() }

// provision makes the streams and consumers that are missing.
func (h *harness) provision() error {
	return bus.Provision(h.t.Context(), h.js, contract.Streams(), contract.Consumers(testkit.Lease))
}
