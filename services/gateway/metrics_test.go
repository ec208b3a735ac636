package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/identity"
	"nexus.internal/libs/metrics"
	"nexus.internal/services/gateway"
)

// measuring has a gateway measure what it does.
func measuring(t testing.TB) setting {
	t.Helper()
	p, err := metrics.New(metrics.Options{Name: "nexus-gateway", Version: "v9"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(p.Err(), p.Shutdown(context.Background()))) })
	return func(_ *gateway.Config, deps *gateway.Deps) { deps.Metrics = p }
}

func page(t testing.TB, address, path string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return body
}

func families(t testing.TB, address string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	found, err := parser.TextToMetricFamilies(bytes.NewReader(page(t, address, "/metrics/prometheus")))
	require.NoError(t, err)
	return found
}

// requests are the counts of requests by method, path and status.
func requests(t testing.TB, address string) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, m := range families(t, address)["nexus_http_requests_total"].GetMetric() {
		var words []string
		for _, l := range m.GetLabel() {
			words = append(words, l.GetValue())
		}
		out[strings.Join(words, " ")] = m.GetCounter().GetValue()
	}
	return out
}

func TestRequestsAreCountedByTheirRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.gateway(measuring(t))
	require.JSONEq(t, `{"counters":{},"timings":{}}`, string(page(t, g.address, "/metrics")), "nothing was measured before")
	const attempts = 300
	var asking sync.WaitGroup
	for part := range 3 {
		asking.Go(func() {
			for i := range attempts {
				word := fmt.Sprintf("%d-%d", part, i)
				for _, path := range []string{"/made/up/" + word, "/api/v1/jobs/" + word, "/" + word + strings.Repeat("x", 2000)} {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.address+path, nil)
					if err != nil {
						t.Error(err)
						return
					}
					req.Header.Set("X-Nexus-API-Key", keyOf(ownerOf(identity.Operator)))
					resp, err := http.DefaultClient.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			}
		})
	}
	asking.Wait()
	got := requests(t, g.address)
	require.InDelta(t, 3*2.0*attempts, got["GET unmatched 404"], 0)
	require.NotContains(t, got, "GET / 404")
	total := 0.0
	for series, n := range got {
		require.LessOrEqual(t, len(series), 100, "a raw path is a label")
		if strings.HasPrefix(series, "GET /api/v1/jobs/{id} ") {
			total += n
		}
	}
	require.InDelta(t, 3.0*attempts, total, 0)
	require.Less(t, len(got), 10)

	var snapshot struct {
		Counters map[string]int64
		Timings  map[string]metrics.Timing
	}
	require.NoError(t, json.Unmarshal(page(t, g.address, "/metrics"), &snapshot))
	require.EqualValues(t, 3*2*attempts, snapshot.Counters["http.status.404"]-int64(total)*boolInt(got["GET /api/v1/jobs/{id} 404"] > 0))
	require.GreaterOrEqual(t, snapshot.Timings["http.request.ms"].Count, int64(3*3*attempts))
	durations := families(t, g.address)["nexus_http_request_duration_seconds"]
	require.Equal(t, dto.MetricType_HISTOGRAM, durations.GetType())
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func TestScrapesOfAGatewayThatMeasuresNothing(t *testing.T) {
	t.Parallel()
	g := newWorld(t).gateway()
	require.Empty(t, page(t, g.address, "/metrics/prometheus"))
	require.JSONEq(t, `{"counters":{},"timings":{}}`, string(page(t, g.address, "/metrics")))
}
