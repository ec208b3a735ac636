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
	NamedEntities []Entity `json:"named_entities"`
	// EventCandidates are the 10 most frequent words in -ed and -ing that are not
	// function words and whose stem holds a vowel: "walked" and "asking", not
	// "red", "king" and "during".
	EventCandidates []EventCandidate `json:"event_candidates"`
	// SemanticDensity is the share of words that carry content: neither
	// function words nor bare numbers. It is the lexical density of J. Ure,
	// "Lexical density and register differentiation" (1971), and 0 without words.
	SemanticDensity float64 `json:"semantic_density"`
}

// Entity is what seems to be a name.
type Entity struct {
	// EntityID is the same wherever the label is.
	EntityID string `json:"entity_id"`
	Label    string `json:"label"`
	Count    int    `json:"count"`
}

// EventCandidate is a word that may tell of an event.
type EventCandidate struct {
	// EventID is the same wherever the trigger is.
	EventID string `json:"event_id"`
	Trigger string `json:"trigger"`
	Count   int    `json:"count"`
}

func namedEntities(ranked []Count) []Entity {
	entities := make([]Entity, len(ranked))
	for i, c := range ranked {
		entities[i] = Entity{EntityID: "entity:" + c.Text, Label: c.Text, Count: c.Count}
	}
	return entities
}

func eventCandidates(ranked []Count) []EventCandidate {
	events := make([]EventCandidate, len(ranked))
	for i, c := range ranked {
		events[i] = EventCandidate{EventID: "event:" + c.Text, Trigger: c.Text, Count: c.Count}
	}
	return events
}

// Semantics looks for names, events and content in a text.
func (a *Analyzer) Semantics(t *Text) SemanticsOutput {
	events, content := tallies{}, 0
	for folded, seen := range t.vocabulary {
		if a.functionWords.holds(folded) || !strings.ContainsFunc(folded, unicode.IsLetter) {
			continue
		}
		content += seen.count
		if isEventCandidate(folded) {
			events.add(folded, seen.count, seen.first)
		}
	}
	return SemanticsOutput{
		NamedEntities:   namedEntities(top(a.entities(t), topEntities)),
		EventCandidates: eventCandidates(top(events, topEvents)),
		SemanticDensity: ratio(content, len(t.words)),
	}
}

func (a *Analyzer) entities(t *Text) tallies {
	lower := map[string]bool{}
	for _, w := range t.words {
		if w.form == w.folded {
			lower[w.folded] = true
		}
	}
	entities := tallies{}
	for i, w := range t.words {
		if !isCapitalised(w.form) || a.functionWords.holds(w.folded) || w.opens && lower[w.folded] {
			continue
		}
		entities.add(w.form, 1, i)
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
