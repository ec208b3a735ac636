package layer

import (
	"cmp"
	"slices"
)

const (
	topMarkers     = 10
	maxLinkedSpans = 50
)

// wordsPerMarker is the density at which an appeal scores one half: a marker in
// every 25 words.
const wordsPerMarker = 25

// RhetoricOutput is the rhetoric layer.
type RhetoricOutput struct {
	// The scores rate the appeals to character (ethos), feeling (pathos) and
	// reason (logos) by how thick their marker words stand, from 0 up to, but
	// short of, 1 before rounding:
	//
	//	markers / (markers + words/25)
	EthosScore  float64 `json:"ethos_score"`
	PathosScore float64 `json:"pathos_score"`
	LogosScore  float64 `json:"logos_score"`
	// Strategies are the appeals made, of ethos, pathos and logos, in this order.
	Strategies []string `json:"strategies"`
	// Devices are other means found, in this order: direct_address, questioning,
	// anaphora.
	Devices []string `json:"devices"`
	// Fallacies are those the text may commit, in this order: bandwagon,
	// false_dilemma, ad_hominem.
	Fallacies      []string       `json:"fallacies"`
	Explainability Explainability `json:"explainability"`
}

// Explainability shows what the rhetoric output rests on.
type Explainability struct {
	// Method says in one sentence how the scores are made.
	Method string `json:"method"`
	// TokenCount is the length that the markers are set against, in words.
	TokenCount   int          `json:"token_count"`
	MarkerCounts MarkerCounts `json:"marker_counts"`
	// LinkedSpans are where the markers stand, the first 50.
	LinkedSpans []LinkedSpan `json:"linked_spans"`
	// FallacyEvidence lists, by fallacy, the patterns found and how often.
	FallacyEvidence map[string][]Count `json:"fallacy_evidence"`
}

// MarkerCounts is how many markers of each appeal were found.
type MarkerCounts struct {
	Ethos  int `json:"ethos"`
	Pathos int `json:"pathos"`
	Logos  int `json:"logos"`
}

// LinkedSpan is a marker where it stands.
type LinkedSpan struct {
	Marker string `json:"marker"`
	// Index is that of its first word; words count from 0.
	Index int `json:"index"`
}

type appeals struct {
	ethos, pathos, logos lexicon
}

func newAppeals() appeals {
	return appeals{
		ethos:  newLexicon(ethosMarkers()),
		pathos: newLexicon(pathosMarkers()),
		logos:  newLexicon(logosMarkers()),
	}
}

// Rhetoric looks for the means of persuasion in a text.
func (a *Analyzer) Rhetoric(t *Text) RhetoricOutput {
	ethos := a.appeals.ethos.find(t.words)
	pathos := a.appeals.pathos.find(t.words)
	logos := a.appeals.logos.find(t.words)
	names, evidence := a.fallacies.find(t)
	return RhetoricOutput{
		EthosScore:  appealScore(len(ethos), len(t.words)),
		PathosScore: appealScore(len(pathos), len(t.words)),
		LogosScore:  appealScore(len(logos), len(t.words)),
		Strategies:  found(is{"ethos", len(ethos) > 0}, is{"pathos", len(pathos) > 0}, is{"logos", len(logos) > 0}),
		Devices: found(is{"direct_address", addressesReader(t.words)}, is{"questioning", asksAnything(t.sentences)},
			is{"anaphora", hasAnaphora(t)}),
		Fallacies: names,
		Explainability: Explainability{
			Method:          "Marker words counted against the length of the text; patterns suggest fallacies, they do not prove them.",
			TokenCount:      len(t.words),
			MarkerCounts:    MarkerCounts{Ethos: len(ethos), Pathos: len(pathos), Logos: len(logos)},
			LinkedSpans:     firstSpans(ethos, pathos, logos),
			FallacyEvidence: evidence,
		},
	}
}

func appealScore(markers, words int) float64 {
	return ratio(wordsPerMarker*markers, wordsPerMarker*markers+words)
}

// firstSpans merges the markers of all appeals in the order of the text.
func firstSpans(appeals ...[]LinkedSpan) []LinkedSpan {
	spans := []LinkedSpan{}
	for _, a := range appeals {
		spans = append(spans, a[:min(maxLinkedSpans, len(a))]...)
	}
	slices.SortStableFunc(spans, func(a, b LinkedSpan) int { return cmp.Compare(a.Index, b.Index) })
	return spans[:min(maxLinkedSpans, len(spans))]
}

// is says whether something named was found.
type is struct {
	name  string
	found bool
}

func found(candidates ...is) []string {
	names := []string{}
	for _, c := range candidates {
		if c.found {
			names = append(names, c.name)
		}
	}
	return names
}

func addressesReader(words []word) bool {
	for _, w := range words {
		if isSecondPerson(w.folded) || w.folded == "your" || w.folded == "yours" {
			return true
		}
	}
	return false
}

func asksAnything(sentences []sentence) bool {
	for _, s := range sentences {
		if s.asks {
			return true
		}
	}
	return false
}

// hasAnaphora reports two neighbouring sentences that open with the same two
// words and go on from there.
func hasAnaphora(t *Text) bool {
	for i := 1; i < len(t.sentences); i++ {
		before, after := t.words[t.sentences[i-1].from:t.sentences[i-1].to], t.words[t.sentences[i].from:t.sentences[i].to]
		if len(before) > 2 && len(after) > 2 && before[0].folded == after[0].folded && before[1].folded == after[1].folded {
			return true
		}
	}
	return false
}
