package layer

import (
	"unicode"
	"unicode/utf8"
)

const (
	longWordRunes = 8
	suffixLetters = 3
	topSuffixes   = 10
)

// MorphologyOutput is the morphology layer.
type MorphologyOutput struct {
	// AvgWordLength is in code points; 0 without words.
	AvgWordLength float64 `json:"avg_word_length"`
	// LongWordRatio is the share of words with 8 code points or more.
	LongWordRatio float64 `json:"long_word_ratio"`
	// SuffixSignals are the 10 most frequent endings: the last three
	// characters, all letters, of words longer than that.
	SuffixSignals []Pair `json:"suffix_signals"`
}

// Morphology measures the shape of the words of a text.
func (a *Analyzer) Morphology(t *Text) MorphologyOutput {
	runes, long := 0, 0
	suffixes := tallies{}
	for folded, seen := range t.vocabulary {
		count := seen.count
		length := utf8.RuneCountInString(folded)
		runes += length * count
		if length >= longWordRunes {
			long += count
		}
		if suffix, ok := suffixOf(folded); ok {
			suffixes.add(suffix, count, seen.first)
		}
	}
	return MorphologyOutput{
		AvgWordLength: ratio(runes, len(t.words)),
		LongWordRatio: ratio(long, len(t.words)),
		SuffixSignals: pairs(top(suffixes, topSuffixes)),
	}
}

// suffixOf returns the last three letters of a longer word.
func suffixOf(folded string) (string, bool) {
	start := len(folded)
	for range suffixLetters {
		char, size := utf8.DecodeLastRuneInString(folded[:start])
		if !unicode.IsLetter(char) {
			return "", false
		}
		start -= size
	}
	return folded[start:], start > 0
}
