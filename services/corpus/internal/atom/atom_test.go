package atom_test

import (
	"iter"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/corpus/internal/atom"
)

func TestSelect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		names  []string
		tracks []atom.Track
		levels []atom.Level
	}{
		"none":     {nil, []atom.Track{"full"}, atom.Levels()},
		"full":     {[]string{"full"}, []atom.Track{"full"}, atom.Levels()},
		"literary": {[]string{"literary"}, []atom.Track{"literary"}, []atom.Level{"word", "sentence", "paragraph"}},
		"glyphic":  {[]string{"glyphic_seed"}, []atom.Track{"glyphic_seed"}, []atom.Level{"glyph-seed", "syllable"}},
		"both": {
			[]string{"literary", "glyphic_seed", "literary"},
			[]atom.Track{"literary", "glyphic_seed"},
			[]atom.Level{"glyph-seed", "syllable", "word", "sentence", "paragraph"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := atom.Select(c.names)
			require.NoError(t, err)
			require.Equal(t, c.tracks, got.Tracks)
			require.Equal(t, c.levels, got.Levels)
		})
	}
}

func TestSelectNamesTheKnownTracks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"epic", "", "FULL"} {
		_, err := atom.Select([]string{"literary", name})
		require.ErrorContains(t, err, "unknown atom track")
		require.ErrorContains(t, err, "full, literary, glyphic_seed")
	}
}

func TestGlyphs(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"a", "þ", "!", "日", "🙂"}, collect(atom.Glyphs(" a\tþ\n! 日\u00a0🙂 ")))
	require.Empty(t, collect(atom.Glyphs(" \n\t")))
}

func TestWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                            nil,
		" .,; ":                       nil,
		"one two":                     {"one", "two"},
		"don't re-do snake_case x2":   {"don't", "re-do", "snake_case", "x2"},
		"(first), \"second\"; third.": {"first", "second", "third"},
		"naïve þing 日本語":              {"naïve", "þing", "日本語"},
		"cafe\u0301 noir":             {"cafe\u0301", "noir"},
		"\u0301alone":                 {"alone"},
		"tail":                        {"tail"},
		"a/b@c.d":                     {"a", "b", "c", "d"},
		"١٢٣ 4":                       {"١٢٣", "4"},
	} {
		require.Equal(t, want, collect(atom.Words(text)), "text %q", text)
	}
}

func TestSentences(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                            nil,
		"\n \n":                       nil,
		"One. Two! Three? Four":       {"One.", "Two!", "Three?", "Four"},
		"A line\nanother line\n":      {"A line", "another line"},
		"Version 1.2 is out.":         {"Version 1.2 is out."},
		"What?! Yes.":                 {"What?!", "Yes."},
		"Wait... what?":               {"Wait...", "what?"},
		"  padded.   spaced  ":        {"padded.", "spaced"},
		"Fin.\tTab. \u00a0 Wide. End": {"Fin.", "Tab.", "Wide.", "End"},
	} {
		require.Equal(t, want, collect(atom.Sentences(text)), "text %q", text)
	}
}

func TestParagraphs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                        nil,
		"\n\n \n":                 nil,
		"one":                     {"one"},
		"one\nstill\n\ntwo\n":     {"one\nstill", "two"},
		"\n\none\n \t \n\n\ntwo ": {"one", "two"},
	} {
		require.Equal(t, want, collect(atom.Paragraphs(text)), "text %q", text)
	}
}

