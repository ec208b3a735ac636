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
			got, err := plaintext.Decode([]byte(c.data))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestDecodeRefusesWhatIsNotText(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		"ab\x00c":        "NUL byte at offset 2",
		"ok\xff":         "not valid UTF-8 at offset 2",
		"þ\xc3":          "not valid UTF-8 at offset 2",
		"\xed\xa0\x80":   "not valid UTF-8 at offset 0", // half of a surrogate pair
		"\xff\xfea\x00b": "NUL byte at offset 3",        // UTF-16
	} {
		_, err := plaintext.Decode([]byte(data))
		require.ErrorContains(t, err, want, "data %q", data)
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

func TestTitle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ path, text, want string }{
		"heading":                   {"a.md", "intro\n\n## The *Second* Level ##\n", "The *Second* Level"},
		"heading in plain text":     {"a.txt", "# Notes\n", "Notes"},
		"underlined heading":        {"a.md", "The Walk\n---\ntext", "The Walk"},
		"front matter wins":         {"a.md", "---\ntitle: \"From the header\"\n---\n# Heading\n", "From the header"},
		"front matter no title":     {"a.md", "---\ntags: [x]\n---\n# Heading\n", "Heading"},
		"title line in the body":    {"a.md", "title: no\n\n# Yes\n", "Yes"},
		"unclosed front matter":     {"a.md", "---\ntitle: no\n", "a"},
		"hash inside a fence":       {"a.md", "```sh\n# comment\n```\n\n# Real\n", "Real"},
		"other fence inside":        {"a.md", "~~~\n```\n# no\n~~~\n# Real\n", "Real"},
		"not a heading":             {"deep/my file.md", "#hashtag\n####### seven\n#\n", "my file"},
		"heading of hashes":         {"a.md", "# ##\n", "a"},
		"hash that belongs to it":   {"a.md", "# C#\n", "C#"},
		"capitals are no title":     {"a.txt", "CHAPTER I\n\ntext", "a"},
		"yaml":                      {"a.yaml", "# comment\nname: x\ntitle: 'Sea charts'\n", "Sea charts"},
		"yaml without title":        {"b.yml", "# comment\n  title: nested\n", "b"},
		"yaml with an empty title":  {"c.yml", "title:\n  nested: 1\n", "c"},
		"nothing at all":            {"empty.txt", "", "empty"},
		"several dots":              {"a.b.txt", "", "a.b"},
		"an underline and no words": {"d.md", "---\n---\n", "d"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, plaintext.Title(c.path, c.text))
		})
	}
}

func TestTitleIsBounded(t *testing.T) {
	t.Parallel()
	title := plaintext.Title("a.md", "# "+strings.Repeat("é", 5000))
	require.Equal(t, strings.Repeat("é", 200), title)
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
