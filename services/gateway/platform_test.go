package gateway_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/config"
	"nexus.internal/libs/contract"
	"nexus.internal/libs/fault"
	"nexus.internal/libs/identity"
	"nexus.internal/libs/testkit"
	"nexus.internal/services/gateway"
)

func TestHealthz(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	r := g.nobody().send(http.MethodGet, "/healthz", "")
	r.is(http.StatusOK, nil)
	require.JSONEq(t, `{"status":"ok"}`, string(r.body))
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	g.wire.breaks()
	g.nobody().send(http.MethodGet, "/healthz", "").is(http.StatusOK, nil)
	g.wire.mends()
}

func TestReadyzNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	ready := func() reply { return g.nobody().send(http.MethodGet, "/readyz", "") }
	missing := func() string { return ready().fails(http.StatusServiceUnavailable, "unavailable").Detail }
	r := ready()
	r.is(http.StatusOK, nil)
	require.JSONEq(t, `{"status":"ok"}`, string(r.body))

	const silence = " (A service that is needed for this does not answer now)"
	w.stop["auth"]()
	require.Equal(t, "Not ready: auth"+silence+".", missing())
	w.stop["corpus"]()
	require.Equal(t, "Not ready: auth"+silence+". Away, too: corpus"+silence+".", missing())
	w.service("auth", subjects()["auth"]...)
	w.service("corpus", subjects()["corpus"]...)
	ready().is(http.StatusOK, nil)

	// A service that answers may still miss its database.
	w.stop["jobs"]()
	cure := w.sick("jobs", errors.New("pq: the password is swordfish"))
	require.Equal(t, "Not ready: jobs (Postgres does not answer).", missing())
	cure()
	cure = w.sick("jobs", fault.Unavailablef("The message broker does not take its messages."))
	require.Equal(t, "Not ready: jobs (The message broker does not take its messages).", missing())
	for _, service := range []string{"auth", "corpus", "plugins", "audit", "webhooks"} {
		w.stop[service]()
	}
	detail := missing()
	for _, service := range []string{"audit", "auth", "corpus", "jobs", "plugins", "webhooks"} {
		require.Contains(t, detail, service+" (")
	}
	require.NotContains(t, detail, "swordfish")
	cure()

	g.wire.breaks()
	testkit.Eventually(t, func() bool { return !g.nc.IsConnected() }, "the connection survived its network")
	require.Equal(t, "Not ready: NATS does not answer.", missing())
	g.wire.mends()
	for service, subjects := range subjects() {
		w.service(service, subjects...)
	}
	testkit.Eventually(t, func() bool { return ready().status == http.StatusOK }, "it never got ready again")
}

// Without the services that only their own routes need, the rest goes on.
func TestServicesThatReadinessCanDoWithout(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	admin := g.role(identity.Admin)
	id := uuid.NewString()
	for service, route := range map[string]string{
		"audit": "/api/v1/audit/logs", "corpus": "/api/v1/documents", "plugins": "/api/v1/analysis/runs/" + id, "webhooks": "/api/v1/webhooks",
	} {
		w.stop[service]()
		var body struct {
			Status   string
			Degraded []struct{ Service, Detail string }
		}
		g.nobody().send(http.MethodGet, "/readyz", "").is(http.StatusOK, &body)
		require.Equal(t, "ok", body.Status)
		require.Len(t, body.Degraded, 1, "%v", body)
		require.Equal(t, service, body.Degraded[0].Service)
		require.NotEmpty(t, body.Degraded[0].Detail)
		r := admin.send(http.MethodGet, route, "")
		r.fails(http.StatusServiceUnavailable, "unavailable")
		require.NotEmpty(t, r.header.Get("Retry-After"), route)
		admin.submit(http.StatusOK, `{"job_type":"ingest_batch"}`)

		cure := w.sick(service, errors.New("no database"))
		g.nobody().send(http.MethodGet, "/readyz", "").is(http.StatusOK, &body)
		require.Equal(t, "Postgres does not answer.", body.Degraded[0].Detail)
		cure()
		w.service(service, subjects()[service]...)
	}
}

