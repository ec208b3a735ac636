package layer_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/plugins/internal/layer"
)

func TestNamesAreInTheDocumentedOrder(t *testing.T) {
	t.Parallel()
	require.Equal(t, []layer.Name{
		"token", "morphology", "syntax", "semantics", "pragmatics", "discourse", "sociolinguistics", "rhetoric", "semiotic",
	}, layer.Names())
}

func TestConfidence(t *testing.T) {
	t.Parallel()
	expected := map[layer.Name]float64{
		"token": .72, "morphology": .68, "syntax": .66, "semantics": .64, "pragmatics": .62,
		"discourse": .61, "sociolinguistics": .59, "rhetoric": .74, "semiotic": .63, "astrology": 0,
	}
	for name, confidence := range expected {
		require.InDelta(t, confidence, name.Confidence(), 0, name)
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		requested []string
		want      []layer.Name
	}{
		"nothing means all":      {nil, layer.Names()},
		"an empty list too":      {[]string{}, layer.Names()},
		"order is the caller's":  {[]string{"semiotic", "token"}, []layer.Name{layer.Semiotic, layer.Token}},
		"repeats are taken once": {[]string{"token", "syntax", "token"}, []layer.Name{layer.Token, layer.Syntax}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := layer.Select(c.requested)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestSelectRefusesUnknownLayers(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "Token", " token", "astrology", strings.Repeat("x", 1000)} {
		_, err := layer.Select([]string{"token", bad})
		var unknown *layer.UnknownError
		require.ErrorAs(t, err, &unknown)
		require.ErrorContains(t, err, "known layers are token, morphology, syntax, semantics, pragmatics, "+
			"discourse, sociolinguistics, rhetoric, semiotic")
		require.Less(t, len(err.Error()), 300)
	}
}

func TestJSONRefusesUnknownLayers(t *testing.T) {
	t.Parallel()
	_, err := layer.NewAnalyzer().JSON("astrology", layer.Read("text", "text"))
	require.EqualError(t, err, (&layer.UnknownError{Requested: "astrology"}).Error())
}

func TestReadKeepsTextAndModality(t *testing.T) {
	t.Parallel()
	text := layer.Read("Ünïcode", "pdf")
	require.Equal(t, "Ünïcode", text.Raw())
	require.Equal(t, "pdf", text.Modality())
}

// TestJSONOfAnEmptyText fixes the field names of every layer, and that nothing
// is divided by the length of an empty text.
func TestJSONOfAnEmptyText(t *testing.T) {
	t.Parallel()
	expected := map[layer.Name]string{
		layer.Token:      `{"token_count":0,"unique_tokens":0,"top_tokens":[]}`,
		layer.Morphology: `{"avg_word_length":0,"long_word_ratio":0,"suffix_signals":[]}`,
		layer.Syntax: `{"sentence_count":0,"avg_sentence_length":0,
			"clause_markers":{"commas":0,"semicolons":0,"colons":0}}`,
		layer.Semantics:        `{"named_entities":[],"event_candidates":[],"semantic_density":0}`,
		layer.Pragmatics:       `{"question_count":0,"exclamation_count":0,"hedge_count":0,"speech_act_hint":"none"}`,
		layer.Discourse:        `{"paragraph_count":0,"connective_count":0,"pdf_hints":{"page_count":0,"heading_candidates":[],"citation_markers":[],"page_number_lines":0,"hyphenated_line_ends":0,"figure_references":0}}`,
		layer.Sociolinguistics: `{"contraction_count":0,"formality_score":0.5,"register_hint":"neutral"}`,
		layer.Rhetoric: `{"ethos_score":0,"pathos_score":0,"logos_score":0,"strategies":[],"devices":[],"fallacies":[],
			"explainability":{"method":"Marker words counted against the length of the text; patterns suggest fallacies, they do not prove them.",
				"token_count":0,"marker_counts":{"ethos":0,"pathos":0,"logos":0},"linked_spans":[],"fallacy_evidence":{}}}`,
		layer.Semiotic: `{"emoji_count":0,"glyph_count":0,"symbol_density":0}`,
	}
	analyzer := layer.NewAnalyzer()
	for _, empty := range []string{"", " \t\r\n\n "} {
		for _, name := range layer.Names() {
			body, err := analyzer.JSON(name, layer.Read(empty, "text"))
			require.NoError(t, err)
			require.JSONEq(t, expected[name], string(body), name)
		}
	}
}

// TestOutputsStaySmall holds a baseline output below the room that a run keeps
// free for each layer, whatever the text.
func TestOutputsStaySmall(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 40 {
		text.WriteString(strings.Repeat("𝔄", 100+i) + "ing " + strings.Repeat("<&>\u2028", 100) + " ")
	}
	text.WriteString(strings.Repeat("x", 64<<10))
	for _, name := range layer.Names() {
		body, err := layer.NewAnalyzer().JSON(name, layer.Read(text.String(), "pdf"))
		require.NoError(t, err)
		require.Less(t, len(body), 16<<10, name)
	}
}

// shapes are units of text that, repeated, punish an algorithm which is not
// linear.
func shapes() map[string]string {
	return map[string]string{
		"prose":             "The quick brown fox jumped over the lazy dog; however, it didn't bark. Why?\n",
		"one word":          "a",
		"underscores":       "_",
		"combining marks":   "\u0301",
		"apostrophes":       "a'",
		"stops":             "?!.",
		"line ends":         "\n",
		"carriage returns":  "\r",
		"either":            "either ",
		"phrase beginnings": "on the other ",
		"emoji":             "👨\u200d",
		"invalid UTF-8":     "\xff\xc3",
		"NUL":               "\x00",
	}
}

// TestLargeTexts: work that grew with the square of the length would not end
// within the life of a test run.
func TestLargeTexts(t *testing.T) {
	t.Parallel()
	const size = 256 << 10
	analyzer := layer.NewAnalyzer()
	for name, unit := range shapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := layer.Read(strings.Repeat(unit, size/len(unit)), "pdf")
			for _, n := range layer.Names() {
				body, err := analyzer.JSON(n, text)
				require.NoError(t, err)
				require.True(t, json.Valid(body))
			}
		})
	}
}

// BenchmarkLayers computes all layers of four megabytes of each shape.
func BenchmarkLayers(b *testing.B) {
	const size = 4 << 20
	analyzer := layer.NewAnalyzer()
	for name, unit := range shapes() {
		raw := strings.Repeat(unit, size/len(unit))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				text := layer.Read(raw, "pdf")
				for _, n := range layer.Names() {
					_, err := analyzer.JSON(n, text)
					require.NoError(b, err)
				}
			}
		})
	}
}
