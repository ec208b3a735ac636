package layer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	topEntities = 10
	topEvents   = 10
)

// SemanticsOutput is the semantics layer.
type SemanticsOutput struct {
	// NamedEntities are the 10 most frequent capitalised words of two code
	// points or more that are not function words. A word that opens a sentence
	// counts only when the text never writes it in lower case.
	NamedEntities []Count `json:"named_entities"`
	// EventCandidates are the 10 most frequent words in -ed and -ing that are not
	// function words and whose stem holds a vowel: "walked" and "asking", not
	// "red", "king" and "during".
	EventCandidates []Count `json:"event_candidates"`
	// SemanticDensity is the share of words that carry content: neither
	// function words nor bare numbers. It is the lexical density of J. Ure,
	// "Lexical density and register differentiation" (1971), and 0 without words.
	SemanticDensity float64 `json:"semantic_density"`
}

// Semantics looks for names, events and content in a text.
func (a *Analyzer) Semantics(t *Text) SemanticsOutput {
	events, content := map[string]int{}, 0
	for folded, count := range t.vocabulary {
		if a.functionWords.holds(folded) || !strings.ContainsFunc(folded, unicode.IsLetter) {
			continue
		}
		content += count
		if isEventCandidate(folded) {
			events[folded] = count
		}
	}
	return SemanticsOutput{
		NamedEntities:   top(a.entities(t), topEntities),
		EventCandidates: top(events, topEvents),
		SemanticDensity: ratio(content, len(t.words)),
	}
}

func (a *Analyzer) entities(t *Text) map[string]int {
	lower := map[string]bool{}
	for _, w := range t.words {
		if w.form == w.folded {
			lower[w.folded] = true
		}
	}
	entities := map[string]int{}
	for _, w := range t.words {
		if !isCapitalised(w.form) || a.functionWords.holds(w.folded) || w.opens && lower[w.folded] {
			continue
		}
		entities[w.form]++
	}
	return entities
}

func isCapitalised(form string) bool {
	first, size := utf8.DecodeRuneInString(form)
	return len(form) > size && (unicode.IsUpper(first) || unicode.IsTitle(first))
}

// isEventCandidate asks for a vowel in the stem, as step 1b of M. F. Porter, "An
// algorithm for suffix stripping" (1980) does, and sets -eed words aside: in
// "need" and "speed" it is no ending.
func isEventCandidate(folded string) bool {
	if strings.HasSuffix(folded, "eed") {
		return false
	}
	stem, found := strings.CutSuffix(folded, "ed")
	if !found {
		stem, found = strings.CutSuffix(folded, "ing")
	}
	return found && strings.ContainsAny(stem, "aeiouy")
}
