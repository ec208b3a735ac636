package plaintext_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/libs/contract"
	"nexus.internal/services/corpus/internal/plaintext"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ data, want string }{
		"empty":             {"", ""},
		"plain":             {"one\ntwo\n", "one\ntwo\n"},
		"windows line ends": {"one\r\ntwo\r\n", "one\ntwo\n"},
		"old mac line ends": {"one\rtwo", "one\ntwo"},
		"mixed line ends":   {"a\r\n\rb\n", "a\n\nb\n"},
		"byte order mark":   {"\xef\xbb\xbftext", "text"},
		"only a mark":       {"\xef\xbb\xbf", ""},
		"beyond latin":      {"þæt 日本 🙂", "þæt 日本 🙂"},
		"replacement sign":  {"a\uFFFDb", "a\uFFFDb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, repairs, err := plaintext.Decode([]byte(c.data))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Empty(t, repairs)
		})
	}
}

func TestDecodeReplacesWhatIsNotText(t *testing.T) {
	t.Parallel()
	for data, c := range map[string]struct{ want, repairs string }{
		"ab\x00c":       {"ab\uFFFDc", "NUL bytes: 1; they were replaced"},
		"ok\xff":        {"ok\uFFFD", "bytes that are not valid UTF-8: 1; they were replaced"},
		"þ\xc3":         {"þ\uFFFD", "bytes that are not valid UTF-8: 1; they were replaced"},
		"\xed\xa0\x80":  {"\uFFFD", "bytes that are not valid UTF-8: 3; they were replaced"}, // half of a surrogate pair
		"\x00a\x00\xff": {"\uFFFDa\uFFFD\uFFFD", "NUL bytes: 2, bytes that are not valid UTF-8: 1; they were replaced"},
		"BM\xffW":       {"BM\uFFFDW", "bytes that are not valid UTF-8: 1; they were replaced"},
	} {
		got, repairs, err := plaintext.Decode([]byte(data))
		require.NoError(t, err, "data %q", data)
		require.Equal(t, c.want, got)
		require.Equal(t, c.repairs, repairs)
	}
}

func TestDecodeUTF16(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"\xff\xfeT\x00i\x00d\x00e\x00\x3d\xd8\x42\xde", "\xfe\xff\x00T\x00i\x00d\x00e\xd8\x3d\xde\x42"} {
		got, repairs, err := plaintext.Decode([]byte(data))
		require.NoError(t, err)
		require.Equal(t, "Tide🙂", got)
		require.Empty(t, repairs)
	}
}

func TestDecodeRefusesOtherKindsOfFile(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		"\x89PNG\r\n\x1a\n\x00\x00":  "is not text: its content is image/png",
		"%PDF-1.7\n\xe2\xe3\xcf\xd3": "is not text: its content is application/pdf",
		"PK\x03\x04\x14\x00":         "is not text: its content is application/zip",
	} {
		_, _, err := plaintext.Decode([]byte(data))
		require.EqualError(t, err, want)
	}
}

func TestCheckYAML(t *testing.T) {
	t.Parallel()
	var stairs strings.Builder
	for i := range 100 {
		stairs.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	for name, text := range map[string]string{
		"brackets": strings.Repeat("[", 100) + strings.Repeat("]", 100),
		"braces":   strings.Repeat("{a: ", 100) + strings.Repeat("}", 100),
		"open":     strings.Repeat("[\n", 100_000),
		"dashes":   strings.Repeat("- ", 100) + "x",
		"indents":  stairs.String(),
	} {
		require.ErrorContains(t, plaintext.CheckYAML("a.yaml", text), "levels deep; the limit is 64", name)
		require.NoError(t, plaintext.CheckYAML("a.txt", text), name)
	}
	for name, text := range map[string]string{
		"empty":               "",
		"ordinary":            "title: Charts\nlist:\n- a: [1, 2]\n- b:\n    c: {d: e}\n",
		"many, one by one":    strings.Repeat("- [a]\n", 1000),
		"brackets in a text":  "text: |\n  " + strings.Repeat("[", 200) + "\n",
		"brackets in quotes":  `text: "` + strings.Repeat("[", 200) + `"`,
		"sixty levels":        strings.Repeat("[", 60) + strings.Repeat("]", 60),
		"not YAML, and sound": "a: b: c\n\t- [",
	} {
		require.NoError(t, plaintext.CheckYAML("a.yml", text), name)
	}
}

func TestInConflict(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> branch\n",
		"a\n=======\nb",
		"a\n>>>>>>>",
		"||||||| base\n",
		"Title\n==========\n",
	} {
		require.True(t, plaintext.InConflict(text), "text %q", text)
	}
	for _, text := range []string{
		"", "plain", "a <<<<<<< b", " =======", "======\n", "<<<<<<\n", "> quoted\n>> twice\n", "||||||\n",
	} {
		require.False(t, plaintext.InConflict(text), "text %q", text)
	}
}

