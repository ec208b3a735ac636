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
		"nexus-corpus: ingest file",
		"nexus-corpus: read file",
		"nexus-corpus: extract text",
		"nexus-corpus: store file",
		"nexus-corpus: atomise text",
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

// The request id goes along with the trace. Any run but the first has a trace of its
// own, linked to that of the submit, and what follows it is there.
func TestARepeatedRunHasATraceOfItsOwn(t *testing.T) {
	t.Parallel()
	exporter := tracetest.NewInMemoryExporter()
	running := start(t, nil, sdktrace.NewSimpleSpanProcessor(exporter))
	const traceID = "1af7651916cd43dd8448eb211c80319c"
	send := func(method, path, body string, key string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+running.HTTPAddr+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("X-Nexus-API-Key", key)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Less(t, resp.StatusCode, 300, "%s", answer)
	}
	// Nobody has a handler for it, so every run fails.
	send(http.MethodPost, "/api/v1/job-types", `{"name":"fails","queue":"corpus","backoff_seconds":[1]}`, "nexus-dev-admin-key")
	testkit.Eventually(t, func() bool {
		resp, err := http.DefaultClient.Do(submitFails(t, running.HTTPAddr, traceID))
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	}, "the job was not taken")

	runs := func() (out []tracetest.SpanStub) {
		for _, s := range exporter.GetSpans() {
			if s.Name == "run fails" {
				out = append(out, s)
			}
		}
		return out
	}
	testkit.Eventually(t, func() bool { return len(runs()) == 3 }, "the job was not run three times")
	first, again := runs()[0], runs()[1:]
	require.Equal(t, traceID, first.SpanContext.TraceID().String())
	seen := map[string]bool{traceID: true}
	for _, s := range again {
		id := s.SpanContext.TraceID().String()
		require.False(t, seen[id], "it is not a trace of its own")
		seen[id] = true
		require.False(t, s.Parent.IsValid())
		require.Len(t, s.Links, 1)
		require.Equal(t, traceID, s.Links[0].SpanContext.TraceID().String())
		testkit.Eventually(t, func() bool {
			for _, other := range exporter.GetSpans() {
				if other.SpanContext.TraceID().String() == id && other.Name == "keep events" {
					return true
				}
			}
			return false
		}, "the events of the run are not in its trace")
	}
	verified := false
	for _, s := range exporter.GetSpans() {
		if s.SpanContext.TraceID().String() != traceID {
			continue
		}
		for _, a := range s.Attributes {
			if a.Key == "nexus.request_id" {
				require.Equal(t, "r-4711", a.Value.AsString(), s.Name)
				verified = verified || strings.HasPrefix(s.Name, "nexus.rpc.auth.")
			}
		}
	}
	require.True(t, verified, "the request id did not reach the auth service")
}

func submitFails(t *testing.T, address, traceID string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/api/v1/jobs/submit", strings.NewReader(`{"job_type":"fails","max_attempts":3}`))
	require.NoError(t, err)
	req.Header.Set("X-Nexus-API-Key", "nexus-dev-operator-key")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Request-ID", "r-4711")
	req.Header.Set("traceparent", "00-"+traceID+"-b7ad6b7169203331-01")
	return req
}
