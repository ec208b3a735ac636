package layer_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/plugins/internal/layer"
)

// FuzzLayers holds every layer to what its consumers rely on: no panic, the same
// output twice, plain JSON in the shape of the layer, no negative number, and scores, ratios and densities
// between 0 and 1.
func FuzzLayers(f *testing.F) {
	for _, seed := range []string{
		"", " ", "Hello, world!", "Either you're with us or against us, you fool?!", "don’t — ‘stop’ x--y",
		"1️⃣ 👨‍👩‍👧 🇩🇪 ❤️", "e\u0301\u200d\u00ad'-_", "\xff\xfe\x00", "a\r\n\r\nb\f\vc\u2028d", "Page 1 of 2\n-\n\u00ad\n",
		"According to experts, because of fear. Because of fear!", "你好。世界？", "İıſK",
	} {
		f.Add(seed, "text")
		f.Add(seed, "pdf")
	}
	analyzer := layer.NewAnalyzer()
	shapes, err := layer.NewShapes()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, raw, modality string) {
		text := layer.Read(raw, modality)
		for _, name := range layer.Names() {
			body, err := analyzer.JSON(name, text)
			require.NoError(t, err)
			again, err := analyzer.JSON(name, layer.Read(raw, modality))
			require.NoError(t, err)
			require.Equal(t, string(body), string(again))
			var output map[string]any
			require.NoError(t, json.Unmarshal(body, &output))
			checkNumbers(t, string(name), output)
			require.NoError(t, shapes.Check(name, decoded(t, body)))
		}
	})
}

func checkNumbers(t *testing.T, path string, value any) {
	t.Helper()
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			checkNumbers(t, path+"."+key, inner)
		}
	case []any:
		for _, inner := range v {
			checkNumbers(t, path, inner)
		}
	case float64:
		require.GreaterOrEqual(t, v, 0.0, path)
		if strings.HasSuffix(path, "_score") || strings.HasSuffix(path, "_ratio") || strings.HasSuffix(path, "_density") {
			require.LessOrEqual(t, v, 1.0, path)
		}
	}
}