// The streams are needed: each must be there, those that hold work must have room,
// and the one of commands must store a message.
func TestReadyzAsksTheStreams(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	ready := func() reply { return g.nobody().send(http.MethodGet, "/readyz", "") }
	missing := func() string { return ready().fails(http.StatusServiceUnavailable, "unavailable").Detail }
	ready().is(http.StatusOK, nil)

	// What was stored a moment ago is not asked for again.
	commands, err := w.js.Stream(t.Context(), contract.StreamCommands)
	require.NoError(t, err)
	last := func() uint64 {
		info, err := commands.Info(t.Context())
		require.NoError(t, err)
		return info.State.LastSeq
	}
	before := last()
	for range 5 {
		ready().is(http.StatusOK, nil)
	}
	require.Equal(t, before, last())
	w.clock.advance(time.Minute)
	ready().is(http.StatusOK, nil)
	require.Equal(t, before+1, last())
	testkit.Eventually(t, func() bool {
		info, err := commands.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	}, "the recorder left the probe in the stream")

	cfg := commands.CachedInfo().Config
	frozen := cfg
	// It refuses every message, as it does when it could not write one.
	frozen.MaxMsgSize = 1
	_, err = w.js.UpdateStream(t.Context(), frozen)
	require.NoError(t, err)
	w.clock.advance(time.Minute)
	require.Equal(t, "Not ready: stream NEXUS_COMMANDS (the broker stores no messages; its disk may be full).", missing())
	_, err = w.js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
	ready().is(http.StatusOK, nil)

	runs, err := w.js.Stream(t.Context(), contract.StreamRuns)
	require.NoError(t, err)
	full := runs.CachedInfo().Config
	full.MaxBytes = 32 << 10
	_, err = w.js.UpdateStream(t.Context(), full)
	require.NoError(t, err)
	require.Equal(t, "Not ready: stream NEXUS_RUNS (it is full).", missing())

	for _, s := range contract.Streams() {
		require.NoError(t, w.js.DeleteStream(t.Context(), s.Name))
		require.Contains(t, missing(), "stream "+s.Name+" (it is missing)")
	}
}

func TestRequestsUnderWayAreAnsweredAtTheEnd(t *testing.T) {
	t.Parallel()
	w, g := start(t)
	release := make(chan struct{})
	w.judges(func(s contract.Submission) (contract.SubmitVerdict, bool) {
		<-release
		return queued(s)
	})
	c := g.role(identity.Operator)
	inFlight := c.background(`{"job_type":"analyze"}`)
	testkit.Receive(t, w.recorded)
	waiting := c.background(syncBody)
	// A request whose end is still to come when the stop begins.
	late, half := g.dial(), g.dial()
	_, err := io.WriteString(late, "GET /readyz HTTP/1.1\r\nHost: x\r\n")
	require.NoError(t, err)
	_, err = io.WriteString(half, "GET /healthz HTTP/1.1\r\nHost: x\r\n")
	require.NoError(t, err)
	// Connections are taken in turn: once a later one is answered, those two are
	// taken as well. What is not taken when the stop begins is reset.
	g.raw("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").is(http.StatusOK, nil)

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		g.stop()
	}()
	testkit.Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, "new connections are still taken")
	_, err = io.WriteString(late, "\r\n")
	require.NoError(t, err)
	require.Equal(t, "The gateway is shutting down.", g.answer(late).fails(http.StatusServiceUnavailable, "unavailable").Detail)
	_, err = io.WriteString(half, "\r\n")
	require.NoError(t, err)
	g.answer(half).is(http.StatusOK, nil)
	select {
	case <-stopped:
		require.Fail(t, "the gateway stopped with requests under way")
	default:
	}
	close(release)
	testkit.Receive(t, inFlight).is(http.StatusOK, nil)
	w.finish(testkit.Receive(t, w.recorded).JobID, contract.StatusSucceeded)
	testkit.Receive(t, waiting).is(http.StatusOK, nil)
	testkit.Receive(t, stopped)
}

func TestDocsLoadNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	r := g.nobody().send(http.MethodGet, "/docs", "")
	r.is(http.StatusOK, nil)
	page := string(r.body)
	require.Equal(t, "text/html; charset=utf-8", r.header.Get("Content-Type"))
	require.Equal(t, "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'", r.header.Get("Content-Security-Policy"))
	// Examples name addresses; nothing in them is markup.
	examples := regexp.MustCompile(`(?s)<pre>(.*?)</pre>`)
	require.Greater(t, len(examples.FindAllString(page, -1)), 20)
	for _, example := range examples.FindAllStringSubmatch(page, -1) {
		require.NotContains(t, example[1], "<")
	}
	for _, forbidden := range []string{"<script", "<iframe", "<img", "<link", "@import", "url(", "http://", "https://", "src=", "'//", `"//`} {
		require.NotContains(t, strings.ToLower(examples.ReplaceAllString(page, "")), forbidden)
	}
	require.Equal(t, [][]string{{`href="/openapi.json"`, "/openapi.json"}}, regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1))
	require.Contains(t, page, "1.2.3")
	for _, o := range operations() {
		require.Contains(t, page, `<code class="method">`+o.method+`</code> <code>`+o.path+`</code>`)
	}
	for _, word := range []string{"job_type</code> (required)", "idempotency_key", "created_after", "string (uuid)", "Needs the role", "any JSON"} {
		require.Contains(t, page, word)
	}
	r = g.nobody().send(http.MethodGet, "/", "")
	require.Equal(t, http.StatusFound, r.status)
	require.Equal(t, "/docs", r.header.Get("Location"))
}

func TestDocsShowAnswersAndSearch(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	search := func(q string) string {
		r := g.nobody().send(http.MethodGet, "/docs?q="+url.QueryEscape(q), "")
		r.is(http.StatusOK, nil)
		return string(r.body)
	}
	all := search("")
	for _, word := range []string{"attempts[].error_text", "Body of 200", "Body of 202", "waiting.high", "&#34;job_id&#34;", `role="search"`, "Jobs that wait for a worker."} {
		require.Contains(t, all, word)
	}
	shown := func(page string) int { return strings.Count(page, `class="method"`) }
	require.Equal(t, len(operations()), shown(all))
	require.NotContains(t, all, "<details open>")

	queues := search("QUEUE pause")
	require.Contains(t, queues, "/api/v1/queues/{name}/pause")
	require.NotContains(t, queues, "/api/v1/auth/keys")
	require.Equal(t, shown(queues), strings.Count(queues, "<details open>"))
	require.Less(t, shown(queues), 5)
	require.Positive(t, shown(search("lease_expires_at")), "fields of answers are found")
	require.Zero(t, shown(search("no such words")))

	evil := search(`"><script>alert(1)</script>`)
	require.NotContains(t, evil, "<script")
	require.Zero(t, shown(evil))
	require.LessOrEqual(t, strings.Count(search(strings.Repeat("é", 500)), "é"), 200)
}

