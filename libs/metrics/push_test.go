package metrics_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"nexus.internal/libs/metrics"
	"nexus.internal/libs/testkit"
)

func pushing(t testing.TB, endpoint string) *metrics.Provider {
	t.Helper()
	push, err := metrics.NewPush(t.Context(), endpoint, 20*time.Millisecond, zerolog.Nop())
	require.NoError(t, err)
	p, err := metrics.New(metrics.Options{Name: "nexus-test", Version: "v9", Push: push})
	require.NoError(t, err)
	return p
}

func TestPush(t *testing.T) {
	t.Parallel()
	type request struct{ path, body string }
	for name, path := range map[string]string{"": "", "/": "", "/v1/traces": "", "/v1/metrics": "", "/otlp": "/otlp", "/otlp/v1/traces": "/otlp"} {
		t.Run("endpoint with path "+name, func(t *testing.T) {
			t.Parallel()
			requests := make(chan request, 100)
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err == nil {
					requests <- request{r.URL.Path, string(body)}
				}
			}))
			t.Cleanup(collector.Close)
			p := pushing(t, collector.URL+name)
			p.For("jobs").Counter(metrics.JobsSubmitted).Add(1, "noop")
			require.NoError(t, p.Shutdown(t.Context()))
			last := testkit.Receive(t, requests)
			require.Equal(t, path+"/v1/metrics", last.path)
			require.Contains(t, last.body, "nexus-test")
		})
	}
}

func TestPushRefusesWhatIsNoURL(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "127.0.0.1:4318", "ftp://127.0.0.1", "http://", "://"} {
		_, err := metrics.NewPush(t.Context(), bad, time.Second, zerolog.Nop())
		require.Error(t, err, bad)
	}
}

// An endpoint that is down, refuses or hangs costs a count, and nobody's time.
func TestAnEndpointThatDoesNotTakeMetrics(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lives as long as the test
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	down, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	require.NoError(t, err)
	require.NoError(t, down.Close())
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	t.Cleanup(refusing.Close)
	for name, address := range map[string]string{"down": down.Addr().String(), "refusing": refusing.Listener.Addr().String(), "silent": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pushing(t, "http://"+address)
			submitted := p.For("jobs").Counter(metrics.JobsSubmitted)
			begun := time.Now()
			for range 100_000 {
				submitted.Add(1, "noop")
			}
			require.Less(t, time.Since(begun), 5*time.Second, "measuring waits for nobody")
			testkit.Eventually(t, func() bool {
				failures := scrape(t, p)["nexus_otlp_push_failures_total"]
				return failures != nil && failures.GetMetric()[0].GetCounter().GetValue() > 0
			}, "the failures are counted")
			require.EqualValues(t, 100_000, p.Snapshot().Counters["jobs.submitted.noop"])
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			begun = time.Now()
			_ = p.Shutdown(ctx)
			require.Less(t, time.Since(begun), 5*time.Second, "nor does the end")
		})
	}
}
