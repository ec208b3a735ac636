package platform_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"nexus.internal/cmd/nexus/internal/platform"
	"nexus.internal/libs/testkit"
)

// start runs the whole platform inside the test.
func start(t *testing.T, environ map[string]string, spans sdktrace.SpanProcessor) platform.Running {
	t.Helper()
	dir, err := os.MkdirTemp("", "nexus-platform-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	settings := map[string]string{
		"NEXUS_DATA_DIR": dir, "NEXUS_DATABASE_URL": testkit.EmptyDatabase(t), "NEXUS_HTTP_ADDR": "127.0.0.1:0",
		"NEXUS_NATS_LISTEN": "off", "NEXUS_CORPUS_ROOT": "../../../../examples/corpus",
	}
	for k, v := range environ {
		settings[k] = v
	}
	cfg, err := platform.LoadConfig(settings)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, done := make(chan platform.Running, 1), make(chan error, 1)
	go func() {
		done <- platform.Run(ctx, platform.Options{
			Config: cfg, Services: platform.Services(), Embedded: true, Version: "test", Log: io.Discard, Spans: spans,
			Ready: func(r platform.Running) { ready <- r },
		})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, testkit.Receive(t, done))
	})
	return testkit.Receive(t, ready)
}

// One trace leads from the HTTP request through the broker into the worker and
// Postgres, and on to the audit write.
func TestOneTraceFromRequestToAudit(t *testing.T) {
	t.Parallel()
	exporter := tracetest.NewInMemoryExporter()
	running := start(t, nil, sdktrace.NewSimpleSpanProcessor(exporter))

	const traceID = "0af7651916cd43dd8448eb211c80319c"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+running.HTTPAddr+"/api/v1/jobs/submit",
		strings.NewReader(`{"job_type":"ingest_batch","execution_mode":"sync"}`))
	require.NoError(t, err)
	req.Header.Set("X-Nexus-API-Key", "nexus-dev-operator-key")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("traceparent", "00-"+traceID+"-b7ad6b7169203331-01")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Contains(t, string(body), `"status":"succeeded"`)

	want := []string{
		"nexus-gateway: POST /api/v1/jobs/submit",
		"nexus-auth: nexus.rpc.auth.verify",
		"nexus-jobs: record jobs",
		"nexus-jobs: INSERT",
		"nexus-jobs: claim jobs",
		"nexus-corpus: run ingest_batch",
		"nexus-jobs: record results",
		"nexus-jobs: WITH",
		"nexus-audit: keep events",
		"nexus-audit: INSERT",
	}
	missing := func() []string {
		seen := map[string]bool{}
		for _, s := range exporter.GetSpans() {
			if s.SpanContext.TraceID().String() != traceID {
				continue
			}
			service := ""
			for _, a := range s.Resource.Attributes() {
				if a.Key == "service.name" {
					service = a.Value.AsString()
				}
			}
			for _, w := range want {
				if strings.HasPrefix(service+": "+s.Name, w) {
					seen[w] = true
				}
			}
		}
		var out []string
		for _, w := range want {
			if !seen[w] {
				out = append(out, w)
			}
		}
		return out
	}
	testkit.Eventually(t, func() bool { return len(missing()) == 0 }, "the trace lacks spans: "+strings.Join(missing(), ", "))
}