func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	_, g := start(t)
	r := g.nobody().send(http.MethodGet, "/openapi.json", "")
	r.is(http.StatusOK, nil)
	offline, err := gateway.OpenAPI("1.2.3")
	require.NoError(t, err)
	require.JSONEq(t, string(offline), string(r.body), "what is served is what is generated")

	doc := document(t)
	require.Regexp(t, `^3\.1\.`, doc.OpenAPI)
	require.Equal(t, "1.2.3", doc.Info.Version)
	scheme := doc.Components.SecuritySchemes["apiKey"]
	require.Equal(t, "apiKey header X-Nexus-API-Key", scheme["type"]+" "+scheme["in"]+" "+scheme["name"])
	ids := map[string]bool{}
	for _, o := range operations() {
		op := doc.Paths[o.path][strings.ToLower(o.method)]
		require.NotEmpty(t, op.Summary, o.path)
		require.False(t, ids[op.OperationID], "%s is used twice", op.OperationID)
		ids[op.OperationID] = true
		want := []string{strconv.Itoa(o.good()), "500"}
		if o.least == "" {
			require.Empty(t, op.Security, o.path)
		} else {
			require.Equal(t, []map[string][]string{{"apiKey": {}}, {"token": {}}}, op.Security, o.path)
			want = append(want, "401", "403", "503")
		}
		if strings.Contains(o.path, "{id}") {
			want = append(want, "404", "422")
		}
		for _, status := range want {
			require.Contains(t, op.Responses, status, o.path)
			if status >= "400" {
				require.Equal(t, "#/components/schemas/Problem", op.Responses[status].Content["application/problem+json"].Schema.Ref, "%s %s", o.path, status)
			}
		}
	}
	problem := doc.Components.Schemas["Problem"].Properties
	for _, field := range []string{"type", "title", "status", "detail", "code", "request_id", "errors"} {
		require.Contains(t, problem, field)
	}
	submit := doc.Paths[submitURL]["post"].Responses
	for _, status := range []string{"400", "409", "413", "422"} {
		require.Contains(t, submit, status)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	load := func(env map[string]string) (gateway.Config, error) {
		var cfg gateway.Config
		err := config.Load(&cfg, env)
		return cfg, err
	}
	cfg, err := load(nil)
	require.NoError(t, err)
	require.Equal(t, gateway.Config{
		HTTPAddr: "127.0.0.1:8080", RawModeEnabled: true, AsyncEnabled: true, SyncWaitSeconds: 30, MaxBodyBytes: 1 << 20,
		RateLimits: "viewer=6000,operator=60000,researcher=60000,admin=60000", AuthFailures: 30, MaxBatchBytes: 16 << 20, MaxPayloadBytes: 8 << 20,
		ReadSilence: 30, ReadWhole: 600,
		SSEMaxPerKey: 16, SSEMaxTotal: 2000, SSEHeartbeatSeconds: 15, SSEMaxSeconds: 3600,
	}, cfg)
	for _, tc := range []struct{ setting, value string }{
		{"NEXUS_HTTP_NOT_READY_SECONDS", "-1"},
		{"NEXUS_HTTP_CLOSING_SECONDS", "601"},
		{"NEXUS_HTTP_ADDR", "8080"},
		{"NEXUS_HTTP_ADDR", "localhost"},
		{"NEXUS_HTTP_ADDR", "a:b:c"},
		{"NEXUS_SYNC_WAIT_SECONDS", "0"},
		{"NEXUS_SYNC_WAIT_SECONDS", "-1"},
		{"NEXUS_SYNC_WAIT_SECONDS", "600.1"},
		{"NEXUS_SYNC_WAIT_SECONDS", "soon"},
		{"NEXUS_HTTP_MAX_BODY_BYTES", "1023"},
		{"NEXUS_HTTP_MAX_BODY_BYTES", "67108865"},
		{"NEXUS_HTTP_MAX_BODY_BYTES", "1MB"},
		{"NEXUS_HTTP_READ_SILENCE_SECONDS", "0"},
		{"NEXUS_HTTP_READ_SILENCE_SECONDS", "3601"},
		{"NEXUS_HTTP_READ_SILENCE_SECONDS", "NaN"},
		{"NEXUS_HTTP_READ_SECONDS", "29"},
		{"NEXUS_HTTP_READ_SECONDS", "+Inf"},
		{"NEXUS_RAW_MODE_ENABLED", "maybe"},
		{"NEXUS_ASYNC_JOBS_ENABLED", "2"},
		{"NEXUS_RATE_LIMIT_DEFAULTS", "root=1"},
		{"NEXUS_RATE_LIMIT_DEFAULTS", "viewer"},
		{"NEXUS_RATE_LIMIT_DEFAULTS", "viewer=-1"},
		{"NEXUS_RATE_LIMIT_DEFAULTS", "viewer=1000001"},
		{"NEXUS_RATE_LIMIT_DEFAULTS", "viewer=1,viewer=2"},
		{"NEXUS_AUTH_FAILURES_PER_MINUTE", "-1"},
		{"NEXUS_AUTH_FAILURES_PER_MINUTE", "many"},
		{"NEXUS_TRUSTED_PROXIES", "10.0.0.1"},
		{"NEXUS_TRUSTED_PROXIES", "10.0.0.0/33"},
		{"NEXUS_SSE_MAX_PER_KEY", "0"},
		{"NEXUS_SSE_MAX_TOTAL", "100001"},
		{"NEXUS_SSE_HEARTBEAT_SECONDS", "0"},
		{"NEXUS_SSE_MAX_SECONDS", "86401"},
	} {
		_, err := load(map[string]string{tc.setting: tc.value})
		require.Error(t, err, "%s=%s", tc.setting, tc.value)
	}
	for _, tc := range []struct{ setting, value string }{
		{"NEXUS_HTTP_ADDR", ":0"},
		{"NEXUS_HTTP_ADDR", "[::1]:80"},
		{"NEXUS_SYNC_WAIT_SECONDS", "0.001"},
		{"NEXUS_SYNC_WAIT_SECONDS", "600"},
		{"NEXUS_HTTP_MAX_BODY_BYTES", "1024"},
		{"NEXUS_HTTP_MAX_BODY_BYTES", "67108864"},
		{"NEXUS_HTTP_READ_SECONDS", "30"},
		{"NEXUS_RAW_MODE_ENABLED", "false"},
		{"NEXUS_RATE_LIMIT_DEFAULTS", ""},
		{"NEXUS_RATE_LIMIT_DEFAULTS", " viewer = 0 , admin=1000000,"},
		{"NEXUS_AUTH_FAILURES_PER_MINUTE", "0"},
		{"NEXUS_TRUSTED_PROXIES", "10.0.0.0/8, ::1/128"},
	} {
		_, err := load(map[string]string{tc.setting: tc.value})
		require.NoError(t, err, "%s=%s", tc.setting, tc.value)
	}
	err = gateway.Config{HTTPAddr: "x"}.Validate()
	for _, name := range []string{"NEXUS_HTTP_ADDR", "NEXUS_SYNC_WAIT_SECONDS", "NEXUS_HTTP_MAX_BODY_BYTES"} {
		require.ErrorContains(t, err, name, "all that is wrong is named at once")
	}
}

