package audit_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/bus"
	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/pg"
	"nexus.internal/libs/testkit"
	"nexus.internal/migrations"
	"nexus.internal/services/audit"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// harness is an audit service on real servers of its own.
type harness struct {
	t   testing.TB
	nc  *nats.Conn
	js  jetstream.JetStream
	url string
	// db is the database as its superuser sees it.
	db   *pg.DB
	stop func()
}

func settings(tb testing.TB) audit.Config {
	tb.Helper()
	var cfg audit.Config
	require.NoError(tb, config.Load(&cfg, nil))
	return cfg
}

func start(tb testing.TB) *harness {
	tb.Helper()
	h := servers(tb)
	h.service(noop.NewTracerProvider())
	return h
}

// servers is a harness without the service.
func servers(tb testing.TB) *harness {
	tb.Helper()
	h := &harness{t: tb, nc: testkit.NATS(tb), url: testkit.PostgresURL(tb)}
	h.js = testkit.JetStream(tb, h.nc)
	h.db = testkit.OpenPostgres(tb, h.url, "")
	return h
}

// service starts the service with the rights that it has in production.
func (h *harness) service(tracer trace.TracerProvider) {
	h.t.Helper()
	db, err := pg.Open(h.t.Context(), pg.Options{
		Config: testkit.PoolConfig(h.t), URL: h.url, Role: migrations.Role("audit"), Tracer: tracer,
	})
	require.NoError(h.t, err)
	h.t.Cleanup(db.Close)
	svc, err := audit.New(settings(h.t), audit.Deps{NC: h.nc, JS: h.js, DB: db, Log: zerolog.Nop(), Tracer: tracer})
	require.NoError(h.t, err)
	h.stop = testkit.Start(h.t, svc.Components()...)
}

func event(id string) contract.Event {
	return contract.Event{
		ID: id, Type: contract.EventType(contract.AreaJob, "queued"), Time: noon, Source: "nexus.jobs", Actor: "ann",
		RequestID: "r-" + id, Data: json.RawMessage(`{"job_id":"` + id + `"}`),
	}
}

// publish publishes a pack of events under a message id.
func (h *harness) publish(id string, events ...contract.Event) {
	h.t.Helper()
	body, err := contract.EncodeEvents(events)
	require.NoError(h.t, err)
	subject, err := contract.EventSubject(contract.AreaJob, "queued", "noop")
	require.NoError(h.t, err)
	h.publishRaw(&nats.Msg{Subject: subject, Data: body, Header: nats.Header{"Nats-Msg-Id": {id}}})
}

func (h *harness) publishRaw(m *nats.Msg) {
	h.t.Helper()
	_, err := h.js.PublishMsg(h.t.Context(), m)
	require.NoError(h.t, err)
}

func (h *harness) logs(q contract.AuditQuery) contract.AuditReply {
	h.t.Helper()
	reply, err := bus.Call[contract.AuditReply](h.t.Context(), h.nc, contract.RPCAuditLogs, q)
	require.NoError(h.t, err)
	return reply
}

func (h *harness) count(table string) int {
	h.t.Helper()
	var n int
	require.NoError(h.t, h.db.Pool.QueryRow(h.t.Context(), "SELECT count(*) FROM audit."+table).Scan(&n))
	return n
}

// quiet waits until the service is done with all that was published.
func (h *harness) quiet() {
	h.t.Helper()
	for _, c := range [][2]string{{contract.StreamEvents, contract.ConsumerAudit}, {contract.StreamDead, contract.ConsumerDead}} {
		testkit.Eventually(h.t, func() bool {
			stream, err := h.js.Stream(h.t.Context(), c[0])
			require.NoError(h.t, err)
			cons, err := stream.Consumer(h.t.Context(), c[1])
			if err != nil {
				return false
			}
			return cons.CachedInfo().AckFloor.Stream == stream.CachedInfo().State.LastSeq
		}, "%s is not quiet", c[1])
	}
}

func TestEventsBecomeEntries(t *testing.T) {
	t.Parallel()
	h := start(t)
	denied := event("2")
	denied.Type = contract.EventType(contract.AreaAuth, contract.WhatAuthDenied)
	denied.Time = noon.Add(time.Second)
	h.publish("a", event("1"), denied)
	h.quiet()
	reply := h.logs(contract.AuditQuery{})
	require.Len(t, reply.Entries, 2)
	for i := range reply.Entries {
		require.Positive(t, reply.Entries[i].ID)
		reply.Entries[i].ID = 0
	}
	require.Equal(t, contract.AuditReply{Limit: 100, Entries: []contract.AuditEntry{
		{EventID: "2", Action: "auth_denied", Actor: "ann", RequestID: "r-2", Details: json.RawMessage(`{"job_id":"2"}`), OccurredAt: denied.Time},
		{EventID: "1", Action: "job_queued", Actor: "ann", RequestID: "r-1", Details: json.RawMessage(`{"job_id":"1"}`), OccurredAt: noon},
	}}, reply)
	require.Equal(t, "1", h.logs(contract.AuditQuery{Action: "job_queued"}).Entries[0].EventID)
	one := h.logs(contract.AuditQuery{EventID: "2"}).Entries
	require.Len(t, one, 1)
	require.Equal(t, "2", one[0].EventID)
	require.Empty(t, h.logs(contract.AuditQuery{EventID: "2", Action: "job_queued"}).Entries)
	require.Empty(t, h.logs(contract.AuditQuery{EventID: "%"}).Entries)
}

