package auth_test

import (
	"bytes"
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
	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/libs/token"
	"nexus.internal/migrations"
	"nexus.internal/services/auth"
)

func TestMain(m *testing.M) {
	// The Postgres server that the tests share ends with the program.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("nexus.internal/libs/embed/embedpg.startProcess.func1"),
		goleak.IgnoreAnyFunction("nexus.internal/libs/embed/embedpg.(*Server).watch"))
}

// The keys that are seeded by default.
const (
	viewerKey     = "nexus-dev-viewer-key"
	operatorKey   = "nexus-dev-operator-key"
	researcherKey = "nexus-dev-researcher-key"
	adminKey      = "nexus-dev-admin-key"
)

func devKeys() map[string]string {
	return map[string]string{"dev-viewer": viewerKey, "dev-operator": operatorKey, "dev-researcher": researcherKey, "dev-admin": adminKey}
}

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// buffer collects a log.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
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

// harness is an auth service on real servers of its own.
type harness struct {
	t   testing.TB
	nc  *nats.Conn
	js  jetstream.JetStream
	url string
	// db is the database as its superuser sees it.
	db  *pg.DB
	log *buffer
	// events holds all auth events, from the first.
	events chan message
}

// message is an auth event with the message that carried it.
type message struct {
	contract.Event
	subject, raw string
}

// start starts an auth service as a fresh installation does.
func start(t testing.TB) *harness {
	t.Helper()
	h := servers(t)
	h.service(nil)
	return h
}

// servers is a harness without the service. When the test ends, no key may have
// been logged.
func servers(t testing.TB) *harness {
	t.Helper()
	h := &harness{t: t, nc: testkit.NATS(t), url: testkit.PostgresURL(t), log: &buffer{}}
	h.js = testkit.JetStream(t, h.nc)
	h.open()
	return h
}

func (h *harness) open() {
	h.t.Helper()
	h.db = testkit.OpenPostgres(h.t, h.url, "")
	h.events = make(chan message, 1000)
	cons, err := h.js.OrderedConsumer(h.t.Context(), contract.StreamEvents, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"nexus.events.auth.>", contract.KeyEvents, contract.FeatureEvents}})
	require.NoError(h.t, err)
	reading, err := cons.Consume(func(m jetstream.Msg) {
		events, err := contract.DecodeEvents(m.Data())
		if err != nil {
			h.t.Errorf("%s carries no events: %v", m.Subject(), err)
		}
		for _, e := range events {
			h.events <- message{e, m.Subject(), string(m.Data())}
		}
	})
	require.NoError(h.t, err)
	h.t.Cleanup(func() {
		reading.Stop()
		<-reading.Closed()
		for _, key := range devKeys() {
			require.NotContains(h.t, h.log.String(), key, "a key was logged")
			require.NotContains(h.t, h.log.String(), identity.HashKey(key), "the hash of a key was logged")
		}
	})
}

func load(env map[string]string) (auth.Config, error) {
	var cfg auth.Config
	err := config.Load(&cfg, env)
	return cfg, err
}

// service starts the service with settings and the rights that it has in
// production; stop drains it.
func (h *harness) service(env map[string]string, change ...func(*auth.Deps)) (stop func()) {
	h.t.Helper()
	return testkit.Start(h.t, h.build(env, change...).Components()...)
}

func (h *harness) build(env map[string]string, change ...func(*auth.Deps)) *auth.Service {
	h.t.Helper()
	cfg, err := load(env)
	require.NoError(h.t, err)
	deps := auth.Deps{
		NC: h.nc, JS: h.js, DB: testkit.OpenPostgres(h.t, h.url, migrations.Role("auth")), Log: zerolog.New(h.log),
		Tracer: noop.NewTracerProvider(), Now: func() time.Time { return noon },
		Tokens: token.Settings{Algorithm: token.HS256, Secret: token.DevSecret, ExpiryMinutes: 15, LifetimeHours: 12},
	}
	for _, c := range change {
		c(&deps)
	}
	s, err := auth.New(cfg, deps)
	require.NoError(h.t, err)
	return s
}

func (h *harness) exec(sql string, args ...any) {
	h.t.Helper()
	_, err := h.db.Pool.Exec(h.t.Context(), sql, args...)
	require.NoError(h.t, err)
}

// key is a row of the table of keys.
type key struct {
	id                  string
	owner, hash, role   string
	raw, enabled        bool
	created             time.Time
	lastUsed            *time.Time
	updatedAfterCreated bool
}

func (h *harness) keys() map[string]key {
	h.t.Helper()
	rows, err := h.db.Pool.Query(h.t.Context(), `SELECT id, owner, key_hash, role, raw_mode_enabled, enabled, created_at, last_used_at, updated_at > created_at FROM auth.api_keys`)
	require.NoError(h.t, err)
	defer rows.Close()
	out := map[string]key{}
	for rows.Next() {
		var k key
		var id uuid.UUID
		require.NoError(h.t, rows.Scan(&id, &k.owner, &k.hash, &k.role, &k.raw, &k.enabled, &k.created, &k.lastUsed, &k.updatedAfterCreated))
		k.id = id.String()
		out[k.owner] = k
	}
	require.NoError(h.t, rows.Err())
	return out
}

func (h *harness) verify(req contract.VerifyRequest) (contract.VerifyReply, error) {
	return bus.Call[contract.VerifyReply](h.t.Context(), h.nc, contract.RPCAuthVerify, req)
}

func (h *harness) verifyKey(key string) (contract.VerifyReply, error) {
	return h.verify(contract.VerifyRequest{KeyHash: identity.HashKey(key)})
}

func (h *harness) owner(name string) (contract.VerifyReply, error) {
	return bus.Call[contract.VerifyReply](h.t.Context(), h.nc, contract.RPCAuthOwner, contract.OwnerRequest{Owner: name})
}

// event waits for the next auth event.
func (h *harness) event() (message, contract.AuthDecision) {
	h.t.Helper()
	m := testkit.Receive(h.t, h.events)
	return m, decision(h.t, m)
}
