package layer

import (
	"cmp"
	"encoding/json"
	"slices"
)

// maxShownRunes bounds a word quoted in an output: a text may be one single
// "word" of many megabytes.
const maxShownRunes = 64

// Count is a word and how often it occurs.
type Count struct {
	// Text is the word; beyond 64 code points it is cut and ends in "…".
	Text string `json:"text"`
	// Count is at least 1.
	Count int `json:"count"`
}

// Pair is a Count that encodes as [text, count].
type Pair Count

// MarshalJSON implements json.Marshaler.
func (p Pair) MarshalJSON() ([]byte, error) { return json.Marshal([]any{p.Text, p.Count}) }

func pairs(counts []Count) []Pair {
	made := make([]Pair, len(counts))
	for i, c := range counts {
		made[i] = Pair(c)
	}
	return made
}

// tally is how often something occurs, and in which word first.
type tally struct{ count, first int }

type tallies map[string]tally

// add counts n more of what, the first of them at a word.
func (t tallies) add(what string, n, at int) {
	seen, found := t[what]
	if !found || at < seen.first {
		seen.first = at
	}
	seen.count += n
	t[what] = seen
}

// top returns the n most frequent words, most frequent first, then as met. It
// never returns nil, so that it encodes as a JSON array.
func top(counts tallies, n int) []Count {
	type entry struct {
		text string
		tally
	}
	ranked := make([]entry, 0, len(counts))
	for text, seen := range counts {
		ranked = append(ranked, entry{text, seen})
	}
	slices.SortFunc(ranked, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.first, b.first), cmp.Compare(a.text, b.text))
	})
	words := make([]Count, min(n, len(ranked)))
	for i := range words {
		words[i] = Count{Text: clip(ranked[i].text), Count: ranked[i].count}
	}
	return words
}

func total(counts tallies) int {
	sum := 0
	for _, seen := range counts {
		sum += seen.count
	}
	return sum
}

// clip cuts a word to the length that outputs may quote.
func clip(s string) string {
	runes := 0
	for i := range s {
		if runes == maxShownRunes {
			return s[:i] + "…"
		}
		runes++
	}
	return s
}