// The broker delivers at least once, and publishers publish at least once.
func TestEveryEventIsKeptOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	for round := range 3 {
		for pack := range 20 {
			h.publish(fmt.Sprintf("%d-%d", round, pack), event(fmt.Sprint(pack)), event(fmt.Sprint(pack, "b")))
		}
	}
	h.quiet()
	// A consumer that is made again starts from the beginning.
	require.NoError(t, h.js.DeleteConsumer(t.Context(), contract.StreamEvents, contract.ConsumerAudit))
	h.publish("last", event("last"))
	testkit.Eventually(t, func() bool { return h.count("audit_logs") == 41 }, "the trail stops at %d", h.count("audit_logs"))
	h.quiet()
	require.Equal(t, 41, h.count("audit_logs"))
	require.Zero(t, h.count("dead_letters"))
}

func TestWhatIsNotOursBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	h := start(t)
	const subject = "nexus.events.job.queued.noop"
	h.publishRaw(&nats.Msg{Subject: subject, Data: []byte(`{"stream":"NEXUS_EVENTS","seq":1}`), Header: nats.Header{"X-Nexus-API-Key": {"s3cret"}}})
	h.publishRaw(&nats.Msg{Subject: subject, Header: nats.Header{"Status": {"409"}, "Description": {"Consumer Deleted"}, "Twice": {"a", "b"}}})
	h.publishRaw(&nats.Msg{Subject: subject, Data: []byte(strings.Repeat("x", 1<<20-200))})
	h.publish("deep", deep("deep", 9_000))
	h.publish("good", event("good"))
	h.quiet()
	require.Equal(t, 5, h.count("dead_letters")+h.count("audit_logs"), "each is kept in one place")

	rows, err := h.db.Pool.Query(t.Context(), `SELECT subject, origin, reason, length(body), body_size, headers::text FROM audit.dead_letters ORDER BY id`)
	require.NoError(t, err)
	defer rows.Close()
	reasons := map[int]string{}
	for rows.Next() {
		var subject, origin, reason, headers string
		var kept, size int
		require.NoError(t, rows.Scan(&subject, &origin, &reason, &kept, &size, &headers))
		require.Regexp(t, `^nexus\.dead\.audit\.(undecodable|unstorable)$`, subject)
		require.Equal(t, "nexus.events.job.queued.noop", origin)
		require.Contains(t, headers, "Nexus-Reason")
		require.NotContains(t, headers, "s3cret")
		require.LessOrEqual(t, kept, size)
		reasons[size] = reason
	}
	require.NoError(t, rows.Err())
	require.Contains(t, reasons[33], "decode events")
	require.Contains(t, reasons[0], "decode events")
	require.Contains(t, reasons[1<<20-200], "decode events")
	require.Equal(t, "good", h.logs(contract.AuditQuery{Actor: "ann", Limit: 1}).Entries[0].EventID)
}

// deep is an event with data nested so deep that only some programs read it.
func deep(id string, levels int) contract.Event {
	e := event(id)
	e.Time = noon.Add(-time.Hour)
	e.Data = json.RawMessage(strings.Repeat("[", levels) + strings.Repeat("]", levels))
	return e
}

func TestDeadLettersOfOthers(t *testing.T) {
	t.Parallel()
	h := start(t)
	subject, err := contract.DeadSubject("jobs", "poison")
	require.NoError(t, err)
	h.publishRaw(&nats.Msg{Subject: subject, Data: []byte{0, 1, 0xff}, Header: nats.Header{
		"Nexus-Reason": {"too\x00bad"}, "Nexus-Origin": {"nexus.cmd.jobs.submit"}, "Bad": {"\xff", "ok"},
	}})
	h.publishRaw(&nats.Msg{Subject: subject})
	h.quiet()
	require.Equal(t, 2, h.count("dead_letters"))
	var reason, bare, bad string
	var body []byte
	require.NoError(t, h.db.Pool.QueryRow(t.Context(), `SELECT a.reason, b.reason, a.body, a.headers->'Bad'->>1
		FROM audit.dead_letters a, audit.dead_letters b WHERE a.sequence = 1 AND b.sequence = 2`).Scan(&reason, &bare, &body, &bad))
	require.Equal(t, "too\uFFFDbad", reason)
	require.Equal(t, "poison", bare, "without a reason, the subject says it")
	require.Equal(t, []byte{0, 1, 0xff}, body)
	require.Equal(t, "ok", bad)
}

