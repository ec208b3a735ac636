package layer

import (
	"cmp"
	"slices"
	"strings"
)

// lexicon finds marker words and phrases in a text.
type lexicon struct {
	// byFirst holds the phrases by their first word, longest first.
	byFirst map[string][]phrase
}

type phrase struct {
	term string
	rest []string
}

// newLexicon takes lower-case terms; several words with one space between them
// make a phrase.
func newLexicon(terms []string) lexicon {
	byFirst := make(map[string][]phrase, len(terms))
	for _, term := range terms {
		words := strings.Fields(term)
		byFirst[words[0]] = append(byFirst[words[0]], phrase{term: term, rest: words[1:]})
	}
	for _, phrases := range byFirst {
		slices.SortFunc(phrases, func(a, b phrase) int { return cmp.Compare(len(b.rest), len(a.rest)) })
	}
	return lexicon{byFirst: byFirst}
}

// holds reports whether the single word is a term.
func (l lexicon) holds(folded string) bool {
	phrases := l.byFirst[folded]
	return len(phrases) > 0 && len(phrases[len(phrases)-1].rest) == 0
}

// count returns how often each term occurs and where first. Matches do not overlap, the longest
// wins, and a phrase never reaches across the end of a sentence.
func (l lexicon) count(words []word) tallies {
	counts := tallies{}
	for _, at := range l.find(words) {
		counts.add(at.Marker, 1, at.Index)
	}
	return counts
}

// find returns every match in the order of the text.
func (l lexicon) find(words []word) []LinkedSpan {
	var matches []LinkedSpan
	for i := 0; i < len(words); {
		term, length := l.match(words[i:])
		if length == 0 {
			i++
			continue
		}
		matches = append(matches, LinkedSpan{Marker: term, Index: i})
		i += length
	}
	return matches
}

// match returns the longest term that words begin with and its length in words,
// or 0.
func (l lexicon) match(words []word) (string, int) {
	for _, p := range l.byFirst[words[0].folded] {
		if p.follows(words[1:]) {
			return p.term, 1 + len(p.rest)
		}
	}
	return "", 0
}

func (p phrase) follows(words []word) bool {
	if len(words) < len(p.rest) {
		return false
	}
	for i, expected := range p.rest {
		if words[i].folded != expected || words[i].afterStop {
			return false
		}
	}
	return true
}