func TestBodyLimitIsASetting(t *testing.T) {
	t.Parallel()
	_, g := start(t, with(func(c *gateway.Config) { c.MaxBodyBytes, c.MaxPayloadBytes = 2000, 64<<10 }))
	c := g.role(identity.Operator)
	body := func(n int) string {
		const frame = `{"job_type":"ingest_batch","payload":{"p":""}}`
		return frame + strings.Repeat(" ", n-len(frame))
	}
	c.submit(http.StatusOK, body(128<<10-1))
	p := c.send(http.MethodPost, submitURL, body(128<<10+1)).fails(http.StatusRequestEntityTooLarge, "too_large")
	require.Equal(t, "The body is larger than this server takes.", p.Detail)
}

func TestListenerThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	listener := listen(t)
	require.NoError(t, listener.Close())
	nc := testkit.Connect(t, w.server)
	s, err := gateway.New(gateway.Config{SyncWaitSeconds: 1, MaxBodyBytes: 1024}, gateway.Deps{NC: nc, JS: w.js, Listener: listener, Tokens: tokens(), Tracer: noop.NewTracerProvider(), Now: w.clock.now})
	require.NoError(t, err)
	parts := s.Components()
	require.ErrorContains(t, parts[len(parts)-1].Run(t.Context(), func() {}), "serve HTTP")
}
