package atom

import "iter"

// Atom is one piece of a text. Its content is a slice of that text.
type Atom struct {
	Level Level
	// Ordinal counts the atoms of a level within a text, from 1.
	Ordinal int
	// Occurrence counts, from 1, the atoms of a level within a text that have
	// the same file token (FileToken), up to and including this one.
	Occurrence int
	Content    string
}

// Atomize yields the atoms of a text, level by level in the order given, and
// within a level in the order of the text. The same text always yields the same
// atoms.
func Atomize(text string, levels []Level) iter.Seq[Atom] {
	return func(yield func(Atom) bool) {
		for _, level := range levels {
			ordinal := 0
			occurrences := map[string]int{}
			for content := range pieces(level, text) {
				token := FileToken(content)
				ordinal++
				occurrences[token]++
				if !yield(Atom{level, ordinal, occurrences[token], content}) {
					return
				}
			}
		}
	}
}

func pieces(level Level, text string) iter.Seq[string] {
	switch level {
	case GlyphSeed:
		return Glyphs(text)
	case Syllable:
		return Syllables(text)
	case Word:
		return Words(text)
	case Sentence:
		return Sentences(text)
	case Paragraph:
		return Paragraphs(text)
	default:
		return func(func(string) bool) {}
	}
}
