package telemetry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"nexus.internal/libs/telemetry"
	"nexus.internal/libs/testkit"
)

func TestExporterPostsToTheTracesPath(t *testing.T) {
	t.Parallel()
	paths := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }))
	t.Cleanup(collector.Close)
	exporter, err := telemetry.NewExporter(t.Context(), collector.URL)
	require.NoError(t, err)
	processor := sdktrace.NewSimpleSpanProcessor(exporter)
	_, span := telemetry.NewProvider("jobs", "v9", processor).Tracer("test").Start(t.Context(), "x")
	span.End()
	require.Equal(t, "/v1/traces", testkit.Receive(t, paths))
}

func TestExporterRefusesAnInvalidURL(t *testing.T) {
	t.Parallel()
	_, err := telemetry.NewExporter(t.Context(), "127.0.0.1:4318")
	require.Error(t, err)
}

func TestOnlyTheFiveLevelsAreTaken(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"7", "-5", "disabled", "fatal", "panic"} {
		_, err := telemetry.NewLogs(io.Discard, level, telemetry.FormatJSON)
		require.Error(t, err, level)
	}
}
