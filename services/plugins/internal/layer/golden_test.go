package layer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"nexus.internal/services/plugins/internal/layer"
)

func TestToken(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want layer.TokenOutput
	}{
		"counts, then as met": {
			"b a c; B a d!",
			layer.TokenOutput{TokenCount: 6, UniqueTokens: 4, TopTokens: []string{"b", "a", "c", "d"}},
		},
		"only the first twenty": {
			"u t s r q p o n m l k j i h g f e d c b a a",
			layer.TokenOutput{TokenCount: 22, UniqueTokens: 21, TopTokens: []string{
				"a", "u", "t", "s", "r", "q", "p", "o", "n", "m", "l", "k", "j", "i", "h", "g", "f", "e", "d", "c",
			}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, layer.NewAnalyzer().Token(layer.Read(c.text, "text")))
		})
	}
}

func TestMorphology(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want layer.MorphologyOutput
	}{
		// 7+7+2+9 = 25 code points in 4 words, one of them with 8 or more.
		"english": {
			"Walking talking is beautiful",
			layer.MorphologyOutput{AvgWordLength: 6.25, LongWordRatio: .25, SuffixSignals: []layer.Pair{{"ing", 2}, {"ful", 1}}},
		},
		// 4+8+2 = 14 in 3 words; "über" and "straßen" count letters, not bytes.
		"code points, not bytes": {
			"über übergroß øl",
			layer.MorphologyOutput{AvgWordLength: 4.6667, LongWordRatio: .3333, SuffixSignals: []layer.Pair{{"ber", 1}, {"roß", 1}}},
		},
		// The whole word is no suffix; an apostrophe or a digit is no letter.
		"no suffix": {
			"the don't 1990s x-ray",
			layer.MorphologyOutput{AvgWordLength: 4.5, LongWordRatio: 0, SuffixSignals: []layer.Pair{{"ray", 1}}},
		},
		"ten suffixes": {
			"xaaa xbbb xccc xddd xeee xfff xggg xhhh xiii xjjj xkkk xkkk",
			layer.MorphologyOutput{AvgWordLength: 4, SuffixSignals: []layer.Pair{
				{"kkk", 2},
				{"aaa", 1},
				{"bbb", 1},
				{"ccc", 1},
				{"ddd", 1},
				{"eee", 1},
				{"fff", 1},
				{"ggg", 1},
				{"hhh", 1},
				{"iii", 1},
			}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, layer.NewAnalyzer().Morphology(layer.Read(c.text, "text")))
		})
	}
}

func TestSyntax(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want layer.SyntaxOutput
	}{
		"english": {
			"First, second; third: fourth, fifth. Sixth! Seventh\n",
			layer.SyntaxOutput{
				SentenceCount: 3, AvgSentenceLength: 2.3333,
				ClauseMarkers: layer.ClauseMarkers{Commas: 2, Semicolons: 1, Colons: 1},
			},
		},
		"marks of other scripts": {
			"甲，乙、丙；丁：戊\nأ، ب؛",
			layer.SyntaxOutput{
				SentenceCount: 2, AvgSentenceLength: 3.5,
				ClauseMarkers: layer.ClauseMarkers{Commas: 3, Semicolons: 2, Colons: 1},
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, layer.NewAnalyzer().Syntax(layer.Read(c.text, "text")))
		})
	}
}

func entities(counts ...layer.Count) []layer.Entity {
	made := []layer.Entity{}
	for _, c := range counts {
		made = append(made, layer.Entity{EntityID: "entity:" + c.Text, Label: c.Text, Count: c.Count})
	}
	return made
}

func events(counts ...layer.Count) []layer.EventCandidate {
	made := []layer.EventCandidate{}
	for _, c := range counts {
		made = append(made, layer.EventCandidate{EventID: "event:" + c.Text, Trigger: c.Text, Count: c.Count})
	}
	return made
}

