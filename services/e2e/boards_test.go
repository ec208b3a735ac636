package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// watched are the metrics that the board and the alert rules name, by the family that
// they belong to in a page of metrics.
func watched(t testing.TB, families map[string]*dto.MetricFamily) (names []string) {
	t.Helper()
	for file, atLeast := range map[string]int{"grafana/nexus.json": 50, "prometheus/rules.yml": 15} {
		text, err := os.ReadFile("../../deploy/observability/" + file)
		require.NoError(t, err)
		found := map[string]bool{}
		for _, name := range regexp.MustCompile(`\b(?:nexus|go|process)_[a-z_]+\b`).FindAllString(string(text), -1) {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if family := strings.TrimSuffix(name, suffix); families[family].GetType() == dto.MetricType_HISTOGRAM {
					name = family
				}
			}
			found[name] = true
		}
		require.Greater(t, len(found), atLeast, file)
		for name := range found {
			names = append(names, name)
		}
	}
	return names
}

// Beside an endpoint that takes traces alone, metrics are not pushed: not even the last
// of them, which a process that stops pushes otherwise.
func TestMetricsArePushedUnlessTheyAreOnlyScraped(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[string]bool{"3600": true, "0": false} {
		t.Run(seconds, func(t *testing.T) {
			t.Parallel()
			var pushed atomic.Bool
			endpoint := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/metrics" {
					pushed.Store(true)
				}
			}))
			t.Cleanup(endpoint.Close)
			server := launch(t, t.TempDir(), append(freePorts(), "NEXUS_DATA_DIR="+dataDir(t),
				"NEXUS_OTLP_ENDPOINT="+endpoint.URL, "NEXUS_OTLP_METRICS_SECONDS="+seconds), "nats")
			require.InDelta(t, 1.0, sample(scraped(t, server.opsOf()), "nexus_build_info"), 0)
			server.stop()
			require.Equal(t, want, pushed.Load())
		})
	}
}
