package metrics

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"nexus.internal/libs/telemetry"
)

const (
	// pushWithin bounds one push, with its repetitions.
	pushWithin = 5 * time.Second
	// sayAgain is how often the log is told of a push that fails, at most.
	sayAgain = 5 * time.Minute
	// metricsPath and tracesPath are where OTLP over HTTP takes each; see the OTLP
	// specification.
	metricsPath, tracesPath = "/v1/metrics", "/v1/traces"
)

// Push sends metrics by OTLP over HTTP. One that fails is counted and forgotten: the
// next has everything again, so nothing is kept for it and nobody waits.
type Push struct {
	sdkmetric.Exporter
	every    time.Duration
	log      zerolog.Logger
	failures atomic.Int64
	said     atomic.Int64
}

// NewPush makes it for an endpoint, a URL such as http://127.0.0.1:4318, to which
// /v1/metrics is added; of a URL that is where traces are taken, that takes the place
// of their path.
func NewPush(ctx context.Context, endpoint string, every time.Duration, log zerolog.Logger) (*Push, error) {
	u, err := telemetry.ParseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	if u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), tracesPath); !strings.HasSuffix(u.Path, metricsPath) {
		u.Path += metricsPath
	}
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(u.String()), otlpmetrichttp.WithTimeout(pushWithin))
	if err != nil {
		return nil, fmt.Errorf("open the OTLP exporter of metrics: %w", err)
	}
	return &Push{Exporter: exporter, every: every, log: log}, nil
}

func (p *Push) reader() sdkmetric.Reader {
	return sdkmetric.NewPeriodicReader(p, sdkmetric.WithInterval(p.every), sdkmetric.WithTimeout(pushWithin))
}

// Export implements sdkmetric.Exporter. It is never an error: whoever reads it would
// write it where nobody looks.
func (p *Push) Export(ctx context.Context, what *metricdata.ResourceMetrics) error {
	err := p.Exporter.Export(ctx, what)
	if err == nil {
		return nil
	}
	p.failures.Add(1)
	now := time.Now().UnixNano()
	if last := p.said.Load(); now-last >= int64(sayAgain) && p.said.CompareAndSwap(last, now) {
		p.log.Warn().Err(err).Int64("failures", p.failures.Load()).Msg("metrics could not be pushed; the next push has them again")
	}
	return nil
}