func TestSemantics(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want layer.SemanticsOutput
	}{
		// Function words: the, in, with. Content: 8 of 11.
		"names and events": {
			"The cat walked in Paris. Running with Alice, Bob visited Paris.",
			layer.SemanticsOutput{
				NamedEntities:   entities(layer.Count{"Paris", 2}, layer.Count{"Running", 1}, layer.Count{"Alice", 1}, layer.Count{"Bob", 1}),
				EventCandidates: events(layer.Count{"walked", 1}, layer.Count{"running", 1}, layer.Count{"visited", 1}),
				SemanticDensity: .7273,
			},
		},
		// "Running" opens a sentence and is written small elsewhere: no name there.
		// Function words: is, I, like.
		"sentence openers": {
			"Running is fun. I like running. NATO met Running Bear.",
			layer.SemanticsOutput{
				NamedEntities:   entities(layer.Count{"NATO", 1}, layer.Count{"Running", 1}, layer.Count{"Bear", 1}),
				EventCandidates: events(layer.Count{"running", 3}),
				SemanticDensity: .7,
			},
		},
		// No vowel in the stem, -eed, or a function word: no event.
		"words that only look like events": {
			"red king thing string need speed during something I A",
			layer.SemanticsOutput{
				NamedEntities: entities(), EventCandidates: events(), SemanticDensity: .6,
			},
		},
		"numbers are not content": {
			"12 34 rivers flowed",
			layer.SemanticsOutput{
				NamedEntities: entities(), EventCandidates: events(layer.Count{"flowed", 1}), SemanticDensity: .5,
			},
		},
		"capitals beyond ASCII": {
			"lived in Ærø and Žilina",
			layer.SemanticsOutput{
				NamedEntities:   entities(layer.Count{"Ærø", 1}, layer.Count{"Žilina", 1}),
				EventCandidates: events(layer.Count{"lived", 1}),
				SemanticDensity: .6,
			},
		},
		"ten of each": {
			"saw Aa Bb Cc Dd Ee Ff Gg Hh Ii Jj Kk aaing abing acing ading aeing afing aging ahing aiing ajing aking",
			layer.SemanticsOutput{
				NamedEntities:   entities(layer.Count{"Aa", 1}, layer.Count{"Bb", 1}, layer.Count{"Cc", 1}, layer.Count{"Dd", 1}, layer.Count{"Ee", 1}, layer.Count{"Ff", 1}, layer.Count{"Gg", 1}, layer.Count{"Hh", 1}, layer.Count{"Ii", 1}, layer.Count{"Jj", 1}),
				EventCandidates: events(layer.Count{"aaing", 1}, layer.Count{"abing", 1}, layer.Count{"acing", 1}, layer.Count{"ading", 1}, layer.Count{"aeing", 1}, layer.Count{"afing", 1}, layer.Count{"aging", 1}, layer.Count{"ahing", 1}, layer.Count{"aiing", 1}, layer.Count{"ajing", 1}),
				SemanticDensity: 1,
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, layer.NewAnalyzer().Semantics(layer.Read(c.text, "text")))
		})
	}
}