func TestSyllables(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"winter":      "win|ter",
		"reading":     "rea|ding",
		"syllable":    "syl|lab|le",
		"rhythm":      "rhythm",
		"strength":    "strength",
		"a":           "a",
		"aorta":       "aor|ta",
		"mystery":     "mys|te|ry",
		"Alexandria":  "A|le|xand|ria",
		"CAPITAL":     "CA|PI|TAL",
		"don't":       "don't",
		"they're":     "they'|re",
		"o'er":        "o'|er",
		"self-aware":  "self-|a|wa|re",
		"e-mail":      "e-|mail",
		"x-ray":       "x-ray",
		"a_b_a":       "a_b_|a",
		"a1b2a3":      "a1b2|a3",
		"1999":        "1999",
		"---":         "---",
		"éclair":      "éc|lair",
		"cafe\u0301s": "ca|fe\u0301s",
		"naïve":       "naï|ve",
		"æther":       "æt|her",
		"日本語":         "日本語",
	} {
		require.Equal(t, want, strings.Join(collect(atom.SyllablesOf(word)), "|"), "word %q", word)
	}
	require.Equal(t, []string{"the", "win", "ter"}, collect(atom.Syllables("the winter.")))
}

func FuzzSyllablesRejoinToTheWord(f *testing.F) {
	for _, word := range []string{"", "winter", "self-aware", "o'er", "a\u0301\u0301e", "ÀÉ", "\u0301", "日a本e", "\xff\xfea"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		syllables := collect(atom.SyllablesOf(word))
		require.Equal(t, word, strings.Join(syllables, ""))
		require.NotContains(t, syllables, "")
		if !utf8.ValidString(word) {
			return
		}
		for i, s := range syllables {
			require.True(t, utf8.ValidString(s))
			first, _ := utf8.DecodeRuneInString(s)
			require.False(t, i > 0 && unicode.IsMark(first), "a mark was parted from its letter in %q", word)
		}
	})
}

func FuzzAtomizeKeepsTheText(f *testing.F) {
	f.Add("One fine day. It's over!\n\nNew para-graph, naïve.")
	f.Add(" \n\n\t")
	f.Add("a\u0301-_'1\n.\n? !")
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		noSpace := func(s string) string { return strings.Join(strings.Fields(s), "") }
		contents := map[atom.Level]string{}
		ordinals := map[atom.Level]int{}
		names := map[string]bool{}
		for a := range atom.Atomize(text, atom.Levels()) {
			require.NotEmpty(t, a.Content)
			require.Contains(t, text, a.Content)
			ordinals[a.Level]++
			require.Equal(t, ordinals[a.Level], a.Ordinal)
			contents[a.Level] += a.Content
			name := atom.FileName("folder/The Book.md", a)
			require.Regexp(t, `^THE-BOOK_[A-Z-]+_\d{6,}_[a-z0-9-]{1,32}(_d\d\d+)?\.txt$`, name)
			require.False(t, names[name], "file name %s given twice", name)
			names[name] = true
		}
		// White space aside, three levels hold the whole text, and syllables hold
		// exactly what words hold.
		for _, level := range []atom.Level{atom.GlyphSeed, atom.Sentence, atom.Paragraph} {
			require.Equal(t, noSpace(text), noSpace(contents[level]), "level %s", level)
		}
		require.Equal(t, contents[atom.Word], contents[atom.Syllable])
	})
}

func TestAtomizeIsDeterministicAndInOrder(t *testing.T) {
	t.Parallel()
	const text = "The cat. The dog.\n\nThe end."
	first := slices.Collect(atom.Atomize(text, atom.Levels()))
	require.Equal(t, first, slices.Collect(atom.Atomize(text, atom.Levels())))

	var levels []atom.Level
	for _, a := range first {
		levels = append(levels, a.Level)
	}
	require.Equal(t, atom.Levels(), slices.Compact(levels))

	words := slices.Collect(atom.Atomize(text, []atom.Level{atom.Word}))
	require.Equal(t, []atom.Atom{
		{Level: atom.Word, Ordinal: 1, Occurrence: 1, Content: "The"},
		{Level: atom.Word, Ordinal: 2, Occurrence: 1, Content: "cat"},
		{Level: atom.Word, Ordinal: 3, Occurrence: 2, Content: "The"},
		{Level: atom.Word, Ordinal: 4, Occurrence: 1, Content: "dog"},
		{Level: atom.Word, Ordinal: 5, Occurrence: 3, Content: "The"},
		{Level: atom.Word, Ordinal: 6, Occurrence: 1, Content: "end"},
	}, words)
}

