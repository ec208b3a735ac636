package layer_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/plugins/internal/layer"
)

func decoded(t *testing.T, body []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	require.NoError(t, decoder.Decode(&value))
	return value
}

func newShapes(t *testing.T) *layer.Shapes {
	t.Helper()
	s, err := layer.NewShapes()
	require.NoError(t, err)
	return s
}

// TestBaselinesHaveTheirShape, and no other layer's.
func TestBaselinesHaveTheirShape(t *testing.T) {
	t.Parallel()
	shapes, analyzer := newShapes(t), layer.NewAnalyzer()
	for _, raw := range []string{"", "According to Ada (Poe, 1843), everyone knows the walking, talking bell; either we listen or we fear."} {
		text := layer.Read(raw, "pdf")
		for _, name := range layer.Names() {
			body, err := analyzer.JSON(name, text)
			require.NoError(t, err)
			for _, other := range layer.Names() {
				err := shapes.Check(other, decoded(t, body))
				if other == name {
					require.NoError(t, err)
				} else {
					require.Error(t, err, "%s as %s", name, other)
				}
			}
		}
	}
}

func TestShapesSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		name layer.Name
		body string
		want string
	}{
		"a field is missing": {
			layer.Semiotic, `{"emoji_count":1,"glyph_count":1}`,
			"output has not the shape of its layer: semiotic: missing property 'symbol_density'",
		},
		"a share above one": {
			layer.Semiotic, `{"emoji_count":1,"glyph_count":1,"symbol_density":1.5}`,
			"output has not the shape of its layer: semiotic.symbol_density: maximum: got 1.5, want 1",
		},
		"a text for a number": {
			layer.Token, `{"token_count":"1","unique_tokens":1,"top_tokens":[]}`,
			"output has not the shape of its layer: token.token_count: got string, want integer",
		},
		"deep inside": {
			layer.Token, `{"token_count":1,"unique_tokens":1,"top_tokens":["a",null]}`,
			"output has not the shape of its layer: token.top_tokens.1: got null, want string",
		},
		"no layer": {"astrology", `{}`, (&layer.UnknownError{Requested: "astrology"}).Error()},
	}
	shapes := newShapes(t)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, shapes.Check(c.name, decoded(t, []byte(c.body))), c.want)
		})
	}
}
