package plugin_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
)

// BenchmarkRun analyses a megabyte of prose: it is read, and all nine layers are
// computed, checked and encoded. The goal is less than a second.
func BenchmarkRun(b *testing.B) {
	const size = 1 << 20
	unit := "The lamp-keeper of Orrin Head wrote, in 1843, that fog is measured by patience; nobody believed her. Why should they?\n\n"
	raw := strings.Repeat(unit, size/len(unit)+1)[:size]
	l := limits()
	l.Calls = 9
	r, err := plugin.NewRegistry(layer.NewAnalyzer(), l, oddFirst(), noop.NewTracerProvider(), plugin.Deterministic{})
	require.NoError(b, err)
	b.SetBytes(size)
	for b.Loop() {
		layers, err := r.Run(b.Context(), "deterministic", layer.Names(), layer.Read(raw, "text"))
		require.NoError(b, err)
		require.Len(b, layers, 9)
	}
}