func TestSegments(t *testing.T) {
	t.Parallel()
	const text = `# On Tides

The sea rises twice a day [12], as is known (Airy, 1845).
It falls as often.

CHAPTER ONE

More is said elsewhere (van der Molen & Poe, 2004b; [3]).
SHOUTED LINE INSIDE A PARAGRAPH
Under the line
--------------
Last words (no year) [not a number] (airy, 1845).
`
	got := plaintext.Segments("tides.md", text)
	require.Equal(t, contract.TextSegments{
		LineCount: 12,
		CharCount: len(text),
		ParagraphBlocks: []contract.ParagraphBlock{
			{Index: 1, CharCount: 10, Preview: "# On Tides"},
			{Index: 2, CharCount: 76, Preview: "The sea rises twice a day [12], as is known (Airy, 1845).\nIt falls as often."},
			{Index: 3, CharCount: 11, Preview: "CHAPTER ONE"},
			got.ParagraphBlocks[3],
		},
		HeadingCandidates: []string{"On Tides", "CHAPTER ONE"},
		CitationMarkers:   []string{"[12]", "(Airy, 1845)", "[3]"},
	}, got)
	require.Len(t, []rune(got.ParagraphBlocks[3].Preview), 160)
}

func TestSegmentsOfYAMLHaveNoHeadings(t *testing.T) {
	t.Parallel()
	got := plaintext.Segments("a.yaml", "# a comment\nkey: value\n")
	require.Empty(t, got.HeadingCandidates)
	require.Equal(t, 2, got.LineCount)
}

func TestSegmentsOfNothing(t *testing.T) {
	t.Parallel()
	got := plaintext.Segments("a.txt", "")
	require.Equal(t, contract.TextSegments{
		ParagraphBlocks: []contract.ParagraphBlock{}, HeadingCandidates: []string{}, CitationMarkers: []string{},
	}, got)
}

func TestSegmentsCountWithoutAFinalLineEnd(t *testing.T) {
	t.Parallel()
	require.Equal(t, 2, plaintext.Segments("a.txt", "one\ntwo").LineCount)
	require.Equal(t, 2, plaintext.Segments("a.txt", "one\ntwo\n").LineCount)
	require.Equal(t, 4, plaintext.Segments("a.txt", "þæt!").CharCount)
}

func TestSegmentsAreBounded(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"paragraphs": strings.Repeat("words\n\n", 1000),
		"headings":   strings.Repeat("# Heading\n", 1000),
		"citations":  strings.Repeat("[1] ", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := plaintext.Segments("a.md", text)
			require.True(t, got.ListsTruncated)
			require.LessOrEqual(t, len(got.ParagraphBlocks), 200)
			require.LessOrEqual(t, len(got.HeadingCandidates), 100)
			require.LessOrEqual(t, len(got.CitationMarkers), 200)
			require.Equal(t, strings.Count(text, "\n")+boolToInt(!strings.HasSuffix(text, "\n")), got.LineCount)
		})
	}
	long := plaintext.Segments("a.md", "# "+strings.Repeat("x", 9000)+"\n")
	require.Len(t, long.HeadingCandidates[0], 200)
	require.False(t, long.ListsTruncated)
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestCitationForms(t *testing.T) {
	t.Parallel()
	for _, marker := range []string{
		"[1]", "[1234]", "(Name, 1999)", "(Name,1999)", "(Name & Other, 2001)", "(Name et al., 2001a)",
		"(de la Cruz, 1888)", "(O'Neil, 1920)", "(Þórsson, 1990)", "(Curie-Joliot, 1935)",
	} {
		require.Equal(t, []string{marker}, plaintext.Segments("a.txt", "see "+marker+".").CitationMarkers, marker)
	}
	for _, text := range []string{"[a]", "[]", "(1999)", "(Name 1999)", "(Name, 19)", "(name, 1999)", "Name, 1999", "[1, 2]"} {
		require.Empty(t, plaintext.Segments("a.txt", text).CitationMarkers, text)
	}
}
