package plugin_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/services/plugins/internal/layer"
)

// FuzzOutputs: whatever a plugin returns, the run holds a JSON object that can be
// stored and sent on, at a confidence between 0 and 1.
func FuzzOutputs(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"a":[1,2.5e3,"x",null,true,{"b":"\u0000"}]}`, `{"a":1e999}`, `{"a":"` + "\xff" + `"}`, `{} {}`, `[[[[`,
		`{"a":"\ud800"}`, strings.Repeat(`{"a":`, 40),
	} {
		f.Add([]byte(seed), .5)
	}
	f.Fuzz(func(t *testing.T, body []byte, confidence float64) {
		r := registry(t, returning(string(body), confidence))
		computed, err := r.Run(t.Context(), "odd_only", []layer.Name{layer.Token}, layer.Read("a", "text"))
		require.NoError(t, err)
		l := computed[0]
		require.True(t, l.Confidence >= 0 && l.Confidence <= 1)
		require.True(t, json.Valid(l.Output) && utf8.Valid(l.Output))
		require.LessOrEqual(t, len(l.Output), contract.MaxMessage)
		require.True(t, bytes.HasPrefix(l.Output, []byte("{")))
		require.NotContains(t, string(bytes.ReplaceAll(l.Output, []byte(`\\`), nil)), `\u0000`)
		require.Equal(t, l.Provider == "odd", l.FallbackReason == "")
	})
}
