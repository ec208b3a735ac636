package plugin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
	"nexus.internal/services/plugins/internal/plugin"
)

// FuzzOutputs: whatever a plugin returns, the run holds a JSON object of the
// layer's shape that can be stored and sent on, at a confidence between 0 and 1.
func FuzzOutputs(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"a":[1,2.5e3,"x",null,true,{"b":"\u0000"}]}`, `{"a":1e999}`, `{"a":"` + "\xff" + `"}`, `{} {}`, `[[[[`,
		`{"a":"\ud800"}`, strings.Repeat(`{"a":`, 40),
	} {
		f.Add([]byte(seed), .5)
		f.Add([]byte(`{"token_count":1,"unique_tokens":1,"top_tokens":["a"],"more":[`+seed+`]}`), .5)
	}
	for _, seed := range []string{
		`{"token_count":1e2,"unique_tokens":-0,"top_tokens":[]}`, `{"token_count":1.5,"unique_tokens":1,"top_tokens":[]}`,
		`{"token_count":1,"unique_tokens":1,"top_tokens":["a"],"token_count":null}`, `{"emoji_count":1,"glyph_count":1,"symbol_density":1}`,
	} {
		f.Add([]byte(seed), 1.0)
	}
	shapes, err := layer.NewShapes()
	require.NoError(f, err)
	// The inputs of one process come one after the other.
	var said plugin.Output
	repeating := fake{name: "odd", run: func(context.Context, plugin.Request) (plugin.Output, error) { return said, nil }}
	tireless := limits()
	tireless.Failures = math.MaxUint32
	r, err := plugin.NewRegistry(layer.NewAnalyzer(), tireless, oddFirst(), noop.NewTracerProvider(), repeating)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte, confidence float64) {
		said = plugin.Output{Body: body, Confidence: confidence}
		computed, err := r.Run(t.Context(), "odd_only", []layer.Name{layer.Token}, layer.Read("a", "text"))
		require.NoError(t, err)
		l := computed[0]
		require.True(t, l.Confidence >= 0 && l.Confidence <= 1)
		require.True(t, json.Valid(l.Output) && utf8.Valid(l.Output))
		require.LessOrEqual(t, len(l.Output), contract.MaxMessage)
		require.True(t, bytes.HasPrefix(l.Output, []byte("{")))
		require.NotContains(t, string(bytes.ReplaceAll(l.Output, []byte(`\\`), nil)), `\u0000`)
		require.Equal(t, l.Provider == "odd", l.FallbackReason == "")
		decoder := json.NewDecoder(bytes.NewReader(l.Output))
		decoder.UseNumber()
		var output any
		require.NoError(t, decoder.Decode(&output))
		require.NoError(t, shapes.Check(layer.Token, output))
	})
}