func TestPragmatics(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want layer.PragmaticsOutput
	}{
		"a duty in one sentence of many": {
			"It rained. It snowed. One should stay in.",
			layer.PragmaticsOutput{SpeechActHint: "directive"},
		},
		"let us": {
			"It rained. Let us go.",
			layer.PragmaticsOutput{SpeechActHint: "directive"},
		},
		"a question about a duty": {
			"Must I go?",
			layer.PragmaticsOutput{QuestionCount: 1, SpeechActHint: "interrogative"},
		},
		"assertive": {
			"It rained. Perhaps it may rain again, more or less.",
			layer.PragmaticsOutput{HedgeCount: 3, SpeechActHint: "assertive"},
		},
		"interrogative": {
			"Why? Who are you? It rained.",
			layer.PragmaticsOutput{QuestionCount: 2, SpeechActHint: "interrogative"},
		},
		"exclamative": {
			"What a day! How lovely!",
			layer.PragmaticsOutput{ExclamationCount: 2, SpeechActHint: "exclamative"},
		},
		"directive": {
			"Please sit down. You must not run! They ran.",
			layer.PragmaticsOutput{ExclamationCount: 1, SpeechActHint: "directive"},
		},
		"a tie goes to the question": {
			"Really? Go!",
			layer.PragmaticsOutput{QuestionCount: 1, ExclamationCount: 1, SpeechActHint: "interrogative"},
		},
		"a group of marks counts once": {
			"What?!?! No!!",
			layer.PragmaticsOutput{QuestionCount: 1, ExclamationCount: 2, SpeechActHint: "interrogative"},
		},
		"marks inside words": {
			"see x.org/?q=1 and a!b",
			layer.PragmaticsOutput{QuestionCount: 0, ExclamationCount: 0, SpeechActHint: "directive"},
		},
		"closing brackets and other scripts": {
			"(Is it so?)\n真的吗？\nهل؟\n好！",
			layer.PragmaticsOutput{QuestionCount: 3, ExclamationCount: 1, SpeechActHint: "interrogative"},
		},
		"phrases stop at the sentence": {
			"It is more or. Less so. I think.",
			layer.PragmaticsOutput{HedgeCount: 1, SpeechActHint: "assertive"},
		},
		"phrases run on over a wrapped line": {
			"It is more\nor less so",
			layer.PragmaticsOutput{HedgeCount: 1, SpeechActHint: "assertive"},
		},
		"phrases stop at a blank line": {
			"It is more\n \nor less so",
			layer.PragmaticsOutput{HedgeCount: 0, SpeechActHint: "assertive"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, layer.NewAnalyzer().Pragmatics(layer.Read(c.text, "text")))
		})
	}
}

func TestDiscourse(t *testing.T) {
	t.Parallel()
	none := layer.PDFHints{HeadingCandidates: []string{}, CitationMarkers: []string{}}
	pdf := "Intro see Fig. 1 and\nTable 2a, figure it\nPage 1 of 2\n\f- 2 -\nThe conti-\nnuation of re\u00ad\nading. Un-\nTitled 3-\n4 of 5\n12.5\nversion 3\n"
	cases := map[string]struct {
		text, modality string
		want           layer.DiscourseOutput
	}{
		"paragraphs": {
			"One\ntwo\n\nthree\n \t\n\nfour", "text",
			layer.DiscourseOutput{ParagraphCount: 3, PDFHints: none},
		},
		"CR LF": {
			"One\r\ntwo\r\n\r\nthree\r\n", "text",
			layer.DiscourseOutput{ParagraphCount: 2, PDFHints: none},
		},
		"connectives": {
			"However, it rained. On the other hand, it was warm because, as a result, we swam.", "text",
			layer.DiscourseOutput{ParagraphCount: 1, ConnectiveCount: 4, PDFHints: none},
		},
		"pdf": {
			pdf, "pdf",
			layer.DiscourseOutput{ParagraphCount: 2, PDFHints: layer.PDFHints{
				PageCount: 2, HeadingCandidates: []string{}, CitationMarkers: []string{}, PageNumberLines: 3, HyphenatedLineEnds: 2, FigureReferences: 2,
			}},
		},
		"headings and citations": {
			"# Of fog\n\nAS IT WAS\nIt rose (Ada, 1843) [12] and (no year), [x].\n#no heading\n1 2 3\n", "pdf",
			layer.DiscourseOutput{ParagraphCount: 2, PDFHints: layer.PDFHints{
				PageCount: 1, HeadingCandidates: []string{"Of fog", "AS IT WAS"}, CitationMarkers: []string{"(Ada, 1843)", "[12]"},
			}},
		},
		"no pdf, no hints": {pdf, "text", layer.DiscourseOutput{ParagraphCount: 2, PDFHints: none}},
		"a pdf without text": {
			"", "pdf",
			layer.DiscourseOutput{PDFHints: none},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, layer.NewAnalyzer().Discourse(layer.Read(c.text, c.modality)))
		})
	}
}