// The database goes away and comes back; nothing is lost.
func TestOutage(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.publish("before", event("before"))
	h.quiet()
	database, admin := h.admin()
	_, err := admin.Pool.Exec(t.Context(), `ALTER DATABASE `+database+` WITH ALLOW_CONNECTIONS false`)
	require.NoError(t, err)
	_, err = admin.Pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, database)
	require.NoError(t, err)
	for i := range 50 {
		h.publish(fmt.Sprint("during", i), event(fmt.Sprint("during", i)))
	}
	subject, err := contract.DeadSubject("jobs", "poison")
	require.NoError(t, err)
	h.publishRaw(&nats.Msg{Subject: subject, Data: []byte("x")})
	testkit.Eventually(t, func() bool {
		cons, err := h.js.Consumer(t.Context(), contract.StreamEvents, contract.ConsumerAudit)
		require.NoError(t, err)
		return cons.CachedInfo().NumRedelivered > 0
	}, "no message came again")

	_, err = bus.Call[contract.AuditReply](t.Context(), h.nc, contract.RPCAuditLogs, contract.AuditQuery{})
	require.Error(t, err)
	_, err = admin.Pool.Exec(t.Context(), `ALTER DATABASE `+database+` WITH ALLOW_CONNECTIONS true`)
	require.NoError(t, err)
	h.quiet()
	require.Equal(t, 51, h.count("audit_logs"))
	require.Equal(t, 1, h.count("dead_letters"))
}

// admin is a connection to another database of the same server.
func (h *harness) admin() (database string, db *pg.DB) {
	h.t.Helper()
	u, err := url.Parse(h.url)
	require.NoError(h.t, err)
	database = strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	return database, testkit.OpenPostgres(h.t, u.String(), "")
}

// A service that stops finishes what it holds or gives it back.
func TestStopLosesNothing(t *testing.T) {
	t.Parallel()
	h := start(t)
	const total = 300
	for i := range total {
		if i == total/2 {
			h.stop()
		}
		h.publish(fmt.Sprint(i), event(fmt.Sprint(i)))
	}
	require.True(t, h.nc.IsConnected(), "the connection belongs to the process")
	h.service(noop.NewTracerProvider())
	h.quiet()
	require.Equal(t, total, h.count("audit_logs"))
}

func TestLogsRefusesBadQueries(t *testing.T) {
	t.Parallel()
	h := start(t)
	for _, q := range []contract.AuditQuery{{Limit: -1}, {Limit: 1001}, {Offset: -1}} {
		_, err := bus.Call[contract.AuditReply](t.Context(), h.nc, contract.RPCAuditLogs, q)
		require.Equal(t, fault.Unprocessable, fault.KindOf(err))
	}
	require.Equal(t, contract.AuditReply{Entries: []contract.AuditEntry{}, Limit: 1000, Offset: 5}, h.logs(contract.AuditQuery{Limit: 1000, Offset: 5}))
}

// A page that is too large for one message ends early and says so.
func TestLargePages(t *testing.T) {
	t.Parallel()
	h := start(t)
	for i := range 40 {
		e := event(fmt.Sprint(i))
		e.Data = json.RawMessage(`"` + strings.Repeat("<", 50_000) + `"`)
		h.publish(e.ID, e)
	}
	h.quiet()
	seen := map[string]bool{}
	for {
		reply := h.logs(contract.AuditQuery{Limit: 1000, Offset: len(seen)})
		for _, e := range reply.Entries {
			seen[e.EventID] = true
		}
		if len(reply.Entries) < reply.Limit {
			break
		}
	}
	require.Len(t, seen, 40)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, settings(t).Validate())
	var cfg audit.Config
	err := config.Load(&cfg, map[string]string{
		"NEXUS_AUDIT_IN_FLIGHT": "0", "NEXUS_AUDIT_BATCH_BYTES": "1", "NEXUS_AUDIT_DEAD_LETTER_BYTES": "-1",
	})
	for _, name := range []string{"IN_FLIGHT is 0: want 1 to 10000", "BATCH_BYTES is 1", "DEAD_LETTER_BYTES is -1"} {
		require.ErrorContains(t, err, "NEXUS_AUDIT_"+name)
	}
}

func TestStartFailsWithoutItsStreams(t *testing.T) {
	t.Parallel()
	h := servers(t)
	require.NoError(t, h.js.DeleteStream(t.Context(), contract.StreamDead))
	svc, err := audit.New(settings(t), audit.Deps{NC: h.nc, JS: h.js, DB: h.db, Log: zerolog.Nop(), Tracer: noop.NewTracerProvider()})
	require.NoError(t, err)
	require.ErrorIs(t, svc.Components()[1].Run(t.Context(), func() {}), jetstream.ErrStreamNotFound)
}

func TestClosedConnectionStopsTheService(t *testing.T) {
	t.Parallel()
	h := servers(t)
	svc, err := audit.New(settings(t), audit.Deps{NC: h.nc, JS: h.js, DB: h.db, Log: zerolog.Nop(), Tracer: noop.NewTracerProvider()})
	require.NoError(t, err)
	stopped := make(chan error, 1)
	go func() { stopped <- svc.Components()[1].Run(t.Context(), h.nc.Close) }()
	require.ErrorContains(t, testkit.Receive(t, stopped), "the subscriptions have ended")
}