func TestAtomizeStopsWhenToldTo(t *testing.T) {
	t.Parallel()
	for _, level := range atom.Levels() {
		seen := 0
		for range atom.Atomize("One two. Three.\n\nFour five.\n\nSix", []atom.Level{level}) {
			seen++
			break
		}
		require.Equal(t, 1, seen, "level %s", level)
	}
	require.Empty(t, slices.Collect(atom.Atomize("text", []atom.Level{"chapter"})))
	require.Empty(t, slices.Collect(atom.Atomize("text", atom.Nothing().Levels)))
}

func TestFileName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path string
		atom atom.Atom
		want string
	}{
		{"/c/odyssey.md", atom.Atom{Level: atom.Word, Ordinal: 1, Occurrence: 1, Content: "Tell"}, "ODYSSEY_WORD_000001_tell.txt"},
		{"/c/odyssey.md", atom.Atom{Level: atom.Word, Ordinal: 12, Occurrence: 2, Content: "tell"}, "ODYSSEY_WORD_000012_tell_d02.txt"},
		{"/c/odyssey.md", atom.Atom{Level: atom.Word, Ordinal: 1234567, Occurrence: 100, Content: "a"}, "ODYSSEY_WORD_1234567_a_d100.txt"},
		{"My Notes_v2.txt", atom.Atom{Level: atom.GlyphSeed, Ordinal: 3, Occurrence: 1, Content: "?"}, "MY-NOTES-V2_GLYPH-SEED_000003_u003f.txt"},
		{"a.md", atom.Atom{Level: atom.Syllable, Ordinal: 1, Occurrence: 1, Content: "É"}, "A_SYLLABLE_000001_e.txt"},
		{"a.md", atom.Atom{Level: atom.Word, Ordinal: 1, Occurrence: 1, Content: "þ"}, "A_WORD_000001_u00fe.txt"},
		{"a.md", atom.Atom{Level: atom.Word, Ordinal: 1, Occurrence: 1, Content: "-don't_-"}, "A_WORD_000001_don-t.txt"},
		{"a.md", atom.Atom{Level: atom.Sentence, Ordinal: 1, Occurrence: 1, Content: "../../etc/passwd: a\\b|c*d? \"e\" and so on"}, "A_SENTENCE_000001_etc-passwd-a-b-c-d-e-and-so-on.txt"},
		{"a.md", atom.Atom{Level: atom.Sentence, Ordinal: 1, Occurrence: 1, Content: strings.Repeat("ab ", 40)}, "A_SENTENCE_000001_ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab.txt"},
		{"日本.md", atom.Atom{Level: atom.Word, Ordinal: 1, Occurrence: 1, Content: "日本語でテキスト"}, "U65E5-U672C_WORD_000001_u65e5-u672c-u8a9e-u3067-u30c6.txt"},
		{".txt", atom.Atom{Level: atom.Word, Ordinal: 1, Occurrence: 1, Content: "\uFB01n"}, "EMPTY_WORD_000001_fn.txt"},
	} {
		require.Equal(t, c.want, atom.FileName(c.path, c.atom))
	}
	long := atom.FileName(strings.Repeat("long", 100)+".md", atom.Atom{
		Level: atom.GlyphSeed, Ordinal: 16_000_000, Occurrence: 16_000_000, Content: strings.Repeat("x", 100),
	})
	require.LessOrEqual(t, len(long), 255)
}

func collect(seq iter.Seq[string]) []string {
	return slices.Collect(seq)
}

func BenchmarkAtomize(b *testing.B) {
	text := strings.Repeat("The winter sea rises twice a day, naïve as it seems. It falls as often!\n\n", 1000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		for range atom.Atomize(text, atom.Levels()) {
		}
	}
}
