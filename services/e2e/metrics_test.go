package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/testkit"
)

// scraped reads a page of metrics as Prometheus does.
func scraped(t testing.TB, base string) map[string]*dto.MetricFamily {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/metrics/prometheus", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", resp.Header.Get("Content-Type"))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	require.NoError(t, err)
	return families
}

// sample is the value of the one series of a family that has the labels, or -1.
func sample(families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	for _, m := range families[name].GetMetric() {
		var have []string
		for _, l := range m.GetLabel() {
			have = append(have, l.GetName()+"="+l.GetValue())
		}
		all := true
		for _, want := range labels {
			all = all && strings.Contains(" "+strings.Join(have, " ")+" ", " "+want+" ")
		}
		if all {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return -1
}

// documented are the metrics that docs/metrics.md lists.
func documented(t testing.TB) (names []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	for _, row := range regexp.MustCompile("(?m)^\\| `(nexus_[a-z_]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		names = append(names, row[1])
	}
	require.Greater(t, len(names), 50)
	return names
}

// What the documentation lists is there once some jobs have run, and says what
// happened. The endpoint that metrics are pushed to is down, and costs no job anything.
func TestMetrics(t *testing.T) {
	t.Parallel()
	database, dir := testkit.EmptyDatabase(t), dataDir(t)
	env := append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_DATABASE_URL="+database, "NEXUS_CORPUS_ROOT="+corpusRoot(t), privateWebhooks,
		"NEXUS_OTLP_ENDPOINT=http://127.0.0.1:1", "NEXUS_OTLP_METRICS_SECONDS=1")
	first := launch(t, t.TempDir(), env, "up")
	c := client{t, first.http, operatorKey}
	document := someDocument(c)
	url, got := listen(t)
	c.submit(map[string]any{
		"job_type": "analyze", "execution_mode": "sync", "payload": map[string]any{"document_id": document},
		"webhook": map[string]any{"url": url, "events": []string{"job.succeeded"}},
	})
	collect(t, got, 1)
	c.submit(map[string]any{"job_type": "integrity_audit", "delay_seconds": 3600})
	for _, path := range []string{"/made/up", "/api/v1/jobs/" + strings.Repeat("x", 5000)} {
		status, _ := c.text(http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusNotFound, status)
	}
	status, _ := client{t, first.http, "nobody's key"}.text(http.MethodGet, "/api/v1/jobs", "", nil)
	require.Equal(t, http.StatusUnauthorized, status)

	nobody := client{t, first.http, ""}
	var families map[string]*dto.MetricFamily
	testkit.Eventually(t, func() bool {
		families = scraped(t, first.http)
		return sample(families, "nexus_jobs_queued", "job_type=integrity_audit") == 1 && sample(families, "nexus_otlp_push_failures_total") > 0 && sample(families, "nexus_trace_spans_total", "outcome=dropped") > 0 &&
			sample(families, "nexus_consumer_up", "consumer=jobs-recorder") == 1 && sample(families, "nexus_webhook_delivery_duration_seconds") > 0
	}, "the metrics do not come")
	for _, name := range documented(t) {
		require.Contains(t, families, name, "the documentation lists it")
	}
	for _, name := range watched(t, families) {
		require.Contains(t, families, name, "the board or an alert rule names it")
	}
	for labels, want := range map[string]float64{
		"nexus_jobs_submitted_total job_type=analyze":                            1,
		"nexus_jobs_started_total job_type=analyze":                              1,
		"nexus_jobs_finished_total job_type=analyze outcome=succeeded":           1,
		"nexus_jobs_finished_total job_type=analyze outcome=failed":              0,
		"nexus_jobs_attempts_total job_type=ingest_batch outcome=succeeded":      1,
		"nexus_jobs_start_delay_seconds job_type=analyze":                        1,
		"nexus_jobs_run_duration_seconds job_type=analyze":                       1,
		"nexus_jobs_running job_type=analyze":                                    0,
		"nexus_jobs_lease_recoveries_total job_type=analyze":                     0,
		"nexus_auth_decisions_total door=http outcome=failure":                   1,
		"nexus_http_requests_total method=GET path=unmatched status=404":         1,
		"nexus_http_requests_total method=GET path=/api/v1/jobs/{id} status=404": 1,
		"nexus_webhook_deliveries_total outcome=delivered":                       1,
		"nexus_db_pool_size service=jobs":                                        5,
		"nexus_dead_letters_total from=jobs":                                     0,
	} {
		words := strings.Fields(labels)
		require.InDelta(t, want, sample(families, words[0], words[1:]...), 0, labels)
	}
	require.Positive(t, sample(families, "nexus_plugin_calls_total", "outcome=ok", "plugin=deterministic"))
	require.Positive(t, sample(families, "nexus_jobs_batch_size", "operation=finish"))

	snapshot := nobody.get("/metrics")
	counters, timings := object(t, snapshot["counters"]), object(t, snapshot["timings"])
	require.Positive(t, counters["http.status.200"])
	require.InDelta(t, 2.0, counters["http.status.404"], 0)
	require.InDelta(t, 2.0, counters["jobs.finished.succeeded"], 0)
	for _, part := range []string{"count", "avg_ms", "p95_ms"} {
		require.Positive(t, object(t, timings["http.request.ms"])[part])
	}
	require.InDelta(t, 30.0, snapshot["db.pool.size"], 0)
	require.Contains(t, snapshot, "db.pool.checked_out")
	require.Contains(t, snapshot, "db.pool.overflow")

	// After a crash gauges are what they were, and counters begin again.
	first.kill()
	second := launch(t, t.TempDir(), env, "up")
	testkit.Eventually(t, func() bool {
		families = scraped(t, second.http)
		return sample(families, "nexus_jobs_queued", "job_type=integrity_audit") == 1
	}, "the job that waits is not counted")
	require.InDelta(t, 0.0, sample(families, "nexus_jobs_submitted_total", "job_type=integrity_audit"), 0)
}

// opsOf finds where a process serves what its operators ask for.
func (p *process) opsOf() string {
	p.t.Helper()
	var address string
	require.Eventually(p.t, func() bool {
		_, rest, ok := strings.Cut(p.log(), `"ops_address":"`)
		address, _, _ = strings.Cut(rest, `"`)
		return ok
	}, patience, 10*time.Millisecond, "it does not say where")
	return "http://" + address
}

// readiness is the status and the sentence of /readyz.
func readiness(t testing.TB, base string) string {
	t.Helper()
	status, answer, _ := client{t, base, ""}.call(http.MethodGet, "/readyz", nil)
	return fmt.Sprint(status, " ", answer["status"], " ", answer["detail"])
}

const readyNow = "200 ok <nil>"

func TestEveryProcessTellsOfItself(t *testing.T) {
	t.Parallel()
	database, dir := testkit.EmptyDatabase(t), dataDir(t)
	server := launch(t, t.TempDir(), append(freePorts(), "NEXUS_DATA_DIR="+dir), "nats")
	require.Equal(t, readyNow, readiness(t, server.opsOf()))
	require.InDelta(t, 1.0, sample(scraped(t, server.opsOf()), "nexus_build_info"), 0)
	env := append(freePorts(), "NEXUS_NATS_URL="+server.nats, "NEXUS_NATS_KEYS_DIR="+dir+"/keys", "NEXUS_DATA_DIR="+dir,
		"NEXUS_DATABASE_URL="+database, "NEXUS_CORPUS_ROOT="+corpusRoot(t))
	alone := map[string]string{}
	for _, service := range []string{"auth", "audit", "jobs", "corpus", "plugins", "webhooks", "gateway", "worker"} {
		base := launch(t, t.TempDir(), env, service).opsOf()
		alone[service] = base
		require.Equal(t, "ok", client{t, base, ""}.get("/healthz")["status"], service)
		testkit.Eventually(t, func() bool { return readiness(t, base) == readyNow }, "%s: %s", service, readiness(t, base))
		families := scraped(t, base)
		require.InDelta(t, 1.0, sample(families, "nexus_build_info"), 0, service)
		require.Equal(t, service != "gateway", families["nexus_db_pool_size"] != nil, service)
	}
	require.NotNil(t, scraped(t, alone["jobs"])["nexus_jobs_submitted_total"])

	// Nobody is let into the database any more.
	name := testkit.OpenPostgres(t, database, "").Pool.Config().ConnConfig.Database
	db := testkit.OpenPostgres(t, testkit.EmptyDatabase(t), "")
	_, err := db.Pool.Exec(t.Context(), `UPDATE pg_database SET datallowconn = false WHERE datname = $1`, name)
	require.NoError(t, err)
	_, err = db.Pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, name)
	require.NoError(t, err)
	for _, service := range []string{"auth", "audit", "jobs", "corpus", "plugins", "webhooks"} {
		want := fmt.Sprintf("503 503 Not ready: %s (Postgres does not answer).", service)
		testkit.Eventually(t, func() bool { return readiness(t, alone[service]) == want }, "%s: %s", service, readiness(t, alone[service]))
	}
	server.stop()
	testkit.Eventually(t, func() bool { return strings.Contains(readiness(t, alone["gateway"]), "gateway (NATS does not answer") }, "the gateway is ready without NATS")
	testkit.Eventually(t, func() bool {
		return strings.Contains(readiness(t, alone["jobs"]), "jobs (NATS does not answer, and Postgres does not answer)")
	}, "jobs: %s", readiness(t, alone["jobs"]))
	for service, base := range alone {
		require.Equal(t, "ok", client{t, base, ""}.get("/healthz")["status"], service)
		require.InDelta(t, 1.0, sample(scraped(t, base), "nexus_build_info"), 0, service)
	}
}

// A process that waits for its servers can be asked, and scraped.
func TestAStartIsTold(t *testing.T) {
	t.Parallel()
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := closed.Addr().String()
	require.NoError(t, closed.Close())
	dir := t.TempDir()
	p := &process{t: t, cmd: command(t, dir, append(freePorts(), "NEXUS_DATA_DIR="+dir, "NEXUS_NATS_URL=nats://"+address,
		"NEXUS_DATABASE_URL=postgres://nobody@"+address+"/none"), "gateway"), done: make(chan struct{})}
	p.cmd.Stderr, p.cmd.Stdout = p, io.Discard
	require.NoError(t, p.cmd.Start())
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	t.Cleanup(p.end)
	base := p.opsOf()
	require.Equal(t, "ok", client{t, base, ""}.get("/healthz")["status"])
	testkit.Eventually(t, func() bool {
		return strings.Contains(readiness(t, base), "503 503 Not ready: it is starting, and waits for")
	}, "%s", readiness(t, base))
	require.InDelta(t, 1.0, sample(scraped(t, base), "nexus_build_info"), 0)
	require.Empty(t, client{t, base, ""}.get("/metrics")["counters"])
}
