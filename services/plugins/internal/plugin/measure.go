package plugin

import (
	"context"
	"errors"
	"strings"
	"time"

	"nexus.internal/libs/metrics"
	"nexus.internal/services/plugins/internal/layer"
)

// measures count the calls of plugins.
type measures struct {
	calls, fallbacks *metrics.Counter
	durations        *metrics.Histogram
}

// Measure counts calls from now on. It must be called before the first.
func (r *Registry) Measure(set *metrics.Set) {
	r.measures = measures{
		calls: set.Counter(metrics.PluginCalls), fallbacks: set.Counter(metrics.PluginFallbacks), durations: set.Histogram(metrics.PluginDuration),
	}
	for _, g := range r.guards {
		for _, outcome := range []string{"ok", "failed", "timeout"} {
			r.measures.calls.Expect(g.name, outcome)
		}
	}
	for _, name := range layer.Names() {
		r.measures.fallbacks.Expect(string(name))
	}
}

// called counts a call, and how long it took where there was one.
func (m *measures) called(ctx context.Context, name string, start time.Time, err error) {
	outcome := outcomeOf(ctx, err)
	m.calls.Add(1, name, outcome)
	if outcome != "resting" && outcome != "unsupported" {
		m.durations.Since(start, name)
	}
}

func outcomeOf(ctx context.Context, err error) string {
	var f failure
	var r Refusal
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrUnsupported):
		return "unsupported"
	case errors.As(err, &r) && r == notCalled:
		return "resting"
	case errors.As(err, &r):
		return "refused"
	case errors.As(err, &f) && strings.HasPrefix(string(f), noAnswer):
		return "timeout"
	case ctx.Err() != nil:
		return "cancelled"
	default:
		return "failed"
	}
}

// passedOver counts the layers that their first plugin did not serve.
func (m *measures) passedOver(layers []Layer) {
	for i := range layers {
		if layers[i].FallbackReason != "" {
			m.fallbacks.Add(1, string(layers[i].Name))
		}
	}
}