func TestSociolinguistics(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want layer.SociolinguisticsOutput
	}{
		// Formal: therefore, shall, implementation. k = 1 + 5/50:
		// (3+1.1) / (3+2.2) = 0.7885.
		"formal": {
			"Therefore the implementation shall stand.",
			layer.SociolinguisticsOutput{FormalityScore: .7885, RegisterHint: "formal"},
		},
		// Informal: hey, it's, gonna, cool, dude, ! twice. k = 1 + 5/50:
		// 1.1 / (7+2.2) = 0.1196.
		"informal": {
			"Hey! It’s gonna cool dude!",
			layer.SociolinguisticsOutput{ContractionCount: 1, FormalityScore: .1196, RegisterHint: "informal"},
		},
		// don't, they've, she'd, I'm, we'll, you're, let's; Ada's is none.
		// k = 1 + 9/50: 1.18 / (7+2.36) = 0.1261.
		"contractions": {
			"don't they've she'd I'm we'll you're let's Ada's 1990's",
			layer.SociolinguisticsOutput{ContractionCount: 7, FormalityScore: .1261, RegisterHint: "informal"},
		},
		// One of each: (1+1.04) / (2+2.08) = 0.5.
		"balanced": {
			"Therefore yeah",
			layer.SociolinguisticsOutput{FormalityScore: .5, RegisterHint: "neutral"},
		},
		// Too short to be nominalisations.
		"short words": {
			"city nation comment",
			layer.SociolinguisticsOutput{FormalityScore: .5, RegisterHint: "neutral"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, layer.NewAnalyzer().Sociolinguistics(layer.Read(c.text, "text")))
		})
	}
}

func TestSemiotic(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text string
		want layer.SemioticOutput
	}{
		"letters":                    {"ab c\n", layer.SemioticOutput{GlyphCount: 3}},
		"symbols":                    {"1+1=2 €", layer.SemioticOutput{GlyphCount: 6, SymbolDensity: .5}},
		"punctuation":                {"a, b!", layer.SemioticOutput{GlyphCount: 4, SymbolDensity: .5}},
		"emoji":                      {"ok 👍", layer.SemioticOutput{EmojiCount: 1, GlyphCount: 3, SymbolDensity: .3333}},
		"skin tone":                  {"👍🏽", layer.SemioticOutput{EmojiCount: 1, GlyphCount: 2, SymbolDensity: 1}},
		"family":                     {"👨‍👩‍👧", layer.SemioticOutput{EmojiCount: 1, GlyphCount: 5, SymbolDensity: .6}},
		"joined with a plain symbol": {"🏃‍♀️", layer.SemioticOutput{EmojiCount: 1, GlyphCount: 4, SymbolDensity: .5}},
		"two in a row":               {"😀😀", layer.SemioticOutput{EmojiCount: 2, GlyphCount: 2, SymbolDensity: 1}},
		"flags":                      {"🇩🇪🇫🇷", layer.SemioticOutput{EmojiCount: 2, GlyphCount: 4, SymbolDensity: 1}},
		"half a flag":                {"🇩 x", layer.SemioticOutput{GlyphCount: 2, SymbolDensity: .5}},
		"flag of a region":           {"🏴\U000E0067\U000E0062\U000E007F", layer.SemioticOutput{EmojiCount: 1, GlyphCount: 4, SymbolDensity: .25}},
		"keycap":                     {"1️⃣", layer.SemioticOutput{EmojiCount: 1, GlyphCount: 3}},
		"keycap frame on a letter":   {"a⃣", layer.SemioticOutput{GlyphCount: 2}},
		"text and emoji heart":       {"❤ ❤️", layer.SemioticOutput{EmojiCount: 1, GlyphCount: 3, SymbolDensity: .6667}},
		"selector after a pictograph": {
			"⚡️", layer.SemioticOutput{EmojiCount: 1, GlyphCount: 2, SymbolDensity: .5},
		},
		"older pictographs": {
			"🀄🃏🆎🆗🈁🈳🈺🉑⏰⏩♈✅", layer.SemioticOutput{EmojiCount: 12, GlyphCount: 12, SymbolDensity: 1},
		},
		"symbols that are no emoji": {
			"→√🂡🔀︎", layer.SemioticOutput{EmojiCount: 1, GlyphCount: 5, SymbolDensity: .8},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, layer.NewAnalyzer().Semiotic(layer.Read(c.text, "text")))
		})
	}
}
