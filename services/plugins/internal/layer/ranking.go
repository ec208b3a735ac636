package layer

import (
	"cmp"
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

// top returns the n most frequent words, most frequent first, ties in code
// point order. It never returns nil, so that it encodes as a JSON array.
func top(counts map[string]int, n int) []Count {
	ranked := make([]Count, 0, len(counts))
	for text, count := range counts {
		ranked = append(ranked, Count{Text: text, Count: count})
	}
	slices.SortFunc(ranked, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	ranked = slices.Clone(ranked[:min(n, len(ranked))])
	for i := range ranked {
		ranked[i].Text = clip(ranked[i].Text)
	}
	return ranked
}

func total(counts map[string]int) int {
	sum := 0
	for _, count := range counts {
		sum += count
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
