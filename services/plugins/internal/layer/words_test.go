package layer_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/plugins/internal/layer"
)

// tokens lists the words of a text of at most 20 different words, each once, as
// met where each occurs as often.
func tokens(text string) []string {
	output := layer.NewAnalyzer().Token(layer.Read(text, "text"))
	return output.TopTokens
}

func TestWords(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want []string
	}{
		"plain":                        {"one two", []string{"one", "two"}},
		"case is folded":               {"The the THE", []string{"the"}},
		"digits and underscores":       {"x_1 42", []string{"x_1", "42"}},
		"inner apostrophe":             {"don't", []string{"don't"}},
		"typographic apostrophe":       {"don’t", []string{"don't"}},
		"outer quotes are not part":    {"'quoted' ‘so’ dogs'", []string{"quoted", "so", "dogs"}},
		"hyphen":                       {"well-known", []string{"well-known"}},
		"other hyphens":                {"well\u2010known well\u2011known", []string{"well-known"}},
		"a double hyphen is a dash":    {"yes--no", []string{"yes", "no"}},
		"dashes alone":                 {"- -- —", []string{}},
		"soft hyphen vanishes":         {"co\u00ADop", []string{"coop"}},
		"only underscores":             {"___", []string{}},
		"composed and decomposed":      {"caf\u00e9 cafe\u0301", []string{"caf\u00e9"}},
		"case beyond ASCII":            {"ÆTHER æther", []string{"æther"}},
		"other scripts":                {"Привет мир", []string{"привет", "мир"}},
		"devanagari keeps its marks":   {"हिन्दी", []string{"हिन्दी"}},
		"persian non-joiner":           {"می\u200cخواهم", []string{"می\u200cخواهم"}},
		"no spaces, one word":          {"你好世界", []string{"你好世界"}},
		"emoji are no words":           {"👍🏽 ❤️ 👨‍👩‍👧", []string{}},
		"a lone mark is no word":       {"\u0301", []string{}},
		"the digit of a keycap counts": {"1️⃣", []string{"1"}},
		"invalid bytes part words":     {"a\xffb", []string{"a", "b"}},
		"NUL parts words":              {"a\x00b", []string{"a", "b"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, tokens(c.text))
		})
	}
}

func TestLongWordsAreShownCut(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{strings.Repeat("é", 64)}, tokens(strings.Repeat("é", 64)))
	require.Equal(t, []string{strings.Repeat("é", 64) + "…"}, tokens(strings.Repeat("é", 65)))
}

func TestSentences(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want int
	}{
		"one without an end":           {"no end", 1},
		"two":                          {"One. Two.", 2},
		"stops without space":          {"v1.2.3 is example.com", 1},
		"several stops end one":        {"What?! No...", 2},
		"line ends":                    {"A heading\na line", 2},
		"CR LF is one end":             {"one\r\ntwo\r\n", 2},
		"old and odd line ends":        {"one\rtwo\u2028three\u2029four\u0085five\vsix\fseven", 7},
		"blank lines make none":        {"one\n\n\ntwo", 2},
		"no word, no sentence":         {"... !!! 😀\n---\n", 0},
		"a stop before a quote and on": {`"Stop!" he said.`, 1},
		"no-break space is space":      {"One.\u00a0Two.", 2},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output := layer.NewAnalyzer().Syntax(layer.Read(c.text, "text"))
			require.Equal(t, c.want, output.SentenceCount)
		})
	}
}
